from __future__ import annotations

import numpy as np
import pytest

from shipworthy.deployment.monitoring.alarm import (
    combined,
    named,
    sequence_width,
    share_log_e,
    step,
    threshold,
)


def test_the_budget_is_shared_by_families_and_levels() -> None:
    assert threshold(per_year=365, families=4, levels=2) == pytest.approx(2_920 / 0.9)
    assert threshold(per_year=365, families=4, levels=2, pages_per_year=4) == pytest.approx(730 / 0.9)


def test_quiet_windows_alarm_at_most_as_often_as_the_budget_allows() -> None:
    random, bar, alarms = np.random.default_rng(0), 200.0, 0
    m = 0.0
    for p in random.random(40_000):
        m = step(m, 0.5 / np.sqrt(p))
        if m >= bar:
            alarms, m = alarms + 1, 0.0
    assert alarms <= 40_000 / bar


def test_one_broken_column_of_a_hundred_pages_at_once() -> None:
    log_e = np.full((1, 100), np.log(0.5))
    log_e[0, 3] = np.log(0.5) - 0.5 * np.log(1e-300)
    assert combined(log_e, np.full(100, 0.01))[0] > 1e100


def test_unknown_columns_count_as_no_evidence() -> None:
    assert combined(np.array([[np.nan, np.nan]]), np.array([0.5, 0.5]))[0] == 1.0


def test_only_columns_with_enough_evidence_are_named() -> None:
    assert named(np.array([1.0, 500.0, 0.5, 30.0])).tolist() == [1, 3]
    assert named(np.array([1.0, 2.0])).tolist() == []


def test_the_share_e_value_has_mean_at_most_one_at_the_limit() -> None:
    hits = np.random.default_rng(1).binomial(200, 0.2, 20_000).astype(float)
    assert np.exp(share_log_e(hits, np.full(20_000, 200.0), 0.2)).mean() <= 1.05


def test_the_confidence_sequence_is_wider_than_one_look_needs() -> None:
    width = float(sequence_width(np.array([3_300.0]), np.array([0.25]))[0])
    assert width == pytest.approx(1.96 * 0.5 / np.sqrt(3_300) * 1.6, rel=0.15)
