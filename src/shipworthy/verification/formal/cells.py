"""Rank space: every input of a program as cells between its thresholds and bits beside them; no floats in routing.

A number lies in cell #{cuts < value}, or, missing, in bit 0, or, where zero is routed apart, in bit 1. A category is a
bit: 0 for missing and unknown, 1 + c for code c. Cuts are the largest doubles that go left, so that every threshold,
rounded row and whole number is exact; `certificate.py` writes the rules down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shipworthy.core.program import Program, Term, Trees
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import BadModel
from shipworthy.kernels import pure
from shipworthy.verification.formal.claims import Span

Words = npt.NDArray[np.uint64]
BELOW_ZERO, ABOVE_ZERO = math.nextafter(-pure.ZERO, -math.inf), math.nextafter(pure.ZERO, math.inf)
PAST_FLOAT32 = 2.0**128 - 2.0**103  # the least double that rounds to infinity as a float32
MISSING, ZERO = 0, 1


@dataclass(frozen=True)
class Axis:
    """The cells and bits of one input. codes: of a category, 0 for a number. zero: bit 1 is number zero."""

    cuts: Floats
    codes: int = 0
    zero: bool = False
    whole: bool = False

    @property
    def words(self) -> int:
        """How many words of 64 hold its bits."""
        return 1 if not self.codes else 1 + self.codes // 64

    def find(self, values: Floats) -> tuple[Ints, Ints]:
        """The cell and the bit of every value, (n,) each; −1 for the one that it does not have."""
        absent = np.isnan(values)
        if self.codes:
            known = np.isfinite(values) & (values > -1) & (values < self.codes)
            bit = np.where(known, np.where(known, values, 0).astype(np.int64) + 1, 0)
            return np.full(len(values), -1), bit
        nought = (np.abs(values) <= pure.ZERO) & self.zero
        bit = np.where(absent, MISSING, np.where(nought, ZERO, -1))
        return np.where(bit < 0, np.searchsorted(self.cuts, values, side="left"), -1), bit

    def ends(self, span: Span) -> tuple[float, float]:
        """The least and greatest ordinary number of a span; the one above the other if there is none."""
        low, high = span.low, span.high
        if span.codes is not None:
            low, high = max([low, min(span.codes, default=math.inf)]), min([high, max(span.codes, default=-math.inf)])
        if self.whole:
            low, high = (math.ceil(low) if math.isfinite(low) else low), (math.floor(high) if math.isfinite(high)
                                                                           else high)
        if self.zero and abs(low) <= pure.ZERO:
            low = 1.0 if self.whole else ABOVE_ZERO
        if self.zero and abs(high) <= pure.ZERO:
            high = -1.0 if self.whole else BELOW_ZERO
        return float(low), float(high)

    def cells(self, span: Span) -> tuple[int, int]:
        """First and last cell of a span; (0, −1) if it has none."""
        low, high = self.ends(span)
        if self.codes or low > high:
            return 0, -1
        first, last = np.searchsorted(self.cuts, [low, high], side="left")
        return int(first), int(last)

    def bits(self, span: Span) -> int:
        """The bits of a span, as one whole number."""
        found = int(span.missing)
        if self.codes:
            codes = range(self.codes) if span.codes is None else span.codes
            return found | sum(1 << (1 + c) for c in codes if c < self.codes and span.low <= c <= span.high)
        return found | (self.zero and span.low <= pure.ZERO and span.high >= -pure.ZERO) << ZERO

    def nearest(self, cell: int, span: Span, wanted: float) -> float | None:
        """The legal number of a cell that lies nearest to a wanted one, NaN for any; None if the cell has none."""
        low, high = self.ends(span)
        if cell > 0:
            above = float(self.cuts[cell - 1])
            low = max(low, math.nextafter(above, math.inf), above + 1 if self.whole else -math.inf)
        if cell < len(self.cuts):
            high = min(high, float(self.cuts[cell]))
        if low > high:
            return None
        if span.codes is not None:
            inside = [float(code) for code in span.codes if low <= code <= high]
            return min(inside, key=lambda code: abs(code - (0.0 if math.isnan(wanted) else wanted)), default=None)
        value = min(max(0.0 if math.isnan(wanted) else wanted, low), high)
        value = min(max(float(round(value)), low), high) if self.whole and math.isfinite(value) else value
        if self.zero and abs(value) <= pure.ZERO:
            up, down = (1.0, -1.0) if self.whole else (ABOVE_ZERO, BELOW_ZERO)
            return up if up <= high else down if down >= low else None
        return value


@dataclass(frozen=True)
class Space:
    """The axes of all inputs. first: where the words of each begin, and how many there are."""

    axes: tuple[Axis, ...]

    @cached_property
    def first(self) -> Ints:
        return np.concatenate([[0], np.cumsum([axis.words for axis in self.axes])]).astype(np.int64)

    def query(self, spans: Sequence[Span]) -> Box:
        """The box of all rows of these spans."""
        cells = np.array([axis.cells(span) for axis, span in zip(self.axes, spans, strict=True)], np.int32)
        bits = [word for axis, span in zip(self.axes, spans, strict=True)
                for word in words(axis.bits(span), axis.words)]
        cells = cells.reshape(-1, 2)
        return Box(cells[:, 0].copy(), cells[:, 1].copy(), np.array(bits, np.uint64))

    def find(self, rows: Floats) -> tuple[Ints, Ints]:
        """Cells and bits of rows (n, inputs), (n, inputs) each; −1 for the one that a value does not have."""
        found = [axis.find(rows[:, place]) for place, axis in enumerate(self.axes)]
        cells, bits = (np.stack([pair[side] for pair in found], axis=1) if found else np.empty((len(rows), 0), np.int64)
                       for side in (0, 1))
        return cells, bits

    def value(self, place: int, at: tuple[int, int], span: Span, wanted: float) -> float | None:
        """The legal value of an input at (cell, bit) that lies nearest to a wanted one; None if there is none."""
        axis, (cell, bit) = self.axes[place], at
        if bit < 0:
            return axis.nearest(cell, span, wanted)
        return math.nan if bit == MISSING else float(bit - 1) if axis.codes else 0.0


@dataclass(frozen=True)
class Box:
    """Of every input, cells lo…hi and bits; mask: the words of all inputs, one after the other."""

    lo: npt.NDArray[np.int32]
    hi: npt.NDArray[np.int32]
    mask: Words


def words(bits: int, count: int) -> list[int]:
    """A whole number as words of 64 bits, the least first."""
    return [bits >> 64 * n & (1 << 64) - 1 for n in range(count)]


def joined(parts: Words) -> int:
    """The whole number of some words."""
    return sum(int(word) << 64 * n for n, word in enumerate(parts))


def last_left(threshold: Floats, *, narrow: bool, zero: bool, whole: bool) -> Floats:
    """The largest double that goes left at each threshold, among those that the input can be."""
    t = np.asarray(threshold, np.float64)
    if narrow:
        x = _before_rounding(t)
    else:
        x = np.where((t >= 0) & (t < pure.ZERO), pure.ZERO, np.where((t < 0) & (t >= -pure.ZERO), BELOW_ZERO, t))
    x = np.floor(x) if whole else x
    return np.where(np.abs(x) <= pure.ZERO, -1.0 if whole else BELOW_ZERO, x) if zero else x


def _before_rounding(t: Floats) -> Floats:
    """The largest double that rounds to a float32 at or below each threshold."""
    with np.errstate(over="ignore", invalid="ignore"):
        f = t.astype(np.float32)
        f = np.where(f.astype(np.float64) > t, np.nextafter(f, np.float32(-np.inf)), f)
        after = np.nextafter(f, np.float32(np.inf)).astype(np.float64)
        wide = f.astype(np.float64)
        middle = np.where(np.isposinf(after), PAST_FLOAT32, np.where(np.isneginf(wide), -PAST_FLOAT32,
                                                                    wide + (after - wide) / 2))
        middle = np.where(middle.astype(np.float32) > f, np.nextafter(middle, -np.inf), middle)
    return np.where(np.isposinf(wide), np.inf, middle)


def coded(term: Term) -> npt.NDArray[np.bool_]:
    """Which nodes of a trees term read a category."""
    return (np.asarray(term.arrays["flags"]).astype(np.int64) & pure.CATEGORICAL) > 0


def zeroed(term: Term) -> npt.NDArray[np.bool_]:
    """Which nodes of a trees term route zero apart."""
    flags = np.asarray(term.arrays["flags"]).astype(np.int64)
    return np.asarray(~coded(term) & (flags >> pure.MISSING_SHIFT == pure.MISSING_ZERO))


def listed(term: Term, node: int) -> list[int]:
    """The codes that go left at a categorical node, ascending."""
    first, count = int(term.arrays["threshold"][node]), int(term.arrays["words"][node])
    bits = np.asarray(term.arrays["bits"], np.uint32)[first : first + count]
    return [int(c) for c in np.flatnonzero(np.unpackbits(bits.astype("<u4").view(np.uint8), bitorder="little"))]


def space_of(programs: Sequence[Program], spans: Sequence[Span]) -> Space:
    """The rank space that tells apart whatever these programs tell apart.

    Raises BadModel for an input that is read both as a number and as a code, and for zero routed apart after rounding.
    """
    terms = [term for program in programs for term in program.terms if isinstance(term.kind, Trees)]
    return Space(tuple(_axis(terms, place, span, programs[0].inputs[place].levels) for place, span in enumerate(spans)))


def _axis(terms: Sequence[Term], place: int, span: Span, levels: int) -> Axis:
    here = [np.asarray(term.arrays["feature"]) == place for term in terms]
    as_code = [nodes & coded(term) for term, nodes in zip(terms, here, strict=True)]
    as_zero = [nodes & zeroed(term) for term, nodes in zip(terms, here, strict=True)]
    category = any(nodes.any() for nodes in as_code)
    if category and any((nodes & ~codes).any() for nodes, codes in zip(here, as_code, strict=True)):
        raise BadModel(f"input {place} is read both as a number and as a code", where="program",
                       hint="lower the trees again from the library model")
    if category:
        most = max((max(listed(term, int(node)), default=-1) for term, nodes in zip(terms, as_code, strict=True)
                    for node in np.flatnonzero(nodes)), default=-1)
        return Axis(np.empty(0), max(levels, most + 1))
    zero, whole = any(nodes.any() for nodes in as_zero), span.whole or span.codes is not None
    cuts = [np.empty(0)]
    for term, nodes in zip(terms, here, strict=True):
        assert isinstance(term.kind, Trees)
        if zero and term.kind.narrow and nodes.any():
            raise BadModel(f"input {place} is rounded and has zero routed apart", where="program",
                           hint="lower the trees again from the library model")
        cuts.append(last_left(term.arrays["threshold"][nodes], narrow=term.kind.narrow, zero=zero, whole=whole))
    every = np.unique(np.concatenate(cuts))
    return Axis(every[every < np.inf], 0, zero, whole)
