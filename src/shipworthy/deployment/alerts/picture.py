"""What a monitor report shows, as plain numbers: made from counts, so it is as large for a million rows as for one."""

from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.clock import DAY
from shipworthy.core.grid import FIXED, NAN, NULL, SCORE_CELLS, Cells, Reference
from shipworthy.core.meters import OwnMeter
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.alerts.details import groups_of, how_far
from shipworthy.deployment.monitoring.columns import judge_windows
from shipworthy.deployment.monitoring.harm import reference_risk, risk_limit
from shipworthy.deployment.monitoring.joined import LEVELS, start_of
from shipworthy.deployment.monitoring.meters import DECILES
from shipworthy.deployment.monitoring.own import path
from shipworthy.deployment.monitoring.watch import Watched, Window
from shipworthy.deployment.monitoring.windows import Cut, cut, summed
from shipworthy.errors import Misuse

POINTS, COLUMNS, SEGMENTS, BINS = 180, 60, 40, 32
Series = dict[str, Any]


def pictured(
    watched: Watched, project: Project, windows: tuple[Window, ...], own: tuple[OwnMeter, ...] = ()
) -> dict[str, Any]:
    """The series and tables of a report; times are milliseconds since 1970.

    windows: of a watch from the first row on, for the alarm statistics. own: the user's meters. Raises Misuse for a
    look that judged nothing.
    """
    reference, tallies = watched.grid, watched.tallies
    if reference is None or tallies is None:
        raise Misuse("nothing was judged in this look", where="the monitor report", hint="look first: flow.watch")
    level = project.watch.window
    rows = tallies.rows.whole
    parts = cut(rows, level, until=tallies.until, every=True)
    return {
        "traffic": _traffic(parts, level), "drift": _drift(reference, rows, (parts, level), project),
        "columns": _columns(reference, tallies, project), "score": _score(reference, rows),
        "performance": _performance(reference, tallies, project), "bias": _bias(tallies, reference),
        "alarms": _alarms(windows, LEVELS[level]), "segments": _segments(tallies),
        "labels": int(tallies.labels.whole.total("labels")[0]), "until": max(tallies.until, tallies.told) // 1_000,
        "meters": [_meter(one, watched, project) for one in own],
        "more": max(0, len(reference.plan.columns) - COLUMNS),
    }


def _thin(count: int) -> list[Ints]:
    """The places of windows that are shown as one point, so that there are at most as many as a picture can show."""
    return np.array_split(np.arange(count), min(count, POINTS)) if count else []


