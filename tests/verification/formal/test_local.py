"""Local proofs of a model: the margin that decides, the self-test, and the two checks with their faults and twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shipworthy.core.program import Calibration, Scaling
from shipworthy.core.registry import registry
from shipworthy.sabotage.bank import run_bank
from shipworthy.verification.formal.decision import margin_cut
from shipworthy.verification.formal.families import Prover
from shipworthy.verification.formal.local import ask, learnt_domain, local_queries_decided, local_robustness
from shipworthy.verification.formal.selftest import disagreement, hostile


@pytest.mark.parametrize("after", [None, Scaling(0.7, -0.3), Calibration((0.1, 0.4, 0.6), (0.0, 0.5, 1.0))])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_decisions_turn_exactly_at_the_cut(clean: dict[str, Any], after: Any, threshold: float) -> None:
    model = clean["model"]
    model = model.with_program(model.program.calibrated(after)).with_sheet(threshold=threshold)
    cut = margin_cut(model)
    below = np.nextafter(cut, -np.inf)
    assert model.decide(model.program.finish(np.array([[below], [cut]]))).tolist() == [0, 1]


def test_a_model_that_decides_one_way_only_has_no_cut(clean: dict[str, Any]) -> None:
    model = clean["model"]
    assert margin_cut(model.with_sheet(threshold=0.0)) == -np.inf
    assert margin_cut(model.with_sheet(threshold=1.5)) == np.inf


def test_boxes_and_kernel_agree_at_every_border_and_a_leaf_that_was_edited_is_seen(clean: dict[str, Any]) -> None:
    model = clean["steps"].train(clean["parts"].learn)
    inputs = model.inputs(clean["parts"].learn)
    ensemble = Prover(model.program, learnt_domain(model, inputs)).ensemble
    rows = hostile(ensemble, inputs)
    assert disagreement(ensemble, (1.0,), rows) is None
    leaves = ensemble.leaves((1.0,))
    busiest = int((leaves.hi - leaves.lo).sum(axis=0).argmax())
    value = leaves.value.copy()
    value[busiest] += 1e-6
    ensemble._made[(0, (1.0,))] = replace(leaves, value=value)
    assert disagreement(ensemble, (1.0,), rows) is not None


def test_a_row_that_turns_the_decision_lies_within_reach_and_turns_it_in_the_kernel(clean: dict[str, Any]) -> None:
    model = clean["steps"].train(clean["parts"].learn)
    local = ask(model, clean["parts"], 100, 0.2, 20.0)
    assert local.count("refuted") > 5
    assert local.count("unknown") == 0
    for row, verdict in zip(local.rows, local.verdicts, strict=True):
        if verdict.status == "refuted":
            assert (np.abs(verdict.row - row)[~np.isnan(row)] <= local.reach[~np.isnan(row)]).all()
            assert len(set(model.decide(model.program.score(np.stack([row, verdict.row]))))) == 2


def test_no_row_drawn_within_reach_turns_a_decision_that_was_proved(clean: dict[str, Any]) -> None:
    model, random = clean["steps"].train(clean["parts"].learn), np.random.default_rng(0)
    local = ask(model, clean["parts"], 60, 0.2, 20.0)
    inputs = model.inputs(clean["parts"].learn)
    for row, verdict in zip(local.rows, local.verdicts, strict=True):
        if verdict.status == "proved":
            drawn = np.clip(row + local.reach * random.uniform(-1, 1, (400, len(row))),
                            np.nanmin(inputs, axis=0), np.nanmax(inputs, axis=0))
            assert len(set(model.decide(model.program.score(drawn)))) == 1


def test_the_share_decided_is_told_with_what_was_proved(clean: dict[str, Any]) -> None:
    model = clean["steps"].train(clean["parts"].learn)
    finding = local_queries_decided(model, clean["parts"], clean["arrived"], clean["steps"])
    assert finding.verdict == "pass"
    assert finding.sentence == (
        "Of 200 holdout rows, 188 provably keep their decision for all errors of measurement up to 0.05 standard "
        "deviations, 12 do not, 0 are not decided; at least 95% must be.")
    assert set(finding.counterexample) == {"inputs", "becomes"}


def test_a_counterexample_that_serving_answers_as_before_fails_the_check(clean: dict[str, Any]) -> None:
    model, steps = clean["steps"].train(clean["parts"].learn), clean["steps"]
    deaf = replace(steps, answer=lambda model, record: {"prediction": "no"})
    finding = local_queries_decided(model, clean["parts"], clean["arrived"], deaf)
    assert finding.verdict == "fail"
    assert finding.sentence == "A row that was shown to turn the decision does not turn it where it is served."


def test_without_time_nothing_is_decided_and_the_check_fails(clean: dict[str, Any]) -> None:
    model = clean["steps"].train(clean["parts"].learn)
    finding = local_queries_decided(model, clean["parts"], clean["arrived"], clean["steps"], seconds=0.0)
    assert finding.verdict == "fail"
    assert "200 are not decided" in finding.sentence


def test_a_regression_makes_no_decision_to_turn(clean: dict[str, Any]) -> None:
    model = clean["model"].with_sheet(task="regression")
    finding = local_queries_decided(model, clean["parts"], clean["arrived"], clean["steps"])
    assert finding.verdict == "not-applicable"
    assert local_robustness(model, model, clean["parts"]).verdict == "not-applicable"


@pytest.mark.parametrize("check", ["local-queries-decided", "local-robustness"])
def test_its_fault_is_caught_and_its_twins_are_quiet(make_case: Callable[[int], dict[str, Any]], check: str) -> None:
    found = run_bank(make_case, registry(), twins=3, only=(check,))
    assert [one.caught for one in found] == [True]
    assert [one.quiet for one in found] == [3]
