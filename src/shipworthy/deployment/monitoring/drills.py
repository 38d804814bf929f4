"""The checks of the fire drills: alarms, strange rows, and drift told from harmless change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.grid import FIXED, Reference
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.monitoring.drill import WINDOW_ROWS, Rows, first_harm, first_page, quiet_pages, seen
from shipworthy.deployment.monitoring.outliers import FEWEST_CALIBRATION, outlier_p
from shipworthy.marks import check
from shipworthy.metrics.intervals import benjamini_hochberg, clopper_pearson

MOST_ROWS = 5_000
FALSE_DISCOVERY = 0.05
FLAGGED_AT = FALSE_DISCOVERY / 2


@check("alarm-drill", row="deployment.monitoring")
def alarm_drill(
    project: Project, model: Model, grid: Reference, parts: Parts, *, years: int = 4, within: int = 7
) -> Finding:
    """Pages in quiet simulated years, and windows until a flood, a wrong unit and swapped labels page."""
    rows = parts.holdout.spread(MOST_ROWS)
    if rows.rows < FEWEST_CALIBRATION:
        return say("unknown", f"{rows.rows} holdout rows are too few to rehearse alarms.", n=rows.rows)
    known = seen(model, grid, rows)
    pages = quiet_pages(project, grid, known, years=years)
    low, high = _poisson(pages, years)
    limit = project.watch.pages_per_year
    traffic = _traffic(rows, within * 2)
    told: list[str] = []
    missed: list[str] = []
    for name, faulty, flip in _faults(model, grid, traffic):
        view = seen(model, grid, faulty)
        view = replace(view, loss=1.0 - view.loss) if flip else view
        at, family = first_page(project, grid, view, within * 2)
        (told if at is not None and at <= within else missed).append(f"{name} {at and f'in window {at} ({family})'}")
    quiet = f"{pages} pages in {years} quiet years (95 % interval {low:.2f} to {high:.2f} a year, at most {limit:g})"
    facts = {"value": pages / years, "low": low, "high": high, "limit": limit, "n": years * 365}
    clean, why = first_page(project, grid, seen(model, grid, traffic), within * 2)
    if clean is not None:
        return say("fail", f"Clean holdout rows page by themselves in window {clean} of {WINDOW_ROWS} rows ({why}): "
                           f"the reference does not describe them; {quiet}.", **facts,
                   remedy="make the reference anew from rows like the holdout: shipworthy run")
    if missed:
        names = ", ".join(name.replace(" None", " never") for name in missed)
        return say("fail", f"Not paged within {within} windows of {WINDOW_ROWS} rows: {names}; {quiet}.", **facts,
                   remedy="make the reference anew from rows with real values: shipworthy run")
    verdict: Verdict = "pass" if high <= limit else "fail" if low > limit else "unknown"
    return say(verdict, f"Paged: {', '.join(told)}; {quiet}.", **facts,
               remedy="" if verdict == "pass" else "give the reference more rows, or raise [watch] pages_per_year")


@check("outlier-drill", row="deployment.outliers")
def outlier_drill(
    project: Project, model: Model, grid: Reference, parts: Parts, *, within: int = 14, batches: int = 1_000
) -> Finding:
    """Share of flagged clean batches, and windows until 2 % far rows page."""
    rows = parts.holdout.spread(MOST_ROWS)
    n = rows.rows
    if n < 2 * FEWEST_CALIBRATION or len(grid.strange) < FEWEST_CALIBRATION:
        return say("unknown", f"{n} holdout rows are too few to rehearse strange rows.", n=n)
    wrong = _false_batches(seen(model, grid, rows).strange, batches)
    low, high = clopper_pearson(wrong, batches)
    traffic = _traffic(rows, within)
    hit = np.random.default_rng(2).random(traffic.rows) < 0.02
    at, _ = first_page(project, grid, seen(model, grid, _far(traffic, grid, hit)), within, families=("outliers",))
    facts = {"value": wrong / batches, "low": low, "high": high, "limit": FALSE_DISCOVERY, "n": batches}
    clean = (f"{wrong / batches:.1%} of {batches:,} clean batches had a row flagged (95 % interval {low:.1%} to "
             f"{high:.1%}, at most {FALSE_DISCOVERY:.0%})")
    if at is None:
        return say("fail", f"2 % far rows did not page within {within} windows of {WINDOW_ROWS} rows; {clean}.",
                   **facts, remedy="make the reference anew from clean rows: shipworthy run")
    verdict: Verdict = "pass" if high <= FALSE_DISCOVERY else "fail" if low > FALSE_DISCOVERY else "unknown"
    return say(verdict, f"2 % far rows paged in window {at} of {WINDOW_ROWS} rows; {clean}.", **facts)


@check("drift-drill", row="deployment.concept-drift")
def drift_drill(project: Project, model: Model, grid: Reference, parts: Parts, *, within: int = 14) -> Finding:
    """Windows until an abrupt and a gradual change of the relation page, and pages under a harmless shift."""
    rows = parts.holdout.spread(MOST_ROWS)
    if rows.rows < FEWEST_CALIBRATION:
        return say("unknown", f"{rows.rows} holdout rows are too few to rehearse drift.", n=rows.rows)
    steady = seen(model, grid, rows)
    random = np.random.default_rng(3)
    windows = 3 * within
    drawn = random.integers(0, len(steady), windows * WINDOW_ROWS)
    place = np.arange(len(drawn))
    shares = (np.full(len(drawn), 0.6), np.minimum(1.0, 2 * place / len(drawn)) * 0.6,
              np.where((place // (7 * WINDOW_ROWS)) % 2 == 0, 0.6, 0.0))
    harmless_rows = _picked(steady, _tilted(steady, grid, windows))
    views = [*(_turned(steady, grid, drawn, share) for share in shares), harmless_rows]
    abrupt, gradual, again, harmless = (first_harm(project, grid, view, windows) for view in views)
    n = len(drawn)
    late = [name for name, at, edge in (("abrupt", abrupt, within), ("gradual", gradual, windows),
                                        ("recurring", again, within)) if at is None or at > edge]
    if late:
        return say("fail", f"Drift was not found in time ({', '.join(late)}; {windows} windows of {WINDOW_ROWS} "
                           "labels).", n=n, limit=float(within),
                   remedy="give the reference more labelled rows, or lower [watch] tolerance")
    found = f"abrupt drift in window {abrupt}, gradual in {gradual}, recurring in {again}"
    if harmless is not None:
        return say("fail", f"A harmless shift of the rows paged as harm in window {harmless}; {found}.", n=n,
                   remedy="make the reference anew: its risk is not that of the holdout")
    return say("pass", f"Found {found}; a harmless shift of the rows stayed quiet for {windows} windows of "
                       f"{WINDOW_ROWS} labels.", n=n, value=float(abrupt or 0), limit=float(within))


def _poisson(events: int, years: int) -> tuple[float, float]:
    """Exact 95 % interval of a yearly rate. Source: Garwood (1936)."""
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * events)) / 2 / years if events else 0.0
    return low, float(chi2.ppf(0.975, 2 * events + 2)) / 2 / years


def _traffic(rows: Table, windows: int) -> Table:
    drawn = np.random.default_rng(1).integers(0, rows.rows, windows * WINDOW_ROWS)
    return rows.take(drawn)


def _faults(model: Model, grid: Reference, traffic: Table) -> list[tuple[str, Table, bool]]:
    order = np.argsort(-np.array(grid.facts.weights), kind="stable")
    names = [grid.plan.names[k] for k in order]
    numeric = [name for name in names if traffic.schema[name].kind == "number" and _spread(traffic, name)]
    gone = np.random.default_rng(4).random(traffic.rows) < 0.6
    first = names[0]
    blank = pa.array(traffic.column(first).to_pylist(), traffic.column(first).type, mask=gone)
    found = [(f"60 % of {first} missing", traffic.with_column(first, blank), False)]
    if numeric:
        found.append((f"{numeric[0]} × 100", traffic.with_column(numeric[0], 100 * traffic.numbers(numeric[0])), False))
    return [*found, ("swapped labels", traffic, True)]


def _spread(table: Table, name: str) -> bool:
    values = table.numbers(name)
    return bool(np.nanstd(values) > 0) and bool((values != 0).mean() > 0.05)


def _far(traffic: Table, grid: Reference, hit: np.ndarray) -> Table:
    """The rows with every number far outside, where hit; without a number, every category a value never seen."""
    numeric = any(cells.kind == "number" for cells in grid.plan.columns)
    for cells in grid.plan.columns:
        if cells.kind == "number":
            far = cells.edges[-1] + (cells.edges[-1] - cells.edges[0])
            traffic = traffic.with_column(cells.name, np.where(hit, far, traffic.numbers(cells.name)))
        elif not numeric and traffic.schema[cells.name].kind != "boolean":
            words = traffic.words(cells.name)
            words[hit] = "never seen"
            traffic = traffic.with_column(cells.name, pa.array(words, pa.string()))
    return traffic


def _false_batches(strange: Ints, batches: int, size: int = 200) -> int:
    """Clean batches with a flagged row, calibration and batch drawn anew from the same rows every time."""
    random, wrong = np.random.default_rng(5), 0
    size = min(size, len(strange) // 3)
    for _ in range(batches):
        mixed = random.permutation(strange)
        wrong += bool(benjamini_hochberg(outlier_p(mixed[:size], np.sort(mixed[size:])), q=FLAGGED_AT).any())
    return wrong


def _picked(rows: Rows, drawn: Ints) -> Rows:
    return Rows({name: codes[drawn] for name, codes in rows.cells.items()}, rows.where[drawn], rows.loss[drawn],
                rows.strange[drawn], rows.isolated[drawn], rows.joint[drawn])


def _turned(rows: Rows, grid: Reference, drawn: Ints, share: Floats) -> Rows:
    """Rows whose truth is turned round where the most important column is above its median, for a share of them."""
    lead = grid.plan.names[int(np.argmax(grid.facts.weights))]
    picked = _picked(rows, drawn)
    codes = picked.cells[lead]
    turned = (codes >= np.median(codes)) & (np.random.default_rng(6).random(len(drawn)) < share)
    return replace(picked, loss=np.where(turned, 1.0 - picked.loss, picked.loss))


def _tilted(rows: Rows, grid: Reference, windows: int) -> Ints:
    """Positions drawn towards high values of the least important column, with the reference's share of errors."""
    random, last = np.random.default_rng(7), grid.plan.names[int(np.argmin(grid.facts.weights))]
    rank = np.argsort(np.argsort(rows.cells[last], kind="stable")) / len(rows)
    risk = grid.facts.wrong / max(1, grid.facts.rows) if grid.plan.classes else float(
        grid.outcomes[:, 1].sum() / FIXED / max(1, grid.outcomes[:, 0].sum()))
    weight = np.exp(2 * rank)
    high = rows.loss > 0.5 if grid.plan.classes else rows.loss > np.median(rows.loss)
    most = rows.loss[high].mean() if high.any() else 1.0
    least = rows.loss[~high].mean() if (~high).any() else 0.0
    part = np.clip((risk - least) / max(most - least, 1e-9), 0.0, 1.0)
    total = np.where(high, weight[high].sum(), weight[~high].sum())
    p = np.where(high, part, 1 - part) * weight / np.maximum(total, 1e-9)
    return random.choice(len(rows), windows * WINDOW_ROWS, p=p / p.sum())
