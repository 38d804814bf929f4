"""Could the owner show that a model is a copy of theirs? By secret rows that a copy answers as no other model would.

Source: Cao, Jia and Gong (2021), "IPGuard: protecting intellectual property of deep neural networks via fingerprinting
the classification boundary": rows near the boundary, chosen afterwards, so that the model need not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shipworthy.assurance.extraction import agree, decided, marginal
from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.learned import Parts, Recipe
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Mask, Table
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check
from shipworthy.metrics.intervals import binomial_tail, clopper_pearson

LEAST, MOST, EVEN = 20, 500, 0.5


@check("ownership", row="security.stealing")
def ownership(
    project: Project, model: Model, recipe: Recipe, parts: Parts, steps: Steps, *, limit: float = 1e-6,
    models: int = 4, rows: int = 5_000, drawn: int = 50_000
) -> Finding:
    """Whether a secret set of rows tells the model from independently trained ones, by a binomial test.

    The rows are drawn column by column by a seed that only the learning rows give; kept are those on which as many
    models as `models`, of the same recipe on random halves of up to `rows` learning rows, all decide otherwise. As many
    models again, which had no part in that, say how often an independent model agrees: at its upper end, of the one
    that agrees most, the chance of the model's own answers must lie under the limit. Over a half it
    fails: nothing sets the model apart.
    """
    if project.serve.open_weights:
        return say("not-applicable", "The model itself is published, [serve] open_weights = true, so nobody needs to "
                   "show whose it is.")
    random = np.random.default_rng(int(parts.learn.digest[:15], 16))
    try:
        others = independent(recipe, parts.learn, steps, count=2 * models, rows=rows, random=random)
    except ShipworthyError as error:
        return say("unknown", f"The recipe could not be trained again, so nothing was compared: {error.problem}.",
                   remedy=error.hint)
    asked = marginal(parts.learn, drawn, random)
    keys = asked.take(np.flatnonzero(~np.any([same(one, model, asked) for one in others[:models]], axis=0))[:MOST])
    if keys.rows < LEAST:
        return say("unknown", f"Only {keys.rows} of {drawn:,} drawn rows are answered otherwise by {models} "
                   f"independently trained models; {LEAST} are needed.", n=keys.rows,
                   remedy="nothing sets this model apart: whoever has such data has the model")
    agreed = [int(same(one, model, keys).sum()) for one in others[models:]]
    chance = clopper_pearson(max(agreed), keys.rows)[1]
    p = binomial_tail(keys.rows, keys.rows, chance)
    told = f"{max(agreed)} of {keys.rows} secret rows, at the most {chance:.0%}"
    verdict: Verdict = "pass" if p < limit else "fail" if p > EVEN else "unknown"
    return say(verdict, f"An independently trained model decides as this one does on {told}; "
               f"that one does so on all has a chance of {p:.2g} ({limit:g} is allowed; {models} models were asked).",
               value=p, limit=limit, n=keys.rows,
               remedy="" if p < limit else "draw more rows: [checks.ownership] drawn = 500000")


def independent(
    recipe: Recipe, learn: Table, steps: Steps, *, count: int, rows: int, random: np.random.Generator
) -> list[Model]:
    """Models of one recipe, each on a random half of the rows by a seed of its own. Raises ShipworthyError."""
    return [steps.train(learn.take(np.sort(random.permutation(learn.rows)[: min(rows, learn.rows // 2)])),
                        learner=recipe.learner, seed=seed, settings=dict(recipe.settings)) for seed in range(count)]


def same(one: Model, other: Model, rows: Table) -> Mask:
    """(n,) where one model decides as the other does, at the other's threshold."""
    return agree(decided(other, one.score(rows)), decided(other, other.score(rows)), other)


def recognised(suspect: Model, model: Model, keys: Table, others: Sequence[Model]) -> float:
    """The chance that an independent model agrees on secret rows as often as a suspect does; small means a copy."""
    chance = clopper_pearson(max(int(same(one, model, keys).sum()) for one in others), keys.rows)[1]
    return binomial_tail(int(same(suspect, model, keys).sum()), keys.rows, chance)
