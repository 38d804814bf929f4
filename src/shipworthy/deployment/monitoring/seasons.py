"""Seasons: a window is unusual only if it is so among past windows of the same hour of the week."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from shipworthy.core.table import Floats

FEWEST_PAST = 50
MOST_PAST = 60
STEPS = 100  # a past effect is kept as a byte, in hundredths of Cohen's w

Past = dict[str, bytes]  # season → effects of its windows, a byte for every column, the oldest first


def season(start: int, level: str, zone: str) -> str:
    """The season of a window: hour of the week, day of the week, or the week. start: microseconds UTC.

    Read on the clock of the zone, so that a change to summer time moves no habit.
    """
    at = datetime.fromtimestamp(start / 1e6, UTC).astimezone(ZoneInfo(zone))
    return {"hour": f"hour/{at.weekday()}/{at.hour}", "day": f"day/{at.weekday()}"}.get(level, level)


def seasonal(p: Floats, effect: Floats, seasons: list[str], past: Past) -> tuple[Floats, Past]:
    """The p-values of windows, none smaller than its rank among past windows of its season; and the past with them.

    p, effect: (w, columns). seasons: of every window. With at least 50 past windows it is max(p, (1 + #{past ≥ now}) /
    (past + 1)): exact where windows of one season are exchangeable, however dependent their rows. At most 60 are kept.
    Source: the rank test of exchangeable values, as in Vovk, Gammerman and Shafer (2005).
    """
    kept = dict(past)
    now = np.minimum(np.rint(np.nan_to_num(effect) * STEPS), 255).astype(np.uint8)
    found, columns = p.copy(), p.shape[1]
    for window, name in enumerate(seasons):
        before = np.frombuffer(kept.get(name, b""), np.uint8).reshape(-1, columns)
        if len(before) >= FEWEST_PAST:
            found[window] = np.maximum(p[window], (1 + (before >= now[window]).sum(axis=0)) / (len(before) + 1))
        kept[name] = (kept.get(name, b"") + now[window].tobytes())[-MOST_PAST * columns :]
    return found, kept
