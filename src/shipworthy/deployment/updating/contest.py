"""Who wins on the newest labelled rows: no update, each candidate by rising cost, and the rule "as last time"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import NO_UPDATE
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.metrics.intervals import paired_mean_difference
from shipworthy.metrics.losses import row_losses

FEWEST_TAIL = 100
BATCH, BATCHES, LEAST_BATCHES = 20, 50, 5


@dataclass(frozen=True)
class Rival:
    """A candidate against what it had to beat. loss, naive: mean loss of it and of "as last time" on the same rows."""

    name: str
    against: str
    loss: float
    gain: float
    low: float
    high: float
    naive: float

    @property
    def won(self) -> bool:
        return self.high < 0 and self.loss <= self.naive

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        span = f"{self.gain:+.4f} ({self.low:+.4f} to {self.high:+.4f})"
        if self.won:
            return f"{self.name} beats {self.against}: {span}"
        if self.high < 0:
            return f'{self.name} beats {self.against} ({span}), but not "as last time"'
        return f"{self.name} is not shown to beat {self.against}: {span}"


@dataclass(frozen=True)
class Contest:
    """What came of it. winner: a name, empty where the champion stays. naive: whether "as last time" beats all."""

    finding: Finding
    winner: str
    rivals: tuple[Rival, ...]
    naive: bool


def contest(
    champion: Floats, candidates: Mapping[str, Floats], last: Floats, *, alpha: float = 0.05, of: int = 0,
    apart: int = 1,
) -> Contest:
    """The cheapest candidate whose gain is proved, unless a dearer one proves a gain over it.

    champion: (n,) losses of no update on the newest rows, oldest first. candidates: name → (n,), by rising cost. last:
    (m,) losses of "as last time" on the last m of these rows. of: how many candidates there are in all, where some are
    still to come. apart: from how many rows on two no longer depend on each other. Each must beat whoever leads so far,
    at a level of alpha shared by all; the intervals are those of means of consecutive rows, which bear rows that depend
    on their neighbours. Source: Schmeiser (1982), batch means;
    Bonferroni (1936).
    """
    n, m = len(champion), len(last)
    if n < FEWEST_TAIL:
        return Contest(_too_few(n), "", (), False)
    level = 1 - alpha / max(1, of, len(candidates))
    leader, lead, rivals, naive = NO_UPDATE, champion, [], float(last.mean())
    for name, losses in candidates.items():
        gain, low, high = paired_mean_difference(losses, lead, level=level, groups=batches(n, apart))
        rival = Rival(name, leader, float(losses[n - m:].mean()), gain, low, high, naive)
        rivals.append(rival)
        if rival.won:
            leader, lead = name, losses
    winner = "" if leader == NO_UPDATE else leader
    best = min(float(losses[n - m:].mean()) for losses in (champion, *candidates.values()))
    return Contest(_said(winner, tuple(rivals), n, naive < best), winner, tuple(rivals), naive < best)


def _too_few(n: int) -> Finding:
    return say("unknown", f"{n} newest labelled rows are too few to compare models; {FEWEST_TAIL} are needed.", n=n,
               remedy="wait for more labels")


def _said(winner: str, rivals: tuple[Rival, ...], n: int, naive: bool) -> Finding:
    chart = {"kind": "bars", "name": [one.name for one in rivals], "value": [one.gain for one in rivals],
             "low": [one.low for one in rivals], "high": [one.high for one in rivals]}
    told = "; ".join(one.sentence for one in rivals) or "there is no candidate"
    facts: dict[str, Any] = {"n": n, "limit": 0.0, "chart": chart if rivals else {}}
    taken = next((one for one in reversed(rivals) if one.name == winner), None)
    if taken is not None:
        return say("pass", f"{winner} is taken ({n:,} newest labelled rows): {told}.", value=taken.gain, low=taken.low,
                   high=taken.high, **facts)
    if naive:
        return say("fail", f'"As last time" beats the champion and every candidate ({n:,} newest labelled rows): '
                           f"{told}.", remedy="add the last known outcome as a feature, or stop and answer by it",
                   **facts)
    return say("unknown", f"No candidate is shown to be better than no update ({n:,} newest labelled rows): {told}.",
               remedy="keep the champion", **facts)


def batches(n: int, apart: int = 1) -> Ints:
    """The batch of every row: consecutive, of 20 rows or `apart` or more, at least 5 and at most 50 of them."""
    count = min(BATCHES, max(LEAST_BATCHES, n // max(BATCH, apart)))
    return np.arange(n) * count // max(1, n)


def compare(
    champion: Model, challenger: Model, tail: Table, *, before: Table | None = None, lag: int = 1, apart: int = 1
) -> Finding:
    """Whether the challenger beats the champion, row by row, and the rule "as last time", on the newest labelled rows.

    tail: rows that neither has learnt from, oldest first. before: the rows just before them, from which "as last time"
    takes its shares; lag: how many rows ago the last known outcome lies; apart: as in `contest`. Loss: log loss, or
    squared error.
    """
    n = tail.rows
    if n < FEWEST_TAIL:
        return _too_few(n)
    return judged(losses(champion, tail), losses(challenger, tail), last_losses(champion, before or tail, tail, lag),
                  task=champion.task, apart=apart)


def judged(old: Floats, new: Floats, last: Floats, *, task: str, apart: int = 1) -> Finding:
    """The same of losses: (n,) of the champion, (n,) of the challenger, (m,) of "as last time" on the last m rows."""
    n, m = len(old), len(last)
    value, low, high = paired_mean_difference(new, old, groups=batches(n, apart))
    facts = {"value": value, "low": low, "high": high, "limit": 0.0, "n": n}
    name = "squared error" if task == "regression" else "log loss"
    span = f"{value:+.4f} {name} (95 % interval {low:+.4f} to {high:+.4f}, {n:,} newest labelled rows)"
    naive, own = float(last.mean()), float(new[n - m:].mean())
    if own > naive:
        return say("fail", f'The challenger does not beat "as last time": {own:.4g} against {naive:.4g} ({n:,} rows).',
                   **facts, remedy="add the last known outcome as a feature")
    if high < 0:
        return say("pass", f"The challenger is better than the champion: {span}.", **facts)
    verdict: Literal["fail", "unknown"] = "fail" if low > 0 else "unknown"
    return say(verdict, f"The challenger is {'worse' if low > 0 else 'not shown to be better'}: {span}.", **facts,
               remedy="keep the champion")


def losses(model: Model, rows: Table, score: Floats | None = None) -> Floats:
    """(n,) log loss or squared error of every row. score: instead of the model's own, such as that of one learning."""
    return row_losses(model.score(rows) if score is None else score, model.truth(rows), model.task)


