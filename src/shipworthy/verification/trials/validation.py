"""Would the contract catch a broken batch? Its mutation score, and its false alarms on clean batches."""

from __future__ import annotations

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.found import Contract
from shipworthy.core.learned import Parts
from shipworthy.core.table import Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.trials.mutation import OPERATORS, mutate

LEAST = 100
ROWS = 1_000


@check("mutation-score", row="verification.data-validation")
def mutation_score(
    parts: Parts, contract: Contract, steps: Steps, *, limit: float = 0.95, alarms: float = 0.01, runs: int = 20,
    clean: int = 380
) -> Finding:
    """Whether the contract catches broken batches, and stays quiet on clean ones.

    Twenty operators strike random columns of clean batches, `runs` times each; the lower end of the share caught is
    held to `limit`, the upper end of the share of clean batches with an alarm to `alarms`. Batches are four fifths of
    up to 1,000 holdout rows, drawn without replacement and in order. An operator that is never caught is named.
    """
    pool = parts.holdout.head(ROWS)
    if pool.rows < LEAST:
        return say("unknown", f"The holdout has {pool.rows} rows, fewer than {LEAST}.", n=pool.rows)
    random = np.random.default_rng(0)
    struck = {name: _strikes(pool, contract, steps, name, runs, random) for name in OPERATORS}
    told = {name: hits for name, hits in struck.items() if hits}
    caught, tried = sum(sum(hits) for hits in told.values()), sum(len(hits) for hits in told.values())
    false = sum(bool(steps.validate(contract, _batch(pool, random))) for _ in range(clean))
    low, high = clopper_pearson(caught, tried)
    noise = clopper_pearson(false, clean)[1]
    zeros = [name for name, hits in told.items() if not any(hits)]
    weak = [name for name, hits in told.items() if any(hits) and np.mean(hits) < limit]
    verdict: Verdict = "pass" if low >= limit and noise <= alarms else "fail"
    missed = f" Never caught: {', '.join(zeros)}." if zeros else ""
    partly = f" Partly caught: {', '.join(f'{name} {np.mean(told[name]):.0%}' for name in weak)}." if weak else ""
    return say(verdict, f"The contract catches {caught} of {tried} broken batches, at the least {low:.1%} "
                        f"({limit:.0%} is asked), "
               f"and alarms on {false} of {clean} clean ones, at the most {noise:.1%} ({alarms:.0%} is "
               f"allowed).{missed}{partly}",
               value=caught / tried, low=low, high=high, limit=limit, n=tried,
               counterexample={"never caught": zeros, "clean batches with an alarm": false},
               chart={"kind": "bars", "name": list(told), "value": [float(np.mean(hits)) for hits in told.values()],
                      "low": [clopper_pearson(sum(h), len(h))[0] for h in told.values()],
                      "high": [clopper_pearson(sum(h), len(h))[1] for h in told.values()],
                      "limit": [limit] * len(told)},
               remedy="" if verdict == "pass" else "add rules for what is never caught: shipworthy profile --contract")


def _batch(pool: Table, random: np.random.Generator) -> Table:
    return pool.take(np.sort(random.permutation(pool.rows)[: int(0.8 * pool.rows)]))


def _strikes(
    pool: Table, contract: Contract, steps: Steps, name: str, runs: int, random: np.random.Generator
) -> list[bool]:
    """Whether each strike of an operator was caught; fewer than `runs` where it changes nothing."""
    hits = []
    for _ in range(runs):
        changed = mutate(_batch(pool, random), name, random)
        if changed is not None:
            hits.append(bool(steps.validate(contract, changed[0])))
    return hits
