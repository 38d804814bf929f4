"""Has a column changed enough to matter, and is it broken outright?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import BELOW, FAR_BELOW, NULL, UNSEEN, Cells, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.monitoring.distance import apart
from shipworthy.deployment.monitoring.joined import FEWEST_ROWS
from shipworthy.marks import check
from shipworthy.metrics.drift import RARE, pool_cells
from shipworthy.metrics.intervals import benjamini_hochberg

FAR_LIMIT = 0.005
FLOOD = 0.2
SMALLEST = 1e-300
SURE = 0.999
SURELY_BROKEN = 1e-6
SCALE = "the shares of values (Cohen's w)"


@dataclass(frozen=True)
class ColumnTests:
    """What every window says of every column. p: (w, columns) changed more than the effect; NaN is unknown.

    broken: (w, columns) p-value of a flood of missing or unseen values, or of values that training never had.
    effect: (w, columns) Cohen's w, how far the shares of values moved.
    """

    p: Floats
    broken: Floats
    effect: Floats

    def log_e(self, p: Floats) -> Floats:
        """Log e-values ½·p^(−½). Source: Vovk and Wang (2021)."""
        return np.asarray(np.log(0.5) - 0.5 * np.log(np.maximum(p, SMALLEST)))


def judge_windows(
    reference: Reference, windows: Mapping[str, Ints], *, effect: float = 0.1, own: Mapping[str, float] | None = None
) -> ColumnTests:
    """Every column of every window against the reference, each window alone. windows: column → (w, cells) counts.

    effect: w₀ that is tolerated. own: column → another w₀.
    Source: Pearson (1911); Cohen (1988) for w; Bonferroni for the two parts.
    """
    return _judge(reference, windows, (effect, own or {}), _one_look)


def judge_stream(
    reference: Reference, windows: Mapping[str, Ints], *, effect: float = 0.1, own: Mapping[str, float] | None = None,
    usual: Floats | None = None,
) -> ColumnTests:
    """Every column of every window against the reference, for p-values that are multiplied over time.

    usual: (w, columns) effect that is usual for the season of a window, tolerated beside the other.

    One reference sample meets every window, so its own error counts as tolerated change: else a small reference
    that happens to lie a little off would page sooner or later although nothing changed.
    """
    return _judge(reference, windows, (effect, own or {}), _many_looks, usual)


Look = Callable[[Floats, int, float, Floats, Floats], Floats]


def _judge(
    reference: Reference, windows: Mapping[str, Ints], effects: tuple[float, Mapping[str, float]], look: Look,
    usual: Floats | None = None,
) -> ColumnTests:
    effect, own = effects
    parts = []
    for place, cells in enumerate(reference.plan.columns):
        now = np.atleast_2d(windows[cells.name])
        borne = own.get(cells.name, effect) + (np.zeros(len(now)) if usual is None else usual[:, place])
        parts.append(_column(cells, reference.planned.columns[cells.name], reference.grid.columns[cells.name], now,
                             (borne, look)))
    return ColumnTests(*(np.stack([part[k] for part in parts], axis=1) for k in range(3)))


def _one_look(x2: Floats, df: int, n: float, m: Floats, effect: Floats) -> Floats:
    from scipy.stats import ncx2

    rows = n * m / np.maximum(n + m, 1)
    return np.asarray(ncx2.sf(x2, df, np.maximum(rows * effect**2, 1e-12)))


def _many_looks(x2: Floats, df: int, n: float, m: Floats, effect: Floats) -> Floats:
    """Given the reference: X² is n / (n + m) times a noncentral χ² whose shift holds the reference's own error."""
    from scipy.stats import chi2, ncx2

    own = np.sqrt(chi2.ppf(SURE, df) / n)
    return np.asarray(ncx2.sf(x2 * (n + m) / n, df, np.maximum(m * (effect + own) ** 2, 1e-12)))


def _column(
    cells: Cells, planned: Ints, before: Ints, now: Ints, test: tuple[Floats, Look]
) -> tuple[Floats, Floats, Floats]:
    size, n = now.sum(axis=1), int(before.sum())
    p, w = np.full(len(now), np.nan), np.full(len(now), np.nan)
    level = np.floor(np.log2(np.maximum(size, 1)))
    for power in np.unique(level[size >= FEWEST_ROWS]) if n >= FEWEST_ROWS else ():
        chosen = np.flatnonzero((level == power) & (size >= FEWEST_ROWS))
        rows = min(n, int(2**power))
        pooled = _places(cells, planned, rows, n)
        p[chosen], w[chosen] = _pooled(before, now[chosen], pooled, (test[0][chosen], test[1]))
    return p, _broken(cells, before, now), w


def _places(cells: Cells, planned: Ints, rows: int, n: int) -> Ints:
    """The pooled cell of every cell: each of about equally many rows, but a category keeps its rare words if it can."""
    apart = pool_cells(planned, rows, special=cells.special)
    if cells.kind == "category" and apart.max(initial=RARE) < most_cells(n):
        return apart
    return pool_cells(planned, rows, special=cells.special, least=max(5.0, rows / most_cells(n)))


def most_cells(n: int) -> float:
    """How many pooled cells a reference of n rows can tell apart, n^0.4 but at least 8."""
    return float(max(8.0, n**0.4))


