"""The user's own figures of traffic: counted like all else, judged by the same alarms, and shown in the report.

The rows of a bucket are counted in sixteen blocks by the hash of their ids. Sums of blocks merge by addition, and
leaving out one block at a time says how sure a figure is, whatever it is computed by.
Source: Tukey (1958) and Miller (1974), the jackknife; Vovk and Wang (2021), from p-values to e-values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from shipworthy.core.meters import OwnMeter, slices
from shipworthy.core.project import Metered
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, mixed
from shipworthy.deployment.monitoring.alarm import step
from shipworthy.deployment.monitoring.incident import Alarm
from shipworthy.deployment.monitoring.joined import LEVELS, Joined, Served, start_of
from shipworthy.deployment.monitoring.look import Look
from shipworthy.deployment.monitoring.meters import Meter
from shipworthy.deployment.monitoring.windows import EVER, cut, summed

BLOCKS = 16
LEAST_P = 1e-300


class Figure(msgspec.Struct, frozen=True):
    """A figure of all traffic that was judged, with its 95 % interval. n: rows, or labels.

    verdict: fail where all of the interval is beyond a limit, pass where none of it is; empty where no limit is set.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    sentence: str
    verdict: Literal["pass", "fail", "unknown", ""] = ""


@dataclass(frozen=True)
class Path:
    """A figure window by window. at: (w,) microseconds. value, error: (w,), NaN where it says nothing."""

    at: Ints
    value: Floats
    error: Floats


def as_meter(own: OwnMeter) -> Meter:
    """A user's meter as one of the built-in ones are."""

    def count(rows: Served | Joined, group: Ints, groups: int) -> Ints:
        served, place = (rows.log, rows.row) if isinstance(rows, Joined) else (rows, np.arange(rows.rows))
        block = (mixed(served.ids.take(place).to_pylist()) % np.uint64(BLOCKS)).astype(np.int64)
        key = np.where(group >= 0, group * BLOCKS + block, -1)
        order = np.argsort(key, kind="stable")
        order = order[np.searchsorted(key[order], 0) :]
        found = np.zeros((groups * BLOCKS, own.cells), np.int64)
        if len(order):
            keys, starts = np.unique(key[order], return_index=True)
            table = served.table.take(place)
            table = table.with_column("label", rows.truth) if isinstance(rows, Joined) else table
            found[keys] = np.stack([own.count(part) for part in slices(table, order, starts)])
        return found.reshape(groups, BLOCKS * own.cells)

    return Meter(own.layout, BLOCKS * own.cells, count)


def figures(own: OwnMeter, sums: Ints) -> tuple[Floats, Floats]:
    """The value of every window, and its standard error by the jackknife; (w,) each. sums: (w, blocks × cells)."""
    blocks = sums.reshape(len(sums), BLOCKS, own.cells)
    whole = blocks.sum(axis=1)
    value = np.array([own.value(one) for one in whole], np.float64)
    without = np.array([[own.value(all_ - one) for one in each] for all_, each in zip(whole, blocks, strict=True)])
    spread = without - without.mean(axis=1, keepdims=True) if len(sums) else without
    error = np.sqrt((BLOCKS - 1) / BLOCKS * (spread**2).sum(axis=1)) if len(sums) else np.zeros(0)
    return value, np.asarray(error)


def beyond(value: Floats, error: Floats, limits: Metered) -> Floats:
    """p-value of each window against "the figure is within its limits", (w,); NaN where the window says nothing."""
    from scipy.stats import t

    error = np.maximum(error, 1e-12 * np.maximum(np.abs(value), 1.0))
    sides = [(value - limits.at_most) / error] if limits.at_most is not None else []
    sides += [(limits.at_least - value) / error] if limits.at_least is not None else []
    found = np.minimum(1.0, len(sides) * np.min([t.sf(side, BLOCKS - 1) for side in sides], axis=0))
    return np.where(np.isfinite(value) & np.isfinite(error), found, np.nan)


