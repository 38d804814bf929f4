"""Microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shipworthy.core.clock import DAY, EPOCH, HOUR, MINUTE, TICK, micros, now_us


@pytest.mark.parametrize(("at", "expected"), [
    (EPOCH, 0), (EPOCH + TICK, 1), (EPOCH - TICK, -1), (datetime(2024, 2, 29, 12, tzinfo=UTC), 1_709_208_000_000_000),
    (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
    (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799_999_999)])
def test_a_time_is_its_whole_microseconds_whatever_its_zone(at: datetime, expected: int) -> None:
    assert micros(at) == expected


def test_a_time_without_a_zone_has_none() -> None:
    with pytest.raises(TypeError):
        micros(datetime(2024, 1, 1))


def test_a_day_has_24_hours_of_60_minutes() -> None:
    assert micros(EPOCH + timedelta(days=1)) == DAY == 24 * HOUR == 1_440 * MINUTE
    assert micros(datetime.now(UTC)) <= now_us()
