"""The ranges that settings of boosted trees are drawn from: by the size of the data, wider where the best touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.core.features import Input

Bounds = dict[str, tuple[float, float]]

LOGS = ("learning_rate", "num_leaves", "min_data_in_leaf", "lambda_l2", "cat_smooth")
WHOLE = ("num_leaves", "min_data_in_leaf", "extra_trees")
# Where a range ends by nature, there is nothing beyond to look at.
NATURAL: Bounds = {
    "feature_fraction": (0.0, 1.0),
    "bagging_fraction": (0.0, 1.0),
    "num_leaves": (2.0, 4096.0),
    "min_data_in_leaf": (1.0, 1e6),
    "extra_trees": (0.0, 1.0),
    "learning_rate": (1e-3, 1.0),
    "lambda_l2": (1e-8, 1e6),
    "cat_smooth": (1e-3, 1e4),
}
MANY_ROWS = 20_000


def ranges(rows: int, kinds: Sequence[Input]) -> Bounds:
    """The first range of every setting, for so many learning rows and these inputs."""
    found: Bounds = {
        "learning_rate": (0.04 if rows > MANY_ROWS else 0.015, 0.2),
        "num_leaves": (4.0, float(max(12, min(255, rows // 40)))),
        "min_data_in_leaf": (2.0, float(max(30, min(300, rows // 20)))),
        "feature_fraction": (0.25, 1.0),
        "bagging_fraction": (0.5, 1.0),
        "lambda_l2": (1e-3, 50.0),
        "extra_trees": (0.0, 1.0),
    }
    if any(kind.categorical for kind in kinds):
        found["cat_smooth"] = (1.0, 100.0)
    return found


def portfolio(rows: int) -> tuple[dict[str, Any], ...]:
    """Settings that did well on many tables, tried before the sampler's own.

    Source: after the zeroshot portfolios of AutoGluon, Erickson et al. (2020) and Salinas and Erickson (2023).
    """
    slow = max(0.04, 0.06 if rows > MANY_ROWS else 0.0)
    leaves = max(12, min(255, rows // 40))
    found = []
    for rate, most, least, columns, rows_used, l2, extra, smooth in (
        (slow, 16, 24, 0.6, 0.81, 0.3, 0, 15.0), (0.05, 100, 3, 0.8, 0.7, 1.0, 0, 10.0),
        (slow, 39, 3, 0.46, 0.88, 0.36, 1, 15.4), (0.06, 5, 12, 0.73, 0.85, 0.01, 1, 10.0),
    ):
        found.append({"learning_rate": rate, "num_leaves": min(most, leaves - 1), "min_data_in_leaf": max(least, 2),
                      "feature_fraction": columns, "bagging_fraction": rows_used, "lambda_l2": l2, "extra_trees": extra,
                      "cat_smooth": smooth})
    return tuple(found)


def widened(bounds: Bounds, best: Mapping[str, Any]) -> Bounds:
    """The ranges, with half as much again beyond every bound that the best settings touch within 2 %."""
    made: Bounds = {}
    for name, (low, high) in bounds.items():
        first, last = NATURAL[name]
        value, room = float(best.get(name, low)), 0.02 * (high - low)
        if name in best and value >= high - room and high < last:
            high = min(last, round(high * 1.5, 6))
        if name in best and value <= (low * 1.02 if name in LOGS else low + room) and low > first:
            low = max(first, low / 2)
        made[name] = (float(round(low)), float(round(high))) if name in WHOLE else (low, high)
    return made
