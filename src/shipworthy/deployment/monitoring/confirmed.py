"""Learning from cases that people confirmed: which rows are like those called strange, and do they come more often?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, Grid, Plan, Reference
from shipworthy.core.program import Program
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.monitoring.forest import depth, readings
from shipworthy.deployment.monitoring.outliers import ALPHA, TOLERANCE, most_hits, outlier_p, rate_limits
from shipworthy.deployment.monitoring.reference import tails
from shipworthy.marks import check
from shipworthy.metrics.classification import auc

FEWEST_STRANGE = 10
FOLDS = 5
DRAWS = 200
ROUNDS = 30
WORDS = ("strange", "fine")
_SETTINGS = {"objective": "binary", "num_leaves": 6, "learning_rate": 0.1, "min_data_in_leaf": 5, "lambda_l2": 5.0,
             "verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 0}


def traits(plan: Plan, planned: Grid, forest: Program, cells: Mapping[str, Ints]) -> Floats:
    """What is learnt from, (n, 3 columns + 1): value, rank and how far out of every column, and at last the forest's
    score.

    cells: column → (n,) of rows.
    """
    out = [tails(column, planned.columns[column.name])[cells[column.name]] for column in plan.columns]
    whole = depth(forest, plan, planned, cells) / FIXED
    return np.concatenate([readings(plan, planned, cells), np.stack([*out, whole], axis=1)], axis=1)


def _traits(reference: Reference, cells: Ints) -> Floats:
    """The same of rows of the plan's columns in order. cells: (n, columns)."""
    known = {name: cells[:, place] for place, name in enumerate(reference.plan.names)}
    return traits(reference.plan, reference.planned, reference.forest, known)


@dataclass(frozen=True)
class Learnt:
    """A score of traits, (n, k) → (n,), higher is stranger.

    plain: AUROC of the forest on the confirmed rows. gain: how far the score is above that on rows held out, and low:
    the low end of its 95 % interval.
    """

    score: Callable[[Floats], Ints]
    plain: float
    gain: float
    low: float

    @property
    def better(self) -> bool:
        """Whether it is to be used."""
        return self.low > 0


def learn(traits: Floats, strange: Mask, *, seed: int = 0) -> Learnt:
    """A score from rows that are known to be strange or fine, and how far it beats the plain one on rows held out.

    traits: (n, k), the forest's score last. strange: (n,); ten or more of either kind.
    Source: Han et al. (2022), ADBench: with one outlier in a hundred labelled, most beat every detector that is told
    of none.
    """
    random = np.random.default_rng(seed)
    fold, held = np.empty(len(strange), np.int64), np.empty(len(strange))
    for kind in (strange, ~strange):
        fold[kind] = random.permutation(int(kind.sum())) % FOLDS
    for k in range(FOLDS):
        held[fold == k] = _fitted(traits[fold != k], strange[fold != k])(traits[fold == k])
    plain, drawn = traits[:, -1], np.empty(DRAWS)
    places = np.flatnonzero(strange), np.flatnonzero(~strange)
    for k in range(DRAWS):
        again = np.concatenate([random.choice(one, len(one)) for one in places])
        drawn[k] = auc(strange[again], held[again]) - auc(strange[again], plain[again])
    found = auc(strange, plain)
    return Learnt(_fitted(traits, strange), found, auc(strange, held) - found, float(np.quantile(drawn, 0.025)))


def _fitted(traits: Floats, strange: Mask) -> Callable[[Floats], Ints]:
    import lightgbm

    weight = np.where(strange, (~strange).sum() / strange.sum(), 1.0)
    made = lightgbm.train(_SETTINGS, lightgbm.Dataset(traits, strange.astype(np.int64), weight=weight), ROUNDS)
    return lambda rows: np.rint(np.asarray(made.predict(rows, raw_score=True, num_threads=1)) * FIXED).astype(np.int64)


@check("confirmed-outliers", row="deployment.outliers")
def confirmed_outliers(
    grid: Reference, tallies: Tallies, confirmed: Table, *, tolerance: float = TOLERANCE
) -> Finding:
    """Share of traffic rows that are like those which people confirmed as strange, where that can be learnt."""
    strange, fine = _told(tallies, confirmed)
    if len(strange) < FEWEST_STRANGE:
        return say("not-applicable", f"{len(strange)} rows of the sample are confirmed as strange, which teaches "
                                     f"nothing yet; {FEWEST_STRANGE} are needed.", n=len(strange))
    reference, half = grid.sample[:, :-2], len(grid.sample) // 2
    limits = rate_limits(len(reference) - half, tolerance=tolerance)
    rest = np.setdiff1d(np.arange(len(tallies.sample)), np.concatenate([strange, fine]))
    if not limits or not len(rest):
        return say("unknown", f"{len(reference)} reference rows are too few to learn from confirmed cases.",
                   n=len(reference))
    cells = tallies.sample.cells[:, :-1]
    known = _traits(grid, np.concatenate([cells[strange], cells[fine], reference[:half]]))
    found = learn(known, np.arange(len(known)) < len(strange))
    told = (f"{len(strange)} rows confirmed as strange and {len(fine)} as fine: held out, the score learnt from them "
            f"has an AUROC of {found.plain + found.gain:.3f} against {found.plain:.3f} of the forest")
    if not found.better:
        return say("pass", f"{told}; the forest stays.", value=found.gain, low=found.low, n=len(strange))
    p = outlier_p(found.score(_traits(grid, cells[rest])), np.sort(found.score(_traits(grid, reference[half:]))))
    hits = [int((p <= at + 1e-12).sum()) for at, _ in limits]
    most = [most_hits(len(rest), limit, ALPHA / len(limits)) for _, limit in limits]
    worst = max(range(len(limits)), key=lambda k: (hits[k] > most[k], k))
    n = len(rest)
    facts = {"value": hits[worst] / n, "limit": most[worst] / n, "n": n}
    seen = (f"{hits[worst] / n:.2%} of {n:,} other rows are as those, at p ≤ {limits[worst][0]:.2g} (of so many at "
            f"most {most[worst] / n:.2%})")
    if hits[worst] > most[worst]:
        named = tallies.sample.ids[rest[np.argsort(p, kind="stable")[:5]]]
        return say("fail", f"Rows like the confirmed ones come too often: {seen}; {told}.", **facts,
                   remedy="look at the rows named, then at their source",
                   counterexample={"prediction_ids": named.tolist()})
    return say("pass", f"Rows like the confirmed ones are no more frequent: {seen}; {told}.", **facts)


def _told(tallies: Tallies, confirmed: Table) -> tuple[Ints, Ints]:
    """Places in the sample of the rows called strange, and of those called fine; what was said last of a row counts."""
    last = dict(zip(confirmed.words("prediction_id").tolist(), confirmed.words("verdict").tolist(), strict=True))
    words = np.array([last.get(str(one), "") for one in tallies.sample.ids], np.str_)
    return np.flatnonzero(words == WORDS[0]), np.flatnonzero(words == WORDS[1])
