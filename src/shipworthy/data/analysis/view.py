"""A batch as the rules see it: its distinct rows, and the figures that several rules share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import chdtrc

from shipworthy.core.drawn import Drawn, rowwise
from shipworthy.core.rows import row_hashes as row_hashes
from shipworthy.core.table import Floats, Ints, Table, to_words

DAY = 86_400.0


def family(kind: pa.DataType) -> str:
    """The family of an Arrow type within which a batch may differ: number, text, truth, time, other."""
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_temporal(kind):
        return "time"
    return ("text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
            else "other")


class View:
    """A batch with what several rules share; figures of shape are taken from distinct rows, so that rows drawn twice
    do not count twice.
    """

    def __init__(self, batch: Table) -> None:
        self.batch = batch
        self._kept: dict[tuple[str, str], Any] = {}

    @cached_property
    def repeats(self) -> Ints:
        """How often each distinct row occurs."""
        return self._distinct[1]

    @cached_property
    def once(self) -> Table:
        """The batch with each distinct row once, in order, when most rows are distinct; else the batch."""
        first, repeats = self._distinct
        if len(repeats) == self.batch.rows or len(repeats) < 0.3 * self.batch.rows:
            return self.batch
        return self.batch.take(np.sort(first))

    @cached_property
    def _distinct(self) -> tuple[Ints, Ints]:
        """Where each distinct row occurs first, and how often. A few columns often tell all rows apart already."""
        data = self.batch.data
        names = sorted(data.column_names, key=lambda name: not pa.types.is_floating(data.schema.field(name).type))
        factors = np.random.default_rng(7).integers(1, 2**63, len(names), np.uint64) * np.uint64(2) + np.uint64(1)
        rows = np.zeros(data.num_rows, np.uint64)
        first = repeats = np.arange(min(1, data.num_rows))
        for place, name in enumerate(names):
            code = self.codes(name).view(np.uint64)
            rows += (code ^ (code >> np.uint64(32))) * factors[place]
            if place in (2, 11, len(names) - 1):
                _, first, repeats = np.unique(rows, return_index=True, return_counts=True)
                if len(repeats) == data.num_rows:
                    break
        return first.astype(np.int64), repeats.astype(np.int64)

    def codes(self, name: str) -> Ints:
        """(n,) numbers of the batch's rows, equal where the values are; missing equals missing."""
        found: Ints = self.keep("codes", name, lambda: rowwise(self.batch, ("codes", name), lambda rows: _codes(
            rows.data[name].combine_chunks())))
        return found

    def keep(self, what: str, name: str, compute: Callable[[], Any]) -> Any:
        """What was computed of a column before, or now."""
        if (what, name) not in self._kept:
            self._kept[what, name] = compute()
        return self._kept[what, name]

    def numbers(self, name: str) -> Floats:
        """The finite and infinite numbers of a column, without gaps."""

        def known() -> Floats:
            numbers = rowwise(self.once, ("numbers", name), lambda rows: rows.numbers(name))
            found: Floats = numbers[~np.isnan(numbers)]
            return found

        found: Floats = self.keep("numbers", name, known)
        return found

    def levels(self, name: str) -> dict[str, int]:
        """The known values of a column as text, in the order of their first row, and how often each occurs."""
        found: dict[str, int] = self.keep("levels", name, lambda: _drawn_levels(self.once, name))
        return found

    def part(self, name: str, part: str) -> Ints:
        """Hour 0–23, day 0–30 or weekday 0–6 of every known time."""
        seconds = self.numbers(name).astype(np.int64)
        days = seconds // int(DAY)
        if part == "hour":
            return (seconds - days * int(DAY)) // 3_600
        if part == "weekday":
            return (days + 3) % 7
        dates = days.astype("datetime64[D]")
        found: Ints = (dates - dates.astype("datetime64[M]")).astype(np.int64)
        return found


def level_counts(values: pa.ChunkedArray) -> dict[str, int]:
    """The known values as text, in the order of their first row, and how often each occurs."""
    known = values.drop_null()
    known = known if pa.types.is_string(known.type) else pa.chunked_array([pa.array(to_words(known), pa.string())])
    counts = known.value_counts()
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def _drawn_levels(table: Table, name: str) -> dict[str, int]:
    """As `level_counts`; of a draw by the codes of the whole, in the whole's order."""
    if not isinstance(table, Drawn) or table.whole is None or not pa.types.is_string(table.data[name].type):
        return level_counts(table.data[name])
    if ("levels", name) not in table.kept:
        coded = table.whole.data[name].combine_chunks().dictionary_encode()
        table.kept["levels", name] = np.array(coded.dictionary.to_pylist(), dtype=object)
        table.kept["level", name] = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    levels = table.kept["levels", name]
    counts = np.bincount(table.kept["level", name][table.places] + 1, minlength=len(levels) + 1)[1:]
    return {levels[place]: int(counts[place]) for place in np.flatnonzero(counts)}


def level_shares(counts: dict[str, int], levels: tuple[str, ...]) -> Floats:
    """(k + 1,) share of the known values in every level, and in none of them."""
    found = counts_in(counts, levels)
    return found / max(1.0, float(found.sum()))


def counts_in(counts: dict[str, int], levels: tuple[str, ...]) -> Floats:
    """(k + 1,) how many values are in every level, and in none of them."""
    found = np.array([*(counts.get(level, 0) for level in levels), 0], np.float64)
    found[-1] = sum(counts.values()) - found.sum()
    return found


def _codes(values: pa.Array) -> Ints:
    if pa.types.is_int64(values.type) and not values.null_count:
        return np.asarray(values.to_numpy(), np.int64)
    if pa.types.is_float64(values.type) and not values.null_count:
        return np.asarray(values.to_numpy(), np.float64).view(np.int64)
    return np.asarray(values.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def cells(numbers: Floats, edges: Floats) -> Floats:
    """(k + 1,) share of the numbers in every cell that the edges cut."""
    place = np.searchsorted(edges, numbers, side="right")
    return np.bincount(place, minlength=len(edges) + 1) / max(1, len(numbers))


def distance(left: Floats, right: Floats) -> float:
    """Total variation between two distributions over the same cells, in [0, 1]."""
    return float(0.5 * np.abs(left - right).sum())


def longest_run(codes: Ints, *, only: int | None = None) -> int:
    """The most equal codes in a row; of one code alone when it is given."""
    if not len(codes):
        return 0
    edges = np.flatnonzero(np.diff(codes)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [len(codes)]]))
    if only is not None:
        lengths = lengths[codes[starts] == only]
    return int(lengths.max(initial=0))


def chance_of(share: Floats, before: int, counts: Floats) -> float:
    """Chance of counts so far from the shares of `before` reference rows; cells that expect under 5 are pooled."""
    n = float(counts.sum())
    if not n:
        return 1.0
    expected = share * n
    small = expected < 5
    if small.sum() > 1:
        expected = np.append(expected[~small], expected[small].sum())
        counts = np.append(counts[~small], counts[small].sum())
    if len(expected) > 1 and expected[-1] < 5:
        order = np.argsort(expected)
        expected[order[1]] += expected[order[0]]
        counts[order[1]] += counts[order[0]]
        expected, counts = np.delete(expected, order[0]), np.delete(counts, order[0])
    expected = np.maximum(expected, 0.5)
    x2 = float(((counts - expected) ** 2 / expected).sum()) / (1 + n / max(before, 1))
    return float(chdtrc(max(1, len(expected) - 1), x2))
