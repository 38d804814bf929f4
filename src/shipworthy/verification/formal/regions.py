"""Boxes of a network's inputs, many at once: of each a range of numbers, or codes, and whether it may be missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shipworthy.core.table import Floats, Ints
from shipworthy.verification.formal.claims import Domain, Span

Flags = npt.NDArray[np.bool_]
FINEST = 1e-12


@dataclass(frozen=True)
class Split:
    """One cut of one box: as a certificate has it, and which input it cuts.

    word: "s" at a number (both sides hold it, unless whole), "g" missing from all else, "c" these codes from all else.
    """

    place: int
    word: str
    at: float = 0.0
    codes: tuple[int, ...] = ()

    @property
    def token(self) -> str:
        """The cut in a certificate."""
        end = {"s": f" {self.at!r}", "g": "", "c": f" {sum(1 << code for code in self.codes):x}"}[self.word]
        return f"{self.word} {self.place}{end}"


@dataclass(frozen=True)
class Boxes:
    """n boxes. low, high: (n, inputs) ends of numbers, 0 where there are none. number, gone: (n, inputs) whether there
    are numbers, and whether the input may be missing. codes: (n, all codes), those of each category one after another.

    first: (inputs + 1,) where the codes of each input begin. whole: (inputs,).
    """

    low: Floats
    high: Floats
    number: Flags
    gone: Flags
    codes: Flags
    first: Ints
    whole: Flags

    def __len__(self) -> int:
        return len(self.low)

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return int(self.low.shape[1])

    def of(self, place: int) -> Flags:
        """(n, codes of an input)."""
        return self.codes[:, self.first[place] : self.first[place + 1]]

    def take(self, at: Ints | slice) -> Boxes:
        """Some of the boxes."""
        return Boxes(self.low[at], self.high[at], self.number[at], self.gone[at], self.codes[at], self.first,
                     self.whole)

    @property
    def empty(self) -> Flags:
        """(n,) which hold no row: an input is left without any value."""
        some = self.number | self.gone
        for place in range(self.width):
            if self.first[place] < self.first[place + 1]:
                some[:, place] |= self.of(place).any(axis=1)
        return np.asarray(~some.all(axis=1))

    def cut(self, at: int, place: int) -> Split | None:
        """Where one box is cut in one input: missing apart, codes in halves, a range in its middle; None if nowhere."""
        codes, number = np.flatnonzero(self.of(place)[at]), bool(self.number[at, place])
        if self.gone[at, place] and (number or len(codes)):
            return Split(place, "g")
        if len(codes) > 1:
            return Split(place, "c", codes=tuple(codes[: len(codes) // 2].tolist()))
        low, high = float(self.low[at, place]), float(self.high[at, place])
        if not number or not high - low > FINEST * max(1.0, abs(low), abs(high)):
            return None
        middle = low / 2 + high / 2
        return Split(place, "s", float(math.floor(middle)) if self.whole[place] else middle)

    def sides(self, at: int, split: Split) -> tuple[Boxes, Boxes]:
        """The two boxes that a cut makes of one."""
        one = self.take(slice(at, at + 1))
        a, b = (Boxes(one.low.copy(), one.high.copy(), one.number.copy(), one.gone.copy(), one.codes.copy(), one.first,
                      one.whole) for _ in range(2))
        place = split.place
        if split.word == "g":
            a.number[:, place], b.gone[:, place] = False, False
            a.of(place)[:] = False
        elif split.word == "c":
            a.gone[:, place] = False
            inside = np.isin(np.arange(a.of(place).shape[1]), split.codes)
            a.of(place)[:, ~inside] = False
            b.of(place)[:, inside] = False
        else:
            a.gone[:, place] = False
            a.high[:, place], b.low[:, place] = split.at, split.at + 1 if self.whole[place] else split.at
        return a, b

    def middle(self) -> Floats:
        """(n, inputs) a row of each box: the middle of ranges, the first code, else missing."""
        rows = np.where(self.number, self.low / 2 + self.high / 2, np.nan)
        rows = np.where(self.whole, np.floor(rows), rows)
        for place in range(self.width):
            mine = self.of(place)
            if mine.shape[1]:
                rows[:, place] = np.where(mine.any(axis=1), mine.argmax(axis=1), np.nan)
        return rows


def joined(parts: Sequence[Boxes]) -> Boxes:
    """Boxes of the same inputs, one after the other."""
    low, high, number, gone, codes = (np.concatenate([getattr(part, key) for part in parts])
                                      for key in ("low", "high", "number", "gone", "codes"))
    return Boxes(low, high, number, gone, codes, parts[0].first, parts[0].whole)


def region(spans: Sequence[Span], levels: Sequence[int], held: Sequence[tuple[float, float]]) -> Boxes:
    """One box: what spans allow.

    levels: of each input, 0 for a number. held: (low, high) of each number, beyond which nothing changes; ranges are
    drawn in to it, whole ones to the whole numbers around it.
    """
    first = np.concatenate([[0], np.cumsum(levels)]).astype(np.int64)
    found = [_ends(span, bool(count), within) for span, count, within in zip(spans, levels, held, strict=True)]
    codes = np.zeros(int(first[-1]), np.bool_)
    for place, span in enumerate(spans):
        listed = range(levels[place]) if span.codes is None else span.codes
        codes[[int(first[place]) + code for code in listed if code < levels[place]]] = True
    ends = np.array([(low, high) for low, high, _ in found]).reshape(-1, 2).T
    unknown = [bool(count) and any(code >= count for code in span.codes or ())
               for span, count in zip(spans, levels, strict=True)]
    gone = np.array([span.missing for span in spans], np.bool_) | np.array(unknown, np.bool_)
    return Boxes(ends[:1].copy(), ends[1:].copy(), np.array([[some for *_, some in found]], np.bool_), gone[None],
                 codes[None], first, np.array([span.whole or span.codes is not None for span in spans], np.bool_))


def _ends(span: Span, coded: bool, held: tuple[float, float]) -> tuple[float, float, bool]:
    """Least and greatest number of a span that may differ, and whether there is any."""
    if coded:
        return 0.0, 0.0, False
    low, high = span.low, span.high
    if span.codes is not None:
        low, high = min(span.codes, default=1), max(span.codes, default=0)
    if span.whole:
        low, high = (math.ceil(low) if math.isfinite(low) else low), (math.floor(high) if math.isfinite(high) else high)
    least, most = (math.floor(held[0]), math.ceil(held[1])) if span.whole or span.codes is not None else held
    if not low <= high:
        return 0.0, 0.0, False
    low, high = (min(max(min(max(end, least), most), low), high) for end in (low, high))
    return low, high, True


def broken(domain: Domain, boxes: Boxes, at: int) -> int | None:
    """The first rule of a domain that leaves a box without a row; groups are numbered before orders."""
    for rule, group in enumerate(domain.one_of):
        can = [[bool(boxes.number[at, place] and boxes.low[at, place] <= value <= boxes.high[at, place])
                for place in group] for value in (0.0, 1.0)]
        if not any(can[1]) or not all(a or b for a, b in zip(*can, strict=True)) or can[0].count(False) > 1:
            return rule
    for rule, (a, b) in enumerate(domain.at_least, len(domain.one_of)):
        if not (boxes.gone[at, a] or boxes.gone[at, b]) and boxes.high[at, a] < boxes.low[at, b]:
            return rule
    return None


def lawful(domain: Domain, rows: Floats) -> Flags:
    """(n,) which rows keep the rules of a domain."""
    kept = np.ones(len(rows), np.bool_)
    for group in domain.one_of:
        members = rows[:, list(group)]
        kept &= ((members == 0) | (members == 1)).all(axis=1) & (members.sum(axis=1) == 1)
    for high, low in domain.at_least:
        kept &= ~(rows[:, high] < rows[:, low])
    return np.asarray(kept)
