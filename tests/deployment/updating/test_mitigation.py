from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.features import Features, Number
from shipworthy.core.grid import FIXED, SCORE_CELLS, Facts, Grid, Plan, Reference
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Calibration, Linear, Program, Scaling, Term
from shipworthy.core.schema import Schema
from shipworthy.deployment.updating.mitigation import (
    clipped,
    corrected,
    effective,
    importance,
    new_priors,
    new_shares,
    recalibrated,
    shifted,
    thinned,
    weighted_edge,
    weighted_quantile,
)
from shipworthy.errors import Misuse, NotFit
from shipworthy.metrics.losses import row_losses


def drawn(n: int, share: float, seed: int, *, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities under a share of 0.3, and truths that come with another share."""
    random = np.random.default_rng(seed)
    truth = (random.random(n) < share).astype(np.int64)
    x = random.normal(truth * apart, 1)
    return 1 / (1 + np.exp(-(apart * x - apart**2 / 2 + np.log(0.3 / 0.7)))), truth


def counted(score: np.ndarray) -> np.ndarray:
    cell = np.minimum((score * SCORE_CELLS).astype(np.int64), SCORE_CELLS - 1) + SCORE_CELLS * (score >= 0.5)
    return np.bincount(cell, minlength=2 * SCORE_CELLS + 2).astype(np.int64)


def reference_of(score: np.ndarray, truth: np.ndarray, classes: tuple[str, ...] = ("no", "yes")) -> Reference:
    from shipworthy.deployment.monitoring.reference import calibrated

    plan = Plan((), classes)
    cells, came = counted(score), counted(score[truth == 1])
    outcomes = np.stack([cells, came * FIXED], axis=1)
    grid = Grid(plan.digest, {}, cells, len(score))
    none = np.zeros(0, np.int64)
    known = np.rint(calibrated(outcomes, plan) * FIXED).astype(np.int64)
    return Reference(Facts(plan, (), len(score), 0), grid, grid, outcomes, known, none, np.zeros((0, 2), np.int64))


def model_of(link: str = "logistic", classes: tuple[str, ...] = ("no", "yes"),
             calibration: Calibration | Scaling | None = None) -> Model:
    k = 1 if link in ("logistic", "identity") else len(classes)
    features = Features((Number("x"),))
    weight = np.linspace(1.0, 2.0, k).reshape(1, k)
    term = Term(Linear(), {"place": np.zeros(1, np.int32), "fill": np.zeros(1), "weight": weight,
                           "missing": np.zeros((1, k)), "intercept": np.zeros(k)})
    program = Program(features.inputs, (term,), link, classes, calibration, "line")  # type: ignore[arg-type]
    task = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    return Model(Sheet(features, Schema(()), task, "y", classes, threshold=0.4), program)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_the_new_share_of_a_class_is_read_from_scores_alone(share: float) -> None:
    reference = reference_of(*drawn(20_000, 0.3, 0))
    found = new_priors(counted(drawn(20_000, share, 1)[0]), reference)
    assert found.after[1] == pytest.approx(share, abs=0.02)
    assert found.checked[1] == pytest.approx(share, abs=0.02)
    assert found.before[1] == pytest.approx(0.3, abs=0.01)
    assert found.warning == ""
    assert (found.gain > 20) == (share != 0.3)
    assert found.misfit < 0.02


def test_rows_of_many_classes_give_their_shares_too() -> None:
    random = np.random.default_rng(0)

    def rows(shares: list[float], n: int) -> tuple[np.ndarray, np.ndarray]:
        truth = random.choice(3, n, p=shares)
        x = random.normal(truth * 1.5, 1)
        like = np.exp(-0.5 * (x[:, None] - 1.5 * np.arange(3)) ** 2) * np.array([0.5, 0.3, 0.2])
        return like / like.sum(axis=1, keepdims=True), truth

    before, truth = rows([0.5, 0.3, 0.2], 20_000)
    found = new_shares(rows([0.2, 0.2, 0.6], 20_000)[0], before, truth)
    assert found.after == pytest.approx([0.2, 0.2, 0.6], abs=0.03)
    assert found.checked == pytest.approx([0.2, 0.2, 0.6], abs=0.03)


def test_scores_that_tell_nothing_apart_are_warned_of() -> None:
    reference = reference_of(*drawn(20_000, 0.3, 0, apart=0.1))
    assert "condition" in new_priors(counted(drawn(5_000, 0.6, 1, apart=0.1)[0]), reference).warning


def test_rows_of_a_class_that_look_otherwise_are_warned_of() -> None:
    reference = reference_of(*drawn(20_000, 0.3, 0))
    middle = np.full(20_000, 0.45)
    assert "confusion counts say otherwise" in new_priors(counted(middle), reference).warning


def test_few_rows_and_other_models_are_refused() -> None:
    reference = reference_of(*drawn(20_000, 0.3, 0))
    with pytest.raises(NotFit, match="100 rows are too few"):
        new_priors(counted(drawn(100, 0.5, 1)[0]), reference)
    with pytest.raises(Misuse, match="two classes only"):
        new_priors(counted(drawn(500, 0.5, 1)[0]), reference_of(*drawn(500, 0.3, 0), ("a", "b", "c")))


@pytest.mark.parametrize("calibration", [None, Scaling(0.5, 0.2), Calibration((0.1, 0.5, 0.9), (0.0, 0.4, 1.0))])
def test_a_corrected_model_gives_bayes_rule(calibration: Calibration | Scaling | None) -> None:
    model, x = model_of(calibration=calibration), np.linspace(-4, 4, 201).reshape(-1, 1)
    ratio = np.array([0.5, 3.0])
    changed = corrected(model, ratio)
    p = model.program.score(x)
    expected = p * 3 / (p * 3 + (1 - p) * 0.5)
    assert changed.program.score(x) == pytest.approx(expected, abs=1e-9 if calibration is None else 1e-3)
    assert (changed.decide(changed.program.score(x)) == model.decide(p)).all()
    assert corrected(model, ratio, move_threshold=False).sheet.threshold == 0.4


@pytest.mark.parametrize("calibration", [None, Scaling(0.5)])
def test_a_corrected_model_of_many_classes_gives_bayes_rule(calibration: Scaling | None) -> None:
    model, x = model_of("softmax", ("a", "b", "c"), calibration), np.linspace(-3, 3, 51).reshape(-1, 1)
    ratio = np.array([0.2, 1.0, 4.0])
    p = model.program.score(x) * ratio
    assert corrected(model, ratio).program.score(x) == pytest.approx(p / p.sum(axis=1, keepdims=True), abs=1e-9)


def test_a_correction_that_cannot_be_is_refused() -> None:
    with pytest.raises(Misuse, match="one finite ratio"):
        corrected(model_of(), np.array([0.0, 2.0]))
    with pytest.raises(Misuse, match="no margin"):
        corrected(model_of("share", ("a", "b", "c")), np.array([0.5, 1.0, 2.0]))


def test_a_corrected_calibration_lowers_the_log_loss_of_shifted_traffic() -> None:
    reference = reference_of(*drawn(20_000, 0.3, 0))
    score, truth = drawn(20_000, 0.7, 1)
    ratio = new_priors(counted(score), reference).ratio
    after = shifted(None, float(np.log(ratio[1] / ratio[0])))(score)
    assert row_losses(after, truth, "binary").mean() < row_losses(score, truth, "binary").mean() - 0.05


def test_the_weighted_quantile_by_hand() -> None:
    scores, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0])
    assert weighted_quantile(scores, weights, level=0.5) == 2.0
    assert weighted_quantile(scores, weights, level=0.75) == 2.0
    assert weighted_quantile(scores, weights, level=0.76) == 3.0
    assert weighted_quantile(scores, weights, level=0.9, own=1.0) == np.inf
    assert weighted_quantile(np.zeros(0), np.zeros(0), level=0.5, own=1.0) == np.inf


def test_equal_weights_are_split_conformal() -> None:
    scores = np.random.default_rng(0).random(99)
    rank = int(np.ceil(100 * 0.9))
    assert weighted_quantile(scores, np.ones(99), level=0.9, own=1.0) == np.sort(scores)[rank - 1]


def test_weighted_intervals_cover_shifted_rows_that_plain_ones_do_not() -> None:
    random = np.random.default_rng(0)
    before, now = random.normal(0, 1, (8_000, 1)), random.normal(1.0, 1, (8_000, 1))
    errors = [np.abs(random.normal(0, np.exp(0.6 * rows[:, 0]))) for rows in (before, now)]
    found = importance(before, now)
    assert found.refusal == ""
    plain = weighted_quantile(errors[0], np.ones(8_000), level=0.9, own=1.0)
    weighted = weighted_quantile(errors[0], found.weights, level=0.9, own=found.most)
    assert np.mean(errors[1] <= plain) < 0.8
    assert np.mean(errors[1] <= weighted) == pytest.approx(0.9, abs=0.03)


def test_rows_that_training_never_saw_leave_nothing_to_weigh() -> None:
    random = np.random.default_rng(0)
    before = random.normal(0, 1, (2_000, 1))
    few = importance(before, random.normal(2.2, 0.3, (2_000, 1)))
    assert few.overlap < 0.2
    assert few.refusal.startswith("traffic and reference overlap too little")
    none = importance(before, random.normal(9, 1, (2_000, 1)))
    assert none.refusal.endswith("of the traffic lies where the reference has no rows")
    with pytest.raises(NotFit, match="too few to weigh"):
        importance(np.zeros((10, 1)), np.zeros((500, 1)))


def test_weights_are_cut_and_their_effective_share_is_kish() -> None:
    ratio = np.append(np.ones(999), 1_000.0)
    assert clipped(ratio).max() == pytest.approx(1.0)
    assert effective(np.array([1.0, 1.0, 0.0, 0.0])) == 0.5
    assert effective(np.zeros(3)) == 0.0


def test_an_edge_that_nothing_reaches_makes_every_answer_abstain() -> None:
    model = model_of()
    scores, truth = np.array([0.9, 0.1]), np.array([1, 0])
    edged = weighted_edge(model, scores, truth, np.ones(2), most=100.0)
    assert edged.sheet.conformal == 1.0
    assert edged.answer(np.array([0.01, 0.99])).abstain.all()


def test_a_calibration_on_weighted_rows_is_right_for_the_rows_that_the_weights_mean() -> None:
    random = np.random.default_rng(0)
    x = random.integers(0, 2, 20_000)
    truth = (random.random(20_000) < np.where(x, 0.8, 0.4)).astype(np.int64)
    scores, weights = np.full(20_000, 0.6), np.where(x, 1.8, 0.2)
    model = recalibrated(model_of(), scores, truth, weights)
    assert isinstance(model.program.calibration, Scaling)
    assert float(model.program.calibration(np.array([0.6]))[0]) == pytest.approx(0.76, abs=0.02)


def test_thinned_rows_look_like_the_traffic_and_none_comes_twice() -> None:
    x = np.repeat([0, 1], 5_000)
    kept = thinned(np.where(x, 1.5, 0.5))
    assert x[kept].mean() == pytest.approx(0.75, abs=0.02)
    assert kept.dtype == bool
