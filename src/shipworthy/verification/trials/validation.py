"""Would the contract catch a broken batch? Its mutation score, and its false alarms on clean batches."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.found import Contract, Rule
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.trials.equivalence import equivalent
from shipworthy.verification.trials.mutation import OPERATORS, mutate

LEAST = 100
ROWS = 1_000
MOST_ESCAPED = 60
CUT = "last 30 % cut off"


@check("mutation-score", row="verification.data-validation")
def mutation_score(
    model: Model,
    parts: Parts,
    contract: Contract,
    steps: Steps,
    *,
    limit: float = 0.95,
    alarms: float = 0.01,
    runs: int = 20,
    clean: int = 380,
) -> Finding:
    """Whether the contract catches broken batches, and stays quiet on clean ones.

    Twenty operators strike random columns of clean batches, `runs` times each; the lower end of the share caught is
    held to `limit`, the upper end of the share of clean batches with an alarm to `alarms`. Batches are four fifths of
    up to 1,000 holdout rows, drawn without replacement and in order. An operator that is never caught is named. An
    escaped mutant that a learner cannot tell from the clean rows either is equivalent, and counts on neither side; that
    is asked for up to 60 of them. Cut batches count only where the contract knows how large a batch is.
    """
    pool = promised(parts.holdout, contract).spread(ROWS)
    if pool.rows < LEAST:
        return say("unknown", f"The holdout has {pool.rows} rows, fewer than {LEAST}.", n=pool.rows)
    random = np.random.default_rng(0)
    applied = [name for name in OPERATORS if contract.batch_rows or name != CUT]
    struck = {name: _strikes(pool, contract, steps, name, runs=runs, random=random) for name in applied}
    escaped = [
        (name, place)
        for name, found in struck.items()
        for place, one in enumerate(found)
        if not one.caught and OPERATORS[name][1]
    ]
    same = {
        key
        for key in escaped
        if len(escaped) <= MOST_ESCAPED
        and equivalent(model, steps, struck[key[0]][key[1]].before, struck[key[0]][key[1]].after, key[1])
    }
    told = {
        name: [one.caught for place, one in enumerate(found) if (name, place) not in same]
        for name, found in struck.items()
    }
    false = sum(bool(steps.validate(contract, _batch(pool, random))) for _ in range(clean))
    return _say(
        {name: hits for name, hits in told.items() if hits}, false, clean, len(same), limit=limit, alarms=alarms
    )


def about(contract: Contract, before: Table, after: Table) -> Contract:
    """The rules that could tell two batches of the same rows apart: those of the columns in which they differ.

    All of them where the rows differ. An alarm about a column that was not struck would not be a catch.
    """
    if before.rows != after.rows:
        return contract
    names = after.schema.names
    same = {name for name in before.schema.names if name in names and after.data[name].equals(before.data[name])}
    kept = [rule for rule in contract.rules
            if not rule.column or rule.kind == "association" or not {rule.column, *_partners(rule)} <= same]
    return msgspec.structs.replace(contract, rules=tuple(kept))


def _partners(rule: Rule) -> tuple[str, ...]:
    return rule.values if rule.kind == "pair" else ()


def promised(table: Table, contract: Contract) -> Table:
    """The columns that the contract speaks of; those set aside were never promised anything."""
    named = {rule.column for rule in contract.rules}
    return (
        table.select([name for name in table.schema.names if name in named])
        if named & set(table.schema.names)
        else table
    )


class _Strike(NamedTuple):
    before: Table
    after: Table
    caught: bool


def _say(told: dict[str, list[bool]], false: int, clean: int, same: int, *, limit: float, alarms: float) -> Finding:
    caught, tried = sum(sum(hits) for hits in told.values()), sum(len(hits) for hits in told.values())
    low, high = clopper_pearson(caught, tried)
    noise = clopper_pearson(false, clean)[1]
    zeros = [name for name, hits in told.items() if not any(hits)]
    weak = [f"{name} {np.mean(hits):.0%}" for name, hits in told.items() if any(hits) and np.mean(hits) < limit]
    verdict: Verdict = "pass" if low >= limit and noise <= alarms else "fail"
    tail = "".join(
        (
            f" {same} more that changed nothing visible are left out." if same else "",
            f" Never caught: {', '.join(zeros)}." if zeros else "",
            f" Partly caught: {', '.join(weak)}." if weak else "",
        )
    )
    ends = [clopper_pearson(sum(hits), len(hits)) for hits in told.values()]
    return say(
        verdict,
        f"The contract catches {caught} of {tried} broken batches, at the least {low:.1%} ({limit:.0%} is "
        f"asked), and alarms on {false} of {clean} clean ones, at the most {noise:.1%} ({alarms:.0%} is allowed)."
        f"{tail}",
        value=caught / tried,
        low=low,
        high=high,
        limit=limit,
        n=tried,
        counterexample={"never caught": zeros, "clean batches with an alarm": false, "equivalent": same},
        chart={
            "kind": "bars",
            "name": list(told),
            "value": [float(np.mean(hits)) for hits in told.values()],
            "low": [end[0] for end in ends],
            "high": [end[1] for end in ends],
            "limit": [limit] * len(told),
        },
        remedy="" if verdict == "pass" else "declare [data.limits], or accept less: [checks.mutation-score] limit",
    )


def _batch(pool: Table, random: np.random.Generator) -> Table:
    return pool.take(np.sort(random.permutation(pool.rows)[: int(0.8 * pool.rows)]))


def _strikes(
    pool: Table, contract: Contract, steps: Steps, name: str, *, runs: int, random: np.random.Generator
) -> list[_Strike]:
    """Each strike of an operator; fewer than `runs` where it changes nothing."""
    found = []
    for _ in range(runs):
        batch = _batch(pool, random)
        changed = mutate(batch, name, random)
        if changed is not None:
            told = steps.validate(about(contract, batch, changed[0]), changed[0])
            found.append(_Strike(batch, changed[0], bool(told)))
    return found