def path(own: OwnMeter, found: Sums, level: str, until: int) -> Path:
    """A figure window by window, the last one too."""
    windows = cut(found, level, until=until, every=True)
    value, error = figures(own, summed(found.of(own.layout), windows))
    return Path(np.array([start_of(int(n), level) for n in windows.first], np.int64), value, error)


def figure(own: OwnMeter, look: Look, limits: Metered | None) -> Figure:
    """The figure of all traffic that is judged, in a sentence."""
    from scipy.stats import t

    found = (look.tallies.rows if own.of == "rows" else look.tallies.labels).whole
    n = int(found.cells[:, 0].sum())
    values, errors = figures(own, found.total(own.layout)[None])
    half = float(errors[0] * t.ppf(0.975, BLOCKS - 1))
    value = float(values[0])
    told = [f"at most {limits.at_most:g}"] if limits and limits.at_most is not None else []
    told += [f"at least {limits.at_least:g}"] if limits and limits.at_least is not None else []
    what = "rows" if own.of == "rows" else "labels"
    sentence = (f"{own.name} is {value:.4g} (95 % interval {value - half:.4g} to {value + half:.4g}, {n:,} {what}"
                f"{'; ' + ' and '.join(told) if told else ''}).") if np.isfinite(value) else \
        f"{own.name} says nothing of {n:,} {what}."
    return Figure(own.name, value, value - half, value + half, n, sentence, _verdict(value, half, limits))


def _verdict(value: float, half: float, limits: Metered | None) -> Literal["pass", "fail", "unknown", ""]:
    if limits is None:
        return ""
    most, least = limits.at_most, limits.at_least
    if (most is not None and value - half > most) or (least is not None and value + half < least):
        return "fail"
    within = (most is None or value + half <= most) and (least is None or value - half >= least)
    return "pass" if within else "unknown"


class Judged(msgspec.Struct, frozen=True):
    """What one level of one meter came to. start, end: (w,) of full windows. e, m: after each. until: next start."""

    family: str
    level: str
    windows: tuple[tuple[int, int, int, float, float], ...]
    alarms: tuple[Alarm, ...]
    m: float
    until: int


def judge_own(own: OwnMeter, look: Look, limits: Metered, level: str, known: tuple[float, int]) -> Judged:
    """The full windows of a level since the last look, by the e-SR rule. known: M and the first time not yet judged.

    A window that says nothing is skipped, as an empty one is.
    """
    m, since = known
    tallies = look.tallies
    found, until = (tallies.rows, tallies.until) if own.of == "rows" else (tallies.labels, tallies.told)
    found = found.whole
    windows = cut(found, level, since=since, until=until)
    over = int(windows.full.sum())
    value, error = figures(own, summed(found.of(own.layout), windows)[:over])
    p, bar, made, alarms = beyond(value, error, limits), look.bar(level, levels=_levels(look)), [], []
    for k in np.flatnonzero(np.isfinite(p)).tolist():
        e = float(0.5 / np.sqrt(max(p[k], LEAST_P)))
        m = step(m, e)
        end = min(windows.end(k), until)
        made.append((start_of(int(windows.first[k]), level), end, int(windows.rows[k]), e, m))
        if m >= bar:
            alarms.append(Alarm(own.family, level, end, m))
            m = 0.0
    after = start_of(int(windows.last[over - 1]) + 1, level) if over else since
    return Judged(own.family, level, tuple(made), tuple(alarms), m, after)


def judged_all(look: Look, m: dict[str, float], until: dict[str, int]) -> list[Judged]:
    """Every limited meter at every level. m, until: of the state, by family/level."""
    found = []
    for own in look.own:
        limits = look.limits(own.name)
        if limits is None:
            continue
        for level in LEVELS[look.project.watch.window]:
            name = f"{own.family}/{level}"
            known = (m.get(name, 0.0), until.get(name, EVER))
            found.append(judge_own(own, look, limits, level, known))
    return found


def _levels(look: Look) -> int:
    return len(LEVELS[look.project.watch.window])
