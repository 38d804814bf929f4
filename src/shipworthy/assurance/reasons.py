"""Do the reasons of a notice hold, and is there something that a refused person can do?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shipworthy.assurance.decisions import nobody
from shipworthy.assurance.groups import wished
from shipworthy.core.case import Steps
from shipworthy.core.contributions import contributions
from shipworthy.core.evidence import Finding, say, settled
from shipworthy.core.found import Profile
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.notices import MOST, Factor, just_accepted, notices, resets
from shipworthy.core.program import Linear
from shipworthy.core.project import Project
from shipworthy.core.recourse import GRID, Change, Recourse, changes, price
from shipworthy.core.table import Floats, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

LEAST = 200
NEAR = 1e-6
TRIES = 16


@check("reasons", row="ethics.decisions")
def reasons(
    project: Project, profile: Profile, model: Model, parts: Parts, steps: Steps, *, rows: int = 300, limit: float = 1.0
) -> Finding:
    """Whether in every sampled notice each cited factor, reset alone, moves the score the right way, and their order is
    that of the exact contributions.

    A notice cites up to four columns against a row that was just accepted. It fails too if it cites nothing, leaves
    out a weightier factor that counts, or cites a column without a code where `[reasons]` gives codes. limit: share of
    notices that must hold. Judged on refused rows of tune and holdout.
    """
    absent = _undecided(project, profile, model)
    if absent is not None:
        return absent
    wish, refused = wished(project, model), _refused(project, model, parts, rows)
    if len(refused) < LEAST:
        return say("unknown", f"{len(refused)} refused rows are fewer than {LEAST}.", n=len(refused),
                   remedy="hold out more rows")
    usual = just_accepted(model, parts.learn, wish)
    told = notices(model, refused, usual, wish=wish, shares=steps.contributions, codes=project.reasons)
    wrong = faults(model, refused, usual, told, wish, coded=bool(project.reasons))
    held = len(refused) - len(wrong)
    share, (low, high) = held / len(refused), clopper_pearson(held, len(refused))
    cited = sorted({factor.column for one in told for factor in one} & {c.name for c in parts.learn.schema.protected})
    named = f" Protected columns among the reasons: {', '.join(cited)}." if cited else ""
    good = share >= limit
    first = next(iter(wrong.items()), (0, ""))
    return say("pass" if good else "fail", f"In {share:.1%} of {len(refused)} notices ({low:.1%} to {high:.1%}) every "
               f"cited factor, reset alone, moves the score the right way, in the order of exact contributions; "
               f"{limit:.0%} is asked.{f' First fault: {first[1]}.' if wrong else ''}{named}", value=share, low=low,
               high=high, limit=limit, n=len(refused),
               counterexample={} if good else {"row": first[0], "problem": first[1],
                                               "cited": [factor.column for factor in told[first[0]]]},
               remedy="" if good else "cite exact contributions of this very model, and give every column that it "
               "reads a code: [reasons.COLUMN]")


def faults(
    model: Model, refused: Floats, usual: Floats, told: list[tuple[Factor, ...]], wish: int, *, coded: bool
) -> dict[int, str]:
    """Row → what is wrong with its notice, by shares and resets that are reckoned anew."""
    sign, names = (-1.0 if wish else 1.0), model.features.columns
    each = sign * contributions(model.program, refused, usual)
    place = np.array([names.index(encoder.column) for encoder in model.features.encoders])
    exact = np.stack([each[:, place == at].sum(axis=1) for at in range(len(names))], axis=1)
    helps = resets(model, refused, usual, wish=wish)
    found: dict[int, str] = {}
    for row, notice in enumerate(told):
        at = [names.index(factor.column) for factor in notice]
        shares = exact[row, at]
        counts = np.flatnonzero((exact[row] > 0) & (helps[row] > 0))
        best = counts[np.argsort(-exact[row, counts], kind="stable")][:MOST].tolist()
        if not notice:
            found[row] = "no factor is cited"
        elif any(helps[row, one] <= 0 for one in at):
            found[row] = f"resetting {notice[int(np.argmin(helps[row, at]))].column} does not help"
        elif np.abs(shares - [factor.against for factor in notice]).max() > NEAR * max(1.0, np.abs(shares).max()):
            found[row] = "the shares are not the exact ones"
        elif at != best and not np.allclose(shares, exact[row, best], atol=NEAR):
            found[row] = f"the order is {', '.join(factor.column for factor in notice)}, the exact one " \
                         f"{', '.join(names[one] for one in best)}"
        elif coded and not all(factor.code for factor in notice):
            found[row] = f"{next(factor.column for factor in notice if not factor.code)} has no code"
    return found


@check("recourse", row="ethics.decisions")
def recourse(
    project: Project, profile: Profile, model: Model, parts: Parts, steps: Steps, *, rows: int = 150,
    limit: float = 0.95
) -> Finding:
    """Whether refused people have something they can do: the share of sampled refused rows with a cheapest change,
    among those of `[recourse.change]`, that turns the decision; at the lower end.

    Every change is priced, decided and tried to be made cheaper again, one column at a time. A change that is not
    allowed, does not turn the decision or is not the cheapest fails at once. A search that ran out of boxes proves
    nothing and counts against. Numbers that a line reads are searched in steps of a hundredth of their range.
    """
    absent = _undecided(project, profile, model)
    if absent is not None:
        return absent
    if not project.recourse.change:
        return say("unknown", "Nobody has said what a person can change.",
                   remedy='say it: [recourse.change] COLUMN = "up", "down" or "either"')
    wish, refused = wished(project, model), _refused(project, model, parts, rows)
    if not len(refused):
        return say("not-applicable", "Nobody among the holdout and tune rows is refused.", n=0)
    allowed = changes(model, parts.learn, project.recourse.change)
    found: list[Recourse] = [steps.recourse(model, row, allowed, wish=wish) for row in refused]
    wrong = [(at, why) for at, one in enumerate(found) if one.verdict == "found"
             and (why := _not_cheapest(model, refused[at], one, allowed, wish))]
    if wrong:
        return say("fail", f"{len(wrong)} of {len(refused)} changes that were offered are wrong; the first "
                   f"{wrong[0][1]}.", value=1 - len(wrong) / len(refused), limit=limit, n=len(refused),
                   counterexample={"row": wrong[0][0], "problem": wrong[0][1]},
                   remedy="offer what the search of this very model finds: steps.recourse")
    counted = {verdict: sum(one.verdict == verdict for one in found) for verdict in ("found", "none", "unknown")}
    share, (low, high) = counted["found"] / len(found), clopper_pearson(counted["found"], len(found))
    verdict = settled(share, limit=limit, low=low, high=high, at_most=False, chance=True)
    costs = [one.cost for one in found if one.verdict == "found"]
    middle = f", at a median cost of {np.median(costs):.2f} standard deviations" if costs else ""
    return say(verdict, f"{share:.1%} of {len(found)} refused rows ({low:.1%} to {high:.1%}) have a change of "
               f"{', '.join(project.recourse.change)} that turns the decision{middle}; for {counted['none']} it is "
               f"proved that none does, {counted['unknown']} are undecided; {limit:.0%} is asked.", value=share,
               low=low, high=high, limit=limit, n=len(found),
               remedy="" if verdict == "pass" else f"more refused rows tell: [checks.recourse] rows = {4 * rows}"
               if verdict == "unknown" and share >= limit else "what people can change hardly counts in this model: "
               "offer other columns, or let a person decide about those who have no way")


def _undecided(project: Project, profile: Profile, model: Model) -> Finding | None:
    """Why nobody is owed a reason; None if somebody is."""
    absent = nobody(project, profile)
    if absent:
        return say("not-applicable", f"Nothing is decided about a person: {absent}.")
    if model.task == "regression":
        return say("not-applicable", "A regression answers with a value and refuses nobody.")
    if model.task == "multiclass":
        return say("unknown", "Which of several classes is a refusal is not declared, so there are no reasons for one.",
                   remedy="state the decision as two classes: [data] positive or [data.target_rule]")
    return None


def _refused(project: Project, model: Model, parts: Parts, rows: int) -> Floats:
    """Inputs of up to so many rows of holdout and tune that are refused, drawn by a seed."""
    both = Table(pa.concat_tables([parts.holdout.data, parts.tune.data]), parts.holdout.schema, "tune and holdout",
                 parts.holdout.origin)
    inputs = model.inputs(both)
    refused = inputs[model.decide(model.program.score(inputs)) != wished(project, model)]
    return np.asarray(refused[np.sort(np.random.default_rng(0).permutation(len(refused))[:rows])], np.float64)


def _not_cheapest(model: Model, row: Floats, found: Recourse, allowed: tuple[Change, ...], wish: int) -> str:
    """What is wrong with a change that was offered; empty if nothing was found. Tries every column by itself."""
    cost = price(row, found.row, allowed)
    if not np.isfinite(cost):
        return "changes what may not be changed, or beyond its range"
    if abs(cost - found.cost) > NEAR * max(1.0, cost):
        return f"costs {cost:.4g}, not {found.cost:.4g}"
    if int(model.decide(model.program.score(found.row[None]))[0]) != wish:
        return "does not turn the decision"
    nearer = [one for change in allowed for one in _nearer(row, found.row, change)]
    if not nearer:
        return ""
    asked = np.stack(nearer)
    turned = model.decide(model.program.score(asked)) == wish
    costs = np.array([price(row, one, allowed) for one in asked])
    smooth = {place for term in model.program.terms if isinstance(term.kind, Linear) for place in term.places}
    step = max([(one.high - one.low) / GRID / one.spread for one in allowed if one.place in smooth], default=0.0)
    better = turned & (costs < cost - step - NEAR)
    return f"costs {cost:.4g}, and {float(costs[better].min()):.4g} would do" if better.any() else ""


def _nearer(row: Floats, other: Floats, change: Change) -> list[Floats]:
    """The changed row with one input brought back, wholly or part of the way."""
    at, made = change.place, []
    if row[at] == other[at] or np.isnan(other[at]):
        return []
    for part in [0.0] if change.levels else np.arange(TRIES) / TRIES:
        value = row[at] + part * (other[at] - row[at])
        one = other.copy()
        one[at] = np.round(value) if change.whole else value
        made.append(one)
    return made
