"""What a holdback is said to differ in, looked at day after day: seldom by chance, and soon where it is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.clock import DAY
from shipworthy.core.grid import Reference
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.columns import judge_windows
from shipworthy.deployment.monitoring.counting import counting, nothing
from shipworthy.deployment.monitoring.loops import FEWEST, RARE, difference, drifted, epoch

DAYS, HELD, REST = 120, 40, 760
SIDES = np.array([1.0, -1.0, 1.0, -1.0, -1.0, -1.0])  # of the values of cat1, each half of the rows


class Simulated:
    """Days of traffic of one column, of which a holdback and the rest are drawn with shares of their own."""

    def __init__(self, grid: Reference) -> None:
        cells = next(one for one in grid.plan.columns if one.name == "cat1")
        plan = msgspec.structs.replace(grid.plan, columns=(cells,))
        self.grid = replace(grid, facts=msgspec.structs.replace(grid.facts, plan=plan))
        self.empty, self.size = nothing(counting(grid, width=DAY)), cells.size
        self.share = np.array([dict(zip("abcdef", (0.3, 0.25, 0.2, 0.1, 0.1, 0.05), strict=True)).get(value, 0.0)
                               for value in cells.values])
        self.sides = np.array([dict(zip("abcdef", SIDES, strict=True)).get(value, 0.0) for value in cells.values])

    def draw(self, random: np.random.Generator, w: float) -> tuple[Ints, Ints]:
        """Values by day of a holdback at a distance of Cohen's w from the rest, and of the rest; (days, cells)."""
        return (random.multinomial(HELD, self.share * (1 + w * self.sides), DAYS),
                random.multinomial(REST, self.share, DAYS))

    def tallies(self, counts: Ints) -> Tallies:
        """Of counts by day, the last of which is over."""
        days, words = len(counts), np.full(len(counts), "")
        cells = np.hstack([np.pad(counts, ((0, 0), (0, self.size - counts.shape[1]))), counts.sum(axis=1)[:, None]])
        sums = Sums((("column cat1", self.size), ("rows", 1)), np.arange(days) * DAY, np.full(days, DAY), words, words,
                    cells)
        return replace(self.empty, rows=sums, until=days * DAY + DAY // 2)

    def looks(self, held: Ints, rest: Ints) -> Iterator[tuple[int, bool]]:
        """Day by day what a look says: the day, and whether the column is named. A look that tells nothing new is left
        out.
        """
        before = 0
        whole = self.tallies(held).rows
        for day in range(1, DAYS + 1):
            number, _ = epoch(whole, day * DAY + DAY // 2)
            if number > before:
                yield day, bool(drifted(self.grid, self.tallies(held[:day]), self.tallies(rest[:day])))
            before = number

    def once(self, held: Ints, rest: Ints) -> Floats:
        """p-values of days at which the rule for a single look is asked, (days,)."""
        total = self.tallies(rest).rows.total("column cat1")
        among = replace(self.grid, grid=replace(self.grid.grid, columns={"cat1": total}, rows=int(total.sum())))
        return np.asarray(judge_windows(among, {"cat1": np.cumsum(self.tallies(held).rows.of("column cat1"), axis=0)}
                                        ).p[:, 0])


@pytest.fixture(scope="module")
def simulated(case: Mapping[str, Any]) -> Simulated:
    return Simulated(case["grid"])


def test_a_column_at_the_edge_of_what_is_tolerated_is_seldom_named_however_often_one_looks(
    simulated: Simulated
) -> None:
    random, runs = np.random.default_rng(0), 200
    named, peeked = 0, 0
    for _ in range(runs):
        held, rest = simulated.draw(random, 0.1)
        named += any(found for _, found in simulated.looks(held, rest))
        peeked += bool((simulated.once(held, rest) <= RARE).any())
    assert named <= RARE * runs < peeked  # the rule for one look, asked daily


def test_a_column_that_moved_is_named_about_as_soon_as_by_peeking(simulated: Simulated) -> None:
    random, first, peeked = np.random.default_rng(1), [], []
    for _ in range(40):
        held, rest = simulated.draw(random, 0.3)
        first.append(next(day for day, found in simulated.looks(held, rest) if found))
        peeked.append(1 + int(np.argmax(simulated.once(held, rest) <= RARE)))
    assert np.median(first) <= 2 * np.median(peeked)


def test_shares_that_are_alike_are_told_apart_in_one_run_of_twenty_at_most() -> None:
    random, runs, apart = np.random.default_rng(2), 400, 0
    for _ in range(runs):
        rows = np.arange(1, 121)[:, None] * np.array([HELD, REST])
        hits = np.cumsum(random.binomial([HELD, REST], 0.2, (120, 2)), axis=0)
        found = (difference("a label", list(one), list(of), 0.05) for one, of in zip(hits[3:], rows[3:], strict=True))
        apart += any(not one.low <= 0 <= one.high for one in found)
    assert apart <= 0.05 * runs


def test_columns_are_compared_when_rows_have_grown_and_never_within_a_day(simulated: Simulated) -> None:
    held = np.zeros((6, 6), np.int64)
    held[:, 0] = [60, 50, 10, 30, 850, 10]  # 60, 110, 120, 150, 1,000, 1,010 rows
    rows = simulated.tallies(held).rows
    told = [epoch(rows, day * DAY + DAY // 2) for day in range(7)]
    assert told == [(0, 0), (0, 0), (1, 2 * DAY), (1, 2 * DAY), (2, 4 * DAY), (7, 5 * DAY), (7, 5 * DAY)]
    assert epoch(rows, 2 * DAY - 1) == (0, 0)  # rows under way may still come in
    assert FEWEST * 2 ** (6 / 2) <= 1_000 < FEWEST * 2 ** (7 / 2)
    assert drifted(simulated.grid, simulated.tallies(held[:1]), simulated.tallies(held)) is None
