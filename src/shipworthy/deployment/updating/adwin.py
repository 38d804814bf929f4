"""How far back the present reaches: the newest rows whose mean loss is one and the same.

Source: Bifet and Gavaldà (2007), ADWIN2: an exponential histogram of the window, and a cut wherever two of its parts
have means that differ by more than chance. The order of updates is that of the authors' MOA, as in River.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from shipworthy.core.table import Floats

DELTA = 0.002
MOST = 5  # buckets of one size
CLOCK = 32  # rows between two looks
LEAST, FEWEST = 5, 10  # rows of a part, rows of a window


@dataclass
class Adwin:
    """A window of losses in [0, 1] that shrinks when their mean changes.

    delta: chance of a false cut at one look. effect: how many rows tell as much as one that depends on no neighbour.
    rows, total: of the window; spread: the sum of its squared deviations. buckets: oldest first, each (rows, sum, sum
    of squared deviations from its own mean); sizes are powers of 2.
    """

    delta: float = DELTA
    effect: float = 1.0
    rows: int = 0
    total: float = 0.0
    spread: float = 0.0
    seen: int = 0
    buckets: list[tuple[int, float, float]] = field(default_factory=list)

    def update(self, loss: float) -> bool:
        """Take in one loss; whether the window was cut."""
        if self.rows:
            self.spread += self.rows * (loss - self.total / self.rows) ** 2 / (self.rows + 1)
        self.rows, self.total, self.seen = self.rows + 1, self.total + loss, self.seen + 1
        self.buckets.append((1, loss, 0.0))
        self._compress()
        return self.seen % CLOCK == 0 and self.rows > FEWEST and self._shrink()

    def _compress(self) -> None:
        """Merge the two oldest buckets of a size of which there are more than `MOST`."""
        size, stop = 1, len(self.buckets)
        while True:
            start = stop
            while start and self.buckets[start - 1][0] == size:
                start -= 1
            if stop - start <= MOST:
                return
            self.buckets[start : start + 2] = [_merged(*self.buckets[start : start + 2])]
            size, stop = 2 * size, start + 1

    def _shrink(self) -> bool:
        """Drop the oldest buckets as long as some cut of the window parts two different means."""
        cut = False
        while self._changed():
            rows, total, spread = self.buckets.pop(0)
            self.rows, self.total = self.rows - rows, self.total - total
            gap = total / rows - self.total / self.rows
            self.spread = max(0.0, self.spread - spread - rows * self.rows * gap**2 / (rows + self.rows))
            cut = True
        return cut

    def _changed(self) -> bool:
        old, before, variance, least = 0, 0.0, self.spread / self.rows, LEAST * self.effect
        sure = math.log(2 * math.log(self.rows) / self.delta)
        for rows, total, _ in self.buckets[:-1]:
            old, before = old + rows, before + total
            new = self.rows - old
            if new < least:
                return False
            if old < least:
                continue
            share = self.effect * (1 / (old - least + 1) + 1 / (new - least + 1))
            edge = math.sqrt(2 * share * variance * sure) + 2 / 3 * share * sure
            if abs(before / old - (self.total - before) / new) > edge:
                return True
        return False


def _merged(one: tuple[int, float, float], other: tuple[int, float, float]) -> tuple[int, float, float]:
    rows = one[0] + other[0]
    gap = one[1] / one[0] - other[1] / other[0]
    return rows, one[1] + other[1], one[2] + other[2] + one[0] * other[0] * gap**2 / rows


def window(losses: Floats, *, delta: float = DELTA, effect: float = 1.0) -> int:
    """How many of the newest losses share one mean, at least 1. losses: (n,) in [0, 1], oldest first."""
    found = Adwin(delta, effect)
    for loss in losses.tolist():
        found.update(loss)
    return max(1, found.rows)
