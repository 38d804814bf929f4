"""What did the run cost in time, money and energy, and was it stopped in time?"""

from __future__ import annotations

import math

from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.learned import Gain, Learned
from shipworthy.core.project import Project
from shipworthy.core.words import counted
from shipworthy.marks import check


@check("cost-in-budget", row="learning.cost")
def cost_in_budget(learned: Learned, project: Project, *, patience: int = 15, least_gain: float = 0.0005) -> Finding:
    """Whether the run's CPU seconds are within the declared limit, and the search ended when it stopped gaining.

    Without a limit, CPU time is held to wall budget × threads. patience: trials in a row that may each lower the
    best loss by less than least_gain, relative.
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
    more = f" The last gain came after {last.seconds:.1f} s; {_next(learned)}" if last else ""
    chart = {"kind": "line", "x": [one.seconds for one in learned.course], "y": [one.loss for one in learned.course]}
    return say("pass", told + more, value=cost.cpu_seconds, limit=None if free else limit,
               chart=chart if learned.course else {})


@check("metered", row="learning.environment")
def metered(learned: Learned) -> Finding:
    """Whether the run's energy and carbon are known as intervals, from CPU seconds that were really counted."""
    cost = learned.cost
    counted = cost.metered and cost.cpu_seconds > 0 and 0 < cost.kwh_low <= cost.kwh_high
    if not counted or not cost.grams_low <= cost.grams_high:
        return say("fail", "The run was not metered, so its energy is not known.",
                   remedy="run it again with the meter on: shipworthy run")
    return say("pass", f"The run took {cost.kwh_low * 1000:.3g} to {cost.kwh_high * 1000:.3g} Wh and "
               f"{cost.grams_low:.2g} to {cost.grams_high:.2g} g CO2e ({cost.grid}), from {cost.cpu_seconds:,.1f} CPU "
               "seconds; memory, idle power and cooling are not counted, and no energy budget is declared.",
               value=cost.kwh_high, low=cost.kwh_low, high=cost.kwh_high)


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


def _next(learned: Learned) -> str:
    """What the next 0.1 % of loss would cost at the price of the last gain."""
    steps = [one for n, one in enumerate(learned.course) if not n or one.loss < min(s.loss for s in learned.course[:n])]
    if len(steps) < 2 or steps[-1].loss <= 0:
        return "there was no later one to price the next by."
    before, after = steps[-2], steps[-1]
    share = (before.loss - after.loss) / before.loss
    seconds = (after.seconds - before.seconds) * 0.001 / share if share > 0 else math.inf
    if not math.isfinite(seconds):
        return "no price is known."
    return f"at its price the next 0.1 % of loss costs {f'{seconds:,.0f} s' if seconds >= 1 else 'less than 1 s'}."
