"""The gap of two releases: bounded for every family over the inputs of either, with its fault and its twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.evidence import Finding
from shipworthy.core.features import Category, Encoder, Features, Number
from shipworthy.core.judge import required
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Program
from shipworthy.core.registry import registry
from shipworthy.core.schema import Schema
from shipworthy.sabotage.bank import run_bank
from shipworthy.verification.formal.alike import alike
from shipworthy.verification.formal.claims import Budget, Near
from shipworthy.verification.formal.difference import release_difference
from shipworthy.verification.formal.families import Prover

from ...checker.small import program_of
from .networks import network_of
from .test_families import small

GAP = 1e-6


@pytest.mark.parametrize("kinds", ["t", "l", "r", "tl"])
def test_the_gap_of_two_programs_is_bounded_exactly(kinds: str) -> None:
    seen = 0
    for seed in range(150):
        one, domain, rows, weights = small(seed, kinds)
        other = program_of(seed + 1_000, kinds=kinds)
        if one.outputs != other.outputs:
            continue
        most = float(np.abs((one.margin(rows) - other.margin(rows)) @ np.array(weights)).max())
        over, under = (Prover(one, domain)(Near(other, most + by, weights), Budget(20_000, 5.0)) for by in (GAP, -GAP))
        if over.why.startswith(("input", "programs of two kinds")):
            continue  # of one of them alone zero is routed apart, as only trees do
        seen += 1
        if over.status == "refuted":  # by a row that was not listed
            assert over.row is not None
            gap = (one.margin(over.row[None]) - other.margin(over.row[None])) @ np.array(weights)
            assert abs(float(gap[0])) >= most + GAP, seed
            continue
        assert (over.status, under.status) == ("proved", "refuted"), seed
    assert seen > 40


def test_programs_of_two_kinds_are_bounded_one_by_one() -> None:
    for seed in range(60):
        one, domain, rows, _ = small(4 * seed, "l")
        other = program_of(seed + 1_000, kinds="r")
        if one.outputs != 1 or other.outputs != 1:
            continue
        found = Prover(one, domain)(Near(other, np.inf), Budget())
        assert found.high >= float(np.abs(one.margin(rows) - other.margin(rows)).max()), seed


def modelled(program: Program, *encoders: Encoder) -> Model:
    """A model of a program that reads these columns."""
    return Model(Sheet(Features(encoders), Schema(()), "regression", "y", ()), program)


def empty(*encoders: Encoder) -> Model:
    """A model of no terms that reads these columns."""
    return modelled(Program((), (), "identity"), *encoders)


@pytest.mark.parametrize("kinds", ["t", "l", "tlr"])
def test_a_program_over_other_inputs_answers_every_row_as_before(kinds: str) -> None:
    for seed in range(200):
        program, _, rows, _ = small(seed, kinds)
        one = modelled(program, Number("x"), Category("word", ("a", "b", "c")), Number("count"))
        both = alike(empty(Number("more"), Number("count"), Category("word", ("z", "c", "a"))), one)
        assert [one.name for one in both.one.inputs] == ["more", "count", "word", "x"]
        codes = np.array([2.0, 3.0, 1.0, np.nan])  # of a, b, c among z, c, a, b; nothing stays missing
        word = codes[np.where(np.isnan(rows[:, 1]), 3, np.nan_to_num(rows[:, 1])).astype(int)]
        moved = np.stack([np.zeros(len(rows)), rows[:, 2], word, rows[:, 0]], axis=1)
        assert np.array_equal(both.other.margin(moved), program.margin(rows)), seed
        unknown = moved.copy()
        unknown[:, 2] = 0.0  # a level that it never saw is missing to it
        gone = rows.copy()
        gone[:, 1] = np.nan
        assert np.array_equal(both.other.margin(unknown), program.margin(gone)), seed


def test_a_network_over_other_inputs_answers_every_row_as_before() -> None:
    program, random = network_of(5), np.random.default_rng(0)
    one = modelled(program, Number("a"), Number("b"), Category("c", ("p", "q", "r")))
    both = alike(empty(Category("c", ("r", "s", "p")), Number("b")), one)
    rows = np.stack([random.normal(size=200), random.normal(size=200), random.integers(0, 3, 200)], axis=1)
    code = np.array([2.0, 3.0, 0.0])[rows[:, 2].astype(int)]
    assert np.array_equal(both.other.margin(np.stack([code, rows[:, 1], rows[:, 0]], axis=1)), program.margin(rows))


def judged(clean: dict[str, Any], model: Model, champion: Model, apart: float) -> Finding:
    gate = msgspec.structs.replace(clean["project"].gate, apart=apart)
    return release_difference(msgspec.structs.replace(clean["project"], gate=gate), model, champion, clean["parts"])


def test_the_champion_itself_is_no_step_away(clean: dict[str, Any]) -> None:
    model = clean["model"]
    finding = judged(clean, model, model, 0.001)
    assert finding.verdict == "pass"
    assert finding.sentence.startswith("Proved: no row there can be lies 0.001 or more from the champion's margin")
    assert "Of 600 holdout rows 0 are decided otherwise" in finding.sentence


def test_without_a_limit_there_is_nothing_to_prove_and_with_one_the_row_must_hold(clean: dict[str, Any]) -> None:
    model, project = clean["model"], clean["project"]
    assert judged(clean, model, model, 0.0).verdict == "not-applicable"
    limited = msgspec.structs.replace(project, gate=msgspec.structs.replace(project.gate, apart=1.0))
    assert "verification.functional" not in required(project)
    assert "verification.functional" in required(limited)


def test_a_row_beyond_the_limit_is_shown_with_how_to_allow_it(clean: dict[str, Any]) -> None:
    steps, parts = clean["steps"], clean["parts"]
    model, champion = steps.train(parts.learn), steps.train(parts.learn.head(1_000))
    finding = judged(clean, model, champion, 0.5)
    assert finding.verdict == "fail"
    assert finding.value is not None
    assert finding.value >= 0.5
    assert "[gate] apart = " in finding.remedy
    row = np.array([[np.nan if x is None else x for x in finding.counterexample["inputs"].values()]])
    both = alike(model, champion)
    assert abs(both.one.margin(row) - both.other.margin(row))[0, 0] == pytest.approx(finding.value)


def test_a_champion_of_another_target_is_not_compared(clean: dict[str, Any]) -> None:
    other = clean["model"].with_sheet(classes=("left", "right"))
    assert judged(clean, clean["model"], other, 1.0).verdict == "not-applicable"


def test_its_fault_is_caught_and_its_twins_are_quiet(make_case: Callable[[int], dict[str, Any]]) -> None:
    [found] = run_bank(make_case, registry(), twins=3, only=("release-difference",))
    assert found.caught
    assert found.quiet == 3
