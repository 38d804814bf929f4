"""Budgets: exact across processes, kept over restarts, and not to be had back by turning the clock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipworthy.deployment.integration.access.budgets import (
    BITS,
    MOST,
    SLOTS,
    Budgets,
    Clock,
    Limits,
    Short,
    _plus,
    spent,
)
from shipworthy.errors import StoreError

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC).timestamp()
CHILD = """
import sys
from pathlib import Path
from shipworthy.deployment.integration.access.budgets import Budgets, Limits
budgets = Budgets(Path(sys.argv[1]))
budgets.reach(3)
print("ready", flush=True)
for line in sys.stdin:
    tries, rows, limit = map(int, line.split())
    print(sum(budgets.spend(3, rows, Limits(day=limit)) is None for _ in range(tries)), flush=True)
"""


class Times:
    """A machine's clocks, turned by hand: seconds since 1970, and seconds that only grow."""

    def __init__(self, wall: float = NOON) -> None:
        self.wall, self.steady = wall, 1000.0

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def budgets(self, home: Path) -> Budgets:
        return Budgets(home, wall=lambda: self.wall, steady=lambda: self.steady)


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def budgets(tmp_path: Path, times: Times) -> Iterator[Budgets]:
    made = times.budgets(tmp_path)
    yield made
    made.close()


def test_rows_beyond_the_minute_are_refused_and_not_counted(budgets: Budgets, times: Times) -> None:
    limits = Limits(minute=10)
    assert budgets.spend(0, 7, limits) is None
    assert budgets.spend(0, 4, limits) == Short("minute", 10, 72)
    assert budgets.spend(0, 3, limits) is None
    assert budgets.spend(0, 1, limits) == Short("minute", 10, 72)
    times.go(71)
    assert budgets.spend(0, 1, limits) == Short("minute", 10, 1)
    times.go(1)
    assert budgets.spend(0, 10, limits) is None


def test_whoever_waits_as_long_as_told_is_let_in(budgets: Budgets, times: Times) -> None:
    limits = Limits(minute=10)
    assert budgets.spend(0, 6, limits) is None
    times.go(24)
    assert budgets.spend(0, 4, limits) is None
    times.go(5)
    short = budgets.spend(0, 6, limits)
    assert short == Short("minute", 10, 72 - 29)
    times.go(short.seconds)
    assert budgets.spend(0, 6, limits) is None
    assert budgets.spend(0, 1, limits) == Short("minute", 10, 24)


@given(asks=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 8)), max_size=60))
def test_no_sixty_seconds_hold_more_than_a_minute_s_budget(
    tmp_path_factory: pytest.TempPathFactory, asks: list[tuple[float, int]]
) -> None:
    times = Times()
    budgets = times.budgets(tmp_path_factory.mktemp("home"))
    let_in: list[tuple[float, int]] = []
    for wait, rows in asks:
        times.go(wait)
        if budgets.spend(0, rows, Limits(minute=10)) is None:
            let_in.append((times.wall, rows))
    budgets.close()
    for at, _ in let_in:
        assert sum(rows for when, rows in let_in if at <= when < at + 60) <= 10


def test_a_day_begins_at_midnight_utc(budgets: Budgets, times: Times) -> None:
    limits = Limits(day=100)
    times.go(11.5 * 3600)
    assert budgets.spend(0, 100, limits) is None
    assert budgets.spend(0, 1, limits) == Short("day", 100, 1800)
    times.go(1799)
    assert budgets.spend(0, 1, limits) == Short("day", 100, 1)
    times.go(1)
    assert budgets.spend(0, 100, limits) is None


def test_a_request_of_more_rows_than_the_budget_never_fits(budgets: Budgets) -> None:
    assert budgets.spend(0, 11, Limits(minute=10)) == Short("minute", 10, 72)
    assert budgets.spend(0, 10, Limits(minute=10)) is None


@pytest.mark.parametrize("back", [30.0, 3600.0, 86_400.0, 400 * 86_400.0])
def test_a_clock_that_jumps_back_gives_nothing_back(
    budgets: Budgets, times: Times, tmp_path: Path, back: float
) -> None:
    limits = Limits(minute=10, day=15)
    assert budgets.spend(0, 10, limits) is None
    times.wall -= back
    assert budgets.spend(0, 1, limits) == Short("minute", 10, 72)
    restarted = times.budgets(tmp_path)
    assert restarted.spend(0, 1, limits) == Short("minute", 10, 72)
    times.go(72)
    assert budgets.spend(0, 5, limits) is None
    short = restarted.spend(0, 1, limits)
    assert short
    assert short.unit == "day"
    restarted.close()


