"""Does the model widen a gap that the data holds?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

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
from shipworthy.core.table import Ints, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import percentiles

DRAWS = 1_000


class _Gap(NamedTuple):
    grouping: Grouping
    groups: tuple[str, str]
    smaller: int
    selected: float
    base: float
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.selected - self.base


@check("amplification", row="ethics.bias")
def amplification(
    project: Project, profile: Profile, model: Model, parts: Parts, *, limit: float = 0.02, least: int = 50
) -> Finding:
    """Whether the gap in selection rates exceeds the gap in base rates by at most the limit, at the upper end.

    The group with the higher base rate less the one with the lower, for every protected column and intersection, on
    tune and holdout rows together. A figure beyond the limit that chance can explain is unknown.
    Source: Zhao et al. (2017), bias amplification, with rates in place of counts.
    """
    both = Table(pa.concat_tables([parts.tune.data, parts.holdout.data]), parts.holdout.schema, "tune and holdout",
                 parts.holdout.origin)
    why_not = unmeasured(project, profile, model, both, what="Bias")
    if why_not is not None:
        return why_not
    wish = wished(project, model)
    true, chosen = came_true(model, model.truth(both), wish), favourable(model, model.score(both), wish)
    gaps = [_gap(way, true, chosen) for way in groupings(both, least=least) if way.groups >= 2]
    if not gaps:
        return say("unknown", f"No two groups have {least} rows each.", n=both.rows, remedy="hold out more rows")
    verdicts = [settled(gap.value, limit=limit, low=gap.low, high=gap.high, at_most=True, chance=True) for gap in gaps]
    order: tuple[Verdict, ...] = ("fail", "unknown", "pass")
    worst = next(v for v in order if v in verdicts)
    gap = max((g for g, v in zip(gaps, verdicts, strict=True) if v == worst), key=lambda g: g.high)
    return _say(gap, worst, model, what=in_words(model, wish), limit=limit, groupings=len(gaps),
                share=both.rows / (both.rows + parts.learn.rows))


def _say(
    gap: _Gap, verdict: Verdict, model: Model, *, what: str, limit: float, groupings: int, share: float
) -> Finding:
    rows = int(gap.grouping.kept.sum())
    told, remedy = "", ""
    if verdict == "unknown":
        end = gap.high if gap.value <= limit else gap.low
        told, remedy = enough(gap.smaller, value=gap.value, end=end, limit=limit, row="ethics.bias", share=share)
    if verdict == "fail":
        remedy = mend(gap.grouping, model, "ethics.bias")
    one, other = gap.groups
    return say(verdict, f"By {gap.grouping.name}, the share of {what} differs by {gap.base:+.3f} in the data and by "
                        f"{gap.selected:+.3f} in decisions, {one} less {other}: the model adds {gap.value:+.3f} "
                        f"({gap.low:+.3f} to {gap.high:+.3f}, {rows:,} rows); {limit:+g} is allowed in {groupings} "
                        f"groupings.{told and ' ' + told}",
               value=gap.value, low=gap.low, high=gap.high, limit=limit, n=rows, remedy=remedy)


def _gap(way: Grouping, true: Ints, chosen: Ints) -> _Gap:
    label, y, d = way.label[way.kept], true[way.kept], chosen[way.kept]
    groups, place = np.unique(label, return_inverse=True)
    base = np.bincount(place, y) / np.bincount(place)
    high, low = int(base.argmax()), int(base.argmin())
    if high == low:
        high, low = 0, 1
    random = np.random.default_rng(0)
    more, less = (_drawn(random, (d - y)[place == at]) for at in (high, low))
    ends = percentiles(more - less)
    rows = np.bincount(place)
    select = np.bincount(place, d) / rows
    return _Gap(way, (str(groups[high]), str(groups[low])), int(rows[[high, low]].min()),
                float(select[high] - select[low]), float(base[high] - base[low]), *ends)


def _drawn(random: np.random.Generator, change: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means of −1, 0 and 1 over bootstrap draws; counts of equal rows are multinomial."""
    n = len(change)
    share = np.array([(change == step).mean() for step in (-1, 0, 1)])
    times = random.multinomial(n, share / share.sum(), size=DRAWS)
    return np.asarray((times[:, 2] - times[:, 0]) / n, np.float64)