def _traffic(parts: Cut, level: str) -> Series:
    groups = _thin(len(parts))
    return {"x": [start_of(int(parts.first[group[0]]), level) // 1_000 for group in groups],
            "y": [int(parts.rows[group].sum()) for group in groups], "level": level}


def _drift(reference: Reference, rows: Sums, where: tuple[Cut, str], project: Project) -> Series:
    parts, level = where
    groups, effect = _thin(len(parts)), project.watch.effect
    if not groups:
        return {}
    plan, far = reference.plan, []
    for cells in plan.columns:
        each = summed(rows.of(f"column {cells.name}"), parts)
        merged = np.stack([each[group].sum(axis=0) for group in groups])
        far.append(how_far(cells, reference.grid.columns[cells.name], merged))
    found = np.stack(far, axis=1)
    weights = np.array(reference.facts.weights)
    most = [int(place) for place in np.argsort(-found.max(axis=0))[:3]]
    return {"x": [start_of(int(parts.first[group[0]]), level) // 1_000 for group in groups], "limit": effect,
            "all": (found @ weights).round(4).tolist(),
            "most": [(plan.names[place], found[:, place].round(4).tolist()) for place in most]}


def _columns(reference: Reference, tallies: Tallies, project: Project) -> list[Series]:
    rows, plan = tallies.rows.whole, reference.plan
    counts = {name: rows.total(f"column {name}") for name in plan.names}
    tests = judge_windows(reference, {name: found[None] for name, found in counts.items()},
                          effect=project.watch.effect)
    found = []
    far = np.array([how_far(cells, reference.grid.columns[cells.name], counts[cells.name][None])[0]
                    for cells in plan.columns])
    for place in np.argsort(-far, kind="stable")[:COLUMNS]:
        cells = plan.columns[int(place)]
        before, now = reference.grid.columns[cells.name], counts[cells.name]
        found.append({"name": cells.name, "kind": cells.kind, "weight": reference.facts.weights[int(place)],
                      "effect": float(far[place]), "broken": bool(tests.broken[0, place] < 1e-6),
                      "missing": (_missing(cells, before), _missing(cells, now)),
                      "new": (_new(cells, before), _new(cells, now)), **_shares(cells, before, now)})
    return found


def _missing(cells: Cells, counts: Ints) -> float:
    lost = counts[NULL] + (counts[NAN] if cells.kind == "number" else 0)
    return float(lost / max(1, counts.sum()))


def _new(cells: Cells, counts: Ints) -> float:
    """The share of values that training did not have: unseen, or outside its range."""
    where = [0, 1, cells.size - 6, cells.size - 5] if cells.kind == "number" else [-2]
    return float(counts[where].sum() / max(1, counts.sum()))


def _shares(cells: Cells, before: Ints, now: Ints) -> Series:
    """Shares of at most sixteen groups of cells, of the reference and of the traffic, with what each group is."""
    group = groups_of(cells, before)
    kept = [k for k in range(16) if (group == k).any()]
    if cells.kind == "number":
        tops = {k: f"≤ {cells.edges[int(np.flatnonzero(group == k)[-1])]:.4g}" for k in kept if 0 < k < 13}
        names = {0: "below", **tops, 13: "above", 14: "missing"}
    else:
        names = {**dict(enumerate(cells.values[:12])), 12: "others", 13: "rare", 14: "unseen", 15: "missing"}
    pair = [np.bincount(group, weights=counts, minlength=16)[kept] / max(1, counts.sum()) for counts in (before, now)]
    return {"names": [names[k] for k in kept], "before": pair[0].tolist(), "now": pair[1].tolist()}


def _score(reference: Reference, rows: Sums) -> Series:
    """Shares of the score's range, of the reference and of the traffic."""
    plan, now = reference.plan, rows.total("score")
    before = reference.grid.score if reference.grid.score.sum() else reference.outcomes[:, 0]
    if plan.value:
        return _shares(plan.value, before, now)

    def shares(counts: Ints) -> list[float]:
        both = counts[:SCORE_CELLS] + counts[SCORE_CELLS : 2 * SCORE_CELLS]
        return [float(one) for one in both.reshape(BINS, -1).sum(axis=1) / max(1, both.sum())]

    return {"names": [f"{k / BINS:.2f} to {(k + 1) / BINS:.2f}" for k in range(BINS)], "before": shares(before),
            "now": shares(now)}


def _performance(reference: Reference, tallies: Tallies, project: Project) -> Series:
    """The risk by day of prediction: from labels, with its 95 % interval, and as the scores alone would have it."""
    cohorts, rows = tallies.cohorts.whole, tallies.rows.whole
    days = np.unique(np.concatenate([cohorts.at // DAY, rows.at // DAY]))
    groups = _thin(len(days))
    known: dict[str, list[Any]] = {"x": [], "risk": [], "low": [], "high": [], "n": [], "expected": []}
    for group in groups:
        first, last = int(days[group[0]]) * DAY, int(days[group[-1]] + 1) * DAY
        n, loss, square = (int(one) for one in cohorts.between(first, last).total("labels")[:3])
        risk = loss / FIXED / n if n else None
        half = 1.96 * np.sqrt(max(square / FIXED / n - (loss / FIXED / n) ** 2, 1e-6) / n) if n else 0.0
        known["x"].append(first // 1_000)
        known["n"].append(n)
        for name, value in (("risk", risk), ("low", risk and max(0.0, risk - half)), ("high", risk and risk + half)):
            known[name].append(None if value is None or n < 30 else float(value))
        known["expected"].append(expected_risk(reference, rows.between(first, last).total("score")))
    limit = risk_limit(reference, project.watch.tolerance)
    return {**known, "reference": reference_risk(reference), "limit": _figure(limit)}


def expected_risk(reference: Reference, score: Ints) -> float | None:
    """The share of wrong decisions that the calibrated scores alone expect; None where they cannot say."""
    plan = reference.plan
    if plan.value or reference.facts.by_coin:
        return None
    no, yes, g = score[:SCORE_CELLS], score[SCORE_CELLS : 2 * SCORE_CELLS], reference.expected[:SCORE_CELLS]
    n = int(no.sum() + yes.sum())
    if n < 30:
        return None
    wrong = no @ g + yes @ (1 - g) if len(plan.classes) == 2 else (no + yes) @ (1 - g)
    return float(wrong / n)


def _bias(tallies: Tallies, reference: Reference) -> list[Series]:
    """By decile of the reference's score: what was expected, and what came true with its 95 % interval."""
    found = tallies.labels.whole.total("bias").reshape(DECILES, 4)
    unit, made = reference.facts.cap if reference.plan.value else 1.0, []
    for k, (n, expected, came, square) in enumerate(found.tolist()):
        if n < 30:
            continue
        mean, gap = came / FIXED / n, (came - expected) / FIXED / n
        half = 1.96 * float(np.sqrt(max(square / FIXED / n - gap**2, 1e-9) / n))
        made.append({"decile": k + 1, "n": n, "expected": unit * expected / FIXED / n, "came": unit * mean,
                     "low": unit * (mean - half), "high": unit * (mean + half)})
    return made


def _alarms(windows: tuple[Window, ...], levels: tuple[str, ...]) -> list[Series]:
    """The alarm statistic of every family and level as a share of its bar, by window."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for window in windows:
        for family, m in window.m.items():
            if window.full and np.isfinite(m):
                found.setdefault((family, window.level), []).append((window.end // 1_000, m / window.bar))
    made = []
    for (family, level), points in sorted(found.items(), key=lambda item: (item[0][0], levels.index(item[0][1]))):
        groups = _thin(len(points))
        highest = [max((points[k] for k in group), key=lambda point: point[1]) for group in groups]
        made.append({"family": family, "level": level, "x": [at for at, _ in highest],
                     "y": [share for _, share in highest], "last": points[-1][1],
                     "crossed": sum(share >= 1 for _, share in points), "windows": len(points)})
    return made


def _segments(tallies: Tallies) -> list[Series]:
    found = []
    for name in tallies.rows.segments[:SEGMENTS]:
        rows = int(tallies.rows.where(tallies.rows.segment == name).total("rows")[0])
        n, loss = tallies.labels.where(tallies.labels.segment == name).total("labels")[:2]
        found.append({"name": name, "rows": rows, "labels": int(n),
                      "risk": float(loss / FIXED / n) if n >= 30 else None})
    return found


def _meter(own: OwnMeter, watched: Watched, project: Project) -> Series:
    """A figure of the user's by window, with its 95 % interval."""
    assert watched.tallies is not None
    part, until = (watched.tallies.rows, watched.tallies.until) if own.of == "rows" else (
        watched.tallies.labels, watched.tallies.told)
    found = path(own, part.whole, project.watch.window, until)
    kept = slice(-POINTS, None)
    low, high = found.value - 2.13 * found.error, found.value + 2.13 * found.error  # Student's t, 15 degrees
    limits = next((one for one in project.meter if one.name == own.name), None)
    return {"name": own.name, "x": (found.at[kept] // 1_000).tolist(),
            **{key: [_figure(one) for one in values[kept]] for key, values in
               (("y", found.value), ("low", low), ("high", high))},
            "limits": [one for one in (limits.at_most, limits.at_least) if one is not None] if limits else [],
            "sentence": next((one.sentence for one in watched.figures if one.name == own.name), "")}


def _figure(value: Floats | float) -> float | None:
    return float(value) if np.isfinite(value) else None
