"""Fire drills before there is traffic: quiet years must stay quiet, and planted faults must page in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from shipworthy.core.grid import FIXED, Cells, Reference, cells_of, score_cells
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.monitoring import alarm as alarms_
from shipworthy.deployment.monitoring.eprocess import crossings
from shipworthy.deployment.monitoring.forest import depth
from shipworthy.deployment.monitoring.fourier import ONE_IN, before_of, fourier, joint_e
from shipworthy.deployment.monitoring.harm import harm_growth, risk_limit
from shipworthy.deployment.monitoring.joined import PER_YEAR
from shipworthy.deployment.monitoring.look import FAMILIES
from shipworthy.deployment.monitoring.meters import loss_cells
from shipworthy.deployment.monitoring.outliers import Limits, limits_of, strange_hits, strange_m
from shipworthy.deployment.monitoring.reference import judged_rows, strangeness
from shipworthy.deployment.monitoring.watch import column_evidence, column_tests

WINDOW_ROWS = 300
QUIET_DAYS = 365


@dataclass(frozen=True)
class Rows:
    """Rows as the monitor sees them. cells: column → (n,). where: score cell; loss: in [0, 1].

    strange, isolated: outlier scores, by columns and by the forest. joint: (n, D) random Fourier features.
    """

    cells: dict[str, Ints]
    where: Ints
    loss: Floats
    strange: Ints
    isolated: Ints
    joint: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.loss)

    def counts(self, drawn: Ints, grid: Reference) -> dict[str, Ints]:
        """Counts per column of drawn windows, (w, cells) each. drawn: (w, rows) positions."""
        return {c.name: _counted(self.cells[c.name][drawn], c) for c in grid.plan.columns}


def seen(model: Model, grid: Reference, table: Table) -> Rows:
    """A labelled table as the monitor would see it once served."""
    score, decision, _, loss, _ = judged_rows(model, table, cap=grid.facts.cap, by_coin=grid.facts.by_coin)
    cells = cells_of(table, grid.plan)
    strange = np.rint(strangeness(grid.plan, grid.planned, cells) * FIXED).astype(np.int64)
    return Rows(cells, score_cells(grid.plan, score, decision), loss, strange,
                depth(grid.forest, grid.plan, grid.planned, cells),
                fourier(grid).features(np.stack(list(cells.values()), axis=1)))


def quiet_pages(project: Project, grid: Reference, rows: Rows, *, years: int = 4, seed: int = 0) -> int:
    """Pages in simulated years in which nothing changes: reference and windows are drawn from the same rows."""
    random, pages = np.random.default_rng(seed), 0
    for _ in range(years):
        again = _redrawn(grid, rows, random.integers(0, len(rows), max(len(rows), 30)))
        drawn = random.integers(0, len(rows), (QUIET_DAYS, WINDOW_ROWS))
        pages += len(_alarms(project, again, rows, drawn))
    return pages


def first_page(
    project: Project, grid: Reference, rows: Rows, windows: int, *, families: tuple[str, ...] = ("broken", "harm")
) -> tuple[int | None, str]:
    """The first of so many windows in which the rows, in order, page by one of the families, counted from 1."""
    drawn = np.arange(windows * (len(rows) // windows)).reshape(windows, -1)
    found = [(at, family) for at, family, level in _alarms(project, grid, rows, drawn) if level == "day"
             and family in families]
    return (found[0][0] + 1, found[0][1]) if found else (None, "")


def first_alarm(
    project: Project, model: Model, grid: Reference, table: Table, *, delay: int = 0, accepted: bool = False
) -> int | None:
    """How many rows of a labelled stream are served until somebody is called; None if the stream ends before.

    delay: rows served until a label is known. accepted: labels come only for rows of another class than the first.
    """
    view, most = seen(model, grid, table), len(table)
    windows = most // WINDOW_ROWS
    if not windows:
        return None
    drawn = np.arange(windows * WINDOW_ROWS).reshape(windows, -1)
    found = [WINDOW_ROWS * (at + 1) for at, family, _ in _alarms(project, grid, view, drawn) if family != "harm"]
    labelled = np.arange(most)
    if accepted and model.classes:
        labelled = labelled[model.decide(model.score(table)) > 0]
    buckets = len(labelled) // WINDOW_ROWS
    for at in _harms(project, grid, view, labelled[: buckets * WINDOW_ROWS].reshape(buckets, -1)) if buckets else []:
        found.append(int(labelled[WINDOW_ROWS * (at + 1) - 1]) + 1 + delay)
    first = min(found, default=most + 1)
    return first if first <= most else None


def first_harm(project: Project, grid: Reference, rows: Rows, windows: int) -> int | None:
    """The first of so many windows in which the rows, in order, page for harm, counted from 1; None if none does."""
    return next((at + 1 for at in _harms(project, grid, rows, np.arange(len(rows)).reshape(windows, -1))), None)


def _alarms(project: Project, grid: Reference, rows: Rows, drawn: Ints) -> list[tuple[int, str, str]]:
    """Alarms (window, family, level) of daily windows, and of their weekly sums."""
    daily = rows.counts(drawn, grid)
    weeks = len(drawn) // 7
    weekly = {name: counts[: weeks * 7].reshape(weeks, 7, counts.shape[1]).sum(axis=1)
              for name, counts in daily.items()}
    limits, hit = limits_of(grid), strange_hits(grid, rows)
    hits = hit[drawn].sum(axis=1)
    found: list[tuple[int, str, str]] = []
    before = before_of(fourier(grid).features(grid.sample[:, :-2]))
    for level, counts, stride in (("day", daily, 1), ("week", weekly, 7)):
        bar = alarms_.threshold(per_year=PER_YEAR[level], families=len(FAMILIES), levels=2,
                                pages_per_year=project.watch.pages_per_year)
        if not len(counts[grid.plan.names[0]]):
            continue
        e = column_evidence(grid, column_tests(grid, counts, project))
        joint = joint_e(before, _features(rows, drawn, stride), project.watch.effect)
        for family, path in (("broken", e.broken), ("drift", e.drift), ("joint", joint[np.isfinite(joint)])):
            found += [(stride * (at + 1) - 1, family, level) for at in _crossings(path, bar)]
        if level == "day":
            found += _sums(limits, hits, drawn.shape[1], bar)
    return sorted([*found, *((at, "harm", "day") for at in _harms(project, grid, rows, drawn))])


def _harms(project: Project, grid: Reference, rows: Rows, drawn: Ints) -> list[int]:
    bar = alarms_.threshold(per_year=PER_YEAR["day"], families=len(FAMILIES),
                            pages_per_year=project.watch.pages_per_year)
    limit = risk_limit(grid, project.watch.tolerance)
    return crossings(harm_growth(np.array([loss_cells(loss) for loss in rows.loss[drawn]]), limit), bar)


def _features(rows: Rows, drawn: Ints, days: int) -> Ints:
    """The sums of the features of one row in four, of so many drawn windows together."""
    windows = len(drawn) // days
    some = drawn[: windows * days, ::ONE_IN].reshape(windows, -1)
    return np.stack([np.r_[len(one), rows.joint[one].sum(axis=0, dtype=np.int64)] for one in some])


def _crossings(path: Floats, bar: float) -> list[int]:
    m, found = 0.0, []
    for at, e in enumerate(path):
        m = alarms_.step(m, float(e))
        if m >= bar:
            found.append(at)
            m = 0.0
    return found


def _sums(limits: Limits, hits: Ints, rows: int, bar: float) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    state: tuple[tuple[int, ...], ...] = ()
    for at in range(len(hits) if limits else 0):
        state, m = strange_m(state, hits[at], rows, limits)
        if m >= bar:
            found.append((at, "outliers", "day"))
            state = ()
    return found


def _redrawn(grid: Reference, rows: Rows, drawn: Ints) -> Reference:
    """The reference as it would be had these rows been its sample."""
    counts = {name: found[0] for name, found in rows.counts(drawn[None], grid).items()}
    size = grid.plan.score_cells
    loss = np.bincount(rows.where[drawn], weights=rows.loss[drawn], minlength=size)
    outcomes = np.stack([np.bincount(rows.where[drawn], minlength=size), np.rint(loss * FIXED)], axis=1)
    wrong = int(rows.loss[drawn].sum()) if grid.plan.classes else 0
    facts = msgspec.structs.replace(grid.facts, rows=len(drawn), wrong=wrong)
    return replace(grid, facts=facts, grid=replace(grid.grid, columns=counts, rows=len(drawn)),
                   outcomes=outcomes.astype(np.int64), strange=np.sort(rows.strange[drawn]),
                   isolated=np.sort(rows.isolated[drawn]), sample=_sample(rows, drawn))


def _sample(rows: Rows, drawn: Ints) -> Ints:
    cells = [codes[drawn] for codes in rows.cells.values()]
    return np.stack([*cells, rows.where[drawn], np.rint(rows.loss[drawn] * FIXED).astype(np.int64)], axis=1)


def _counted(codes: Ints, cells: Cells) -> Ints:
    offset = np.arange(len(codes))[:, None] * cells.size
    return np.bincount((codes + offset).ravel(), minlength=len(codes) * cells.size).reshape(len(codes), cells.size)
