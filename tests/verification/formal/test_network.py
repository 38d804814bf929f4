"""Claims about networks agree with brute force, hold for rows drawn at random, and are accepted by the checker."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.program import Program, Term
from shipworthy.core.project import Property
from shipworthy.core.table import Floats
from shipworthy.kernels import dense
from shipworthy.verification.formal.claims import (
    Below,
    Budget,
    Claim,
    Domain,
    Monotone,
    Near,
    Robust,
    Span,
    Steady,
    Verdict,
    Within,
)
from shipworthy.verification.formal.declared import certificates, proofs
from shipworthy.verification.formal.families import Prover
from shipworthy.verification.formal.layers import ACTIVATED, relaxed
from shipworthy.verification.formal.linear import near_span
from shipworthy.verification.formal.local import local_queries_decided
from shipworthy.verification.formal.network import parting
from shipworthy_check import Rejected, check, read

from .networks import listed, most_gained, network_of

BUDGET = Budget(20_000, 5.0)
GAP = 1e-6
WIDE = Domain((Span(-3, 3), Span(-1, 3), Span(codes=(0, 1, 2))))


def ask(program: Program, domain: Domain, claim: Claim, budget: Budget = BUDGET) -> Verdict:
    return Prover(program, domain)(claim, budget)


def weighed(program: Program, weights: tuple[float, ...], rows: Floats) -> Floats:
    return np.asarray(program.margin(rows) @ np.array(weights))


def weights_of(seed: int) -> tuple[int, tuple[float, ...]]:
    return (3, (1.0, -1.0, 0.0)) if seed % 4 == 3 else (1, (1.0,))


def test_a_bound_is_proved_exactly_if_no_row_of_a_thousand_networks_reaches_it() -> None:
    for seed in range(1_000):
        outputs, weights = weights_of(seed)
        program, (domain, rows, _) = network_of(seed, outputs), listed(seed)
        most = float((program.margin(rows) @ np.array(weights)).max())
        over, under = (ask(program, domain, Below(most + by, weights)) for by in (GAP, -GAP))
        assert (over.status, under.status) == ("proved", "refuted"), seed
        assert under.row is not None
        assert float(program.margin(under.row[None])[0] @ np.array(weights)) >= most - GAP


@pytest.mark.parametrize("only_missing", [False, True])
def test_a_change_of_one_input_is_bounded_exactly(only_missing: bool) -> None:
    for seed in range(250):
        outputs, weights = weights_of(seed)
        program, (domain, _, values), place = network_of(seed, outputs), listed(seed), seed % 3
        told = partial(weighed, program, weights)
        most = max(0.0, most_gained(told, values, place, lambda a, b: not only_missing or np.isnan(a) != np.isnan(b)))
        assert ask(program, domain, Steady(place, most + GAP, only_missing, weights)).status == "proved", seed
        if most > GAP:
            found = ask(program, domain, Steady(place, most - GAP, only_missing, weights))
            assert found.status == "refuted", seed
            assert found.row is not None
            assert found.moved is not None
            gain = float((program.margin(found.moved[None]) - program.margin(found.row[None]))[0] @ np.array(weights))
            assert abs(gain) >= most - GAP
            assert (np.isnan(found.row) == np.isnan(found.moved))[[n for n in range(3) if n != place]].all()


def test_an_order_is_never_proved_where_a_row_falls_nor_refuted_where_none_does() -> None:
    said = []
    for seed in range(400):
        program, (domain, _, values), place = network_of(seed), listed(seed), seed % 2
        fall = most_gained(partial(weighed, program, (1.0,)), values, place, lambda a, b: a > b)
        found = ask(program, domain, Monotone(place), Budget(3_000, 2.0))
        said.append(found.status)
        assert found.status != ("proved" if fall > 1e-9 else "refuted"), seed
        if found.status == "refuted":
            assert found.row is not None
            assert found.moved is not None
            assert found.row[place] < found.moved[place]
    assert said.count("unknown") < 20
    assert min(said.count("proved"), said.count("refuted")) > 60


def test_the_gap_of_two_networks_is_bounded_exactly() -> None:
    for seed in range(200):
        outputs, weights = weights_of(seed)
        one, other, (domain, rows, _) = network_of(seed, outputs), network_of(seed + 4, outputs), listed(seed)
        most = float(np.abs((one.margin(rows) - other.margin(rows)) @ np.array(weights)).max())
        over, under = (ask(one, domain, Near(other, most + by, weights)) for by in (GAP, -GAP))
        assert (over.status, under.status) == ("proved", "refuted"), seed


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_nothing_is_proved_that_a_row_drawn_at_random_breaks(activation: str) -> None:
    random = np.random.default_rng(0)
    rows = np.stack([random.uniform(-3, 3, 3000), random.uniform(-1, 3, 3000), random.integers(0, 3, 3000)], axis=1)
    rows[random.random(rows.shape) < 0.15] = np.nan
    for seed in range(60):
        program = network_of(seed, activation=activation)
        margin = program.margin(rows)[:, 0]
        bounds = ask(program, WIDE, Within(-np.inf, np.inf), Budget(2_000, 2.0))
        assert bounds.low <= margin.min() <= margin.max() <= bounds.high, seed
        assert bounds.high - bounds.low < 1.02 * (margin.max() - margin.min()) + 0.5, seed
        row, reach = rows[seed], (0.3, 0.2, 0.0)
        local = WIDE.but({n: near_span(span, row[n], reach[n]) for n, span in enumerate(WIDE.spans)})
        near = np.where(np.isnan(row), np.nan, np.clip(row + random.uniform(-1, 1, (500, 3)) * reach, (-3, -1, 0),
                                                       (3, 3, 2)))
        cut = float(np.median(margin)) + 0.01
        verdict = ask(program, WIDE, Robust(row, reach, cut))
        assert verdict.status in ("proved", "refuted"), local
        if verdict.status == "proved":
            assert len(set((program.margin(np.vstack([row, near]))[:, 0] >= cut).tolist())) == 1, seed


def test_rules_that_tie_inputs_leave_their_rows_out() -> None:
    for seed in range(150):
        program, (domain, rows, _) = network_of(seed), listed(seed)
        tied = replace(domain, at_least=((0, 1),))
        legal = rows[~(rows[:, 0] < rows[:, 1])]
        if not len(legal):
            continue
        most = float(program.margin(legal).max())
        assert ask(program, tied, Below(most + GAP)).status == "proved", seed
        assert ask(program, tied, Below(most - GAP)).status == "refuted", seed


def test_the_activations_of_the_kernel_lie_as_near_to_the_true_ones_as_the_bounds_take_them_to() -> None:
    x = np.concatenate([np.linspace(-40, 40, 20_001), np.linspace(-1e-3, 1e-3, 2_001)])
    true = np.exp(-2 * np.abs(x.astype(np.longdouble)))
    assert np.abs(dense.tanh(x) - np.copysign((1 - true) / (1 + true), x)).max() < ACTIVATED
    assert np.abs(dense.ACTIVATIONS["logistic"](x) - 1 / (1 + np.exp(-x.astype(np.longdouble)))).max() < ACTIVATED


def test_kernel_and_bounds_give_single_rows_the_same_margin_and_an_altered_bound_is_seen() -> None:
    random = np.random.default_rng(0)
    for seed in range(60):
        outputs, _ = weights_of(seed)
        program = network_of(seed, outputs)
        rows = np.stack([random.normal(0, 3, 40), random.normal(0, 3, 40), random.integers(0, 3, 40)], axis=1)
        rows[random.random(rows.shape) < 0.2] = np.nan
        assert parting(program, rows) is None, seed
        arrays = dict(program.terms[0].arrays)
        arrays["bias0"] = arrays["bias0"] + 1e-6
        other = replace(program, terms=(Term(program.terms[0].kind, arrays),))
        object.__setattr__(other, "scorer", program.scorer)  # a kernel that was made of other arrays
        moved = np.abs(other.margin(rows) - replace(other).margin(rows)).max()
        assert (parting(other, rows) is not None) == (moved > 1e-9), seed


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────


def accepted(verdict: Verdict, claims: list[dict[str, Any]], folder: Path, *programs: Program) -> bool:
    assert verdict.certificate is not None
    found, query = [], list(verdict.certificate.parts[0].query)
    for program in programs:
        for name, raw in program.files().items():
            (folder / name).write_bytes(raw)
        found.append(read(folder))
    document = {**json.loads(verdict.certificate.text()), "claims": [{**one, "query": query} for one in claims]}
    try:
        check(json.dumps(document), found)
    except Rejected:
        return False
    return True


def test_the_checker_accepts_what_is_proved_and_nothing_more(tmp_path: Path) -> None:
    for seed in range(80):
        outputs, weights = weights_of(seed)
        program, (domain, rows, _), place = network_of(seed, outputs), listed(seed), seed % 3
        most = float((program.margin(rows) @ np.array(weights)).max())
        w, found = list(weights), ask(program, domain, Below(most + GAP, weights))
        assert found.certificate is not None
        assert accepted(found, [{"kind": "below", "weights": w, "goal": most + GAP}], tmp_path, program), seed
        assert not accepted(found, [{"kind": "below", "weights": w, "goal": most}], tmp_path, program), seed
        lower = replace(found.certificate, parts=(replace(found.certificate.parts[0], goal=most - 1e-9),))
        assert not accepted(replace(found, certificate=lower), [], tmp_path, program), seed
        for missing in (False, True):
            moved = ask(program, domain, Steady(place, 4.0, missing, weights))
            claim = {"kind": "steady", "weights": w, "place": place, "goal": 4.0, "only_missing": missing}
            if moved.status == "proved" and moved.certificate and moved.certificate.parts:
                assert accepted(moved, [claim], tmp_path, program), seed
                assert not accepted(moved, [{**claim, "only_missing": not missing, "place": (place + 1) % 3}], tmp_path,
                                    program), seed
        order = ask(program, domain, Monotone(seed % 2, weights=weights))
        if order.status == "proved" and order.certificate and order.certificate.parts:
            claim = {"kind": "monotone", "weights": w, "place": seed % 2, "sign": 1, "goal": 1e-9}
            assert accepted(order, [claim], tmp_path, program), seed
            assert not accepted(order, [{**claim, "sign": -1}], tmp_path, program), seed


def test_a_token_dropped_added_or_changed_is_seen(tmp_path: Path) -> None:
    program, (domain, rows, _) = network_of(246), listed(246)
    found = ask(program, domain, Below(float(program.margin(rows).max()) + GAP))
    assert found.certificate is not None
    [part], words = found.certificate.parts, found.certificate.parts[0].tokens.split()
    assert len(words) > 6
    changed = [words[:at] + words[at + 1:] for at in range(len(words))]
    changed += [[*words[:at], "end", *words[at:]] for at in range(len(words))]
    changed += [[*words, "end"], ["end"], ["s", "0", "99.0", *words[3:]], ["g", "0", "end", "end"]]
    for tokens in changed:
        forged = replace(found.certificate, parts=(replace(part, tokens=" ".join(tokens)),))
        assert not accepted(replace(found, certificate=forged), [], tmp_path, program), tokens


def test_rules_that_leave_no_row_are_proved_and_checked(tmp_path: Path) -> None:
    program, domain = network_of(2), Domain((Span(-2, -1, False), Span(1, 2, False), Span(codes=(0, 1, 2))), (),
                                            ((0, 1),))
    found = ask(program, domain, Below(-1e6))
    assert found.status == "proved"
    assert found.certificate is not None
    assert accepted(found, [], tmp_path, program)
    loose = replace(found.certificate, parts=(replace(found.certificate.parts[0], rules=({"at_least": [1, 0]},)),))
    assert not accepted(replace(found, certificate=loose), [], tmp_path, program)


# ── declared properties ──────────────────────────────────────────────────────────────────────────────────────────


def test_properties_of_a_released_network_are_decided_and_checked(clean: dict[str, Any], tmp_path: Path) -> None:
    model = clean["steps"].train(clean["parts"].learn, learner="network")
    claims = ("answers stay between 0.000000001 and 0.999999999", "answers stay below 0.6",
              "cat2 alone moves the margin by at most 40", "a missing num4 moves the margin by at most 30",
              "sex alone never changes the decision")
    project = msgspec.structs.replace(clean["project"], property=tuple(Property(one) for one in claims))
    found = proofs(project, model, clean["parts"])
    assert [one.status for one in found[:4]] == ["proved", "refuted", "proved", "proved"]
    files = certificates(project, model, clean["parts"])
    assert set(files) >= {"proof-1.json", "proof-3.json", "proof-4.json"}
    for name, raw in model.files().items():
        (tmp_path / name).write_bytes(raw)
    for raw in files.values():
        check(raw, [read(tmp_path)])


@pytest.mark.parametrize("place", [0, 1])
def test_a_row_outside_the_domain_is_not_proved_to_keep_its_decision(place: int) -> None:
    row = np.array([0.0, 0.0, 0.0])
    row[place] = 9.0
    found = ask(network_of(3), WIDE, Robust(row, (0.1, 0.1, 0.0)))
    assert (found.status, found.why) == ("unknown", "the row lies outside the domain")


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_an_activation_lies_between_its_lines(activation: str) -> None:
    random = np.random.default_rng(0)
    low = np.concatenate([random.normal(0, 3, 4_000), random.normal(0, 1e6, 50)])
    high = low + np.concatenate([random.choice([1e-14, 1e-6, 0.1, 1, 5], 4_000) * random.random(4_000),
                                 random.random(50) * 1e6])
    over, top, under, bottom = (side.astype(np.longdouble) for side in relaxed(activation, low, high))
    for share in np.linspace(0, 1, 21):
        x = np.clip(low + share * (high - low), low, high).astype(np.longdouble)
        half = np.exp(-np.abs(x))
        true = {"relu": np.maximum(x, 0), "identity": x, "tanh": np.tanh(x),
                "logistic": np.where(x > 0, 1 / (1 + half), half / (1 + half))}[activation]
        assert (under * x + bottom <= true).all()
        assert (true <= over * x + top).all()


def test_errors_of_measurement_are_decided_for_a_network_as_for_trees(clean: dict[str, Any]) -> None:
    model = clean["steps"].train(clean["parts"].learn, learner="network")
    finding = local_queries_decided(model, clean["parts"], clean["arrived"], clean["steps"])
    assert finding.verdict == "pass", finding.sentence
    assert finding.sentence.endswith("0 are not decided; at least 95% must be.")
