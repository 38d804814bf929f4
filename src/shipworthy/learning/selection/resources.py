"""Does the model fit the latency and the size that the project declares?"""

from __future__ import annotations

import contextlib
import time

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats
from shipworthy.errors import BadData
from shipworthy.marks import check

MOST_SECONDS = 1.0
LEAST = 100


@check("latency", row="learning.resources")
def latency(model: Model, parts: Parts, project: Project, steps: Steps, *, rows: int = 1_000) -> Finding:
    """Whether the 99th percentile of one request's time, from record to answer, is within the declared limit here.

    Rows of the tune part, one at a time by the very path that serves, without HTTP, until `rows` or a second is
    reached. The interval is that of an order statistic. Source: Conover (1999), 3.2, for the quantile's interval.
    """
    limit = project.learning.max_row_microseconds
    taken = row_times(model, parts, steps, rows=rows)
    n = len(taken)
    if not n:
        return say("unknown", "No row of the tune part was answered.", n=0, remedy="give it a share: [split] tune")
    value, high = _high_quantile(taken, 0.99)
    told = f"One row takes {np.median(taken):,.0f} µs at the median and {value:,.0f} µs at the 99th percentile"
    if not limit:
        return say("not-applicable", f"{told} here; no latency is declared.", value=value, n=n,
                   remedy="declare one: [learning] max_row_microseconds = 1000.0")
    if n < LEAST:
        if float(np.median(taken)) > limit:
            return say("fail", f"{told} here, over {n} rows; {limit:,.0f} µs are declared.", value=value, limit=limit,
                       n=n, remedy=_REMEDY)
        return say("unknown", f"Only {n} rows could be timed in {MOST_SECONDS:g} s.", value=value, n=n)
    verdict = held(value, limit=limit, high=high, at_most=True)
    return say(verdict, f"{told} (at most {high:,.0f} µs with 95 % confidence) here, over {n:,} rows; {limit:,.0f} µs "
               "are declared.", value=value, high=high, limit=limit, n=n, remedy="" if verdict == "pass" else _REMEDY)


@check("size", row="learning.resources")
def size(model: Model, project: Project) -> Finding:
    """Whether the files of the model are within the declared size."""
    found = sum(map(len, model.files().values())) / 1e6
    limit = project.learning.max_megabytes
    if not limit:
        return say("not-applicable", f"The model's files are {found:.3f} MB; no size is declared.", value=found,
                   remedy="declare one: [learning] max_megabytes = 5.0")
    verdict = held(found, limit=limit, at_most=True)
    return say(verdict, f"The model's files are {found:.3f} MB; {limit:g} MB are declared.", value=found, limit=limit,
               remedy="" if verdict == "pass" else _REMEDY)


_REMEDY = "take a smaller model: [learning] learners without the slow one, or raise the limit in [learning]"


def row_times(model: Model, parts: Parts, steps: Steps, *, rows: int) -> Floats:
    """µs that each of up to `rows` single records took to be answered, (n,); fewer after a second.

    A record of nothing is answered first, uncounted, so that the model is compiled. Refused records are no answers.
    """
    records = parts.tune.select(model.features.columns).head(rows).records()
    steps.answer(model, dict.fromkeys(model.features.columns))
    taken: list[float] = []
    end = time.perf_counter() + MOST_SECONDS
    for record in records:
        begun = time.perf_counter()
        if begun > end:
            break
        with contextlib.suppress(BadData):
            steps.answer(model, record)
            taken.append((time.perf_counter() - begun) * 1e6)
    return np.array(taken)


def _high_quantile(values: Floats, share: float) -> tuple[float, float]:
    """A quantile and the upper end of its 95 % interval: the order statistic that 97.5 % of samples would cover."""
    ordered, n = np.sort(values), len(values)
    rank = int(np.ceil(share * n + 1.96 * np.sqrt(n * share * (1 - share))))
    return float(np.quantile(values, share)), float(ordered[min(n - 1, rank)])