def _pooled(before: Ints, now: Ints, pooled: Ints, test: tuple[Floats, Look]) -> tuple[Floats, Floats]:
    size = int(pooled.max(initial=RARE)) + 2
    a = np.bincount(pooled + 1, weights=before, minlength=size)
    b = np.zeros((len(now), size))
    np.add.at(b.T, pooled + 1, now.T)
    rare = a == 0
    rare[0] = True
    m = b.sum(axis=1)
    p_rare = _tail(b[:, rare].sum(axis=1), m, _at_most(a[rare].sum(), a.sum()) + 0.001)
    a, b = a[~rare], b[:, ~rare]
    left, right = a.sum(), b.sum(axis=1)
    df, rows = len(a) - 1, left * right / np.maximum(left + right, 1)
    if df < 1:
        return np.where(p_rare < 1e-6, 2 * p_rare, np.nan), np.full(len(now), np.nan)
    ratio = np.sqrt(np.maximum(right, 1) / left)[:, None]
    x2 = ((a * ratio - b / ratio) ** 2 / (a + b)).sum(axis=1)
    p_cells = np.where(right > 0, test[1](x2, df, float(left), right, test[0]), 1.0)
    w = np.sqrt(np.maximum(0.0, (x2 - df) / np.maximum(rows, 1)))
    return np.minimum(1.0, 2 * np.minimum(p_cells, p_rare)), w


def _broken(cells: Cells, before: Ints, now: Ints) -> Floats:
    """p-value of the worst flood of what training did not have.

    Far values 0.5 points above the reference; missing or unseen values, or such outside the training range, 20 points.
    """
    n, m = int(before.sum()), now.sum(axis=1)
    if cells.kind == "number":
        outside = np.array([FAR_BELOW, BELOW, cells.size - 6, cells.size - 5])
        floods = [(np.arange(-4, 0), FLOOD), (outside, FLOOD), (outside[[0, -1]], FAR_LIMIT)]
    else:
        floods = [(np.array([NULL]), FLOOD), (np.array([UNSEEN]), FLOOD)]
    found = [_tail(now[:, where].sum(axis=1), m, _at_most(float(before[where].sum()), n) + limit)
             for where, limit in floods]
    return np.asarray(np.minimum(1.0, len(found) * np.minimum.reduce(found)))


def _at_most(hits: float, n: float) -> float:
    """What a share may be, surely, given its count in the reference. Source: Clopper and Pearson (1934)."""
    from scipy.special import betaincinv

    return float(betaincinv(hits + 1, n - hits, SURE)) if hits < n else 1.0


def _tail(hits: Floats, m: Floats, share: float) -> Floats:
    from scipy.special import betainc

    return np.asarray(np.where(hits > 0, betainc(np.maximum(hits, 1), m - hits + 1, min(share, 1.0)), 1.0))


def changed(tests: ColumnTests, window: int = 0) -> Ints:
    """The columns that changed in a window, the surest first, 5 % of those named at most by chance.

    Source: Benjamini and Hochberg (1995).
    """
    worst = np.fmin(tests.p[window], tests.broken[window])
    bad = np.flatnonzero(benjamini_hochberg(np.minimum(1.0, 2 * worst)))
    return np.asarray(bad[np.argsort(worst[bad], kind="stable")])


@check("column-drift", row="deployment.monitoring")
def column_drift(project: Project, grid: Reference, tallies: Tallies, *, effect: float = 0.1) -> Finding:
    """Which columns of the traffic differ from the reference by more than the effect that matters, and how far.

    effect: in Cohen's w over cells of about equally many reference rows: it sees which values are rarer or more
    frequent, however far apart they lie; for a bell curve it is about the shift of the mean in standard deviations.
    A column with an effect of its own in [watch] effects is held to that.
    """
    plan, rows, own = grid.plan, tallies.rows.whole, project.watch.effects
    n = int(rows.total("rows")[0])
    counts = {c.name: rows.total(f"column {c.name}")[None] for c in plan.columns}
    tests = judge_windows(grid, counts, effect=effect, own=own)
    worst = np.fmin(tests.p[0], tests.broken[0])
    if n < FEWEST_ROWS or np.isnan(worst).all():
        return say("unknown", f"{n} rows of traffic are too few to compare with {grid.facts.rows:,}.", n=n)
    bad = changed(tests)
    names, shift = [plan.names[b] for b in bad], np.nan_to_num(tests.effect[0])
    moved = {c.name: apart(c, grid.grid.columns[c.name], counts[c.name][0]) for c in plan.columns}
    facts = {"limit": effect, "n": n, "chart": {
        "kind": "bars", "name": [f"{name} ({moved[name]})" for name in plan.names], "value": [float(x) for x in shift],
        "limit": effect, "title": SCALE}}
    against = f"{n:,} rows of traffic against {grid.facts.rows:,} of the reference"
    but = f", {', '.join(own)} by an effect of their own," if own else ","
    if not names:
        return say("pass", f"No column of {len(plan.names)} differs by more than {effect:g} in {SCALE}{but} "
                           f"beyond chance ({against}).", value=float(shift.max()), **facts)
    gone = f" {tallies.vanished[0]} has vanished." if tallies.vanished else ""
    broken = [plan.names[b] for b in np.flatnonzero(tests.broken[0] < SURELY_BROKEN)]
    flood = f" Broken input: {', '.join(broken[:3])}." if broken else ""
    first = ", ".join(f"{name} ({moved[name]})" for name in names[:3])
    return say("fail", f"{len(names)} of {len(plan.names)} columns differ by more than {effect:g} in {SCALE}{but} "
                       f"first {first}; {against}.{flood}{gone}", value=float(shift[bad].max()), **facts,
               remedy="look at harm: drift without harm is only logged",
               counterexample={"columns": names, "apart": {name: moved[name] for name in names}})
