"""The choice is simple first, and never one that is clearly worse, by rank or by loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.learned import Candidate, Figures
from shipworthy.core.project import Learning
from shipworthy.learning.selection.choice import choose, quality
from shipworthy.learning.training.tree import tree
from shipworthy.metrics.losses import row_losses

from ..conftest import job, sample

TRUTH = np.arange(200) % 2


def candidate(case: dict[str, Any], learner: str, scores: Any, complexity: int) -> Candidate:
    loss = float(row_losses(scores, TRUTH, "binary").mean())
    figures = Figures(loss, quality(scores, TRUTH, "binary"), complexity, 1, 1.0, 1.0, 1.0)
    return Candidate(learner, True, case["model"], figures, scores)


def noisy(clean: float, seed: int) -> Any:
    shifted = np.random.default_rng(seed).normal(size=200) + clean * TRUTH
    return 1 / (1 + np.exp(-(clean * shifted - clean**2 / 2)))


def test_a_candidate_that_ranks_within_noise_but_is_sure_where_it_errs_is_not_chosen(clean: dict[str, Any]) -> None:
    good = noisy(1.0, 0)
    sure = np.clip(np.where(noisy(0.9, 0) > 0.5, 1.0, 0.0) + 0.01 * good, 0, 1)
    trivial = candidate(clean, "trivial", np.full(200, 0.5), 1)
    found, _ = choose([trivial, candidate(clean, "tree", sure, 10), candidate(clean, "additive", good, 900)],
                      TRUTH, Learning(epsilon=0.05), "binary")
    assert found.learner == "additive"


def test_a_candidate_that_loses_to_the_trivial_rule_is_never_chosen(clean: dict[str, Any]) -> None:
    trivial = candidate(clean, "trivial", np.where(TRUTH == 1, 0.55, 0.5), 1)
    sure = candidate(clean, "tree", np.clip(noisy(3.0, 1) ** 40, 1e-6, 1), 10)
    assert sure.figures.loss > trivial.figures.loss
    assert choose([trivial, sure], TRUTH, Learning(), "binary")[0] is trivial


def test_of_two_that_are_equally_good_the_simpler_is_chosen(clean: dict[str, Any]) -> None:
    scores = noisy(1.0, 0)
    two = [candidate(clean, "linear", scores, 20), candidate(clean, "additive", scores, 900)]
    assert choose(two, TRUTH, Learning(), "binary")[0].learner == "linear"


def test_no_leaf_of_a_tree_is_sure_of_what_a_few_rows_say() -> None:
    inputs, truth = sample("binary", rows=300)
    scores = tree(inputs, truth, job("binary")).program.score(
        inputs)
    assert 0.0 < scores.min() < scores.max() < 1.0


def test_on_few_rows_a_simpler_one_that_may_have_lost_most_of_the_gain_is_not_chosen(clean: dict[str, Any]) -> None:
    better, worse = noisy(0.7, 1), noisy(0.65, 3)
    three = [candidate(clean, "trivial", np.where(np.arange(200) % 3, 0.5, 0.49), 1),
             candidate(clean, "tree", worse, 20), candidate(clean, "linear", better, 75)]
    assert choose(three, TRUTH, Learning(), "binary")[0].learner == "linear"
