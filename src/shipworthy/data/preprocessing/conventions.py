"""Do scattered sources speak alike: the same units, dates written one way, keys that meet?"""

from __future__ import annotations

import re

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Catalogue
from shipworthy.core.table import Table
from shipworthy.core.words import counted
from shipworthy.data.collection.containment import words_of
from shipworthy.marks import check

ROWS = 20_000
STEADY = 0.05
FACTORS = {
    1000.0: "a thousand",
    100.0: "a hundred",
    10.0: "ten",
    1e6: "a million",
    25.4: "inch to millimetre",
    2.54: "inch to centimetre",
    3.28084: "metre to foot",
    1.609344: "mile to kilometre",
    2.20462: "kilogram to pound",
    3.6: "m/s to km/h",
    2.23694: "m/s to mph",
    60.0: "minute to second",
    3600.0: "hour to second",
    1.8: "Celsius to Fahrenheit",
}
_DATE = re.compile(r"(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{2,4})")


@check("conventions-agree", row="data.dispersion")
def conventions_agree(catalogue: Catalogue, raw: Table) -> Finding:
    """Columns of one name from two sources hold the same unit, and dates in text follow one order of day and month.

    At most 20,000 rows are looked at; a factor counts when the ratio of the two columns is steady within 5 %.
    """
    sources = {source for name, source in catalogue.trace.items() if name in raw.schema}
    if len(sources) < 2:
        return say("not-applicable", "The training table comes from a single source.")
    sample = raw.take(np.linspace(0, raw.rows - 1, min(raw.rows, ROWS)).astype(np.int64))
    pairs = _namesakes(sample, catalogue)
    wrong = [said for left, right in pairs if (said := _other_unit(sample, left, right))]
    wrong += [said for column in sample.schema.columns if column.kind in ("category", "text")
              if (said := _mixed_dates(sample, column.name))]
    facts = {"value": len(wrong), "limit": 0, "n": sample.rows}
    if wrong:
        return say("fail", f"{len(sources)} sources disagree in {len(wrong)} place{'s' * (len(wrong) != 1)} "
                   f"({sample.rows:,} rows read): {wrong[0]}.",
                   remedy="bring the source to one convention before it is read, or declare [data.units] "
                   "and convert it", counterexample={"disagreements": wrong[:10]}, **facts)
    numbers = f"{counted(len(pairs), 'pair')} of like-named numbers"
    return say("pass", f"{_agree(len(sources))}: {numbers} in one unit each, and dates in text in one order "
               f"({sample.rows:,} rows read).", **facts)


def _agree(sources: int) -> str:
    return "1 source agrees with itself" if sources == 1 else f"{counted(sources, 'source')} agree"


def _namesakes(table: Table, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Pairs of number columns from different sources whose names end alike."""
    numbers = [column.name for column in table.schema.columns if column.kind == "number"
               and column.name in catalogue.trace]
    return [(left, right) for at, left in enumerate(numbers) for right in numbers[at + 1 :]
            if catalogue.trace[left] != catalogue.trace[right] and _tail(left, right)]


def _tail(left: str, right: str) -> bool:
    a, b = words_of(left), words_of(right)
    short, long = sorted((a, b), key=len)
    return bool(short) and long[-len(short) :] == short


def _other_unit(table: Table, left: str, right: str) -> str:
    a, b = table.numbers(left), table.numbers(right)
    known = np.isfinite(a) & np.isfinite(b) & (a != 0) & (b != 0)
    if known.sum() < 50 or len(np.unique(a[known])) < 10:
        return ""
    slope = _steady(a[known], b[known])
    for factor, name in FACTORS.items():
        for ratio in (factor, 1 / factor):
            if slope is not None and abs(slope / ratio - 1) < 0.01:
                return f"{right} is {left} times {ratio:g} ({name})"
    return ""


def _steady(
    a: np.ndarray[tuple[int], np.dtype[np.float64]], b: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float | None:
    """The factor between two columns whose rows, or whose deciles, differ by one factor throughout; else None."""
    ratio = b / a
    low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
    if middle > 0 and (high - low) <= STEADY * middle:
        return float(middle)
    if np.corrcoef(a, b)[0, 1] > 0.999:
        return float(np.std(b) / np.std(a))
    points = np.linspace(0.1, 0.9, 9)
    x, y = np.quantile(a, points), np.quantile(b, points)
    if np.all(x > 0) and np.all(y > 0) and x[-1] > 1.5 * x[0]:
        each = y / x
        if each.max() - each.min() <= STEADY * float(np.median(each)):
            return float(np.median(each))
    return None


def _mixed_dates(table: Table, name: str) -> str:
    """Whether some values can only be day/month and others only month/day."""
    words = {word for word in table.data[name].slice(0, 5_000).unique().to_pylist() if word}
    found = [match for word in words if (match := _DATE.fullmatch(str(word).strip()))]
    if len(found) < 0.5 * len(words) or not found:
        return ""
    day_first = sum(int(each.group(1)) > 12 for each in found)
    month_first = sum(int(each.group(2)) > 12 for each in found)
    if day_first and month_first:
        return f"{name} writes {day_first} dates with the day first and {month_first} with the month first"
    return ""
