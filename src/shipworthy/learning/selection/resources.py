"""Does the model fit the latency and the size that the project declares?"""

from __future__ import annotations

import time

import numpy as np

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats
from shipworthy.marks import check

MOST_SECONDS = 1.0
LEAST = 100


@check("latency", row="learning.resources")
def latency(model: Model, parts: Parts, project: Project, *, rows: int = 1_000) -> Finding:
    """Whether the 99th percentile of one row's time, encoders and program, is within the declared limit here.

    Rows of the tune part, one at a time, until `rows` or a second is reached. The interval is that of an order
    statistic. Source: Conover (1999), 3.2, for the quantile's interval.
    """
    limit = project.learning.max_row_microseconds
    taken = row_times(model, parts, rows=rows)
    value, high = _high_quantile(taken, 0.99)
    told = f"One row takes {np.median(taken):,.0f} µs at the median and {value:,.0f} µs at the 99th percentile"
    if not limit:
        return say(
            "not-applicable",
            f"{told} here; no latency is declared.",
            value=value,
            n=len(taken),
            remedy="declare one: [learning] max_row_microseconds = 1000.0",
        )
    if len(taken) < LEAST:
        if float(np.median(taken)) > limit:
            return say(
                "fail",
                f"{told} here, over {len(taken)} rows; {limit:,.0f} µs are declared.",
                value=value,
                limit=limit,
                n=len(taken),
                remedy=_REMEDY,
            )
        return say(
            "unknown", f"Only {len(taken)} rows could be timed in {MOST_SECONDS:g} s.", value=value, n=len(taken)
        )
    verdict = held(value, limit=limit, high=high, at_most=True)
    return say(
        verdict,
        f"{told} (at most {high:,.0f} µs with 95 % confidence) here, over {len(taken):,} rows; "
        f"{limit:,.0f} µs are declared.",
        value=value,
        high=high,
        limit=limit,
        n=len(taken),
        remedy="" if verdict == "pass" else _REMEDY,
    )


@check("size", row="learning.resources")
def size(model: Model, project: Project) -> Finding:
    """Whether the files of the model are within the declared size."""
    found = sum(map(len, model.files().values())) / 1e6
    limit = project.learning.max_megabytes
    if not limit:
        return say(
            "not-applicable",
            f"The model's files are {found:.3f} MB; no size is declared.",
            value=found,
            remedy="declare one: [learning] max_megabytes = 5.0",
        )
    verdict = held(found, limit=limit, at_most=True)
    return say(
        verdict,
        f"The model's files are {found:.3f} MB; {limit:g} MB are declared.",
        value=found,
        limit=limit,
        remedy="" if verdict == "pass" else _REMEDY,
    )


_REMEDY = "take a smaller model: [learning] learners without the slow one, or raise the limit in [learning]"


def row_times(model: Model, parts: Parts, *, rows: int) -> Floats:
    """µs that each of up to `rows` single rows took, from record to score, (n,); fewer after a second."""
    needed = parts.tune.select(model.features.columns).head(rows).records()
    taken: list[float] = []
    end = time.perf_counter() + MOST_SECONDS
    for record in needed:
        begun = time.perf_counter()
        model.program.score(np.array([model.row(record)]))
        taken.append((time.perf_counter() - begun) * 1e6)
        if begun > end:
            break
    return np.array(taken[1:] or taken)


def _high_quantile(values: Floats, share: float) -> tuple[float, float]:
    """A quantile and the upper end of its 95 % interval: the order statistic that 97.5 % of samples would cover."""
    ordered, n = np.sort(values), len(values)
    rank = int(np.ceil(share * n + 1.96 * np.sqrt(n * share * (1 - share))))
    return float(np.quantile(values, share)), float(ordered[min(n - 1, rank)])