def last_losses(model: Model, before: Table, tail: Table, lag: int = 1) -> Floats:
    """(m,) losses of "as last time" on the rows of the tail that have a known outcome `lag` rows ago: the last m.

    For classes, "as last time" is the share of each class after each class on as many rows of `before`.
    """
    lag = max(1, min(lag, tail.rows // 2))
    truth: Any = model.truth(tail)
    if model.task == "regression":
        return np.asarray((truth[lag:] - truth[:-lag]) ** 2, np.float64)
    k, older = len(model.classes), model.truth(before.take(np.arange(max(0, before.rows - tail.rows), before.rows)))
    pairs = np.bincount(older[:-lag] * k + older[lag:], minlength=k * k).reshape(k, k) + 0.5
    return np.asarray(-np.log((pairs / pairs.sum(axis=1, keepdims=True))[truth[:-lag], truth[lag:]]), np.float64)


def lag(log: Table, labels: Table) -> int:
    """How many rows are served while one label is on its way, at the median; at least 1."""
    asked = dict(zip(log.words("prediction_id"), log.numbers("at"), strict=True))
    waits = [seen - asked[one] for one, seen in
             zip(labels.words("prediction_id"), labels.numbers("observed_at"), strict=True) if one in asked]
    span = float(np.ptp(log.numbers("at"))) if log.rows > 1 else 0.0
    return max(1, int(np.median(waits) / span * log.rows)) if waits and span > 0 else 1
