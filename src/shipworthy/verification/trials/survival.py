"""Does it survive trouble? Every scenario must be noticed, abstained from, or still be worth deciding with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shipworthy.core.amounts import Amounts, amounts
from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.found import Contract
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.program import logistic
from shipworthy.core.project import Project, Value
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.marks import check
from shipworthy.metrics.intervals import auc_interval, clopper_pearson
from shipworthy.metrics.losses import row_losses
from shipworthy.verification.requirements.worth import decide, declared, nothing, worth
from shipworthy.verification.trials.simulation import CALM, SCENARIOS, Scene, redraw, scene

LEAST, MOST = 200, 1_000
Outcome = str
HARMED, CRASHED, REFUSED = "harmed in silence", "crashed", "refused by the contract"


@check("outage", row="verification.simulation")
def outage(
    project: Project, model: Model, parts: Parts, contract: Contract, steps: Steps, *, limit: float = 0.95,
    runs: int = 24
) -> Finding:
    """Whether the share of scenarios survived is at least the limit, at its lower end.

    Nine scenarios, `runs` times each, on up to 1,000 holdout rows. One is survived if the contract refuses the batch,
    the model abstains on half of it or refuses it, or deciding still earns at least as much as doing nothing (without a
    value table: the loss is no higher than that of always answering the prior). Survival is not accuracy.
    """
    if parts.holdout.rows < LEAST:
        return say("unknown", f"The holdout has {parts.holdout.rows} rows, fewer than {LEAST}.", n=parts.holdout.rows)
    random, size = np.random.default_rng(0), min(MOST, int(0.8 * parts.holdout.rows))
    truth, seen = model.truth(parts.holdout), model.truth(parts.learn)
    earning = project.value is not None and declared(project.value)
    paid = amounts(project.value, parts.holdout).average if project.value and earning else None
    outcomes: dict[str, list[Outcome]] = {}
    for name in SCENARIOS:
        made = [scene(name, parts.holdout, truth, size, random) for _ in range(runs)]
        outcomes[name] = [_live(project, model, contract, steps, seen=seen, one=one, paid=paid)
                          for one in made if one is not None]
    calm = outcomes.pop(CALM)
    if sum(outcome == REFUSED for outcome in calm) > len(calm) // 5:
        return say("unknown", f"The contract refuses {calm.count(REFUSED)} of {len(calm)} batches without trouble, so "
                   "that its refusals say nothing.", n=len(calm),
                   remedy="see verification.data-validation: it raises false alarms")
    every = [outcome for found in outcomes.values() for outcome in found]
    bad = [outcome in (HARMED, CRASHED) for outcome in every]
    survived, n = len(bad) - sum(bad), len(bad)
    low, high = clopper_pearson(survived, n)
    verdict: Verdict = "pass" if low >= limit else "fail"
    how = {word: every.count(word) for word in sorted(set(every))}
    hurt = {name: sum(o in (HARMED, CRASHED) for o in found) / len(found) for name, found in outcomes.items() if found}
    worst = [f"{name} {share:.0%}" for name, share in sorted(hurt.items(), key=lambda one: -one[1]) if share][:3]
    return say(verdict, f"{survived} of {n} scenarios are survived, at the least {low:.1%}; {limit:.0%} is asked "
               f"({', '.join(f'{count} {word}' for word, count in how.items())})."
               f"{' Worst: ' + ', '.join(worst) + '.' if worst else ''}", value=survived / n, low=low, high=high,
               limit=limit, n=n, counterexample={name: share for name, share in hurt.items() if share},
               chart={"kind": "bars", "name": list(hurt), "value": [1 - share for share in hurt.values()],
                      "low": [], "high": [], "limit": [limit] * len(hurt)},
               remedy="" if verdict == "pass" else "tighten the contract for the scenario named, or let the model "
               "abstain there")


def _live(
    project: Project, model: Model, contract: Contract, steps: Steps, *, seen: Floats | Ints, one: Scene,
    paid: Amounts | None
) -> Outcome:
    try:
        if steps.validate(contract, one.rows):
            return REFUSED
        predictions = model.predict(one.rows)
    except ShipworthyError:
        return "refused by the model"
    except FAULTS:
        return CRASHED
    if predictions.abstain.mean() >= 0.5:
        return "abstained from"
    kept = ~predictions.abstain
    gain = _gain(project.value, paid, model, seen, (one.truth[kept], predictions.score[kept]))
    return "still worth it" if gain >= 0 else HARMED


def _gain(
    value: Value | None, paid: Amounts | None, model: Model, seen: Floats | Ints, rows: tuple[Floats | Ints, Floats]
) -> float:
    truth, score = rows
    if value is not None and paid is not None:
        own = worth(paid, model, truth, decide(model, score, capacity=paid.capacity))
        return float((own - worth(paid, model, truth, nothing(value, model, len(truth), seen))).mean())
    if model.task == "regression":
        prior = np.full(len(truth), float(np.mean(seen)))
    else:
        share = np.bincount(np.asarray(seen, np.int64), minlength=len(model.classes)) / len(seen)
        prior = np.full(len(truth), share[1]) if model.task == "binary" else np.tile(share, (len(truth), 1))
    return float((row_losses(prior, truth, model.task) - row_losses(score, truth, model.task)).mean())


@check("simulator-fidelity", row="verification.simulation")
def simulator_fidelity(model: Model, parts: Parts, steps: Steps, *, limit: float = 0.65, rows: int = 2_000) -> Finding:
    """Whether a learner cannot tell simulated rows from real ones: the upper end of its AUC is at most the limit.

    Simulated: rows redrawn from the learning rows, as every scenario is. Real: tune and holdout rows. The learner is
    trained on one half of both and asked about the other. Time columns are left out: they name the part by themselves.
    """
    real = Table(pa.concat_tables([parts.tune.data, parts.holdout.data]), parts.holdout.schema, "real")
    random = np.random.default_rng(0)
    size = min(rows, real.rows)
    if size < LEAST:
        return say("unknown", f"{size} real rows are fewer than {LEAST}.", n=size)
    pair = [real.take(random.permutation(real.rows)[:size]), redraw(parts.learn, size, random)]
    asked = [_flagged(model, table, side) for side, table in enumerate(pair)]
    halves = [Table(pa.concat_tables([one.take(np.arange(size) % 2 == half).data for one in asked]), asked[0].schema,
                    "both")
              for half in (0, 1)]
    told = steps.train(halves[0], learner="boosted", seed=0, settings={})
    truth, score = told.truth(halves[1]), told.program.margin(told.inputs(halves[1]))[:, 0]
    low, high = auc_interval(truth, logistic(score))
    value = (low + high) / 2
    verdict: Verdict = "unknown" if high != high else "pass" if high <= limit else "fail"
    return say(verdict, f"A learner tells simulated rows from real ones with AUC {value:.2f}, at the most {high:.2f}, "
               f"on {halves[1].rows:,} rows; {limit:g} is allowed.", value=value, low=low, high=high, limit=limit,
               n=halves[1].rows,
               remedy="" if verdict == "pass" else "the learning rows are not like the later ones: renew the learning "
               "rows, and read the scenarios of outage with care")


def _flagged(model: Model, table: Table, side: int) -> Table:
    """The feature columns but times, and a target that says where the rows came from, in the model's own words."""
    features = [column.name for column in table.schema.features if column.kind != "timestamp"]
    words = pa.array([(model.classes[0], model.classes[-1])[side] if model.classes else float(side)] * table.rows)
    return table.select([*features, model.sheet.target]).with_column(model.sheet.target, words)
