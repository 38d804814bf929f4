"""Tallies: what was served and what came true, as integers that add up, and a sample of rows chosen by hash.

What a monitor says comes from these and nothing else. Sums of two workers, machines or days merge by addition: exact,
in any order. A sample merges by keeping, of every day, the rows whose ids have the smallest hashes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from shipworthy.core.clock import DAY
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import Misuse

Layout = tuple[tuple[str, int], ...]
Key = tuple[int, int, str, str]  # at, width, segment, arm
Words = npt.NDArray[np.str_]
FULL = 2**62
SAMPLED = 2_000


def size(layout: Layout) -> int:
    """How many integers a layout has."""
    return sum(width for _, width in layout)


@dataclass(frozen=True)
class Sums:
    """Integer sums by key, in the order of their time.

    layout: meter → how many integers. at, width: (k,) first microsecond of a bucket, and how many it lasts.
    segment: (k,) "" for all rows, or column=value. arm: (k,). cells: (k, size) int64.
    """

    layout: Layout
    at: Ints
    width: Ints
    segment: Words
    arm: Words
    cells: Ints

    def __len__(self) -> int:
        return len(self.at)

    def of(self, meter: str) -> Ints:
        """The sums of one meter, (k, its width). Raises Misuse where there is none of that name."""
        start = 0
        for name, width in self.layout:
            if name == meter:
                return self.cells[:, start : start + width]
            start += width
        raise Misuse(f'nothing was counted by the name "{meter}"', where="tallies",
                     hint=f"there are: {', '.join(name for name, _ in self.layout)}")

    def total(self, meter: str) -> Ints:
        """The sum of one meter over all keys, (its width,)."""
        return np.asarray(self.of(meter).sum(axis=0))

    def where(self, mask: npt.NDArray[np.bool_]) -> Sums:
        """The sums of some keys."""
        return replace(self, **{one.name: getattr(self, one.name)[mask] for one in fields(self)
                                if one.name != "layout"})

    def between(self, since: int = -FULL, until: int = FULL) -> Sums:
        """The sums of what arrived from `since` on and before `until`."""
        return self.where((self.at >= since) & (self.at < until))

    @property
    def whole(self) -> Sums:
        """The sums of all rows, whatever their segment."""
        return self.where(self.segment == "")

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that were counted apart."""
        return tuple(sorted({str(one) for one in self.segment} - {""}))


def no_sums(layout: Layout) -> Sums:
    """Sums of nothing."""
    none, words = np.zeros(0, np.int64), np.zeros(0, np.str_)
    return Sums(layout, none, none, words, words, np.zeros((0, size(layout)), np.int64))


def sums(layout: Layout, keys: Iterable[Key], cells: Ints) -> Sums:
    """Sums from keys (at, width, segment, arm) in any order, equal ones added up; of what adds up to nothing, none.

    Raises Misuse for a sum near 2⁶³.
    """
    listed = list(keys)
    if not listed:
        return no_sums(layout)
    order = sorted(set(listed))
    place = {key: k for k, key in enumerate(order)}
    at = np.array([place[key] for key in listed], np.int64)
    by_key = np.argsort(at, kind="stable")
    found = np.add.reduceat(cells[by_key], np.searchsorted(at[by_key], np.arange(len(order))), axis=0)
    if np.abs(found).max(initial=0) >= FULL:
        raise Misuse("the counts are too large to add", where="tallies", hint="start a new folder of counts")
    first, width, segment, arm = zip(*order, strict=True)
    made = Sums(layout, np.array(first, np.int64), np.array(width, np.int64), np.array(segment, np.str_),
                np.array(arm, np.str_), found)
    return made.where(np.asarray(found.any(axis=1)))


def add_sums(left: Sums, right: Sums) -> Sums:
    """The sums of both. Raises Misuse where they do not count the same things, or a sum is near 2⁶³."""
    if left.layout != right.layout:
        raise Misuse("sums of different meters cannot be added", where="tallies",
                     hint="count with the grid and meters of one release")
    keys = [*keys_of(left), *keys_of(right)]
    return sums(left.layout, keys, np.concatenate([left.cells, right.cells]))


def less(left: Sums, right: Sums) -> Sums:
    """What of sums is left without others. Raises Misuse where they do not count the same things."""
    return add_sums(left, replace(right, cells=-right.cells))


def keys_of(found: Sums) -> list[Key]:
    """The keys of sums, in order."""
    return list(zip(found.at.tolist(), found.width.tolist(), found.segment.tolist(), found.arm.tolist(), strict=True))


