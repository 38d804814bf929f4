from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from shipworthy.core.grid import FIXED, cells_of
from shipworthy.core.tallies import Sample
from shipworthy.deployment.monitoring.cause import LossSplit, concept_drift, split_loss
from shipworthy.deployment.monitoring.reference import judged_rows
from shipworthy.sabotage.deployment_monitoring import relation_turned
from shipworthy.sabotage.world import world

Case = Mapping[str, Any]


def drawn(case: Case, seed: int, tilt: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Cells and losses of 2,000 rows drawn by a tilt of their first number."""
    rows = world(500 + seed, rows=12_000)
    weight = tilt(rows.numbers("num1"))
    rows = rows.take(np.random.default_rng(seed).choice(12_000, 2_000, p=weight / weight.sum()))
    cells = cells_of(rows, case["grid"].plan)
    return np.stack([cells[name] for name in case["grid"].plan.names], axis=1), judged_rows(case["model"], rows)[3]


def split(case: Case, cells: np.ndarray, loss: np.ndarray) -> LossSplit:
    n = np.arange(len(loss))
    sample = Sample(n.astype(str), n, np.column_stack([cells, n]), np.rint(loss * FIXED).astype(np.int64), n)
    found = split_loss(case["grid"], sample)
    assert found is not None
    return found


def steady(number: np.ndarray) -> np.ndarray:
    return np.ones(len(number))


def near_the_cut(number: np.ndarray) -> np.ndarray:
    return np.exp(-1.5 * np.abs(number))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_other_rows_alone_are_no_concept_drift(case: Case, seed: int) -> None:
    found = split(case, *drawn(case, seed, near_the_cut))
    assert found.low <= 0 <= found.high
    assert found.covariate > 0
    assert abs(found.concept) < 0.03


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_another_relation_alone_is_all_concept_drift(case: Case, seed: int) -> None:
    cells, loss = drawn(case, seed, steady)
    before = loss.mean()
    turned = np.where(np.random.default_rng(seed).random(len(loss)) < 0.3, 1 - loss, loss)
    found = split(case, cells, turned)
    assert found.low <= turned.mean() - before + (before - found.before) <= found.high
    assert found.low > 0
    assert abs(found.covariate) < 0.03


def test_both_at_once_are_told_apart(case: Case) -> None:
    cells, loss = drawn(case, 3, near_the_cut)
    turned = np.where(np.random.default_rng(3).random(len(loss)) < 0.2, 1 - loss, loss)
    found, plain = split(case, cells, turned), split(case, cells, loss)
    assert found.covariate == pytest.approx(plain.covariate)
    assert found.low <= turned.mean() - loss.mean() <= found.high


def test_the_parts_add_up_to_the_change(case: Case) -> None:
    found = split(case, *drawn(case, 4, near_the_cut))
    assert found.covariate + found.concept == pytest.approx(found.now - found.before)


def test_when_the_loss_began_to_rise_is_told(case: Case) -> None:
    turned = relation_turned(case)
    found = concept_drift(turned["project"], turned["grid"], turned["tallies"])
    told = re.search(r"; it began ([0-9,]+) sampled labels ago\.", found.sentence)
    assert told is not None
    assert 2_600 < int(told[1].replace(",", "")) < 3_600
