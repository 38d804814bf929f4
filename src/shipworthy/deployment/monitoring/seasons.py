"""Seasons: how far a column usually lies from the reference at this hour or day of the week."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.grid import Reference, cells_of
from shipworthy.core.table import Floats, Table
from shipworthy.core.tallies import tabulated
from shipworthy.deployment.monitoring.columns import judge_windows
from shipworthy.deployment.monitoring.joined import micros

FEWEST_PAST, MOST_PAST = 50, 60
FEWEST_LEARNT = 300
USUAL = 0.9
STEPS = 100  # a past effect is kept as a byte, in hundredths of Cohen's w

Past = dict[str, bytes]  # season → effects of its windows, a byte for every column, the oldest first


def season(start: int, level: str, zone: str) -> str:
    """The season of a window: hour of the week, day of the week, or the week. start: microseconds UTC.

    Read on the clock of the zone, so that a change to summer time moves no habit. A day is that of its middle.
    """
    at = datetime.fromtimestamp((start + (DAY // 2 if level == "day" else 0)) / 1e6, UTC).astimezone(ZoneInfo(zone))
    return {"hour": f"hour/{at.weekday()}/{at.hour}", "day": f"day/{at.weekday()}"}.get(level, level)


def with_seasons(reference: Reference, learnt: Table, zone: str) -> Reference:
    """The reference that also knows how far the columns lay from it, by hour and day of the week, among learnt rows.

    Nothing is known where the rows have no time, or under 300 of them a season.
    """
    times = next((column.name for column in learnt.schema.columns if column.role == "time"), "")
    if not times or not learnt.rows:
        return reference
    learnt = learnt.take(np.flatnonzero(~np.asarray(learnt.column(times).is_null().to_numpy(), np.bool_)))
    at, cells, found = micros(learnt, times), cells_of(learnt, reference.plan), dict[str, tuple[float, ...]]()
    for level, width in (("hour", HOUR), ("day", DAY)):
        starts, place = np.unique(at // width * width, return_inverse=True)
        names, of_start = np.unique([season(int(start), level, zone) for start in starts], return_inverse=True)
        group = of_start[place]
        counts = {c.name: tabulated(cells[c.name], c.size, group, len(names)) for c in reference.plan.columns}
        effect = np.nan_to_num(judge_windows(reference, counts).effect)
        enough = np.bincount(group, minlength=len(names)) >= FEWEST_LEARNT
        found |= {str(names[k]): tuple(np.round(effect[k], 3).tolist()) for k in np.flatnonzero(enough)}
    return replace(reference, facts=msgspec.structs.replace(reference.facts, seasons=found))


def usual(effect: Floats, seasons: list[str], past: Past, learnt: dict[str, tuple[float, ...]]) -> tuple[Floats, Past]:
    """How far columns usually lie from the reference in the season of every window; and the past with the windows.

    effect: (w, columns) of the windows. learnt: season → effects among the learnt rows, which count until there are
    50 past windows; then it is what nine past windows of ten stay below. At most 60 are kept.
    """
    kept, columns, found = dict(past), effect.shape[1], np.zeros_like(effect)
    now = np.minimum(np.rint(np.nan_to_num(effect) * STEPS), 255).astype(np.uint8)
    for window, name in enumerate(seasons):
        before = np.frombuffer(kept.get(name, b""), np.uint8).reshape(-1, columns)
        if len(before) >= FEWEST_PAST:
            found[window] = np.quantile(before, USUAL, axis=0) / STEPS
        elif name in learnt:
            found[window] = learnt[name]
        kept[name] = (kept.get(name, b"") + now[window].tobytes())[-MOST_PAST * columns :]
    return found, kept