def test_after_a_jump_back_time_still_passes(budgets: Budgets, times: Times) -> None:
    times.wall += 10 * 365 * 86_400
    assert budgets.spend(0, 10, Limits(minute=10, day=10)) is None
    times.wall -= 10 * 365 * 86_400
    times.go(86_400)
    assert budgets.spend(0, 10, Limits(minute=10, day=10)) is None


def test_a_process_that_slept_through_the_jump_learns_the_time_from_the_others(times: Times, tmp_path: Path) -> None:
    first, second = times.budgets(tmp_path), times.budgets(tmp_path)
    times.go(3600)
    assert first.spend(0, 6, Limits(minute=10)) is None
    times.wall -= 1800
    assert second.spend(0, 4, Limits(minute=10)) is None
    assert first.spend(0, 1, Limits(minute=10)) == Short("minute", 10, 72)
    assert second.spend(0, 1, Limits(minute=10)) == Short("minute", 10, 72)
    first.close()
    second.close()


def test_the_clock_never_goes_back_nor_stands_still() -> None:
    times = Times()
    clock = Clock(wall=lambda: times.wall, steady=lambda: times.steady)
    assert clock.now() == NOON
    times.go(5)
    assert clock.now() == NOON + 5
    times.wall -= 100
    times.steady += 2
    assert clock.now() == NOON + 7
    times.go(10)
    assert clock.now() == NOON + 17
    times.wall += 500
    assert clock.now() == times.wall


def test_tokens_do_not_share_a_budget_and_room_is_made_for_new_ones(budgets: Budgets, tmp_path: Path) -> None:
    other = Budgets(tmp_path)
    budgets.reach(40)
    other.reach(40)
    for place in (0, 1, 40):
        assert budgets.spend(place, 5, Limits(day=5)) is None
        assert other.spend(place, 1, Limits(day=5))
    other.close()


def test_processes_together_let_in_exactly_the_budget(tmp_path: Path) -> None:
    children = [subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        assert [_line(child) for child in children] == ["ready"] * 3
        for child in children:
            _tell(child, "2000 1 4001")
        first = sum(int(_line(child)) for child in children)
        _tell(children[0], "100 1 4001")
        rest = int(_line(children[0]))
        assert 4001 - 3 <= first <= 4001
        assert first + rest == 4001
        children[1].kill()
        children[1].wait()
        heir = Budgets(tmp_path)
        heir.reach(3)
        assert heir.spend(3, 1, Limits(day=4001))
        assert heir.spend(3, 99, Limits(day=4100)) is None
        _tell(children[2], "1 1 4100")
        assert _line(children[2]) == "0"
        heir.close()
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin
    child.stdin.write(f"{line}\n")
    child.stdin.flush()


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    return child.stdout.readline().strip()


def test_a_slot_is_free_again_when_its_process_ends_and_its_counts_stay(tmp_path: Path) -> None:
    for _ in range(SLOTS + 3):
        budgets = Budgets(tmp_path)
        assert budgets.spend(0, 1, Limits(day=SLOTS + 3)) is None
        budgets.close()
    budgets = Budgets(tmp_path)
    assert budgets.spend(0, 1, Limits(day=SLOTS + 3))
    budgets.close()
    assert len([*(tmp_path / "budgets").glob("slot-*")]) == 1


def test_more_processes_than_slots_are_told(tmp_path: Path) -> None:
    made = [Budgets(tmp_path) for _ in range(SLOTS)]
    with pytest.raises(StoreError, match="64 processes count budgets already"):
        Budgets(tmp_path)
    for one in made:
        one.close()


def test_who_only_looks_sees_the_counts_and_takes_no_slot(budgets: Budgets, times: Times, tmp_path: Path) -> None:
    assert spent(tmp_path / "nowhere", 0, NOON) == (0, 0)
    budgets.spend(0, 5, Limits())
    times.go(80)
    budgets.spend(0, 2, Limits())
    assert spent(tmp_path, 0, times.wall) == (2, 7)
    assert spent(tmp_path, 9, times.wall) == (0, 0)


def test_a_cell_that_is_full_stays_full() -> None:
    cell = _plus(_plus(0, 7, MOST), 7, 5)
    assert (cell >> BITS, cell & MOST) == (7, MOST)
    assert cell < 2**63


def test_a_process_that_comes_later_is_seen_by_one_that_counted_alone(times: Times, tmp_path: Path) -> None:
    for limits in (Limits(100, 0), Limits(0, 100)):
        home = tmp_path / str(limits.day)
        first = times.budgets(home)
        assert [first.spend(0, 20, limits) for _ in range(3)] == [None] * 3
        second = times.budgets(home)
        assert second.spend(0, 30, limits) is None
        assert first.spend(0, 11, limits) is not None
        assert first.spend(0, 10, limits) is None
        assert [one.spend(0, 1, limits) is None for one in (first, second)] == [False, False]
        first.close()
        second.close()
