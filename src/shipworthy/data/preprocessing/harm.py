"""Which cells did cleaning change, and was anything right made wrong?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.found import Ledger
from shipworthy.core.table import Mask, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

DECLARED = "declared"
ROWS = 2_000
BROKEN = 0.05
LEAST_CELLS = 400


@check("cells-changed", row="data.cleaning")
def cells_changed(ledger: Ledger, raw: Table, *, limit: float = 0.05) -> Finding:
    """Share of all cells that cleaning changed, counted whole; what the project declares does not count."""
    mine = [change for change in ledger.changes if not change.reason.startswith(DECLARED)]
    share = len(mine) / max(1, ledger.cells)
    reasons = Counter((change.column, change.reason) for change in mine).most_common(3)
    said = "; ".join(f"{count:,} in {column}: {reason}" for (column, reason), count in reasons)
    aside = (f" {len(ledger.dropped_rows):,} rows were dropped and {len(ledger.dropped_columns)} columns set aside."
             if (ledger.dropped_rows or ledger.dropped_columns) else "")
    verdict = held(share, limit=limit, at_most=True)
    by_column = Counter(change.column for change in mine).most_common(12)
    return say(
        verdict,
        f"{len(mine):,} of {ledger.cells:,} cells were changed ({share:.2%}, at most {limit:.0%} is allowed)"
        f"{': ' + said if said else ''}.{aside}",
        value=share,
        limit=limit,
        n=ledger.cells,
        counterexample={"top reasons": [f"{column}: {reason} ({count})" for (column, reason), count in reasons]},
        remedy=""
        if verdict == "pass"
        else f"declare the code in [data.missing_codes], or correct {reasons[0][0][0]} at its source",
        chart={
            "kind": "bars",
            "name": [name for name, _ in by_column],
            "value": [count / max(1, raw.rows) for _, count in by_column],
            "limit": limit,
        }
        if by_column
        else {},
    )


@check("repair-harm", row="data.cleaning")
def repair_harm(raw: Table, steps: Steps, *, limit: float = 0.01) -> Finding:
    """Share of right cells that cleaning changes when 5 % of cells beside them are broken in eight ways.

    Up to 2,000 rows are cleaned, broken, and cleaned again; a change of a cell that was not broken is harm.
    """
    whole = raw.take(np.linspace(0, raw.rows - 1, min(raw.rows, ROWS)).astype(np.int64)) if raw.rows else raw
    start, _ = steps.clean(whole)
    names = [column.name for column in start.schema.features if column.kind in ("number", "category")]
    if start.rows * len(names) < LEAST_CELLS:
        return say("unknown", f"{start.rows * len(names)} cells are too few to break; {LEAST_CELLS} are needed.",
                   n=start.rows * len(names))
    broken, touched = _break(start, names)
    _, ledger = steps.clean(broken)
    changed = {(change.row, change.column) for change in ledger.changes if change.column in touched}
    right = sum(int((~mask).sum()) for mask in touched.values())
    harmed = [(row, name) for row, name in changed if not touched[name][row]]
    found = sum(touched[name][row] for row, name in changed)
    total = sum(int(mask.sum()) for mask in touched.values())
    low, high = clopper_pearson(len(harmed), right)
    verdict = held(len(harmed) / right, limit=limit, high=high, at_most=True)
    return say(verdict, f"Cleaning changed {len(harmed):,} of {right:,} right cells, at the most {high:.2%} "
               f"({limit:.0%} is allowed), while {found:,} of {total:,} planted errors were found.",
               value=len(harmed) / right, low=low, high=high, limit=limit, n=right,
               counterexample={"changed though right": [list(each) for each in harmed[:5]]},
               remedy="" if verdict == "pass" else "see the reasons in the ledger, and declare [data.limits] or "
               "[data.kinds] for that column")


def _break(table: Table, names: list[str]) -> tuple[Table, dict[str, Mask]]:
    """The table with 5 % of cells broken, and which."""
    random = np.random.default_rng(0)
    touched = {}
    for name in names:
        mask = random.random(table.rows) < BROKEN
        mask &= np.asarray(table.data[name].is_valid().to_numpy(), np.bool_)
        if table.schema[name].kind == "number":
            values = table.numbers(name)
            way = _NUMBERS[int(random.integers(len(_NUMBERS)))]
            new = np.where(mask, way(values, random), values)
            changed = pa.array(new, from_pandas=True)
        else:
            words = table.words(name)
            slip = _WORDS[int(random.integers(len(_WORDS)))]
            changed = pa.array([slip(word) if hit and word else word for word, hit in zip(words, mask, strict=True)],
                               pa.string())
        table = table.with_column(name, changed)
        touched[name] = mask
    return table, touched


_Values = np.ndarray[tuple[int], np.dtype[np.float64]]
_NUMBERS: tuple[Callable[[_Values, np.random.Generator], _Values], ...] = (
    lambda values, random: values * 1000,
    lambda values, random: np.full(len(values), -999.0),
    lambda values, random: -values,
    lambda values, random: random.permutation(values),
)
_WORDS: tuple[Callable[[str], str], ...] = (
    lambda word: word.swapcase(),
    lambda word: word + " ",
    lambda word: "?",
    lambda word: word[:2] + word[1:],
)
