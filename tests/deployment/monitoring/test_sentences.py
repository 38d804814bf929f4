"""What a finding says, its value, its limit and its verdict agree; and a regression is spoken of as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.features import Features, Number
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.bias import prediction_bias
from shipworthy.deployment.monitoring.counting import counting, tally
from shipworthy.deployment.monitoring.outliers import most_hits, outlier_rate
from shipworthy.deployment.monitoring.reference import reference

Case = Mapping[str, Any]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.06, 0.3])
def test_a_share_of_strange_rows_is_held_to_the_limit_that_is_shown(case: Case, serve: Any, share: float) -> None:
    log, _ = serve(count=1_500)
    far = np.random.default_rng(1).random(1_500) < share
    found = outlier_rate(case["grid"], tally(counting(case["grid"]), log.with_column("num1", np.where(far, 40.0,
                                                                                                log.numbers("num1")))))
    assert found.value is not None
    assert found.limit is not None
    assert (found.verdict == "pass") == (found.value <= found.limit), found.sentence
    assert f"{found.value:.2%}" in found.sentence
    assert f"{found.limit:.2%}" in found.sentence
    assert found.verdict == ("fail" if share >= 0.06 else "pass")


def test_chance_explains_more_of_few_rows_than_of_many() -> None:
    assert [most_hits(n, 0.018, 0.0125) / n for n in (100, 1_000, 100_000)] == [0.08, 0.037, 0.01993]


def sums(seed: int, rows: int, *, more: float = 0.0) -> Table:
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    found = Table.of({"x": x, "y": 200 * x + 50 * random.normal(size=rows) + more})
    return found.with_schema(found.schema.replace("y", role="target"))


def test_a_regression_is_as_high_as_it_says_in_the_unit_of_its_target(case: Case) -> None:
    features = Features((Number("x"),))
    term = Term(Linear(), {"place": np.array([0]), "fill": np.zeros(1), "weight": np.array([[200.0]]),
                           "missing": np.zeros((1, 1)), "intercept": np.zeros(1)})
    model = Model(Sheet(features, sums(0, 9).schema, "regression", "y", ()),
                  Program(features.inputs, (term,), "identity"))
    grid = reference(model, sums(1, 1_000), sums(2, 1_000))
    told = [prediction_bias(case["project"], grid, tally(counting(grid), *asked(model, sums(3, 5_000, more=more))))
            for more in (0.0, 60.0)]
    assert [finding.verdict for finding in told] == ["pass", "fail"]
    assert told[0].sentence.startswith("Outcomes are as high as the model says, to within ")
    assert told[1].value == pytest.approx(60.0, abs=5.0)


def asked(model: Model, rows: Table) -> tuple[Table, Table]:
    ids = pa.array([f"p{n}" for n in range(rows.rows)])
    at = pa.array(1_720_000_000_000_000 + np.arange(rows.rows) * 60_000_000, pa.timestamp("us", "UTC"))
    log = replace(rows.drop("y"), name="log").with_column("prediction_id", ids).with_column("at", at)
    score = model.score(rows)
    log = log.with_column("score", score).with_column("decision", score)
    return log, Table.of({"prediction_id": ids, "label": rows.column("y"), "observed_at": at})
