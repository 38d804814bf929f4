"""How every kind of rule is measured on a batch, and when its figure is beyond noise.

Counts are compared by Pearson's two-sample statistic, shares by the binomial tail; the chance that a clean batch breaks
one rule is two in a million.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import chdtrc

from shipworthy.core.found import Breach, Rule
from shipworthy.core.table import Floats, Ints, Table, to_words
from shipworthy.metrics.intervals import binomial_tail

CHANCE = 2e-6
UNLIKELY = 1e-3
DAY = 86_400.0
TINY = 0.002
TINY_SHIFT = 0.03


def family(kind: pa.DataType) -> str:
    """The family of an Arrow type within which a batch may differ: number, text, truth, time, other."""
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_temporal(kind):
        return "time"
    return (
        "text"
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        else "other"
    )


def row_hashes(data: pa.Table) -> Ints:
    """(n,) one hash a row; equal rows have equal hashes within one process."""
    if not data.num_columns or not data.num_rows:
        return np.zeros(data.num_rows, np.int64)
    frame = pl.DataFrame({name: pl.Series(data[name]) for name in sorted(data.column_names)})
    found: Ints = frame.hash_rows(seed=7).to_numpy().view(np.int64)
    return found


class View:
    """A batch with what several rules share; figures of shape are taken from distinct rows, so that rows drawn twice
    do not count twice.
    """

    def __init__(self, batch: Table) -> None:
        self.batch = batch
        self._numbers: dict[str, Floats] = {}

    @cached_property
    def repeats(self) -> Ints:
        """How often each distinct row occurs."""
        return np.unique(row_hashes(self.batch.data), return_counts=True)[1].astype(np.int64)

    @cached_property
    def once(self) -> Table:
        """The batch with each distinct row once, in order, when most rows are distinct; else the batch."""
        if len(self.repeats) == self.batch.rows or len(self.repeats) < 0.3 * self.batch.rows:
            return self.batch
        _, first = np.unique(row_hashes(self.batch.data), return_index=True)
        return self.batch.take(np.sort(first))

    def numbers(self, name: str) -> Floats:
        """The finite and infinite numbers of a column, without gaps."""
        if name not in self._numbers:
            numbers = self.once.numbers(name)
            self._numbers[name] = numbers[~np.isnan(numbers)]
        return self._numbers[name]

    def words(self, name: str) -> list[str]:
        """The known values of a column as text."""
        return [word for word in to_words(self.once.data[name]) if word is not None]

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


def cells(numbers: Floats, edges: Floats) -> Floats:
    """(k + 1,) share of the numbers in every cell that the edges cut."""
    place = np.searchsorted(edges, numbers, side="right")
    return np.bincount(place, minlength=len(edges) + 1) / max(1, len(numbers))


def level_shares(values: pa.ChunkedArray, levels: tuple[str, ...]) -> Floats:
    """(k + 1,) share of the known values in every level, and in none of them."""
    counts = _level_counts(values, levels)
    return counts / max(1.0, float(counts.sum()))


def _level_counts(values: pa.ChunkedArray, levels: tuple[str, ...]) -> Floats:
    known = values.drop_null()
    known = known if pa.types.is_string(known.type) else pa.chunked_array([pa.array(to_words(known), pa.string())])
    codes = pc.index_in(known, value_set=pa.array(levels, pa.string())).fill_null(len(levels)).to_numpy()
    return np.bincount(codes, minlength=len(levels) + 1).astype(np.float64)


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


def unlike(share: Floats, before: int, counts: Floats) -> float:
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


def _present(rule: Rule, view: View) -> Breach | None:
    if rule.column in view.batch.schema:
        return None
    return Breach(rule, "absent", f'column "{rule.column}" is missing')


def _type(rule: Rule, view: View) -> Breach | None:
    found = family(view.batch.data[rule.column].type)
    if found == rule.values[0] or view.batch.data[rule.column].null_count == view.batch.rows:
        return None
    return Breach(rule, found, f"{rule.column} holds {found} where it held {rule.values[0]}")


def _null_share(rule: Rule, view: View) -> Breach | None:
    gone = np.asarray(view.once.data[rule.column].is_null().to_numpy(), np.int64)
    n, nulls = len(gone), int(gone.sum())
    if not n:
        return None
    base = (rule.detail["share"] * rule.support + 0.5) / (rule.support + 1)
    high, low = min(1.0, base + rule.detail["slack"]), max(0.0, base - rule.detail["slack"])
    spread = 1 + n / rule.support
    many = nulls / n > high and binomial_tail(int(nulls / spread), max(1, int(n / spread)), high) < CHANCE
    few = nulls / n < low and binomial_tail(int((n - nulls) / spread), max(1, int(n / spread)), 1 - low) < CHANCE
    together = longest_run(gone, only=1)
    clumped = (
        together > _most_in_a_row(base, n) and together > 3 * max(1, rule.detail["run"]) and rule.detail["slack"] == 0
    )
    if not (many or few or clumped):
        return None
    return Breach(
        rule,
        f"{nulls / n:.1%}",
        f"{rule.column} is missing in {nulls / n:.1%} of rows, "
        + (f"{together} of them in a row" if clumped and not many else f"against {rule.detail['share']:.1%} before"),
    )


def _range(rule: Rule, view: View) -> Breach | None:
    numbers = view.numbers(rule.column)
    assert rule.low is not None and rule.high is not None
    out = (numbers < rule.low) | (numbers > rule.high)
    count = int(out.sum())
    if not count:
        return None
    worst = numbers[out]
    same = int(np.unique(worst, return_counts=True)[1].max())
    allowed = max(TINY, 3 / (rule.support + 3)) if len(numbers) > 5_000 else 3 / (rule.support + 3)
    far = max(rule.high - rule.low, 1e-9)
    wild = bool(np.any((worst < rule.low - 10 * far) | (worst > rule.high + 10 * far)))
    if same < 3 and not wild and binomial_tail(count, len(numbers), allowed) >= CHANCE:
        return None
    shown = worst[np.argmax(np.abs(worst))]
    return Breach(
        rule,
        f"{count} outside",
        f"{count} values of {rule.column} are outside {rule.low:g} to {rule.high:g}, such as {shown:g}",
    )


def _quantile(rule: Rule, view: View) -> Breach | None:
    detail = rule.detail
    share = np.array(detail["share"])
    if "part" in detail:
        found = view.part(rule.column, detail["part"])
        counts = np.bincount(found, minlength=len(share)).astype(np.float64)
        what = f"the {detail['part']} of {rule.column}"
    else:
        numbers = view.numbers(rule.column)
        if detail.get("same_period") and not _same_period(rule, numbers):
            return None
        counts = np.bincount(
            np.searchsorted(np.array(detail["edges"]), numbers, side="right"), minlength=len(share)
        ).astype(np.float64)
        what = rule.column
    return _shape(rule, what, share, counts)


def _same_period(rule: Rule, numbers: Floats) -> bool:
    """Whether the batch starts where the training rows start, so that it should also end where they end."""
    assert rule.low is not None and rule.high is not None
    edge = rule.low + 0.05 * (rule.high - rule.low)
    return len(numbers) >= 100 and bool(np.min(numbers) <= edge) and rule.high - rule.low >= DAY


def _levels(rule: Rule, view: View) -> Breach | None:
    share = np.array(rule.detail["share"])
    counts = _level_counts(view.once.data[rule.column], rule.values)
    return _shape(rule, rule.column, share, counts, (*rule.values, "other"))


def _shape(rule: Rule, what: str, share: Floats, counts: Floats, names: tuple[str, ...] = ()) -> Breach | None:
    n = float(counts.sum())
    if n < 30:
        return None
    now = counts / n
    far = distance(share, now)
    if far <= rule.detail["slack"] or far < TINY_SHIFT:
        return None
    if unlike(share, rule.support, counts) >= CHANCE:
        return None
    at = int(np.argmax(np.abs(now - share)))
    where = f': "{names[at]}" is {now[at]:.1%}, against {share[at]:.1%} before' if names else ""
    return Breach(
        rule, f"{far:.2f}", f"the values of {what} have another distribution ({far:.0%} of rows moved){where}"
    )


def _unseen(rule: Rule, view: View) -> Breach | None:
    known = set(rule.values)
    words = view.words(rule.column)
    new = [word for word in words if word not in known]
    if not new:
        return None
    assert rule.high is not None
    folded = {" ".join(word.split()).casefold() for word in known}
    alike = [word for word in new if " ".join(word.split()).casefold() in folded]
    allowed = min(1.0, 2 * rule.high + rule.detail.get("slack", 0.0))
    allowed = max(allowed, TINY) if len(words) > 5_000 else allowed
    if len(alike) < 3 and binomial_tail(len(new), len(words), allowed) >= CHANCE:
        return None
    example = (alike or new)[0]
    return Breach(
        rule,
        f"{len(new) / len(words):.1%}",
        f"{len(new) / len(words):.1%} of {rule.column} are values never seen, such as {example[:40]!r}",
    )


def _pattern(rule: Rule, view: View) -> Breach | None:
    letters = set(rule.values[0])
    words = view.words(rule.column)
    strange = [word for word in words if len(word) > max(40, 3 * rule.detail["longest"]) or not set(word) <= letters]
    allowed = max(min(1.0, 3 / rule.support), TINY if len(letters) > 100 or len(words) > 5_000 else 0.0)
    if not words or binomial_tail(len(strange), len(words), allowed) >= CHANCE:
        return None
    return Breach(
        rule,
        f"{len(strange) / len(words):.1%}",
        f"{len(strange) / len(words):.1%} of {rule.column} hold signs never seen, such as {strange[0][:40]!r}",
    )


def _unique(rule: Rule, view: View) -> Breach | None:
    values = view.once.data[rule.column]
    repeated = len(values) - len(values.unique())
    if repeated < 2:
        return None
    return Breach(rule, f"{repeated} repeated", f"{repeated} rows repeat a value of {rule.column}, which named one row")


def _order(rule: Rule, view: View) -> Breach | None:
    seconds = np.sort(view.numbers(rule.column))
    assert rule.low is not None and rule.high is not None
    if not len(seconds):
        return None
    span = max(rule.high - rule.low, DAY)
    if seconds[0] < rule.low - 0.25 * span or seconds[-1] > rule.high + 2 * span:
        shown = seconds[0] if seconds[0] < rule.low - 0.25 * span else seconds[-1]
        return Breach(
            rule,
            _date(shown),
            f"{rule.column} reaches {_date(shown)}, far outside {_date(rule.low)} to {_date(rule.high)}",
        )
    if len(seconds) > 20:
        gap = float(np.diff(seconds).max())
        if gap > max(0.25 * span, 10 * rule.detail["gap"]):
            return Breach(rule, f"{gap / DAY:.0f} days", f"{rule.column} leaves a hole of {gap / DAY:.0f} days")
    return None


def _constant(rule: Rule, view: View) -> Breach | None:
    values = view.batch.data[rule.column].combine_chunks()
    codes = values.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    run = longest_run(codes)
    if run < 10 or rule.detail["top"] > 0.999:
        return None
    clustered = rule.detail["run"] > _most_in_a_row(rule.detail["top"], rule.support, UNLIKELY)
    bound = max(_most_in_a_row(rule.detail["top"], len(codes)), 3 * rule.detail["run"] if clustered else 0)
    if run <= bound and not (
        run == len(codes) and run >= 100 and rule.detail["run"] < run and rule.detail["top"] < 0.9
    ):
        return None
    return Breach(rule, f"{run} in a row", f"{rule.column} holds one value {run} times in a row")


def _repeat(rule: Rule, view: View) -> Breach | None:
    counts = view.repeats
    if view.batch.rows < 20 or rule.detail["distinct"] < 0.5:
        half = view.batch.rows // 2
        data = view.batch.data
        if view.batch.rows < 20 or view.batch.rows % 2 or not data.slice(0, half).equals(data.slice(half)):
            return None
    elif (counts >= 2).mean() < 0.9:
        return None
    return Breach(
        rule,
        f"{view.batch.rows - len(counts)} repeated",
        "nearly every row occurs at least twice: the batch was delivered twice",
    )


def _rows(rule: Rule, view: View) -> Breach | None:
    assert rule.low is not None and rule.high is not None
    if rule.low <= view.batch.rows <= rule.high:
        return None
    return Breach(
        rule,
        str(view.batch.rows),
        f"the batch has {view.batch.rows:,} rows, outside {rule.low:,.0f} to {rule.high:,.0f}",
    )


def _most_in_a_row(share: float, rows: int, chance: float = CHANCE) -> float:
    """The run of a value of this share that independent rows exceed with the chance given."""
    if share <= 0:
        return 1.0
    return float("inf") if share >= 1 else 1 + float(np.log(chance / max(rows, 1)) / np.log(share))


def _date(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s"))[:10]


MEASURES: dict[str, Callable[[Rule, View], Breach | None]] = {
    "present": _present,
    "type": _type,
    "null-share": _null_share,
    "range": _range,
    "quantile": _quantile,
    "levels": _levels,
    "unseen-share": _unseen,
    "pattern": _pattern,
    "unique": _unique,
    "order": _order,
    "constant": _constant,
    "repeat": _repeat,
    "rows": _rows,
}
