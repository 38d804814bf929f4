"""Are new labels fit to learn from: no source contradicts the model more than the others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shipworthy.core.evidence import Finding, say
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.marks import check

FEWEST = 100
SOURCE_ROWS = 50
TARGETED = 0.01
SWAPPED = 0.3
SURE = 3.0


@dataclass(frozen=True)
class Flips:
    """How many labels of a source look turned round beyond the others in the same weeks.

    low: pessimistic end of the share when each error weighs by how surely the model expected none.
    """

    source: str
    share: float
    low: float
    n: int


@check("no-poison", row="security.poisoning")
def no_poison(model: Model, log: Table, labels: Table, *, limit: float = TARGETED) -> Finding:
    """Whether labels of one source contradict the model more than those of the others."""
    return judged(model, labelled(model, log, labels), limit=limit)


def judged(model: Model, fresh: Table, *, limit: float = TARGETED) -> Finding:
    """The finding about labelled rows with the columns label_source and label_week."""
    if fresh.rows < FEWEST:
        return say("unknown", f"{fresh.rows} labelled rows are too few to find poisoned ones; {FEWEST} are needed.",
                   n=fresh.rows)
    found, overall = flips(model, fresh)
    chart = {"kind": "bars", "name": [f.source for f in found], "value": [f.share for f in found], "limit": limit}
    whole = f"{fresh.rows:,} labels of {len(found)} sources"
    worst = max(found, key=lambda f: f.low)
    facts: dict[str, Any] = {"value": worst.share, "low": worst.low, "limit": limit, "n": fresh.rows, "chart": chart}
    if overall.low > SWAPPED:
        return say("fail", f"{overall.share:.0%} of all labels contradict the model: they look swapped ({whole}).",
                   **facts, remedy="check which class the labels name, then send them again")
    if len(found) > 1 and worst.low > limit:
        return say("fail", f'"{worst.source}" contradicts the model more than the other sources of the same weeks: '
                           f"about {worst.share:.1%} of its labels look turned round ({worst.n:,} of {whole}; at most "
                           f"{limit:.0%} is allowed).", **facts,
                   remedy=f'ask "{worst.source}" to confirm its labels, or leave the source out',
                   counterexample={"source": worst.source})
    if overall.low > 3 * limit:
        return say("unknown" if len(found) == 1 else "pass", f"About {overall.share:.1%} of all labels contradict the "
                   "model, and no source more than the others: the relation has changed, or every source "
                   f"is wrong ({whole}).", **facts, remedy="confirm a random sample of labels by hand")
    return say("pass", f"No source contradicts the model more than the others ({whole}).", **facts)


def flips(model: Model, fresh: Table) -> tuple[tuple[Flips, ...], Flips]:
    """The share of turned labels by source against the others in the same weeks, and of all labels in itself.

    The pessimistic end is three standard errors below, and more with many sources.
    Source: Natarajan et al. (2013), the noise model e + φ(1 − 2e).
    """
    gap, gain, weight = _contradiction(model, fresh)
    source, week = fresh.words("label_source").astype(str), fresh.numbers("label_week")
    names = [name for name in np.unique(source) if (source == name).sum() >= SOURCE_ROWS] or [str(source[0])]
    z = SURE + 0.2 * np.log2(len(names))
    found = []
    for name in names:
        inside = source == name
        rest = ~inside & np.isin(week, week[inside])
        plain, (share, spread) = _plain(gap[inside], gain[inside]), _share(gap[inside], gain[inside], weight[inside])
        if rest.sum() >= SOURCE_ROWS:
            other, noise = _share(gap[rest], gain[rest], weight[rest])
            plain, share, spread = plain - _plain(gap[rest], gain[rest]), share - other, float(np.hypot(spread, noise))
        found.append(Flips(name, plain, share - z * spread, int(inside.sum())))
    share, spread = _share(gap, gain, weight)
    return tuple(found), Flips("all", _plain(gap, gain), share - SURE * spread, fresh.rows)


def _plain(gap: Floats, gain: Floats) -> float:
    return float(gap.sum() / gain.sum())


def _share(gap: Floats, gain: Floats, weight: Floats) -> tuple[float, float]:
    total = float((weight * gain).sum())
    share = float((weight * gap).sum()) / total
    return share, float(np.sqrt((weight**2 * (gap - share * gain) ** 2).sum())) / total


def _contradiction(model: Model, fresh: Table) -> tuple[Floats, Floats, Floats]:
    """Error less expected error, what a turned label adds to it, and the weight, of every row."""
    score, truth = model.score(fresh), model.truth(fresh)
    if model.task == "regression":
        loss = np.abs(truth - score)
        loss = np.minimum(loss / max(float(np.quantile(loss, 0.9)), 1e-12), 1.0)
        return loss - float(np.median(loss)), np.ones(len(loss)), np.ones(len(loss))
    if score.ndim == 1:
        decision = (score >= 0.5).astype(np.int64)
        expected = np.where(decision == 1, 1 - score, score)
    else:
        decision, expected = score.argmax(axis=1), 1 - score.max(axis=1)
    wrong = (decision != truth).astype(np.float64)
    bounded = np.clip(expected, 0.02, 0.45)
    gain = 1 - 2 * bounded
    return wrong - expected, gain, gain / (bounded * (1 - bounded))


def labelled(model: Model, log: Table, labels: Table) -> Table:
    """The logged rows that have a label, oldest first, with the target, label_source and label_week.

    Joined by prediction id; the newest label of an id counts. Rows whose label is of no known class are left out,
    and so are rows whose propensity is logged and not above 0: they tell nothing of what would have been.
    """
    place = {word: at for at, word in enumerate(log.words("prediction_id"))}
    arrived = labels.numbers("observed_at")
    order = np.argsort(arrived, kind="stable")
    ids = labels.words("prediction_id")
    newest = {place[ids[at]]: int(at) for at in order if ids[at] in place}
    usable = np.ones(log.rows, np.bool_)
    if "propensity" in log.schema:
        usable = log.numbers("propensity") > 0
    rows = np.array(sorted(row for row in newest if usable[row]), np.int64)
    rows = rows[np.argsort(log.numbers("at")[rows], kind="stable")]
    at = np.array([newest[int(row)] for row in rows], np.int64)
    known = _known(model, labels, at)
    rows, at = rows[known], at[known]
    source = labels.words("source")[at] if "source" in labels.schema else np.full(len(at), "", object)
    taken = log.take(rows).with_column(model.sheet.target, labels.column("label").take(pa.array(at)))
    taken = taken.with_column("label_source", pa.array([word or "" for word in source], pa.string()))
    return taken.with_column("label_week", pa.array(arrived[at] // 604_800))


def _known(model: Model, labels: Table, at: Ints) -> npt.NDArray[np.bool_]:
    if model.classes:
        return np.isin(labels.words("label")[at].astype(str), model.classes)
    return np.isfinite(labels.numbers("label")[at])
