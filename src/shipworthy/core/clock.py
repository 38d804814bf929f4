"""Times as whole microseconds since 1970 UTC: what the log, the counts and the rollouts are told and compare."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH, TICK = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
MINUTE = 60_000_000
HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC of a time with a zone."""
    return (at - EPOCH) // TICK


def now_us() -> int:
    """Microseconds since 1970 UTC, by the clock on the wall: it follows a clock that was set."""
    return time.time_ns() // 1_000
