"""Would the contract catch a broken batch? Its mutation score, and its false alarms on clean batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.drawn import draw
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.found import Breach, Contract, Rule
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Ints, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.trials.equivalence import equivalent
from shipworthy.verification.trials.mutation import OPERATORS, applicable, mutate

LEAST = 100
ROWS = 1_000
ASKED = 3
CUT = "last 30 % cut off"
QUIET = "the holdout differs there from the rows learnt from: see whether it should; set_aside what may differ"
RANGES = "declare the possible values: [data.limits] {columns}"
LEVELS = "levels of {columns} are too many or too rare to tell: group them at the source, or set_aside"
ROWS_OF = "name what tells rows apart: [data] identifiers or time"
WORTH = "a batch of ordinary values shows it only by its shape: set_aside {columns} if the model does not need it"
HELP = {
    "unit ×1000 or ÷100": RANGES, "affine unit": RANGES, "sign flipped": RANGES, "sentinel for missing": RANGES,
    "typo, case or space in 3 %": LEVELS, "encoding damage": LEVELS, "new level in 5 %": LEVELS,
    "levels permuted": LEVELS, "one group's rows lost": LEVELS,
    "batch delivered twice": ROWS_OF, "old rows again": ROWS_OF,
}


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
    clean: int = 400,
) -> Finding:
    """Whether the contract catches broken batches, and stays quiet on clean ones.

    Twenty operators strike the columns that they fit, in turn, `runs` times each, on clean batches; the share caught is
    held to `limit`, the share of clean batches with an alarm to `alarms`. It passes where the pessimistic ends of both
    intervals hold, fails where the kind end of one does not, and is unknown between: more runs tell. Batches are four
    fifths of up to 1,000 holdout rows, drawn without replacement and in order. An operator that is never caught is
    named. An escaped mutant that a learner cannot tell from the clean rows either is equivalent, and counts on neither
    side; that is asked once for an operator and what it struck, while the verdict hangs on it. Cut batches count only
    where the contract knows how large a batch is.
    """
    pool = promised(parts.holdout, contract).spread(ROWS)
    if pool.rows < LEAST:
        return say("unknown", f"The holdout has {pool.rows} rows, fewer than {LEAST}.", n=pool.rows)
    random = np.random.default_rng(0)
    applied = [name for name in OPERATORS if contract.batch_rows or name != CUT]
    struck = {name: _strikes(pool, contract, steps, name, runs=runs, random=random) for name in applied}
    same = _equivalent(model, steps, struck, limit)
    told = {name: [one.caught for place, one in enumerate(found) if (name, place) not in same]
            for name, found in struck.items()}
    kept: dict[Any, Any] = {}
    cries: list[str] = []
    false, clean = _alarms(
        lambda: _cry(steps.validate(contract, draw(pool, _places(pool, random), kept)), cries), clean, alarms)
    escaped = {name: [one for place, one in enumerate(found) if not one.caught and (name, place) not in same]
               for name, found in struck.items()}
    return _say({name: hits for name, hits in told.items() if hits}, (false, clean, cries), len(same), limit=limit,
                alarms=alarms, remedy=_remedy(escaped), where=_where(escaped))


def _where(escaped: dict[str, list[_Strike]]) -> dict[str, list[str]]:
    """Operator → the columns on which it escaped."""
    return {name: sorted({one.columns[0] if len(one.columns) == 1 else "several columns" for one in found})
            for name, found in escaped.items() if found}


def _remedy(escaped: dict[str, list[_Strike]]) -> str:
    """What would help against the operators that escaped most, at most three, and on which columns."""
    worst = sorted((name for name, found in escaped.items() if found), key=lambda name: -len(escaped[name]))[:3]
    said: dict[str, tuple[list[str], list[str]]] = {}
    for name in worst:
        struck = [one.columns[0] for one in escaped[name] if len(one.columns) == 1]
        names, columns = said.setdefault(HELP.get(name, WORTH), ([], []))
        names.append(name)
        columns += [column for column in dict.fromkeys(struck) if column not in columns]
    return "; ".join(f"against {' and '.join(names)}: "
                     + text.format(columns=", ".join(columns[:5]) or "the columns concerned")
                     for text, (names, columns) in said.items())


def _cry(breaches: tuple[Breach, ...], cries: list[str]) -> bool:
    """Whether a clean batch is cried over; the rules that it breaks are noted."""
    cries += [f"{one.rule.kind} of {one.rule.column}" if one.rule.column else one.rule.kind for one in breaches]
    return bool(breaches)


def _alarms(cries: Callable[[], bool], clean: int, limit: float) -> tuple[int, int]:
    """How many clean batches were cried over, and of how many: three times as many where a few cries leave it open."""
    false = sum(cries() for _ in range(clean))
    if not 0 < false <= limit * clean:
        return false, clean
    return false + sum(cries() for _ in range(2 * clean)), 3 * clean


def _equivalent(model: Model, steps: Steps, struck: dict[str, list[_Strike]], limit: float) -> set[tuple[str, int]]:
    """The escaped strikes that changed nothing visible, asked in random order until the verdict no longer hangs on it.

    It does not when enough are left out to pass, or when so many are known to be visible that it fails.
    One operator on one column is one question, and it is visible if it shows in each of up to three strikes.
    """
    every = [(name, place) for name, found in struck.items() for place in range(len(found))]
    caught = sum(struck[name][place].caught for name, place in every)
    groups: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for name, place in every:
        if not struck[name][place].caught and OPERATORS[name][1]:
            groups.setdefault((name, *struck[name][place].columns), []).append((name, place))
    same: set[tuple[str, int]] = set()
    left = sum(map(len, groups.values()))
    for at in np.random.default_rng(1).permutation(len(groups)):
        if clopper_pearson(caught, len(every) - len(same))[0] >= limit:
            break
        if clopper_pearson(caught, len(every) - len(same) - left)[1] < limit:
            break
        group = list(groups.values())[at]
        asked = [struck[name][place] for name, place in group[:ASKED]]
        if any(equivalent(model, steps, one.before, one.after, seed) for seed, one in enumerate(asked)):
            same |= set(group)
        left -= len(group)
    return same


def about(contract: Contract, columns: tuple[str, ...]) -> Contract:
    """The rules that see these columns, and those of whole rows. An alarm about another column would be no catch."""
    kept = [rule for rule in contract.rules
            if rule.kind in ("repeat", "rows", "association") or {rule.column, *_partner(rule)} & set(columns)]
    return msgspec.structs.replace(contract, rules=tuple(kept))


def _partner(rule: Rule) -> tuple[str, ...]:
    return rule.values if rule.kind == "pair" else ()


def _changed(before: Table, after: Table) -> tuple[str, ...]:
    """The columns in which two batches differ; all of them where rows were lost or added."""
    names = after.schema.names
    return tuple(name for name in before.schema.names
                 if before.rows != after.rows or name not in names or not after.data[name].equals(before.data[name]))


def promised(table: Table, contract: Contract) -> Table:
    """The columns that the contract speaks of; those set aside were never promised anything."""
    named = {rule.column for rule in contract.rules}
    return (table.select([name for name in table.schema.names if name in named]) if named & set(table.schema.names)
            else table)


class _Strike(NamedTuple):
    before: Table
    after: Table
    columns: tuple[str, ...]
    caught: bool


def _say(told: dict[str, list[bool]], heard: tuple[int, int, list[str]], same: int, *, limit: float, alarms: float,
         remedy: str, where: dict[str, list[str]]) -> Finding:
    false, clean, cries = heard
    caught, tried = sum(sum(hits) for hits in told.values()), sum(len(hits) for hits in told.values())
    low, high = clopper_pearson(caught, tried)
    least, noise = clopper_pearson(false, clean)
    zeros = [name for name, hits in told.items() if not any(hits)]
    weak = [f"{name} {np.mean(hits):.0%}" for name, hits in told.items() if any(hits) and np.mean(hits) < limit]
    both = (settled(caught / tried, limit=limit, low=low, high=high, at_most=False, chance=True),
            settled(false / clean, limit=alarms, low=least, high=noise, at_most=True, chance=True))
    verdict: Verdict = "fail" if "fail" in both else "unknown" if "unknown" in both else "pass"
    loud = [name for name, _ in Counter(cries).most_common(3)] if both[1] != "pass" else []
    tail = "".join((f" Clean batches break {', '.join(loud)}." if loud else "",
                    f" {same} more that changed nothing visible are left out." if same else "",
                    f" Never caught: {', '.join(zeros)}." if zeros else "",
                    f" Partly caught: {', '.join(weak)}." if weak else ""))
    ends = [clopper_pearson(sum(hits), len(hits)) for hits in told.values()]
    return say(
        verdict,
        f"The contract catches {caught} of {tried} broken batches, at the least {low:.1%} ({limit:.0%} is "
        f"asked), and alarms on {false} of {clean} clean ones, at the most {noise:.1%} ({alarms:.0%} is allowed)."
        f"{' More runs would settle it.' if verdict == 'unknown' else ''}{tail}",
        value=caught / tried, low=low, high=high, limit=limit, n=tried,
        counterexample={"never caught": zeros, "clean batches with an alarm": false, "alarms": dict(Counter(cries)),
                        "equivalent": same, "escaped": where},
        chart={
            "kind": "bars",
            "name": list(told),
            "value": [float(np.mean(hits)) for hits in told.values()],
            "low": [end[0] for end in ends],
            "high": [end[1] for end in ends],
            "limit": [limit] * len(told),
        },
        remedy="; ".join(filter(None, (remedy if both[0] != "pass" else "", QUIET if loud else "",
                                       _accept(verdict, both)))).removeprefix("or "),
    )


def _accept(verdict: Verdict, both: tuple[Verdict, Verdict]) -> str:
    """What ends the question otherwise: the settings that it hangs on."""
    if verdict == "unknown":
        return "or try more batches: [checks.mutation-score] runs, clean"
    names = [name for name, one in zip(("limit", "alarms"), both, strict=True) if one == "fail"]
    return f"or accept it: [checks.mutation-score] {', '.join(names)}" if names else ""


def _batch(pool: Table, random: np.random.Generator) -> Table:
    return pool.take(_places(pool, random))


def _places(pool: Table, random: np.random.Generator) -> Ints:
    """Four fifths of the rows, without replacement and in order."""
    return np.sort(random.permutation(pool.rows)[: int(0.8 * pool.rows)])


def _strikes(
    pool: Table, contract: Contract, steps: Steps, name: str, *, runs: int, random: np.random.Generator
) -> list[_Strike]:
    """Each strike of an operator, its columns in turn from a random one on; fewer than `runs` where it changes nothing.
    """
    columns, found = applicable(pool, name), []
    if not columns:
        return []
    first = int(random.integers(len(columns)))
    for n in range(runs):
        batch = _batch(pool, random)
        changed = mutate(batch, name, random, columns[(first + n) % len(columns)])
        if changed is not None:
            struck = _changed(batch, changed[0])
            told = steps.validate(about(contract, struck), changed[0])
            found.append(_Strike(batch, changed[0], struck, bool(told)))
    return found
