"""How every kind of rule is measured on a batch, and when its figure is beyond noise.

Counts are compared by Pearson's two-sample statistic, shares by the binomial tail; the chance that a clean batch breaks
one rule is two in a million.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from shipworthy.core.found import Breach, Rule
from shipworthy.core.table import Floats, Mask
from shipworthy.data.analysis.history import measure_figure
from shipworthy.data.analysis.view import DAY, View, chance_of, counts_in, distance, family, longest_run
from shipworthy.metrics.intervals import binomial_tail

CHANCE = 2e-6
UNLIKELY = 1e-3
TINY = 0.002
TINY_SHIFT = 0.03
LEAST_RUN = 10
WHOLE = {"hour": DAY, "weekday": 6.5 * DAY, "day": 27.5 * DAY}
PERIOD = {"hour": DAY, "weekday": 7 * DAY, "day": 365.2425 / 12 * DAY}


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
    values = view.once.data[rule.column]
    n, nulls = len(values), values.null_count
    if not n:
        return None
    base = (rule.detail["share"] * rule.support + 0.5) / (rule.support + 1)
    high, low = min(1.0, base + rule.detail["slack"]), max(0.0, base - rule.detail["slack"])
    spread = 1 + n / rule.support
    many = nulls / n > high and binomial_tail(int(nulls / spread), max(1, int(n / spread)), high) < CHANCE
    few = nulls / n < low and binomial_tail(int((n - nulls) / spread), max(1, int(n / spread)), 1 - low) < CHANCE
    together = longest_run(np.asarray(values.is_null().to_numpy(), np.int64), only=1) if nulls else 0
    clumped = (together > _most_in_a_row(base, n) and together > 3 * max(1, rule.detail["run"])
               and rule.detail["slack"] == 0)
    if not (many or few or clumped):
        return None
    return Breach(rule, f"{nulls / n:.1%}", f"{rule.column} is missing in {nulls / n:.1%} of rows, "
                  + (f"{together} of them in a row" if clumped and not many
                     else f"against {rule.detail['share']:.1%} before"))


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
    sure = wild or same >= 3 or rule.detail.get("declared")
    if not sure and binomial_tail(count, len(numbers), allowed) >= CHANCE:
        return None
    shown = worst[np.argmax(np.abs(worst))]
    return Breach(rule, f"{count} outside", f"{count} values of {rule.column} are outside {rule.low:g} to "
                  f"{rule.high:g}, such as {shown:g}")


def _quantile(rule: Rule, view: View) -> Breach | None:
    detail = rule.detail
    share = np.array(detail["share"])
    if "part" in detail:
        if _short(rule, view):
            return None
        found = view.part(rule.column, detail["part"])[_whole(rule, view)]
        counts = np.bincount(found, minlength=len(share)).astype(np.float64)
        what = f"the {detail['part']} of {rule.column}"
        if detail["part"] == "hour":  # clocks are put forward and back: people's hours move by one against UTC
            share = min((np.roll(share, by) for by in (0, 1, -1)), key=lambda one: distance(one, counts / counts.sum()))
    else:
        numbers = view.numbers(rule.column)
        if detail.get("same_period") and not _same_period(rule, numbers):
            return None
        counts = np.bincount(
            np.searchsorted(np.array(detail["edges"]), numbers, side="right"), minlength=len(share)
        ).astype(np.float64)
        what = rule.column
    return _shape(rule, what, share, counts)


def _short(rule: Rule, view: View) -> bool:
    """Whether a batch spans too little time to have every hour, weekday or day of the month."""
    seconds = view.numbers(rule.column)
    return not len(seconds) or float(np.ptp(seconds)) < WHOLE[rule.detail["part"]]


def _whole(rule: Rule, view: View) -> Mask:
    """The rows of the newest whole days, weeks or months: eleven days have four weekdays twice, and are as they were.
    """
    seconds, part = view.numbers(rule.column), rule.detail["part"]
    periods = max(1.0, (float(np.ptp(seconds)) + PERIOD[part] - WHOLE[part]) // PERIOD[part])
    return np.asarray(seconds > seconds.max() - periods * PERIOD[part])


def _same_period(rule: Rule, numbers: Floats) -> bool:
    """Whether the batch starts where the training rows start, so that it should also end where they end."""
    assert rule.low is not None and rule.high is not None
    edge = rule.low + 0.05 * (rule.high - rule.low)
    return len(numbers) >= 100 and bool(np.min(numbers) <= edge) and rule.high - rule.low >= DAY


def _levels(rule: Rule, view: View) -> Breach | None:
    share = np.array(rule.detail["share"])
    counts = counts_in(view.levels(rule.column), rule.values)
    return _shape(rule, rule.column, share, counts, (*rule.values, "other"))


def _shape(rule: Rule, what: str, share: Floats, counts: Floats, names: tuple[str, ...] = ()) -> Breach | None:
    n = float(counts.sum())
    if n < 30:
        return None
    now = counts / n
    far = distance(share, now)
    if far <= rule.detail["slack"] or far < TINY_SHIFT:
        return None
    if chance_of(share, rule.support, counts) >= CHANCE:
        return None
    at = int(np.argmax(np.abs(now - share)))
    where = f': "{names[at]}" is {now[at]:.1%}, against {share[at]:.1%} before' if names else ""
    return Breach(rule, f"{far:.2f}", f"the values of {what} have another distribution ({far:.0%} of rows "
                  f"moved){where}")


def _unseen(rule: Rule, view: View) -> Breach | None:
    words = view.levels(rule.column)
    known = _known(rule.values)
    new = [word for word in words if word not in known]
    if not new:
        return None
    assert rule.high is not None
    alike = [word for word in new if _folded(word) in _known_folded(rule.values)]
    n, strange = sum(words.values()), sum(words[word] for word in new)
    allowed = min(1.0, 2 * rule.high + rule.detail.get("slack", 0.0))
    allowed = max(allowed, TINY) if n > 5_000 else allowed
    if sum(words[word] for word in alike) < 3 and binomial_tail(strange, n, allowed) >= CHANCE:
        return None
    example = (alike or new)[0]
    told = f"{strange / n:.1%} of {rule.column} are values never seen, such as {example[:40]!r}"
    return Breach(rule, f"{strange / n:.1%}", told)


@lru_cache(maxsize=256)
def _known(levels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(levels)


@lru_cache(maxsize=256)
def _known_folded(levels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(_folded, levels))


def _folded(word: str) -> str:
    """A word without what typists differ in: case and blanks."""
    return " ".join(word.split()).casefold()


def _pattern(rule: Rule, view: View) -> Breach | None:
    letters = frozenset(rule.values[0])
    words = view.levels(rule.column)
    longest = max(40, 3 * rule.detail["longest"])
    odd = [word for word in words if len(word) > longest or not letters.issuperset(word)]
    if not odd:
        return None
    n, strange = sum(words.values()), sum(words[word] for word in odd)
    allowed = max(min(1.0, 3 / rule.support), TINY if len(letters) > 100 or n > 5_000 else 0.0)
    if binomial_tail(strange, n, allowed) >= CHANCE:
        return None
    told = f"{strange / n:.1%} of {rule.column} hold signs never seen, such as {odd[0][:40]!r}"
    return Breach(rule, f"{strange / n:.1%}", told)


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
        return Breach(rule, _date(shown), f"{rule.column} reaches {_date(shown)}, far outside {_date(rule.low)} to "
                      f"{_date(rule.high)}")
    if len(seconds) > 20:
        gap = float(np.diff(seconds).max())
        if gap > max(0.25 * span, 10 * rule.detail["gap"]):
            return Breach(rule, f"{gap / DAY:.0f} days", f"{rule.column} leaves a hole of {gap / DAY:.0f} days")
    return None


def _constant(rule: Rule, view: View) -> Breach | None:
    if rule.detail["top"] > 0.999:
        return None
    codes = view.codes(rule.column)
    if not np.any(codes[LEAST_RUN - 1 :] == codes[: 1 - LEAST_RUN]):
        return None
    run = longest_run(codes)
    if run < LEAST_RUN:
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
    return Breach(rule, f"{view.batch.rows - len(counts)} repeated", "nearly every row occurs at least twice: the "
                  "batch was delivered twice")


def _rows(rule: Rule, view: View) -> Breach | None:
    assert rule.low is not None and rule.high is not None
    if rule.low <= view.batch.rows <= rule.high:
        return None
    return Breach(rule, str(view.batch.rows), f"the batch has {view.batch.rows:,} rows, outside {rule.low:,.0f} to "
                  f"{rule.high:,.0f}")


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
    "figure": lambda rule, view: measure_figure(rule, view.batch),
}
