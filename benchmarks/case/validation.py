"""Batches judged: planted faults on the census, and real faults in posts, loans and taxi rides.

Planted: every operator × column that it fits × 20 seeds, on rows that the contract has not seen. Real: each batch is
judged by what the accepted batches before it promise (`data.analysis.history`). Posts: weeks 9 to 26, each as crawled
and as corrected by hand. Taxi: months from July 2018, the month with one fare of 429,490 dollars left out of history.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.frame import Bar, data_folder, no_data, real_data

BARS = (
    Bar("census: caught, lower end, every operator × column × 20 seeds", None, 0.95, "higher"),
    Bar("census: caught of the operator caught least", None, 0.9, "higher"),
    Bar("census: false alarms on 400 clean batches, upper end", None, 0.01, "lower"),
    Bar("census: seconds of the check mutation-score", None, 3.0, "lower"),
    Bar("posts: AUC of corrected against crawled weeks", None, 0.9, "higher"),
    Bar("posts: share of crawled weeks refused", None, 0.8, "higher"),
    Bar("posts: share of corrected weeks refused", None, 0.05, "lower"),
    Bar("loans: of 5 chunks whose gaps doubled, found", None, 5, "higher"),
    Bar("loans: of 5 chunks before, gaps alarmed of", None, 0, "lower"),
    Bar("taxi: of 4 dated incidents, found", None, 4, "higher"),
    Bar("taxi: months without an incident that are refused, of 14", None, 2, "lower"),
)
START, LOANS, ROWS = 8, 10, 5_000
INCIDENTS = ("2018-08", "2019-01", "2019-02", "2019-07")
ANSWERS = ("id", "timestamp", "y_pred", "y_pred_proba", "repaid")
Found = list[tuple[float | None, str]]


def measured() -> Found:
    """Every bar."""
    if real_data("cleaning/fbposts_weekly") is None:
        return no_data(BARS)
    tables = data_folder()
    return [*_census(tables / "fairness/adult/adult.parquet"), *_posts(tables / "cleaning/fbposts_weekly"),
            *_loans(tables / "monitoring/nannyml_car_loan_dq"), *_taxi(tables / "stream/yellow_taxi_monthly")]


def _census(path: Path) -> Found:
    import numpy as np

    from benchmarks.tables import adult
    from shipworthy.core.table import Table
    from shipworthy.data.analysis.contract import contract, validate
    from shipworthy.metrics.intervals import clopper_pearson
    from shipworthy.verification.trials.mutation import OPERATORS, applicable, mutate
    from shipworthy.verification.trials.validation import _batch, _changed, about

    rows = Table.of(adult(path))
    rows = rows.with_schema(rows.schema.replace("income", role="target"))
    order = np.random.default_rng(0).permutation(rows.rows)
    promised, pool = contract(rows.take(order[:30_000]), in_time=False), rows.take(order[30_000:31_000])
    random = np.random.default_rng(1)
    caught: dict[str, list[bool]] = {}
    for name in OPERATORS:
        for column in applicable(pool, name):
            for _ in range(20):
                batch = _batch(pool, random)
                struck = mutate(batch, name, random, column)
                if struck is not None and name != "last 30 % cut off":
                    told = validate(about(promised, _changed(batch, struck[0])), struck[0])
                    caught.setdefault(name, []).append(bool(told))
    every = [hit for hits in caught.values() for hit in hits]
    low, _ = clopper_pearson(sum(every), len(every))
    weakest = min(caught, key=lambda name: float(np.mean(caught[name])))
    alarms = sum(bool(validate(promised, _batch(pool, random))) for _ in range(400))
    _, high = clopper_pearson(alarms, 400)
    return [(low, f"{sum(every):,} of {len(every):,} by {len(caught)} operators; not cut batches"),
            (float(np.mean(caught[weakest])), f"{weakest}; of a column that goes with nothing it cannot be seen"),
            (high, f"{alarms} of 400"), _check_seconds(promised, pool)]


def _check_seconds(promised: Any, pool: Any) -> tuple[float | None, str]:
    """The check as `shipworthy run` calls it, without the question whether an escaped mutant is equivalent."""
    import numpy as np

    from shipworthy.core.drawn import draw
    from shipworthy.data.analysis.contract import validate
    from shipworthy.verification.trials.mutation import OPERATORS
    from shipworthy.verification.trials.validation import _alarms, _places, _strikes

    class Steps:
        """What the check needs of the stages."""

        def __init__(self) -> None:
            self.validate = validate

    random, begun = np.random.default_rng(2), time.perf_counter()
    steps: Any = Steps()
    for name in OPERATORS:
        _strikes(pool, promised, steps, name, runs=20, random=random)
    kept: dict[Any, Any] = {}
    _alarms(lambda: bool(validate(promised, draw(pool, _places(pool, random), kept))), 400, 0.01)
    return time.perf_counter() - begun, "20 strikes by each operator and 400 clean batches of 800 rows"


def _posts(folder: Path) -> Found:
    import numpy as np
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table
    from shipworthy.data.analysis.contract import validate
    from shipworthy.data.analysis.history import from_batches, strangeness
    from shipworthy.metrics.classification import auc

    clean, dirty = ([Table.of(pq.read_table(folder / f"{kind}_{week:02}.parquet")) for week in range(1, 27)]
                    for kind in ("clean", "dirty"))
    truth, score, refused = [], [], []
    for week in range(START, len(clean)):
        promised = from_batches(clean[:week])
        for label, batch in enumerate((clean[week], dirty[week])):
            truth.append(label)
            score.append(strangeness(promised, batch))
            refused.append(bool(validate(promised, batch)))
    sides, no = np.array(truth), np.array(refused)
    weeks = int((sides == 1).sum())
    return [(float(auc(sides, np.array(score))), f"{weeks} weeks each, 11 to 33 rows a week; Redyuk et al. about 0.9"),
            (float(no[sides == 1].mean()), f"{no[sides == 1].sum()} of {weeks}"),
            (float(no[sides == 0].mean()), f"{no[sides == 0].sum()} of {weeks}")]


def _loans(folder: Path) -> Found:
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table
    from shipworthy.data.analysis.contract import validate
    from shipworthy.data.analysis.history import from_batches

    chunks = {part: [Table.of(data.slice(place * ROWS, ROWS)).drop(*ANSWERS) for place in range(LOANS)]
              for part in ("reference", "analysis")
              for data in [pq.read_table(folder / f"synthetic_car_loan_dq_{part}.parquet")]}
    promised = from_batches(chunks["reference"])
    gaps = [{one.rule.column for one in validate(promised, batch) if one.rule.detail.get("figure") == "missing"}
            for batch in chunks["analysis"]]
    late = sum({"salary_range", "driver_tenure"} <= found for found in gaps[5:])
    return [(late, "both columns; the same chunks also show other means and new levels"),
            (sum(bool(found) for found in gaps[:5]), "a level of size_of_downpayment that is new is told in each")]


def _taxi(folder: Path) -> Found:
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table
    from shipworthy.data.analysis.contract import validate
    from shipworthy.data.analysis.history import from_batches

    months = {path.stem[-7:]: Table.of(pq.read_table(path)).drop("pickup_datetime", "dropoff_datetime")
              for path in sorted(folder.glob("*.parquet"))}
    names = list(months)
    history, refused = [months[name] for name in names[:6]], []
    for name in names[6:]:
        if validate(from_batches(history), months[name]):
            refused.append(name)
        if name != INCIDENTS[0]:
            history.append(months[name])
    found = [name for name in INCIDENTS if name in refused]
    other = [name for name in refused if name not in INCIDENTS]
    return [(len(found), ", ".join(found)), (len(other), ", ".join(other) or "none")]
