"""A run is metered by the operating system."""

from __future__ import annotations

import numpy as np

from shipworthy.core.project import Learning
from shipworthy.learning.training.cost import JOULES_PER_KWH, Meter, start, stop


def test_work_costs_cpu_seconds_money_and_energy() -> None:
    meter = start()
    while meter.cpu_seconds < 0.05:
        np.linalg.norm(np.random.default_rng(0).normal(size=(300, 300)))
    cost = stop(meter, Learning(seconds=7.0, money_per_cpu_hour=3600.0), search_seconds=1.0, trials=3)
    assert cost.metered
    assert cost.cpu_seconds >= 0.05
    assert round(cost.money, 9) == round(cost.cpu_seconds, 9)
    assert 0 < cost.kwh_low < cost.kwh_high
    assert 0 < cost.grams_low < cost.grams_high
    assert (cost.budget_seconds, cost.search_seconds, cost.trials) == (7.0, 1.0, 3)
    assert cost.peak_bytes > 10_000_000


def test_without_counters_energy_is_cpu_time_at_the_declared_watts() -> None:
    low, high, counted = Meter(0.0, 0.0, {})._kwh(3600.0, 3600.0, 1000.0)
    assert not counted
    assert round(low, 3) == 0.741
    assert round(high, 3) == 2.041


def test_a_counter_that_wrapped_is_not_counted() -> None:
    _, high, _ = Meter(0.0, 0.0, {"intel-rapl:0": JOULES_PER_KWH * 1e9})._kwh(3600.0, 3600.0, 1000.0)
    assert round(high, 3) == 2.041
