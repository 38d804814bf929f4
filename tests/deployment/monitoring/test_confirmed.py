from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.confirmed import confirmed_outliers, learn, traits
from shipworthy.sabotage.outliers import confirmed_kind_is_rare, confirmed_kind_returns

Case = Mapping[str, Any]


@pytest.fixture(scope="module")
def returns(case: Case) -> Case:
    return confirmed_kind_returns(case)


def test_rows_of_a_confirmed_kind_that_come_too_often_fail(returns: Case) -> None:
    found = confirmed_outliers(returns["grid"], returns["tallies"], returns["confirmed"])
    assert found.verdict == "fail"
    assert found.value > found.limit
    assert found.sentence.startswith("Rows like the confirmed ones come too often: ")
    named = found.counterexample["prediction_ids"]
    assert not set(named) & set(returns["confirmed"].words("prediction_id").tolist())


def test_what_the_forest_knows_already_is_not_learnt_again(case: Case) -> None:
    rare = confirmed_kind_is_rare(case, 1)
    found = confirmed_outliers(rare["grid"], rare["tallies"], rare["confirmed"])
    assert found.verdict == "pass"
    assert found.sentence.endswith("of the forest; the forest stays.")


def test_nine_confirmed_rows_teach_nothing(returns: Case) -> None:
    few = returns["confirmed"].take(np.arange(9))
    found = confirmed_outliers(returns["grid"], returns["tallies"], few)
    assert found.verdict == "not-applicable"
    assert found.sentence == "9 rows of the sample are confirmed as strange, which teaches nothing yet; 10 are needed."


def test_what_was_said_last_of_a_row_counts(returns: Case) -> None:
    known = returns["confirmed"]
    taken_back = Table.of({"prediction_id": pa.array([*known.words("prediction_id"), *known.words("prediction_id")]),
                           "verdict": pa.array([*known.words("verdict"), *["fine"] * known.rows])})
    assert confirmed_outliers(returns["grid"], returns["tallies"], taken_back).verdict == "not-applicable"


def test_verdicts_without_a_pattern_do_not_replace_the_forest(case: Case, returns: Case) -> None:
    grid, cells = case["grid"], returns["tallies"].sample.cells[:1_000]
    known = {name: cells[:, place] for place, name in enumerate(grid.plan.names)}
    strange = np.random.default_rng(99).random(1_000) < 0.05
    assert not learn(traits(grid.plan, grid.planned, grid.forest, known), strange).better
