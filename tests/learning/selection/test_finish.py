"""Calibration only where it helps, a threshold that earns, sets and intervals that cover."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.amounts import Amounts
from shipworthy.learning.selection.finish import finish, threshold


def regrets(truth: Any, scores: Any, cut: float) -> list[float]:
    """What the best cut earns more than this one, as a share of it, with each amount at 75 % and 125 %."""
    found = []
    for right, wrong in [(10, -4), (7.5, -4), (12.5, -4), (10, -3), (10, -5)]:
        paid = np.where(truth == 1, right, wrong)
        best = max(paid[scores >= t].sum() for t in np.unique(scores))
        found.append((best - paid[scores >= cut].sum()) / best)
    return found


def test_no_other_cut_has_a_smaller_worst_regret_when_the_amounts_move(clean: dict[str, Any]) -> None:
    value = Amounts({"true_positive": 10.0, "false_positive": -4.0})
    model, parts = clean["model"], clean["parts"]
    scores, truth = model.score(parts.tune), model.truth(parts.tune)
    own = max(regrets(truth, scores, threshold(scores, truth, model, value)))
    others = [max(regrets(truth, scores, cut)) for cut in np.unique(scores)[::5]]
    assert own <= min(others) + 1e-12
    assert own < 0.1


def test_where_nothing_pays_nobody_is_decided_for(clean: dict[str, Any]) -> None:
    scores, truth = np.linspace(0, 0.9, 100), np.zeros(100, np.int64)
    assert threshold(scores, truth, clean["model"], Amounts({"true_positive": 1.0, "false_positive": -1.0})) > 0.9


def test_capacity_bounds_how_many_are_decided_for(clean: dict[str, Any]) -> None:
    scores, truth = np.linspace(0, 0.9, 100), np.ones(100, np.int64)
    cut = threshold(scores, truth, clean["model"], Amounts({"true_positive": 1.0}, capacity=0.1))
    assert (scores >= cut).sum() == 10


def test_without_a_value_the_threshold_balances_the_classes(clean: dict[str, Any]) -> None:
    model = clean["model"]
    truth = np.array([0] * 90 + [1] * 10)
    scores = np.linspace(0, 0.3, 100)
    for nothing in (None, Amounts()):
        assert 0.26 < threshold(scores, truth, model, nothing) < 0.28


def test_a_calibrated_model_scores_through_its_calibration(clean: dict[str, Any]) -> None:
    chosen, parts = clean["learned"].chosen, clean["parts"]
    steep = replace(chosen, scores=np.clip(chosen.scores * 3 - 1, 0.01, 0.99))
    made = finish(steep, parts, clean["project"])
    assert made.program.calibration is not None


def test_sets_cover_nine_tenths_of_the_holdout(clean: dict[str, Any]) -> None:
    model, holdout = clean["model"], clean["parts"].holdout
    truth, answers = model.truth(holdout), model.predict(holdout)
    assert answers.members is not None
    covered = answers.members[np.arange(len(truth)), truth].mean()
    assert covered > 0.9 - 3 * np.sqrt(0.09 / len(truth)) - 0.03


def test_the_reference_is_the_usual_row(clean: dict[str, Any]) -> None:
    model, parts = clean["model"], clean["parts"]
    inputs = model.inputs(parts.learn)
    for place, kind in enumerate(model.program.inputs):
        known = inputs[np.isfinite(inputs[:, place]), place]
        usual = np.bincount(known.astype(int)).argmax() if kind.categorical else np.quantile(known, 0.5, method="lower")
        assert model.reference[place] == usual


def test_the_finished_sheet_is_packed_and_read(clean: dict[str, Any]) -> None:
    from shipworthy.core.model import read_model

    again = read_model(clean["model"].files())
    assert again.digest == clean["model"].digest
    assert msgspec.structs.asdict(again.sheet)["threshold"] == clean["model"].sheet.threshold
