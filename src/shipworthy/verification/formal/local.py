"""Local robustness: on which rows no error of measurement can turn the decision, proved; and whether that is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say, settled
from shipworthy.core.features import Number
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson, paired_mean_difference
from shipworthy.verification.formal import network
from shipworthy.verification.formal.claims import Budget, Domain, Robust, Span, Verdict
from shipworthy.verification.formal.decision import margin_cut
from shipworthy.verification.formal.families import Prover
from shipworthy.verification.formal.selftest import disagreement, hostile

ROUNDING = "a row comes within rounding of the limit"
SELFTEST_ROWS = 200  # that a network is tested on
SELFTEST_LEAVES = 20_000_000  # rows times leaves that a self-test looks at


@dataclass(frozen=True)
class Local:
    """Verdicts on the first rows of a table, and these rows as inputs."""

    rows: Floats
    verdicts: tuple[Verdict, ...]
    reach: Floats

    def count(self, status: str) -> int:
        return sum(one.status == status for one in self.verdicts)


@check("local-queries-decided", row="verification.functional")
def local_queries_decided(
    model: Model, parts: Parts, arrived: Table, steps: Steps, *, rows: int = 200, error: float = 0.05,
    at_least: float = 0.95, seconds: float = 20.0,
) -> Finding:
    """Whether it is decided, for holdout rows, if any error of measurement turns the decision.

    error: of every number that the model reads, in standard deviations of the learning rows, within their range; other
    inputs are exact. rows: how many are asked. at_least: share that must be decided, at the lower end of its interval.
    seconds: for all of them. Decided is what is proved, or shown by a row, which is asked again of the served path.
    """
    if model.task == "regression":
        return say("not-applicable", "A regression makes no decision that an error of measurement could turn.")
    told = _parting(model, parts)
    if told is not None:
        return say("fail", "The proofs and the kernel give one row different margins, so no proof can be relied on.",
                   n=1, counterexample={"inputs": _named(model, told)},
                   remedy="report this: it is a fault of Shipworthy, not of the model")
    local = ask(model, parts, rows, error, seconds)
    kinds = {one.why for one in local.verdicts if one.status == "unknown"}
    kept, turned = local.count("proved"), local.count("refuted")
    n, decided = len(local.verdicts), kept + turned
    denied = _denied(model, arrived, steps, local)
    if denied:
        return say("fail", "A row that was shown to turn the decision does not turn it where it is served.", n=n,
                   counterexample=denied, remedy="report this: the served model is not the one that was judged")
    low, high = clopper_pearson(decided, n)
    sentence = (f"Of {n} holdout rows, {kept} provably keep their decision for all errors of measurement up to "
                f"{error:g} standard deviations, {turned} do not, {n - decided} are not decided; at least "
                f"{at_least:.0%} must be.")
    if n and decided == 0 and kinds and not kinds & {ROUNDING, "the budget ended before the bounds met"}:
        return say("unknown", f"Nothing is decided about errors of measurement: {sorted(kinds)[0]}.", n=n,
                   remedy='choose a learner whose programs can be searched: [learning] learners = ["boosted"]')
    verdict = settled(decided / n, limit=at_least, low=low, high=high, at_most=False) if n else "unknown"
    return say(verdict, sentence, value=decided / n if n else None, low=low if n else None, high=high if n else None,
               limit=at_least, n=n, counterexample=_shown(model, local),
               remedy="" if verdict == "pass" else "a smaller model is decided sooner; or give it time: "
               "[checks.local-queries-decided] seconds = 60.0")


@check("local-robustness", row="verification.functional")
def local_robustness(model: Model, champion: Model, parts: Parts, *, rows: int = 300, error: float = 0.05,
                     limit: float = 0.02, seconds: float = 20.0) -> Finding:
    """How many more holdout rows of the champion's than of the model's provably keep their decision, as a share.

    error: of measurement, in standard deviations of the learning rows, as in local-queries-decided. limit: what may be
    lost, held at the pessimistic end; a loss that chance can explain is unknown.
    """
    if model.task == "regression":
        return say("not-applicable", "A regression makes no decision that an error of measurement could turn.")
    both = [ask(one, parts, rows, error, seconds / 2) for one in (champion, model)]
    before, now = (np.array([one.status == "proved" for one in local.verdicts], np.float64) for local in both)
    n = len(now)
    if n < 2:
        return say("unknown", f"There are {n} holdout rows; two at least are needed to compare.", n=n)
    lost, low, high = paired_mean_difference(before, now)
    verdict = settled(lost, limit=limit, low=low, high=high, at_most=True, chance=True)
    return say(verdict, f"Of {n} holdout rows, {int(now.sum())} provably keep their decision for all errors of "
               f"measurement up to {error:g} standard deviations, of the champion's {int(before.sum())}; {limit:.0%} "
               "of the rows may be lost.", value=lost, low=low, high=high, limit=limit, n=n,
               counterexample=_shown(model, both[1]),
               remedy="" if verdict == "pass" else "train with more rows a leaf, or with fewer leaves")


def ask(model: Model, parts: Parts, rows: int, error: float, seconds: float) -> Local:
    """Whether the first rows of the holdout keep their decision; what the seconds do not reach is unknown."""
    learnt, asked = model.inputs(parts.learn), model.inputs(parts.holdout.head(rows))
    reach, cut = errors_of(model, learnt, error), margin_cut(model) if model.task == "binary" else 0.0
    prover = Prover(model.program, learnt_domain(model, np.concatenate([learnt, asked])))
    stop = time.monotonic() + seconds
    verdicts = []
    for row in asked:
        left = Budget(seconds=min(2.0, stop - time.monotonic()))
        verdicts.append(prover(Robust(row, tuple(reach.tolist()), cut), left) if left.seconds > 0
                        else Verdict("unknown", -np.inf, np.inf, why="the budget ended before the bounds met"))
    return Local(asked, tuple(verdicts), reach)


def learnt_domain(model: Model, inputs: Floats) -> Domain:
    """All that lies within what rows span: numbers within their range, every level; missing where a category may be
    unknown or a row had none.

    inputs: (n, inputs) of the rows.
    """
    spans = []
    for place, one in enumerate(model.program.inputs):
        known = inputs[np.isfinite(inputs[:, place]), place]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        missing = one.categorical or bool(np.isnan(inputs[:, place]).any())
        spans.append(Span(missing=missing, codes=tuple(range(one.levels))) if one.categorical
                     else Span(low, high, missing))
    return Domain(tuple(spans))


def errors_of(model: Model, inputs: Floats, share: float) -> Floats:
    """(inputs,) by how much each number may be off: a share of its standard deviation; 0 for what is no number, or
    protected."""
    found = np.zeros(len(model.program.inputs))
    for place, encoder in enumerate(model.features.encoders):
        known = inputs[np.isfinite(inputs[:, place]), place]
        column = model.sheet.schema[encoder.column]
        if isinstance(encoder, Number) and column.kind == "number" and not column.protected and len(known):
            found[place] = share * known.std()
    return found


def _parting(model: Model, parts: Parts) -> Floats | None:
    """A row of which proofs and kernel think differently; None if there is none, or nothing that is searched."""
    inputs = model.inputs(parts.learn.head(2_000))
    prover = Prover(model.program, learnt_domain(model, inputs))
    if network.is_network(model.program):
        return network.parting(model.program, inputs[:SELFTEST_ROWS])
    if not prover.searched:
        return None
    ensemble = prover.ensemble
    weights = tuple(np.eye(model.program.outputs)[0].tolist())
    most = min(10_000, SELFTEST_LEAVES // max(1, len(ensemble.leaves(weights).value)))
    return disagreement(ensemble, weights, hostile(ensemble, inputs, most=most))


def _denied(model: Model, arrived: Table, steps: Steps, local: Local) -> dict[str, Any]:
    """The first row shown to turn a decision that, put as a request, is answered as before; empty if there is none."""
    for at, verdict in enumerate(local.verdicts):
        if verdict.status != "refuted" or verdict.row is None:
            continue
        before = arrived.data.select(model.features.columns).slice(at, 1).to_pylist()[0]
        after = {**before, **{one.column: float(value) for one, value, was in
                              zip(model.features.encoders, verdict.row, local.rows[at], strict=True)
                              if value == value and value != was and isinstance(one, Number)}}
        same = [np.array_equal(model.row(record), row, equal_nan=True)
                for record, row in ((before, local.rows[at]), (after, verdict.row))]
        if not all(same):
            continue  # a value that cleaning rewrites cannot be asked for exactly
        answers = [steps.answer(model, record) for record in (before, after)]
        if answers[0]["prediction"] == answers[1]["prediction"]:
            return {"before": before, "after": after, "answers": answers}
    return {}


def _shown(model: Model, local: Local) -> dict[str, Any]:
    """The first row whose decision an error turns, and what it becomes."""
    for row, verdict in zip(local.rows, local.verdicts, strict=True):
        if verdict.status == "refuted" and verdict.row is not None:
            return {"inputs": _named(model, row), "becomes": _named(model, verdict.row)}
    return {}


def _named(model: Model, row: Sequence[float] | Floats) -> dict[str, float | None]:
    return {one.name: None if value != value else float(value)
            for one, value in zip(model.program.inputs, row, strict=True)}