@dataclass(frozen=True)
class Sample:
    """Rows chosen by the hash of their prediction id, in the order of their time.

    ids: (k,). at: (k,) microseconds of arrival. cells: (k, columns + 1) cells of the plan's columns, then of the
    score. loss: (k,) fixed point where it is known, else −1. arrived: (k,) microseconds when that became known.
    """

    ids: Words
    at: Ints
    cells: Ints
    loss: Ints
    arrived: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, mask: npt.NDArray[np.bool_] | Ints) -> Sample:
        """Some of the rows, by a mask or their places."""
        return replace(self, **{one.name: getattr(self, one.name)[mask] for one in fields(self)})

    @property
    def labelled(self) -> Sample:
        """The rows whose loss is known, in the order in which it became known."""
        known = self.where(self.loss >= 0)
        return known.where(np.argsort(known.arrived, kind="stable"))


def no_sample(columns: int) -> Sample:
    """No rows. columns: of the plan."""
    none = np.zeros(0, np.int64)
    return Sample(np.zeros(0, np.str_), none, np.zeros((0, columns + 1), np.int64), none, none)


def mixed(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """A hash of every id, the same everywhere. Source: CRC-32, mixed by the finaliser of Appleby's MurmurHash3."""
    found = np.array([zlib.crc32(str(one).encode()) for one in ids], np.uint64)
    with np.errstate(over="ignore"):
        for _ in range(2):
            found ^= found >> np.uint64(33)
            found *= np.uint64(0xFF51AFD7ED558CCD)
    return found ^ (found >> np.uint64(33))


def thinned(found: Sample, most: int = SAMPLED) -> Sample:
    """Of every day the rows whose ids have the smallest hashes, each id once; one whose loss is known wins."""
    if not len(found):
        return found
    order = np.lexsort((found.arrived, found.loss >= 0, found.ids))
    rows = order[np.append(found.ids[order][1:] != found.ids[order][:-1], True)]
    kept = rows[smallest(mixed(found.ids[rows].tolist()), found.at[rows] // DAY, most)]
    return found.where(kept[np.lexsort((found.ids[kept], found.at[kept]))])


def smallest(hashed: npt.NDArray[np.uint64], group: Ints, most: int) -> Ints:
    """The rows with the smallest hashes of every group, in the order of the rows. hashed, group: (n,)."""
    order = np.lexsort((hashed, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-FULL) != 0)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return np.sort(order[rank < most])


def add_samples(left: Sample, right: Sample, most: int = SAMPLED) -> Sample:
    """The sample of both."""
    return thinned(Sample(*(np.concatenate([getattr(left, one.name), getattr(right, one.name)])
                            for one in fields(Sample))), most)


@dataclass(frozen=True)
class Tallies:
    """What is known of a release's traffic.

    plan: digest of the grid's plan. rows: sums of served rows by arrival. labels: sums of labelled rows by arrival of
    the label. cohorts: the same rows by the day of their prediction. sample: rows of both. until, told: the last
    microsecond of which rows, and labels, are known. vanished: planned columns that the log does not hold. orphans:
    labels without a prediction, which may come yet; lost: those that were given up.
    """

    plan: str
    rows: Sums
    labels: Sums
    cohorts: Sums
    sample: Sample
    until: int = -FULL
    told: int = -FULL
    vanished: tuple[str, ...] = ()
    orphans: int = 0
    lost: int = 0

    def segment(self, name: str) -> Tallies:
        """The tallies of one segment; of all rows where the name is empty."""
        return replace(self, rows=self.rows.where(self.rows.segment == name),
                       labels=self.labels.where(self.labels.segment == name),
                       cohorts=self.cohorts.where(self.cohorts.segment == name))


def add(left: Tallies, right: Tallies) -> Tallies:
    """What both know. Raises Misuse for tallies of different plans or meters."""
    if left.plan != right.plan:
        raise Misuse("tallies of different plans cannot be added", where=f"{left.plan[:12]} and {right.plan[:12]}",
                     hint="count with the grid that the release carries")
    return Tallies(left.plan, add_sums(left.rows, right.rows), add_sums(left.labels, right.labels),
                   add_sums(left.cohorts, right.cohorts), add_samples(left.sample, right.sample),
                   max(left.until, right.until), max(left.told, right.told),
                   tuple(sorted(set(left.vanished) & set(right.vanished))), left.orphans + right.orphans,
                   left.lost + right.lost)


def tabulated(cell: Ints, width: int, group: Ints, groups: int) -> Ints:
    """How often every cell occurs in every group, (groups, width); rows of group −1 are left out.

    cell, group: (n,).
    """
    place = group * width + cell
    place = place if group.min(initial=0) >= 0 else place[group >= 0]
    return np.bincount(place, minlength=groups * width).reshape(groups, width).astype(np.int64)


def added(values: Floats | Ints, group: Ints, groups: int, *, fixed: int = 1) -> Ints:
    """The sums of values by group, (groups, w), each value rounded to 1 / fixed first; rows of group −1 are left out.

    values: (n, w), finite. Integers below 2⁵³ add up exactly.
    """
    whole = np.rint((values if values.ndim == 2 else values[:, None]) * fixed)
    inside = group >= 0
    found = [np.bincount(group[inside], weights=one[inside], minlength=groups) for one in whole.T]
    return np.stack(found, axis=1).astype(np.int64)
