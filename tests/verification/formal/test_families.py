"""Claims about every family of programs agree with brute force, and what is proved is accepted by the checker."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.core.program import Program
from shipworthy.verification.formal.claims import Below, Budget, Claim, Domain, Monotone, Span, Steady, Verdict
from shipworthy.verification.formal.families import Prover
from shipworthy.verification.formal.linear import separable
from shipworthy_check import Rejected, check
from shipworthy_check.program import Program as Read
from shipworthy_check.program import read

from ...checker.small import every_row, program_of, spans_of

BUDGET = Budget(20_000, 5.0)
GAP = 1e-6
SEEDS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


def released(program: Program, folder: Path) -> Read:
    for name, raw in program.files().items():
        (folder / name).write_bytes(raw)
    return read(folder)


def small(seed: int, kinds: str) -> tuple[Program, Domain, np.ndarray, tuple[float, ...]]:
    """A program, a finite domain, every row of it that matters, and weights of the margins."""
    random, program = np.random.default_rng([seed, 3]), program_of(seed, kinds=kinds)
    x, words, count = spans_of(random)
    x = [-3.0 if x[0] is None else x[0], 2.7 if x[1] is None else x[1], *x[2:]]
    domain = Domain((Span(*x[:3]), Span(missing=words[1], codes=tuple(words[0])), Span(*count[:3], whole=True)))
    rows = every_row(program, [x, words, count])
    rows = rows[~((np.abs(rows[:, 0]) < 2e-35) & (rows[:, 0] != 0))]  # a table as a tree reads tiny numbers as 0
    weights = (1.0,) if program.outputs == 1 else tuple(random.permutation([1.0, -1.0, 0.0]).tolist())
    return program, domain, rows, weights


def largest_move(program: Program, rows: np.ndarray, weights: Any, place: int, pairs: Any) -> float:
    """The largest gain of a move of one input between two of its values, over all rows; −inf without a pair."""
    every = np.unique(rows[:, place][~np.isnan(rows[:, place])])
    values = [*every, *([np.nan] if np.isnan(rows[:, place]).any() else [])]
    rest = rows.copy()
    rest[:, place] = 0
    _, first = np.unique(np.nan_to_num(rest, nan=1e9), axis=0, return_index=True)
    rest = rest[first]
    margins = []
    for value in values:
        rest[:, place] = value
        margins.append(program.margin(rest) @ np.array(weights))
    return max((float((b - a).max()) for i, a in enumerate(margins) for j, b in enumerate(margins)
                if pairs(values[i], values[j])), default=-np.inf)


def accepted(verdict: Verdict, claims: list[dict[str, Any]], ours: Read) -> bool:
    assert verdict.certificate is not None
    try:
        check(json.dumps({**json.loads(verdict.certificate.text()), "claims": claims}), [ours])
    except Rejected as error:
        print(error)
        return False
    return True


def ask(program: Program, domain: Domain, claim: Claim) -> Verdict:
    return Prover(program, domain)(claim, BUDGET)


@pytest.mark.parametrize("kinds", ["l", "r", "lr", "tl"])
def test_a_bound_is_proved_exactly_if_no_row_goes_beyond_it(kinds: str, folder: Path) -> None:
    for seed in range(SEEDS):
        program, domain, rows, weights = small(seed, kinds)
        if kinds == "lr" and not separable(program):
            continue
        most = float((program.margin(rows) @ np.array(weights)).max())
        over, under = (ask(program, domain, Below(most + by, weights)) for by in (GAP, -GAP))
        assert (over.status, under.status) == ("proved", "refuted"), seed
        assert under.row is not None
        assert float(program.margin(under.row[None])[0] @ np.array(weights)) >= most - GAP
        assert accepted(over, [], released(program, folder)), seed


@pytest.mark.parametrize("kinds", ["l", "r", "tl"])
@pytest.mark.parametrize("place, sign", [(0, 1), (0, -1), (2, 1)])
def test_an_order_is_proved_exactly_if_no_row_falls(kinds: str, place: int, sign: int, folder: Path) -> None:
    seen = set()
    for seed in range(SEEDS // 2):
        program, domain, rows, weights = small(seed, kinds)
        fall = sign * np.array(weights)
        worst = -largest_move(program, rows, -fall, place, lambda a, b: a < b)
        if abs(worst) == np.inf or abs(worst - 0) < 1e-12:
            continue
        verdict = ask(program, domain, Monotone(place, sign > 0, weights=weights))
        assert verdict.status == ("proved" if worst > 0 else "refuted"), seed
        seen.add(verdict.status)
        if verdict.status == "proved":
            claim = {"kind": "monotone", "place": place, "sign": sign, "weights": list(weights), "goal": 1e-9}
            assert accepted(verdict, [claim | {"query": query(verdict)}], released(program, folder)), seed
    assert "refuted" in seen


def query(verdict: Verdict) -> Any:
    assert verdict.certificate is not None
    parts = verdict.certificate.parts
    return list(parts[0].query) if parts else None


@pytest.mark.parametrize("kinds", ["l", "r", "tl"])
@pytest.mark.parametrize("only_missing", [False, True])
def test_a_change_of_one_input_is_bounded_exactly(kinds: str, only_missing: bool, folder: Path) -> None:
    for seed in range(SEEDS // 2):
        program, domain, rows, weights = small(seed, kinds)
        place = seed % 3

        def counts(a: float, b: float) -> bool:
            return not only_missing or bool(np.isnan(a) != np.isnan(b))

        most = max(0.0, largest_move(program, rows, weights, place, counts))
        over, under = (ask(program, domain, Steady(place, most + by, only_missing, weights)) for by in (GAP, -GAP))
        assert over.status == "proved", seed
        assert over.high <= most + GAP
        assert most == 0 or under.status == "refuted", seed
        claim = {"kind": "steady", "place": place, "weights": list(weights), "goal": most + GAP,
                 "only_missing": only_missing, "query": query(over)}
        if claim["query"]:
            assert accepted(over, [claim], released(program, folder)), seed


def test_a_claim_without_all_of_its_parts_is_refused(folder: Path) -> None:
    for seed in range(100):
        program, domain, _, given = small(seed, "t")
        verdict = ask(program, domain, Steady(0, 50.0, weights=given))
        if verdict.certificate and len(verdict.certificate.parts) > 2:
            break
    assert verdict.certificate is not None
    weights = verdict.certificate.parts[0].sum[0]["weights"]
    claim = {"kind": "steady", "place": 0, "weights": weights, "goal": 50.0, "query": query(verdict)}
    ours = released(program, folder)
    assert accepted(verdict, [claim], ours)
    assert not accepted(verdict, [claim | {"goal": 49.0}], ours)
    for at in range(len(verdict.certificate.parts)):
        fewer = verdict.certificate.parts[:at] + verdict.certificate.parts[at + 1:]
        assert not accepted(replace(verdict, certificate=replace(verdict.certificate, parts=fewer)), [claim], ours)


def test_a_bound_that_rests_on_a_rule_of_the_domain_is_accepted(folder: Path) -> None:
    seen = 0
    for seed in range(4 * SEEDS):
        program, domain, rows, weights = small(seed, "t")
        tied = replace(domain, at_least=((0, 2),), spans=(*(replace(domain.spans[0], missing=False), domain.spans[1]),
                                                          replace(domain.spans[2], missing=False)))
        legal = rows[rows[:, 0] >= rows[:, 2]]
        legal = legal[~np.isnan(legal).any(axis=1) | np.isnan(legal[:, 1])]
        if not len(legal):
            continue
        most = float((program.margin(legal) @ np.array(weights)).max())
        verdict = ask(program, tied, Below(most + GAP, weights))
        if verdict.status == "proved" and "empty" in verdict.certificate.parts[0].tokens:  # type: ignore[union-attr]
            seen += 1
            ours, part = released(program, folder), verdict.certificate.parts[0]  # type: ignore[union-attr]
            assert accepted(verdict, [], ours), seed
            loose = replace(part, rules=({"at_least": [2, 0]},))
            assert not accepted(replace(verdict, certificate=replace(verdict.certificate, parts=(loose,))), [], ours)
    assert seen > 10
