"""Does it survive trouble? Every scenario must still be worth deciding with, be abstained from, or raise an alarm."""

from __future__ import annotations

import math

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.found import Contract
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.trials.fidelity import LEAST, fidelity
from shipworthy.verification.trials.replay import CRASHED, HARMED, Outcome, Usual, alarmed, averaged, lived
from shipworthy.verification.trials.simulation import SCENARIOS, World, in_time, stream

BATCH, FEWEST_ROWS, FEWEST = 1_000, 200, 200


@check("scenarios", row="verification.simulation")
def scenarios(
    project: Project, model: Model, parts: Parts, contract: Contract, steps: Steps, *,
    limit: float = 0.95, runs: int = 20, like: float = 0.65
) -> Finding:
    """Whether the share of scenarios survived is at least the limit, at its lower end.

    Eleven scenarios, `runs` times each and 200 in all, on streams of [simulation] alarm_rows rows drawn from the
    holdout. One is survived if deciding still earns at least as much as doing nothing (without a value table: the loss
    is no higher than that of always answering the prior), if the model refuses it or abstains on half of it and more
    than it does without trouble, or if an alarm, the contract's or monitoring's, comes within the stream. These things
    are asked in this order. Survival is not accuracy. like: beyond this upper end of a learner's AUC, simulated rows
    are not like real ones, and nothing is known.
    """
    if parts.holdout.rows < FEWEST_ROWS:
        return say("unknown", f"The holdout has {parts.holdout.rows} rows, fewer than {FEWEST_ROWS}.",
                   n=parts.holdout.rows)
    told = fidelity(model, parts, steps)
    if not told.high <= like:
        why = (f"are told from real ones with AUC up to {told.high:.2f}" if told.high == told.high
               else f"cannot be compared with {told.rows} real ones, fewer than {LEAST:,}")
        return say("unknown", f"Simulated rows {why}, so that scenarios say nothing.", n=told.rows,
                   remedy="see simulator-fidelity")
    usual = Usual(model.truth(parts.learn), float(model.predict(parts.holdout.spread(BATCH)).abstain.mean()))
    random, grid = np.random.default_rng(0), steps.reference(model, parts.tune, parts.holdout, learnt=parts.learn)
    calm = [alarmed(_world(project, model, parts, random), contract, grid, steps) for _ in range(runs)]
    if sum(map(bool, calm)) > len(calm) // 5:
        return say("unknown", f"{sum(map(bool, calm))} of {len(calm)} streams without trouble raise an alarm, so that "
                   "alarms say nothing.", n=len(calm), remedy="see verification.data-validation and "
                   "deployment.monitoring: they raise false alarms")
    fitting = {name: change for name, change in SCENARIOS.items()
               if change(_world(project, model, parts, random), random) is not None}
    times = max(runs, math.ceil(FEWEST / len(fitting)))
    outcomes: dict[str, list[Outcome]] = {}
    for name, change in fitting.items():
        made = [change(_world(project, model, parts, random), random) for _ in range(times)]
        outcomes[name] = [lived(world, contract, grid, steps, usual) for world in made if world is not None]
    return _said(outcomes, limit=limit)


def _world(project: Project, model: Model, parts: Parts, random: np.random.Generator) -> World:
    """A stream without trouble."""
    sheet, rows = project.simulation, in_time(parts.holdout)
    batch = min(BATCH, int(0.8 * rows.rows), sheet.alarm_rows)  # fewer than all: another batch has other rows
    value = averaged(project.value, parts.holdout)
    return World(model, stream(rows, rows=sheet.alarm_rows, batch=batch, random=random), batch, value,
                 sheet.delay_rows, sheet.labels != "all")


def _said(outcomes: dict[str, list[Outcome]], *, limit: float) -> Finding:
    every = [outcome for found in outcomes.values() for outcome in found]
    survived, n = sum(outcome not in (HARMED, CRASHED) for outcome in every), len(every)
    low, high = clopper_pearson(survived, n)
    verdict: Verdict = "pass" if low >= limit else "fail"
    how = {word: every.count(word) for word in sorted(set(every))}
    hurt = {name: sum(o in (HARMED, CRASHED) for o in found) / len(found) for name, found in outcomes.items()}
    worst = [f"{name} {share:.0%}" for name, share in sorted(hurt.items(), key=lambda one: -one[1]) if share][:3]
    ends = [clopper_pearson(round((1 - hurt[name]) * len(found)), len(found)) for name, found in outcomes.items()]
    return say(verdict, f"{survived} of {n} scenarios are survived, at the least {low:.1%}; {limit:.0%} is asked "
               f"({', '.join(f'{count} {word}' for word, count in how.items())})."
               f"{' Not survived most often: ' + ', '.join(worst) + '.' if worst else ''}", value=survived / n, low=low,
               high=high, limit=limit, n=n, counterexample={name: share for name, share in hurt.items() if share},
               chart={"kind": "bars", "name": list(hurt), "value": [1 - share for share in hurt.values()],
                      "low": [end[0] for end in ends], "high": [end[1] for end in ends], "limit": [limit] * len(hurt)},
               remedy="" if verdict == "pass" else "tighten the contract for the scenario named, let the model abstain "
               "there, or label sooner: [simulation] delay_rows")
