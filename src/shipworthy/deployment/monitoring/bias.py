"""Prediction bias: is what comes true as frequent, or as high, as the model says, in all and in every part?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import FIXED, SCORE_CELLS, Plan, Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.core.tallies import Sums, Tallies
from shipworthy.deployment.monitoring.alarm import sequence_width
from shipworthy.deployment.monitoring.meters import DECILES, deciles
from shipworthy.deployment.monitoring.windows import Cut, cut, summed
from shipworthy.marks import check

FEWEST = 100
FEWEST_BEFORE = 30
ALPHA = 0.05


@dataclass(frozen=True)
class Path:
    """What came true less what was expected, of one part of the traffic, after every window of arrival.

    name: "" for all of it, "decile 9 of the score", or column=value. n: (w,) labels so far. mean: (w,). half: (w,)
    valid at all looks. band: what is tolerated. end: (w,) last microsecond of each window.
    """

    name: str
    n: Ints
    mean: Floats
    half: Floats
    band: tuple[float, float]
    end: Ints

    @property
    def outside(self) -> Ints:
        """The windows after which the confidence sequence lay outside the band, from the 100th label on."""
        beyond = (self.mean - self.half > self.band[1]) | (self.mean + self.half < self.band[0])
        return np.flatnonzero(beyond & (self.n >= FEWEST))

    @property
    def within(self) -> bool:
        """Whether the whole sequence lies inside the band by now."""
        return bool(self.mean[-1] - self.half[-1] >= self.band[0] and self.mean[-1] + self.half[-1] <= self.band[1])

    @property
    def beyond(self) -> float:
        """By how much it lies outside the band, 0 where it does not."""
        return float(max(self.mean[-1] - self.half[-1] - self.band[1], self.band[0] - self.mean[-1] - self.half[-1], 0))


def paths(reference: Reference, tallies: Tallies, level: str, tolerance: float) -> list[Path]:
    """Of all traffic first, then of every decile of the score and every segment with a hundred labels.

    The three share what may be missed, and so do the parts of one. Of a part that the reference hardly holds nothing
    is said. Source: Waudby-Smith et al. (2024), the sequence; Bonferroni, the parts.
    """
    labels, own = tallies.labels.whole, _own(reference)
    windows = cut(labels, level, until=tallies.told, every=True)
    if not len(windows):
        return []
    whole = np.cumsum(summed(labels.of("labels"), windows), axis=0)[:, [0, 3, 4]]
    known = reference.facts.bias, 1.96 * reference.facts.bias_error
    found = [_path("", whole, windows, _band(known, tolerance), ALPHA / 3)]
    apart = np.cumsum(summed(labels.of("bias"), windows), axis=0).reshape(len(windows), DECILES, 4)
    in_decile = deciles(reference)[reference.sample[:, -2]] if len(reference.sample) else np.zeros(0, np.int64)
    for k in range(DECILES):
        before = own[in_decile == k]
        if len(before) >= FEWEST_BEFORE:
            sums = np.stack([apart[:, k, 0], apart[:, k, 2] - apart[:, k, 1], apart[:, k, 3]], axis=1)
            found.append(_path(f"decile {k + 1} of the score", sums, windows, _band(_known(before), tolerance),
                               ALPHA / 3 / DECILES))
    names = [name for name in tallies.labels.segments if "=" in name]
    for name in names:
        before = own[_held(reference, name)]
        part: Sums = tallies.labels.where(tallies.labels.segment == name)
        own_windows = cut(part, level, until=tallies.told, every=True)
        if len(before) >= FEWEST_BEFORE and len(own_windows):
            sums = np.cumsum(summed(part.of("labels"), own_windows), axis=0)[:, [0, 3, 4]]
            found.append(_path(name, sums, own_windows, _band(_known(before), tolerance), ALPHA / 3 / len(names)))
    return [found[0], *(one for one in found[1:] if one.n[-1] >= FEWEST)]


def _path(name: str, sums: Ints, windows: Cut, band: tuple[float, float], alpha: float) -> Path:
    """sums: (w, 3) labels, Σ and Σ² of the surprise, so far."""
    n = np.maximum(sums[:, 0], 1)
    mean = sums[:, 1] / FIXED / n
    variance = np.maximum(sums[:, 2] / FIXED / n - mean**2, 1e-6)
    end = np.array([windows.end(k) for k in range(len(windows))], np.int64)
    return Path(name, sums[:, 0], mean, sequence_width(n.astype(np.float64), variance, alpha=alpha), band, end)


def _band(known: tuple[float, float], tolerance: float) -> tuple[float, float]:
    """What is tolerated: 0 and the reference's own mean, as far as it is known, ± tolerance."""
    return min(0.0, known[0] - known[1]) - tolerance, max(0.0, known[0] + known[1]) + tolerance


