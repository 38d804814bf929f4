"""How far does one batch move the model? It is trained again without each in turn, and protected groups are looked at.

Source: Cook (1977), influence by leaving out; Koh and Liang (2017) for models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.learned import Parts, Recipe
from shipworthy.core.model import Model
from shipworthy.core.rows import ordered
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check
from shipworthy.metrics.intervals import paired_mean_difference

LEAST, GROUP, MOST = 500, 50, 12


class Move(NamedTuple):
    """What leaving a batch out does to a figure of a group of new rows, with its 95 % interval."""

    batch: str
    group: str
    figure: str
    gap: float
    low: float
    high: float
    rows: int

    @property
    def far(self) -> tuple[float, float, float]:
        """Size of the move, and the ends of its interval as sizes."""
        inside = self.low <= 0 <= self.high
        ends = abs(self.low), abs(self.high)
        return abs(self.gap), 0.0 if inside else min(ends), max(ends)


@check("source-influence", row="security.poisoning")
def source_influence(
    model: Model, recipe: Recipe, parts: Parts, steps: Steps, *, limit: float = 0.03, by: str = "",
    batches: int = 5, rows: int = 6_000
) -> Finding:
    """Whether no single source or batch moves a figure of a protected group by more than the limit.

    The recipe is trained again on `rows` learning rows without each batch in turn. by: the column that names the source
    of a row; without it batches are equal shares of the rows in the order of their time, or as they lie. Looked at are
    the share that is decided positive and the share decided rightly, of every protected group with 50 new rows and of
    all. It fails where a move lies wholly beyond the limit, and is unknown where its interval reaches it.
    """
    if model.task == "regression":
        return say("not-applicable", "The target is a number: there is no decision that a batch could turn.")
    learn = parts.learn.take(np.sort(np.random.default_rng(0).permutation(parts.learn.rows)[:rows]))
    if learn.rows < LEAST:
        return say("unknown", f"{learn.rows} learning rows are fewer than {LEAST}.", n=learn.rows)
    named = _batches(learn, by, batches)
    if len(named) < 2:
        return say("not-applicable", f"All rows come from one source by {by}." if by else "There is one batch.")
    try:
        found = list(moves(recipe, learn, parts.holdout, steps, named))
    except ShipworthyError as error:
        return say("unknown", f"The recipe could not be trained again, so nothing was left out: {error.problem}.",
                   remedy=error.hint)
    verdicts = [settled(far, limit=limit, low=low, high=high, at_most=True, chance=True)
                for far, low, high in (one.far for one in found)]
    verdict: Verdict = next((one for one in ("fail", "unknown") if one in verdicts), "pass")
    most = max(found, key=lambda one: (one.far[1] > limit, one.far[2]))
    helps = {"pass": "", "fail": f"look at {most.batch}: whose it is, and whether its labels hold"}.get(
        verdict, "hold out a larger share, [split] holdout; so few rows cannot tell")
    return say(verdict, f"Leaving out {most.batch} moves the {most.figure} of {most.group} by {most.gap:+.3f}, at the "
               f"most {most.far[2]:.3f} ({limit:g} is allowed; {len(named)} batches of {learn.rows:,} rows, "
               f"{len(found)} figures).", value=most.far[0], low=most.far[1], high=most.far[2], limit=limit,
               n=most.rows, remedy=helps)


def moves(recipe: Recipe, learn: Table, new: Table, steps: Steps, batches: dict[str, Mask]) -> Iterator[Move]:
    """What leaving each batch out does to every figure of every group of new rows. Raises ShipworthyError."""

    def trained(rows: Table) -> tuple[Floats, Floats]:
        model: Model = steps.train(rows, learner=recipe.learner, seed=0, settings=dict(recipe.settings))
        decided = model.decide(model.score(new))
        return (np.asarray(decided == len(model.classes) - 1, np.float64),
                np.asarray(decided == model.truth(new), np.float64))

    whole = trained(learn)
    for batch, mask in batches.items():
        without = trained(learn.take(np.flatnonzero(~mask)))
        for figure, before, after in zip(("share decided positive", "accuracy"), whole, without, strict=True):
            for group, rows in groups(new):
                gap, low, high = paired_mean_difference(after[rows], before[rows])
                yield Move(batch, group, figure, gap, low, high, len(rows))


def groups(table: Table) -> list[tuple[str, Ints]]:
    """All rows, and every value of a protected column with at least 50 of them."""
    found = [("all rows", np.arange(table.rows, dtype=np.int64))]
    for column in table.schema.protected:
        words = table.words(column.name)
        values, counts = np.unique(words.astype(str), return_counts=True)
        found += [(f"{column.name} = {value}", np.flatnonzero(words.astype(str) == value))
                  for value in values[(counts >= GROUP)][:MOST]]
    return found


def _batches(learn: Table, by: str, count: int) -> dict[str, Mask]:
    """Batch → (n,) its rows."""
    if by:
        words = learn.words(by).astype(str)
        values, counts = np.unique(words, return_counts=True)
        return {f"{by} = {value}": words == value for value in values[np.argsort(-counts)][:MOST]}
    place = np.empty(learn.rows, np.int64)
    place[ordered(learn)] = np.arange(learn.rows)
    return {f"batch {each + 1} of {count}": place * count // learn.rows == each for each in range(count)}
