"""Were the figures measured on the machine that serves?"""

from __future__ import annotations

import time

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.program import Program
from shipworthy.core.project import Project
from shipworthy.core.table import Floats
from shipworthy.marks import check


@check("measured-on-this-machine", row="learning.hardware")
def measured_on_this_machine(
    model: Model, learned: Learned, parts: Parts, project: Project, *, factor: float = 5.0
) -> Finding:
    """Whether the model's latency, measured again here and now, is that of its figures, and within the declared limit.

    factor: how far apart the two medians may lie; a busy machine doubles them, an estimate misses by more.
    """
    said, limit = learned.chosen.figures.row_microseconds, project.learning.max_row_microseconds
    if not limit:
        return say("not-applicable", "No latency is declared, so nothing was constrained in the search.",
                   remedy="declare one: [learning] max_row_microseconds = 1000.0")
    rows = model.inputs(parts.tune.head(60))
    now = row_microseconds(model.program, rows)
    told = f"One row takes {now:,.0f} µs here and now; the figure is {said:,.0f} µs (median of {len(rows)} rows)"
    if said <= 0 or max(now / said, said / now) > factor:
        return say("fail", f"{told}: they differ by more than a factor of {factor:g}, so it was not measured "
                   "on this machine.", value=now, limit=said * factor, n=len(rows),
                   remedy="learn on the machine that serves: shipworthy run")
    if now > limit:
        return say("fail", f"{told}; {limit:,.0f} µs are declared.", value=now, limit=limit, n=len(rows),
                   remedy="take a smaller model or raise [learning] max_row_microseconds")
    return say("pass", f"{told}; {limit:,.0f} µs are declared.", value=now, limit=limit, n=len(rows))


def row_microseconds(program: Program, inputs: Floats, *, rows: int = 40) -> float:
    """Median time to score one row alone with the kernel in use, in µs."""
    taken = []
    for place in range(min(rows, len(inputs))):
        begun = time.perf_counter()
        program.score(inputs[place : place + 1])
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken) * 1e6)
