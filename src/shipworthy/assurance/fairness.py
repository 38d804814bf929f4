"""Are groups treated alike, by the criterion that was chosen beforehand?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shipworthy.assurance.groups import (
    Grouping,
    came_true,
    enough,
    favourable,
    groupings,
    in_words,
    mend,
    unmeasured,
    wished,
)
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.found import Profile
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Ints
from shipworthy.marks import check
from shipworthy.metrics.fairness import (
    equalised_odds_difference,
    equalised_odds_interval,
    impact_ratio,
    impact_ratio_interval,
    selection_rates,
)

LIMITS = {"impact-ratio": 0.80, "equalised-odds": 0.10}
NAMES = {"impact-ratio": "impact ratio", "equalised-odds": "equalised odds difference"}
SHOWN = 6


class _Figure(NamedTuple):
    grouping: Grouping
    value: float
    low: float
    high: float
    verdict: Verdict


@check("fairness", row="ethics.fairness")
def fairness(project: Project, profile: Profile, model: Model, parts: Parts, *, least: int = 50) -> Finding:
    """Whether the criterion of the project file holds for every protected column and every intersection of them.

    impact-ratio: lowest over highest selection rate, at least 0.80; equalised-odds: largest gap in true or false
    positive rate, at most 0.10; the limit can be declared. The criterion that was not chosen is shown, not judged: no
    model meets both where base rates differ. Groups under `least` holdout rows are insufficient: named, never a pass.
    A figure within its limit whose interval is not is unknown: there are too few rows to tell.
    """
    why_not = unmeasured(project, profile, model, parts.holdout, what="Fairness")
    if why_not is not None:
        return why_not
    criterion, wish = project.fairness.criterion, wished(project, model)
    chosen = favourable(model, model.score(parts.holdout), wish)
    true = came_true(model, model.truth(parts.holdout), wish)
    limit = project.fairness.limit or LIMITS[criterion]
    ways = groupings(parts.holdout, least=least)
    able = [way for way in ways if way.groups >= 2]
    small = [name for way in ways for name in way.small]
    if not able:
        return say("unknown", f"No two groups have {least} holdout rows each, so nothing can be compared "
                   f"(too small: {', '.join(small[:SHOWN]) or 'all'}).", n=parts.holdout.rows,
                   remedy="hold out more rows")
    figures = [_measure(way, criterion, chosen, true, limit) for way in able]
    share = parts.holdout.rows / (parts.holdout.rows + parts.tune.rows + parts.learn.rows)
    told = _beside(able, criterion, chosen, true) + _insufficient(small, least)
    return _say(model, figures, project, what=in_words(model, wish), chosen=chosen, share=share, limit=limit,
                more=told)


def _beside(ways: list[Grouping], criterion: str, chosen: Ints, true: Ints) -> str:
    """The worst figure of the criterion that was not chosen, in a sentence."""
    other = next(name for name in LIMITS if name != criterion)
    figures = [_measure(way, other, chosen, true, LIMITS[other]) for way in ways]
    worst = (min if other == "impact-ratio" else max)(figures, key=lambda figure: figure.value)
    return (f" Not chosen, and not judged: the {NAMES[other]} by {worst.grouping.name} is {worst.value:.2f} "
            f"({worst.low:.2f} to {worst.high:.2f}).")


def _insufficient(small: list[str], least: int) -> str:
    if not small:
        return ""
    listed = f"{', '.join(small[:SHOWN])}{' …' if len(small) > SHOWN else ''}"
    return f" Insufficient, under {least} rows, and not judged: {listed}."


def _measure(way: Grouping, criterion: str, chosen: Ints, true: Ints, limit: float) -> _Figure:
    d, y, g = chosen[way.kept], true[way.kept], way.label[way.kept]
    if criterion == "impact-ratio":
        value, (low, high) = impact_ratio(d, g), impact_ratio_interval(d, g, seed=0)
        return _Figure(way, value, low, high, settled(value, limit=limit, low=low, high=high, at_most=False))
    value, (low, high) = equalised_odds_difference(y, d, g), equalised_odds_interval(y, d, g, seed=0)
    return _Figure(way, value, low, high, settled(value, limit=limit, low=low, high=high, at_most=True, chance=True))


def _say(
    model: Model, figures: list[_Figure], project: Project, *, what: str, chosen: Ints, share: float, limit: float,
    more: str
) -> Finding:
    ratio = project.fairness.criterion == "impact-ratio"
    order = {"fail": 0, "unknown": 1, "pass": 2}
    worst = min(figures, key=lambda f: (order[f.verdict], f.value if ratio else -f.value))
    rates = selection_rates(chosen[worst.grouping.kept], worst.grouping.label[worst.grouping.kept])
    lowest, highest = int(np.nanargmin(rates.rate)), int(np.nanargmax(rates.rate))
    rows = int(worst.grouping.kept.sum())
    few, most = (f"{rates.rate[at]:.0%} of the rows with {rates.group[at]}" for at in (lowest, highest))
    sentence = (f"By {worst.grouping.name}, the {NAMES[project.fairness.criterion]} is {worst.value:.2f} "
                f"({worst.low:.2f} to {worst.high:.2f}, {rows:,} rows): the answer is {what} for {few} and for {most}; "
                f"at {'least' if ratio else 'most'} {limit:g} is asked of {len(figures)} groupings.{more}")
    remedy = mend(worst.grouping, model, "ethics.fairness") if worst.verdict == "fail" else ""
    if worst.verdict == "unknown":
        inside = (worst.value >= limit) == ratio
        told, remedy = enough(int(rates.rows[[lowest, highest]].min()), value=worst.value, limit=limit, share=share,
                              end=worst.low if inside == ratio else worst.high, row="ethics.fairness")
        sentence = f"{sentence} {told}"
    return say(worst.verdict, sentence, value=worst.value, low=worst.low, high=worst.high, limit=limit, n=rows,
               remedy=remedy,
               chart={"kind": "bars", "name": [str(name) for name in rates.group], "value": rates.rate.tolist(),
                      "low": [], "high": [], "limit": []})
