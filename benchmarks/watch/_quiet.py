"""A model's quiet year: hourly counts drawn from fixed shares, judged by the watch itself."""

from __future__ import annotations

import numpy as np

from shipworthy.core.clock import HOUR
from shipworthy.core.grid import FIXED, SCORE_CELLS, Facts, Reference, cells_of, count, plan
from shipworthy.core.project import Project, parse
from shipworthy.core.table import Ints, Table
from shipworthy.core.tallies import FULL, Sums, Tallies, no_sample, no_sums
from shipworthy.deployment.monitoring.fourier import FEATURES, ONE_IN, SCALE, WIDTH, before_of, fourier
from shipworthy.deployment.monitoring.meters import layout, meters
from shipworthy.deployment.monitoring.outliers import rate_limits

COLUMNS, ROWS, WINDOWS = 40, 1_000, 8_760
MONDAY = 1_704_067_200_000_000  # 1 January 2024, UTC
TEXT = """
[project]
name = "quiet"
purpose = "a year in which nothing changes"
owner = "owner@example.org"
[data]
target = "outcome"
[[source]]
address = "none.parquet"
owner = "owner@example.org"
[watch]
window = "hour"
"""


def project(more: str = "") -> Project:
    """A project that watches by the hour."""
    return parse(TEXT + more)


def rows(seed: int, n: int, columns: int = COLUMNS) -> Table:
    """Columns of six kinds in turn: normal, lognormal, zero-inflated, rounded, words by Zipf, a twentieth missing."""
    random = np.random.default_rng(seed)
    made: dict[str, object] = {}
    for k in range(columns):
        base = random.normal(size=n)
        made[f"x{k}"] = (base, np.exp(base), np.where(random.random(n) < 0.6, 0.0, np.exp(base)), np.round(base, 1),
                         np.char.add("v", np.minimum(random.zipf(1.5, n), 100).astype(str)),
                         np.where(random.random(n) < 0.05, np.nan, base))[k % 6]
    return Table.of(made)


def reference(edges: Table, sample: Table, *, strange: Ints | None = None) -> Reference:
    """The reference of a model without scores, its columns of equal weight."""
    found = plan(edges, edges.schema, classes=("no", "yes"))
    each, cells = len(found.columns), cells_of(sample, found)
    kept = np.stack([*cells.values(), *(np.zeros(sample.rows, np.int64),) * 2], axis=1)
    return Reference(Facts(found, (1 / each,) * each, sample.rows, 0, planned_rows=edges.rows), count(edges, found),
                     count(sample, found), np.zeros((found.score_cells, 2), np.int64),
                     np.full(SCORE_CELLS, FIXED // 2), np.zeros(0, np.int64) if strange is None else strange, kept,
                     np.zeros(sample.rows, np.int64))


def year(seed: int, *, windows: int = WINDOWS, size: int = ROWS) -> tuple[Reference, Tallies]:
    """A reference of 20,000 rows and a year of hourly counts over it, both drawn from the same world.

    Counts of a column are multinomial over the shares of its cells among 200,000 other rows; Fourier sums are means
    with the Gaussian error that so many rows have; strange rows are as frequent as they should be. What else is
    counted of rows pages nobody, and is 0.
    """
    random = np.random.default_rng([seed, 9])
    strange = np.sort(random.integers(0, 40 * FIXED, 20_000))
    found = reference(rows(10 * seed, 20_000), rows(10 * seed + 1, 20_000), strange=strange)
    world = rows(10 * seed + 2, 200_000)
    made, cells = layout(meters(found).rows), cells_of(world, found.plan)
    drawn = {"rows": np.column_stack([np.full(windows, size), np.zeros(windows, np.int64)])}
    for column in found.plan.columns:
        share = np.bincount(cells[column.name], minlength=column.size) / world.rows
        drawn[f"column {column.name}"] = random.multinomial(size, share, windows)
    drawn["score"] = random.multinomial(size, np.full(found.plan.score_cells, 1 / found.plan.score_cells), windows)
    limits = rate_limits(len(strange))
    drawn["strange"] = np.column_stack([random.binomial(size, at, windows) for at, _ in limits])
    z = fourier(found).features(np.stack([code[:20_000] for code in cells.values()], axis=1))
    drawn["fourier"] = _fourier(z, windows, size // ONE_IN, random)
    at = MONDAY + np.arange(windows) * HOUR
    words = np.full(windows, "", np.str_)
    sums = Sums(made, at, np.full(windows, HOUR), words, words,
                np.concatenate([drawn.get(name, np.zeros((windows, wide), np.int64)) for name, wide in made], axis=1))
    labels = no_sums(layout(meters(found).labels)), no_sums(layout(meters(found).cohorts))
    return found, Tallies(found.plan.digest, sums, *labels, no_sample(len(found.plan.columns)),
                          int(at[-1]) + 2 * HOUR, -FULL)


def _fourier(z: Ints, windows: int, size: int, random: np.random.Generator) -> Ints:
    found = before_of(z)
    covariance = np.cov(z[:5_000] / SCALE, rowvar=False)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(FEATURES))
    mean = found.mean + random.normal(size=(windows, FEATURES)) @ root.T / np.sqrt(size)
    out = np.zeros((windows, WIDTH), np.int64)
    out[:, 0] = size
    out[:, 1:] = np.rint(mean * size * SCALE)
    return out