def _known(before: Floats) -> tuple[float, float]:
    return float(before.mean()), 1.96 * float(before.std() / np.sqrt(len(before)))


def _own(reference: Reference) -> Floats:
    """What came true less what was expected of every row of the reference's sample, (r,)."""
    came = reference.came / FIXED
    if reference.plan.value:
        return came
    return np.asarray(came - (reference.sample[:, -2] % SCORE_CELLS + 0.5) / SCORE_CELLS)


def _held(reference: Reference, name: str) -> Ints:
    """The rows of the reference's sample in a segment; none where the reference does not know it."""
    column, _, value = name.partition("=")
    plan: Plan = reference.plan
    place = plan.names.index(column) if column in plan.names else -1
    if place < 0 or value not in plan.columns[place].values:
        return np.zeros(0, np.int64)
    return np.flatnonzero(reference.sample[:, place] == plan.columns[place].values.index(value))


@check("prediction-bias", row="deployment.monitoring")
def prediction_bias(project: Project, grid: Reference, tallies: Tallies) -> Finding:
    """Whether outcomes are more or less frequent, or higher or lower, than the model says, ever since the release.

    In all traffic, in every decile of the score, and in every segment that is counted. Of a regression the figures are
    in the unit of its target, as far as its errors reach.
    """
    found = paths(grid, tallies, project.watch.window, project.watch.tolerance)
    n = int(found[0].n[-1]) if found else 0
    if n < FEWEST:
        return say("unknown", f"{n} labels are too few to judge the model's bias; {FEWEST} are needed.", n=n)
    whole, parts = found[0], found[1:]
    out = [one for one in found if one.outside.size]
    shown = whole if not out or whole in out else max(out, key=lambda one: one.beyond)
    span, facts = _span(grid, shown)
    if out:
        where = f"In {shown.name} outcomes" if shown.name else "Outcomes"
        also = [one.name for one in sorted(out, key=lambda one: -one.beyond) if one is not shown][:3]
        more = f"; {'also' if shown.name else 'most'} in {', '.join(also)}" if also else ""
        return say("fail", f"{where} differ from what the model expects by {span}{more}; first seen after "
                   f"{int(shown.n[shown.outside[0]]):,} labels.", **facts,
                   remedy="recalibrate on the newest labels: shipworthy renew")
    if not whole.within:
        return say("unknown", f"The model's bias is not known well enough: {span}.", **facts,
                   remedy="wait for more labels")
    right = ("Outcomes are as high as the model says" if grid.plan.value else
             "Outcomes are as frequent as the model says" if len(grid.plan.classes) == 2 else
             "The model is right as often as it says")
    told = f"; nor does any of {len(parts)} parts of the traffic differ" if parts else ""
    return say("pass", f"{right}, to within {span}{told}.", **facts)


def _span(grid: Reference, path: Path) -> tuple[str, dict[str, float | int]]:
    """The last value of a path in words, and as the facts of a finding."""
    unit = grid.facts.cap if grid.plan.value else 1.0
    mean, half, n = float(path.mean[-1]), float(path.half[-1]), int(path.n[-1])
    value, low, high, least, most = (unit * end for end in (mean, mean - half, mean + half, *path.band))
    told = ".4g" if grid.plan.value else ".3f"
    span = (f"{value:+{told}} (95 % confidence sequence {low:+{told}} to {high:+{told}}, allowed {least:+{told}} to "
            f"{most:+{told}}, {n:,} labels)")
    return span, {"value": value, "low": low, "high": high, "limit": most if value > 0 else least, "n": n}
