"""What an incident is about: the columns that moved most, and the segments in which more happened than elsewhere."""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np

from shipworthy.core.clock import DAY, micros
from shipworthy.core.grid import FIXED, Cells
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.deployment.monitoring.joined import FEWEST_ROWS, start_of, window_of
from shipworthy.deployment.monitoring.look import RECENT_WINDOWS, Look

COLUMNS, SEGMENTS = 5, 3
APART = 1.96  # standard errors by which a segment must differ from the rest


def detailed(look: Look, incident: Incident) -> Incident:
    """The incident with its columns in the order in which they moved, and its worst segments."""
    last, level = micros(datetime.fromisoformat(incident.last)) + 999_999, look.project.watch.window
    since = start_of(int(window_of(np.array([last]), level)[0]) - RECENT_WINDOWS[level] + 1, level)
    effects = column_effects(look, since, last)
    named = sorted(incident.columns, key=lambda name: -effects.get(name, 0.0))
    most = sorted(effects, key=lambda name: -effects[name])
    shown = list(dict.fromkeys((*named, *(name for name in most if effects[name] > look.project.watch.effect))))
    return msgspec.structs.replace(
        incident, columns=tuple(named), segments=worst(look.tallies, since, last),
        effects={name: round(effects[name], 4) for name in shown[:COLUMNS] if name in effects})


def column_effects(look: Look, since: int, until: int) -> dict[str, float]:
    """Column → Cohen's w of the rows between two times against the reference; empty where there are too few."""
    rows = look.tallies.rows.whole.between(since, until + 1)
    if int(rows.cells[:, 0].sum()) < FEWEST_ROWS:
        return {}
    before = look.reference.grid.columns
    return {cells.name: float(how_far(cells, before[cells.name], rows.total(f"column {cells.name}")[None])[0])
            for cells in look.reference.plan.columns}


def worst(tallies: Tallies, since: int, until: int) -> tuple[str, ...]:
    """Sentences about the segments whose loss rose, or else whose scores moved, surely more than those of the rest."""
    names = tallies.rows.segments
    told = [_risen(tallies.cohorts, name, since, until) for name in names]
    told = told if any(told) else [_moved(tallies.rows, name, since, until) for name in names]
    return tuple(text for _, text in sorted(filter(None, told), reverse=True)[:SEGMENTS])


def _risen(cohorts: Sums, name: str, since: int, until: int) -> tuple[float, str] | None:
    own, rest = cohorts.where(cohorts.segment == name), cohorts.whole
    now, before = ((since // DAY * DAY, until + 1), (-(2**62), since // DAY * DAY))
    risk, old = _risk(own.between(*now)), _risk(own.between(*before))
    others = _risk(rest.between(*now), own.between(*now))
    if risk is None or others is None:
        return None
    against, word = (old, "before") if old is not None else (others, "in the rest")
    gap, error = risk[0] - against[0], np.hypot(risk[1], against[1])
    if gap <= APART * error:
        return None
    return float(gap), f"{name}: risk {risk[0]:.3f} on {risk[2]:,} labels, {against[0]:.3f} {word}"


def _risk(found: Sums, without: Sums | None = None) -> tuple[float, float, int] | None:
    """Mean loss, its standard error, and labels; None for fewer than thirty. without: rows to leave out."""
    total = found.total("labels") - (without.total("labels") if without is not None else 0)
    n, loss, square = int(total[0]), total[1] / FIXED, total[2] / FIXED
    if n < FEWEST_ROWS:
        return None
    mean = loss / n
    return float(mean), float(np.sqrt(max(square / n - mean**2, 1e-6) / n)), n


def _moved(rows: Sums, name: str, since: int, until: int) -> tuple[float, str] | None:
    own, whole = rows.where(rows.segment == name), rows.whole
    inside = own.between(since, until + 1)
    n, before = int(inside.cells[:, 0].sum()), int(own.between(until=since).cells[:, 0].sum())
    if min(n, before) < FEWEST_ROWS:
        return None
    mine = effect_between(own.between(until=since).total("score"), inside.total("score"))
    rest = (whole.between(until=since).total("score") - own.between(until=since).total("score"),
            whole.between(since, until + 1).total("score") - inside.total("score"))
    others = effect_between(*rest)
    if mine < 0.1 or mine < 1.5 * others:
        return None
    return float(mine), f"{name}: scores moved by {mine:.2f} (Cohen's w, {n:,} rows), elsewhere by {others:.2f}"


def effect_between(before: Ints, now: Ints) -> float:
    """Cohen's w between two counts over the same cells; neighbours are pooled into about twenty groups."""
    both = np.cumsum(before + now)
    group = np.unique(both // max(10, int(both[-1]) // 20 or 1), return_inverse=True)[1]
    a, b = (np.bincount(group, weights=one).astype(np.float64) for one in (before, now))
    return float(two_sample(a, b[None])[0])


def how_far(cells: Cells, before: Ints, now: Ints) -> Floats:
    """How far a column moved in each window, (w,) in Cohen's w; what the reference never had counts too.

    before: (cells,). now: (w, cells). A number's body is pooled into twelve groups of equally many reference rows.
    """
    where = groups_of(cells, before)
    size = int(where.max(initial=0)) + 1
    pooled = np.zeros((len(now), size))
    np.add.at(pooled.T, where, now.T)
    return two_sample(np.bincount(where, weights=before, minlength=size).astype(np.float64), pooled)


def groups_of(cells: Cells, before: Ints) -> Ints:
    """The group of every cell, (cells,): 0 below the range, 1 to 12 the body, then above, and missing or infinite.

    Of a category the twelve most frequent values, 12 for all others, then rare, unseen, and missing.
    """
    if cells.kind != "number":
        values = np.minimum(np.arange(len(cells.values)), 12)
        return np.concatenate([values, [13, 14, 15]]).astype(np.int64)
    inner = before[2 : cells.size - 6]
    share = np.cumsum(inner) / max(1, inner.sum())
    body = 1 + np.minimum((share * 12 - 1e-9).astype(np.int64), 11)
    return np.concatenate([[0, 0], np.maximum(body, 1), [13, 13], [14] * 4]).astype(np.int64)


def two_sample(a: Floats, b: Floats) -> Floats:
    """Cohen's w of every row of counts b, (w, groups), against a, (groups,), its expectation without a change taken
    off. Source: Pearson (1911); Cohen (1988).
    """
    n, m = a.sum(), b.sum(axis=1)
    known = (a + b) > 0
    ratio = np.sqrt(np.maximum(m, 1) / max(n, 1))[:, None]
    x2 = np.where(known, (a * ratio - b / ratio) ** 2 / np.where(known, a + b, 1), 0.0).sum(axis=1)
    rows = np.maximum(n * m / np.maximum(n + m, 1), 1)
    return np.where(m > 0, np.sqrt(np.maximum(0.0, x2 - (known.sum(axis=1) - 1)) / rows), 0.0)
