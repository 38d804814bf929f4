"""Is the program the library's model? Both are asked on the rows where they could differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.program import Program
from shipworthy.core.table import Floats
from shipworthy.marks import check

ROWS = 10_000
MOST_EDGES = 100_000
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e300)


@check("program-equals-library", row="deployment.reuse")
def program_equals_library(
    model: Model, library: Callable[[Floats], Floats], parts: Parts, *, limit: float = 1e-9
) -> Finding:
    """Whether the released program and the library model give the same margin, within a relative difference.

    Asked on every threshold, both of its float neighbours, missing, infinite and tiny numbers, unseen codes, and up
    to 10,000 rows of learn, tune and holdout.
    """
    rows = np.concatenate([model.inputs(part) for part in (parts.learn, parts.tune, parts.holdout) if part.rows])
    hard = hostile(model.program, rows)
    ours, theirs = model.program.margin(hard), library(hard)
    off = apart(ours, theirs)
    worst = int(off.argmax())
    value = float(off[worst])
    if value <= limit:
        return say("pass", f"The program equals the library model within {value:.1e} on {len(hard):,} rows, among them "
                   "every threshold and its neighbours.", value=value, limit=limit, n=len(hard))
    row = {one.name: None if np.isnan(x) else float(x)
           for one, x in zip(model.program.inputs, hard[worst], strict=True)}
    return say("fail", f"The program is not the library model: margins differ by {value:.2g} (relative) on "
               f"{int((off > limit).sum()):,} of {len(hard):,} rows; at most {limit:.0e} is allowed.", value=value,
               limit=limit, n=len(hard), remedy="train and lower the model again: shipworthy run",
               counterexample={"inputs": {k: v if v is None or np.isfinite(v) else str(v) for k, v in row.items()},
                               "program": ours[worst].tolist(), "library": np.atleast_1d(theirs[worst]).tolist()})


def hostile(program: Program, rows: Floats, *, seed: int = 0) -> Floats:
    """Rows on which two copies of a program would differ if anywhere, (m, d).

    rows: (n, d) real inputs, of which 10,000 are kept and the rest drawn from for the other inputs. Beyond 100,000
    threshold rows a sample drawn by the seed is taken.
    """
    random = np.random.default_rng(seed)
    usual = rows[random.permutation(len(rows))[:ROWS]]
    found = [usual]
    edges = [_edges(program, place) for place in range(len(program.inputs))]
    share = min(1.0, MOST_EDGES / max(1, sum(map(len, edges))))
    for place, values in enumerate(edges):
        if share < 1:
            values = random.choice(values, max(16, int(share * len(values))))
        block = usual[random.integers(len(usual), size=len(values))].copy()
        block[:, place] = values
        found.append(block)
    return np.concatenate(found)


def _edges(program: Program, place: int) -> Floats:
    kind = program.inputs[place]
    if kind.categorical:
        beyond = [kind.levels, kind.levels + 40, -1, np.nan]
        return np.concatenate([np.arange(kind.levels), beyond]).astype(np.float64)
    cuts = np.unique(np.concatenate([np.asarray(term.thresholds.get(place, ()), np.float64) for term in program.terms]))
    return np.concatenate([cuts, np.nextafter(cuts, -np.inf), np.nextafter(cuts, np.inf), SPECIAL])


def apart(a: Floats, b: Floats) -> Floats:
    """Largest difference of every row, relative to 1 + |b|, (n,); 0 where both are the same infinity or NaN."""
    b = np.reshape(np.asarray(b, np.float64), a.shape)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.where(same, 0.0, np.abs(a - b) / (1 + np.abs(b)))
    return np.asarray(np.where(np.isfinite(off), off, np.inf).max(axis=1), np.float64)
