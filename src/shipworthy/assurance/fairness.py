"""Are groups treated alike, by the criterion that was chosen beforehand?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shipworthy.assurance.groups import Grouping, came_true, enough, favourable, groupings, mend, no_people
from shipworthy.core.evidence import Finding, Verdict, say, settled
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

RATIO, ODDS = 0.80, 0.10


class _Figure(NamedTuple):
    grouping: Grouping
    value: float
    low: float
    high: float
    verdict: Verdict


@check("fairness", row="ethics.fairness")
def fairness(project: Project, model: Model, parts: Parts, *, least: int = 50) -> Finding:
    """Whether the criterion of the project file holds for every protected column and every pair of them.

    impact-ratio: lowest over highest selection rate, at least 0.80; equalised-odds: largest gap in true or false
    positive rate, at most 0.10; the limit can be declared. Groups under `least` holdout rows are reported, not judged.
    A figure within its limit whose interval is not is unknown: there are too few rows to tell.
    """
    absent = no_people(project, parts.holdout)
    if absent:
        return say("not-applicable", f"Fairness between groups does not apply: {absent}.")
    if not parts.holdout.schema.protected:
        return say("unknown", "No protected column is declared, so nobody can say who is treated alike.",
                   remedy='declare one, [data] protected = ["sex"], or [project] subject = "thing" if rows '
                   'are not people')
    criterion = project.fairness.criterion
    if criterion == "none":
        return say("unknown", "No fairness criterion was chosen before measuring.",
                   remedy='choose one now: [fairness] criterion = "impact-ratio" or "equalised-odds"')
    if model.task == "multiclass":
        return say("unknown", "Which of several classes is favourable is not declared, so no rate can be compared.",
                   remedy="state the decision as two classes: [data] positive or [data.target_rule]")
    score = model.score(parts.holdout)
    chosen, true = favourable(model, score), came_true(model, model.truth(parts.holdout))
    limit = project.fairness.limit or (RATIO if criterion == "impact-ratio" else ODDS)
    ways = groupings(parts.holdout, least=least)
    figures = [_measure(way, criterion, chosen, true, limit) for way in ways if way.groups >= 2]
    small = [name for way in ways for name in way.small]
    if not figures:
        return say("unknown", f"No two groups have {least} holdout rows each, so nothing can be compared "
                   f"(too small: {', '.join(small[:6]) or 'all'}).", n=parts.holdout.rows, remedy="hold out more rows")
    share = parts.holdout.rows / (parts.holdout.rows + parts.tune.rows + parts.learn.rows)
    return _say(model, figures, criterion, limit, small=small, chosen=chosen, share=share)


def _measure(way: Grouping, criterion: str, chosen: Ints, true: Ints, limit: float) -> _Figure:
    d, y, g = chosen[way.kept], true[way.kept], way.label[way.kept]
    if criterion == "impact-ratio":
        value, (low, high) = impact_ratio(d, g), impact_ratio_interval(d, g, seed=0)
        return _Figure(way, value, low, high, settled(value, limit=limit, low=low, high=high, at_most=False))
    value, (low, high) = equalised_odds_difference(y, d, g), equalised_odds_interval(y, d, g, seed=0)
    return _Figure(way, value, low, high, settled(value, limit=limit, low=low, high=high, at_most=True, chance=True))


def _say(
    model: Model, figures: list[_Figure], criterion: str, limit: float, *, small: list[str], chosen: Ints, share: float
) -> Finding:
    ratio = criterion == "impact-ratio"
    order = {"fail": 0, "unknown": 1, "pass": 2}
    worst = min(figures, key=lambda f: (order[f.verdict], f.value if ratio else -f.value))
    rates = selection_rates(chosen[worst.grouping.kept], worst.grouping.label[worst.grouping.kept])
    lowest, highest = int(np.nanargmin(rates.rate)), int(np.nanargmax(rates.rate))
    what = "impact ratio" if ratio else "equalised odds difference"
    rows = int(worst.grouping.kept.sum())
    target = model.sheet.target
    chosen_is = f"{target} = {model.classes[1]}" if model.classes else f"a {target} above the median"
    tail = f" Too few rows to judge: {', '.join(small[:6])}{' …' if len(small) > 6 else ''}." if small else ""
    few, most = (f"{rates.rate[at]:.0%} of the rows with {rates.group[at]}" for at in (lowest, highest))
    sentence = (f"By {worst.grouping.name}, the {what} is {worst.value:.2f} ({worst.low:.2f} to {worst.high:.2f}, "
                f"{rows:,} rows): the answer is {chosen_is} for {few} and for {most}; "
                f"at {'least' if ratio else 'most'} {limit:g} is asked of {len(figures)} groupings.{tail}")
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
