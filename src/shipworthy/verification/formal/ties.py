"""Rules that tie inputs together, in rank space: which part of a box they leave empty, and rows that keep them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.kernels import pure
from shipworthy.verification.formal.cells import ABOVE_ZERO, ZERO, Box, Space, joined
from shipworthy.verification.formal.claims import Domain, Span
from shipworthy.verification.formal.search import Cut, mask_cut, number_cut

Forced = tuple[int, Cut | None, bool]


def binary(domain: Domain) -> Domain:
    """The domain with members of groups held to 0 and 1, never missing."""
    members = {place for group in domain.one_of for place in group}
    spans = {place: domain.spans[place] for place in members}
    return domain.but({place: Span(max(0.0, span.low), min(1.0, span.high), False, True)
                       for place, span in spans.items()})


@dataclass(frozen=True)
class Rules:
    """The rules of a domain, numbered: groups first, then orders. near: the row that rows lie near to."""

    space: Space
    domain: Domain
    near: Floats

    def forced(self, box: Box) -> Forced | None:
        """The first cut that a rule asks of a box; see `search.Ties`."""
        for rule, group in enumerate(self.domain.one_of):
            if (found := self._group(box, group)) is not None:
                return rule, *found
        for rule, pair in enumerate(self.domain.at_least, len(self.domain.one_of)):
            if (order := self._order(box, *pair)) is not None:
                return rule, *order
        return None

    def _can(self, box: Box, place: int, value: float) -> bool:
        cells, bits = self.space.axes[place].find(np.array([value]))
        if bits[0] >= 0:
            return bool(self._bits(box, place) >> int(bits[0]) & 1)
        return bool(box.lo[place] <= cells[0] <= box.hi[place])

    def _bits(self, box: Box, place: int) -> int:
        return joined(box.mask[self.space.first[place] : self.space.first[place + 1]])

    def _group(self, box: Box, group: tuple[int, ...]) -> tuple[Cut | None, bool] | None:
        ones = [place for place in group if self._can(box, place, 1.0)]
        nought = {place: self._can(box, place, 0.0) for place in group}
        sure = [place for place in group if not nought[place]]
        if not ones or len(sure) > 1 or any(place not in ones for place in sure):
            return None, False
        if sure:
            other = next((place for place in ones if place not in sure and self._apart(place)), None)
            return None if other is None else (self._parting(other), True)
        if len(ones) == 1 and self._apart(ones[0]):
            return self._parting(ones[0]), False
        return None

    def _apart(self, place: int) -> bool:
        """Whether some leaf can tell 0 from 1."""
        axis = self.space.axes[place]
        return axis.zero or axis.find(np.array([0.0]))[0][0] != axis.find(np.array([1.0]))[0][0]

    def _parting(self, place: int) -> Cut:
        """The cut of 0 from 1."""
        axis = self.space.axes[place]
        if axis.zero:
            return mask_cut(self.space, place, 1 << ZERO)
        return number_cut(place, int(axis.find(np.array([0.0]))[0][0]))

    def _order(self, box: Box, high: int, low: int) -> tuple[Cut | None, bool] | None:
        """What a ≥ b asks of a box in which neither can be missing."""
        bits = {place: self._bits(box, place) for place in (high, low)}
        if any(mask & 1 for mask in bits.values()):
            return None
        most, least = self._ends(box, high)[1], self._ends(box, low)[0]
        if most < least:
            return None, False
        for place, lost in ((low, most < 0), (high, least > 0)):
            if bits[place] and lost and box.lo[place] <= box.hi[place]:
                return mask_cut(self.space, place, 1 << ZERO), False
        last = int(np.searchsorted(self.space.axes[low].cuts, most))
        if box.lo[low] <= last < box.hi[low]:
            return number_cut(low, last), True
        first = int(np.searchsorted(self.space.axes[high].cuts, least))
        if box.lo[high] < first <= box.hi[high] and not bits[high]:
            return number_cut(high, first - 1), False
        return None

    def _ends(self, box: Box, place: int) -> tuple[float, float]:
        """The least and greatest value of an input that is not missing inside a box."""
        axis, found = self.space.axes[place], list[float]()
        if box.lo[place] <= box.hi[place]:
            low, high = axis.ends(self.domain.spans[place])
            if box.lo[place] > 0:
                above = float(axis.cuts[box.lo[place] - 1])
                low = max(low, math.nextafter(above, math.inf), above + 1 if axis.whole else -math.inf)
            low = (1.0 if axis.whole else ABOVE_ZERO) if axis.zero and abs(low) <= pure.ZERO else low
            if box.hi[place] < len(axis.cuts):
                high = min(high, float(axis.cuts[box.hi[place]]))
            found += [low, high]
        found += [0.0] * (self._bits(box, place) >> ZERO & 1)
        return min(found), max(found)

    def split(self, box: Box) -> Cut | None:
        """Bits of a tied input from its cells, else its cells in the middle; None where all is one cell."""
        for place in sorted({place for tie in (*self.domain.one_of, *self.domain.at_least) for place in tie}):
            bits = self._bits(box, place)
            if bits and box.lo[place] <= box.hi[place]:
                return mask_cut(self.space, place, bits)
            if box.lo[place] < box.hi[place]:
                return number_cut(place, int(box.lo[place] + box.hi[place]) // 2)
        return None

    def row(self, cells: Ints, bits: Ints) -> Floats | None:
        """A row at these cells and bits that keeps the rules, near to the wanted one; None if none is found."""
        row = row_at(self.space, self.domain, (cells, bits), self.near)
        if row is None:
            return None
        for group in self.domain.one_of:
            free = [place for place in group if not self._apart(place)]
            ones = [place for place in group if row[place] == 1.0]
            row[[place for place in free if place in ones[1:]]] = 0.0
            if not ones and free:
                row[free[0]] = 1.0
        for high, low in self.domain.at_least:
            if row[high] < row[low]:
                self._meet(row, (cells, bits), high, low)
        return row if self.keeps(row) else None

    def _meet(self, row: Floats, at: tuple[Ints, Ints], high: int, low: int) -> None:
        """Bring a pair into order within its cells, the greater one first."""
        for place, other in ((high, low), (low, high)):
            if row[high] < row[low]:
                here = int(at[0][place]), int(at[1][place])
                value = self.space.value(place, here, self.domain.spans[place], float(row[other]))
                row[place] = row[place] if value is None else value

    def keeps(self, row: Floats) -> bool:
        """Whether a row keeps every rule."""
        for group in self.domain.one_of:
            if sorted(row[list(group)].tolist()) != [0.0] * (len(group) - 1) + [1.0]:
                return False
        return not any(row[high] < row[low] for high, low in self.domain.at_least)


def row_at(space: Space, domain: Domain, at: tuple[Ints, Ints], near: Floats) -> Floats | None:
    """The row at these cells and bits that lies nearest to a wanted one; None if the domain has none there."""
    values = [space.value(place, (int(at[0][place]), int(at[1][place])), span, float(near[place]))
              for place, span in enumerate(domain.spans)]
    return None if any(value is None for value in values) else np.array(values, np.float64)
