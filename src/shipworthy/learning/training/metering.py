"""What did the run cost in time, money and energy, and was it stopped in time?"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.learned import Cost, Gain, Learned
from shipworthy.core.project import Project
from shipworthy.core.words import counted
from shipworthy.learning.search.purse import marginal, unpaid
from shipworthy.marks import check


@check("cost-in-budget", row="learning.cost")
def cost_in_budget(learned: Learned, project: Project, *, patience: int = 15, least_gain: float = 0.0005) -> Finding:
    """Whether the run's CPU seconds are within the declared limit, and the search ended when it stopped paying.

    Without a limit, CPU time is held to wall budget × threads. patience: trials in a row that may each lower the
    best loss by less than least_gain, relative. The sentence says what the next gain of 0.001 would cost.
    """
    cost, rules = learned.cost, project.learning
    free = rules.trials and not rules.max_cpu_seconds
    limit = math.inf if free else rules.max_cpu_seconds or rules.seconds * max(1, rules.threads) * 1.1
    source = "are declared" if rules.max_cpu_seconds else "follow from the wall budget and the threads"
    stale, last = _stale(learned.course, least_gain)
    told = (f"The run took {cost.cpu_seconds:,.1f} CPU seconds ({cost.money:.4f} {cost.currency}) and "
            f"{cost.peak_bytes / 1e6:,.0f} MB; " + (
                f"{counted(rules.trials, 'trial')} bound the search, no time." if free else
                f"{limit:,.0f} CPU seconds {source}."))
    verdict = held(cost.cpu_seconds, limit=limit, at_most=True)
    if verdict != "pass":
        return say(verdict, told, value=cost.cpu_seconds, limit=limit,
                   remedy="lower [learning] seconds, or raise max_cpu_seconds")
    if stale > patience:
        return say("fail", f"{told} The search went on for {stale} trials after it stopped gaining; "
                   f"{patience} are allowed.", value=float(stale), limit=float(patience), n=cost.trials,
                   remedy="lower [learning] seconds")
    late = unpaid(rules, learned.course)
    if late:
        return say("fail", f"{told} The search made {counted(late, 'trial')} after it gained less than the "
                   f"{rules.least_gain_per_kwh:g} declared for a kWh.", value=float(late), limit=0.0, n=cost.trials,
                   remedy="run it again: shipworthy run; or lower [learning] least_gain_per_kwh")
    more = f" The last gain came after {last.seconds:.1f} s; {_next(learned.course)}" if last else ""
    chart = {"kind": "line", "x": [one.seconds for one in learned.course], "y": [one.loss for one in learned.course]}
    return say("pass", told + more, value=cost.cpu_seconds, limit=None if free else limit,
               chart=chart if learned.course else {})


@check("metered", row="learning.environment")
def metered(learned: Learned, project: Project, *, max_age_years: float = 3.0) -> Finding:
    """Whether the run's energy and carbon are known as intervals, from CPU seconds that were really counted.

    Their upper ends are held to the declared budgets. The grams per kWh must say what day they describe, and that day
    must not be older than max_age_years, or the carbon is unknown.
    """
    cost, rules = learned.cost, project.learning
    known = cost.metered and cost.cpu_seconds > 0 and 0 < cost.kwh_low <= cost.kwh_high
    if not known or not cost.grams_low <= cost.grams_high:
        return say("fail", "The run was not metered, so its energy is not known.",
                   remedy="run it again with the meter on: shipworthy run")
    told = _told(cost)
    for used, most, unit, key in ((cost.kwh_high, rules.max_kwh, "kWh", "max_kwh"),
                                  (cost.grams_high, rules.max_grams, "g CO2e", "max_grams")):
        if most and used > most:
            return say("fail", f"{told}; {most:g} {unit} are declared.", value=used, limit=most,
                       remedy=f"lower [learning] seconds, or raise {key}")
    declared = rules.max_kwh or rules.max_grams
    told += "; within the declared budget." if declared else "; no budget is declared."
    facts = {"value": cost.kwh_high, "low": cost.kwh_low, "high": cost.kwh_high}
    age = _age_years(cost.grid_as_of)
    if not age <= max_age_years:
        old = f"are {age:.1f} years old" if age == age else "have no date"
        return say("unknown", f"{told} The grams per kWh {old}, so the carbon is not known today.", **facts,
                   remedy="give those of your grid: [learning] grams_per_kwh = [low, high], grid = \"…\", grid_as_of = "
                          "\"YYYY-MM-DD\"")
    return say("pass", told, limit=rules.max_kwh or None, **facts)


def _told(cost: Cost) -> str:
    """Energy and carbon of a run, and what is not in them."""
    how = "the processor's counters" if cost.counters else f"{cost.cpu_seconds:,.1f} CPU seconds"
    beyond = (f"idle machines and cooling counted by a factor of {cost.overhead:g}" if cost.overhead > 1
              else "idle machines and cooling not counted")
    return (f"The run took {cost.kwh_low * 1000:.3g} to {cost.kwh_high * 1000:.3g} Wh and {cost.grams_low:.2g} to "
            f"{cost.grams_high:.2g} g CO2e ({cost.grid}, as of {cost.grid_as_of or 'no day'}), from {how}; memory "
            f"about {cost.memory_kwh * 1000:.2g} Wh more, {beyond}")


def _age_years(day: str) -> float:
    """How long ago a day was, in years; NaN if it is none."""
    try:
        return (datetime.now(UTC).date() - date.fromisoformat(day)).days / 365.25
    except ValueError:
        return math.nan


def _stale(course: tuple[Gain, ...], least_gain: float) -> tuple[int, Gain | None]:
    """How many trials the search made since its last real gain, and that gain.

    The ladder's candidates stand first, at second 0; their losses are of other rows and are not compared.
    """
    best, stale, last = math.inf, 0, None
    for step in (one for one in course if one.seconds > 0):
        if step.loss < best * (1 - least_gain) or not math.isfinite(best):
            best, stale, last = min(best, step.loss), 0, step
        else:
            stale += 1
    return stale, last


def _next(course: tuple[Gain, ...]) -> str:
    """What the next gain of 0.001 would cost at the price of the last trials."""
    last = marginal(course)
    if last is None:
        return "too few trials followed to price the next by."
    if last.price is None:
        return (f"the last {last.trials} trials took {last.cpu_seconds:,.1f} CPU seconds and gained nothing, so the "
                "next +0.001 has no price.")
    return (f"at the price of the last {last.trials} trials the next +0.001 (AUC, accuracy or R²) costs "
            f"{last.price:,.1f} CPU seconds.")
