"""The declared properties of a project, each proved for all inputs, refuted by a row, or unknown with the reason."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from shipworthy.core.canon import canonical, digest
from shipworthy.core.claims import Claim, read_claim
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Property
from shipworthy.core.proof import Proof
from shipworthy.core.table import Floats
from shipworthy.errors import BadProject
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.formal.bounds import margin_bounds
from shipworthy.verification.formal.claims import Below, Budget, Monotone, Robust, Steady, Verdict
from shipworthy.verification.formal.decision import least_margin, margin_cut
from shipworthy.verification.formal.families import Prover
from shipworthy.verification.formal.scope import Scope, scope

SECONDS, ALL_SECONDS, NODES = 15.0, 60.0, 200_000
ROW_SECONDS, MOST_ROWS, TRIED = 0.25, 200, 2_000
TOLERANCE, ROUNDED = 1e-9, 1e-12
KEPT = 8
_known: dict[str, tuple[Proof, ...]] = {}


def proofs(project: Project, model: Model, parts: Parts) -> tuple[Proof, ...]:
    """What came of every declared property, in order. The last few outcomes are remembered, by what they are about."""
    about = digest([project, model.digest, parts.learn.digest, parts.holdout.digest])
    if about not in _known:
        seconds = min(SECONDS, ALL_SECONDS / max(1, len(project.property)))
        rows = model.inputs(parts.learn), model.inputs(parts.holdout)
        place = scope(model, project, rows[0].copy(), parts.learn.schema)
        while len(_known) >= KEPT:
            _known.pop(next(iter(_known)))
        _known[about] = tuple(_proved(one, place, rows, seconds) for one in project.property)
    return _known[about]


def certificates(project: Project, model: Model, parts: Parts) -> dict[str, bytes]:
    """The files of the proofs that have a certificate: proof-1.json for the first property, and so on."""
    found = enumerate(proofs(project, model, parts), 1)
    return {f"proof-{number}.json": proof.certificate for number, proof in found if proof.certificate}


def _proved(one: Property, place: Scope, rows: tuple[Floats, Floats], seconds: float) -> Proof:
    begun, claim = time.monotonic(), read_claim(one.claim)
    try:
        case = _Case(one, claim, place, rows, Budget(NODES, seconds))
        found = _PROVERS[claim.kind](case)
    except BadProject as error:
        found = Proof(claim.text, "unknown", f"{error.problem}; {error.hint}" if error.hint else error.problem)
    within = "".join(f", {name} from {low:g} to {high:g}" for name, (low, high) in one.within.items())
    return Proof(claim.text + within, found.status, found.why, found.value, found.records, found.inputs,
                 found.certificate, time.monotonic() - begun)


@dataclass(frozen=True)
class _Case:
    """One property and all that is needed to judge it. rows: inputs of the learning rows, and of the holdout."""

    one: Property
    claim: Claim
    scope: Scope
    rows: tuple[Floats, Floats]
    budget: Budget

    @property
    def model(self) -> Model:
        return self.scope.model

    @cached_property
    def prover(self) -> Prover:
        usual = np.nan_to_num(self.model.reference) if len(self.model.reference) else None
        return Prover(self.model.program, self.scope.domain(self.one.within, self.claim.when), near=usual)

    @cached_property
    def fine(self) -> float:
        """A fall of the margin that is none: a billionth of what answers span, where that is more than one; and never
        less than a trillionth of the largest answer, which is what rounding alone does to large sums."""
        spans = np.array([(np.nanmin(column), np.nanmax(column)) if np.isfinite(column).any() else (0.0, 0.0)
                          for column in np.where(np.isfinite(self.rows[0]), self.rows[0], np.nan).T])
        least, most = margin_bounds(self.model.program, spans[:, 0], spans[:, 1])
        largest = float(np.abs([least, most]).max())
        return max(TOLERANCE * max(1.0, float(np.abs(most - least).max())), ROUNDED * largest)

    def one_margin(self) -> None:
        if self.model.program.outputs > 1:
            raise BadProject("this property is of two classes or a number, and the model has "
                             f"{self.model.program.outputs} classes", where="[[property]]",
                             hint="claim what is never decided, or that a column never changes the decision")

    def say(self, status: Literal["proved", "refuted", "unknown"], why: str, verdict: Verdict | None = None,
            claims: Sequence[dict[str, Any]] = (), value: float | None = None) -> Proof:
        rows = () if verdict is None or status != "refuted" else tuple(
            row for row in (verdict.row, verdict.moved) if row is not None)
        raw = b""
        if status == "proved" and verdict is not None and verdict.certificate is not None and verdict.certificate.parts:
            raw = canonical({**json.loads(verdict.certificate.text()), "claims": list(claims),
                             "text": self.claim.text})
        inputs = tuple(tuple(None if math.isnan(x) else float(x) for x in row) for row in rows)
        return Proof(self.claim.text, status, why, value, tuple(self.scope.record(row) for row in rows), inputs, raw)


def _query(verdict: Verdict) -> dict[str, Any]:
    """The query and the rules that the parts of a certificate share."""
    parts = verdict.certificate.parts if verdict.certificate else ()
    return {"query": list(parts[0].query), "rules": list(parts[0].rules)} if parts else {"query": []}


# ── answers within limits, and decisions that are never made ─────────────────────────────────────────────────────


def cut_of(model: Model, score: float, *, above: bool = False) -> float:
    """The least margin whose score is at or above a score, or above it; ±inf where every margin, or none, is."""
    def reaches(margin: float) -> bool:
        told = float(model.program.finish(np.array([[margin]]))[0])
        return told > score if above else told >= score

    return least_margin(reaches)


def _range(case: _Case) -> Proof:
    case.one_margin()
    claim, model = case.claim, case.model
    under, over = cut_of(model, claim.low), cut_of(model, claim.high, above=True)
    goals = [Below(over)] if over < math.inf else []
    goals += [Below(-under + _tiny(under), (-1.0,))] if under > -math.inf else []
    if not goals:
        return case.say("proved", "no margin whatever is answered with anything else")
    found = [(goal, case.prover(goal, case.budget)) for goal in goals]
    return _below_all(case, found, lambda row: f"one row is answered with {_answer(model, row):.6g}")


def _tiny(x: float) -> float:
    """What a bound may stay short of a limit that may itself be reached."""
    return TOLERANCE * max(1.0, abs(x))


def _answer(model: Model, row: Floats) -> float:
    return float(model.program.score(row[None])[0])


def _below_all(case: _Case, found: Sequence[tuple[Below, Verdict]], tell: Callable[[Floats], str]) -> Proof:
    """Proved if every bound is; the worst of them otherwise."""
    for _, verdict in found:
        if verdict.status == "refuted" and verdict.row is not None:
            return case.say("refuted", tell(verdict.row), verdict, value=verdict.low)
    for _, verdict in found:
        if verdict.status != "proved":
            return case.say("unknown", verdict.why, value=verdict.high)
    claims = [{"kind": "below", "weights": list(goal.weights), "goal": goal.goal, **_query(verdict)}
              for goal, verdict in found]
    return case.say("proved", "", _joined([verdict for _, verdict in found]), claims)


def _joined(found: Sequence[Verdict]) -> Verdict:
    """One verdict with the certificates of all."""
    parts = tuple(part for one in found if one.certificate for part in one.certificate.parts)
    first = found[0]
    return first if first.certificate is None else replace(first, certificate=replace(first.certificate, parts=parts))


def _never(case: _Case) -> Proof:
    claim, model = case.claim, case.model
    if not model.classes:
        raise BadProject("a model of a number decides for no class", where="[[property]]",
                         hint="write: answers stay below B when CONDITION")
    if claim.word not in model.classes:
        raise BadProject(f'"{claim.word}" is no class of {model.sheet.target}', where="[[property]]",
                         hint=f"choose one of: {', '.join(model.classes[:8])}")
    own = model.classes.index(claim.word)
    if model.program.outputs > 1:
        return _never_of_many(case, own)
    cut = margin_cut(model)
    if math.isinf(cut):
        always = 1 if cut < 0 else 0
        return case.say("proved" if own != always else "refuted", f'every row is decided "{model.classes[always]}"')
    goal = Below(cut) if own == 1 else Below(-cut + _tiny(cut), (-1.0,))
    return _below_all(case, [(goal, case.prover(goal, case.budget))], lambda row: f'one row is decided "{claim.word}"')


def _never_of_many(case: _Case, own: int) -> Proof:
    """Some other class is above it everywhere; a row where it wins refutes."""
    each = np.eye(case.model.program.outputs)
    for other in (place for place in range(len(each)) if place != own):
        goal = Below(0.0, tuple((each[own] - each[other]).tolist()))
        verdict = case.prover(goal, case.budget)
        if verdict.status == "proved":
            return _below_all(case, [(goal, verdict)], str)
        if verdict.row is not None and int(case.model.decide(case.model.program.score(verdict.row[None]))[0]) == own:
            return case.say("refuted", f'one row is decided "{case.claim.word}"', Verdict(
                "refuted", verdict.low, verdict.high, verdict.row))
    return case.say("unknown", "no one class was proved to be above it in every row")


# ── one column moves ─────────────────────────────────────────────────────────────────────────────────────────────


def _monotone(case: _Case) -> Proof:
    case.one_margin()
    claim, place = case.claim, case.scope.place(case.claim.column)
    if place is None:
        return case.say("proved", "no part of the program reads it")
    if case.model.program.inputs[place].categorical:
        raise BadProject(f'"{claim.column}" holds words, and does not rise', where="[[property]]",
                         hint="claim an order of numbers")
    verdict = case.prover(Monotone(place, claim.sign > 0, case.fine), case.budget)
    if verdict.status != "proved":
        fall = f"the margin {'falls' if claim.sign > 0 else 'rises'} by {verdict.low:.4g} from one row to another"
        return case.say(verdict.status, fall if verdict.status == "refuted" else verdict.why, verdict,
                        value=verdict.low)
    told = {"kind": "monotone", "place": place, "sign": claim.sign, "weights": [1.0], "goal": case.fine}
    return case.say("proved", "", verdict, _moving(told, verdict))


def _moving(told: dict[str, Any], verdict: Verdict) -> list[dict[str, Any]]:
    """The claim of a move, if there is anything that moves."""
    return [{**told, **_query(verdict)}] if verdict.certificate and verdict.certificate.parts else []


def _flip(case: _Case) -> Proof:
    claim, missing = case.claim, case.claim.kind == "missing"
    if claim.limit is not None:
        case.one_margin()
    place = case.scope.place(claim.column)
    if place is None:
        return case.say("proved", "no part of the program reads it")
    if claim.limit is None and (flipped := _flipped(case, place, missing)) is not None:
        return flipped
    limit = case.fine if claim.limit is None else claim.limit + _tiny(claim.limit)
    told = {"kind": "steady", "place": place, "goal": limit, "only_missing": missing}
    outputs = case.model.program.outputs
    found = []
    for weights in ([[1.0]] if outputs == 1 else (np.eye(outputs) - np.roll(np.eye(outputs), 1, axis=1)).tolist()):
        verdict = case.prover(Steady(place, limit, missing, tuple(weights)), case.budget)
        if verdict.status == "refuted" and claim.limit is not None:
            return case.say("refuted", f"the margin moves by {verdict.low:.4g}", verdict, value=verdict.low)
        if verdict.status != "proved":
            moved = f"the margin moves by {verdict.low:.4g} or more, but no decision among {TRIED:,} rows changes"
            return case.say("unknown", moved if claim.limit is None else verdict.why, value=verdict.high)
        found.append((verdict, _moving({**told, "weights": weights}, verdict)))
    return case.say("proved", "", _joined([one for one, _ in found]), [one for _, each in found for one in each])


def _flipped(case: _Case, place: int, missing: bool) -> Proof | None:
    """A real row whose decision another value of the column changes; None if none is found."""
    rows = case.rows[0][:TRIED]
    domain = case.prover.domain
    inside = np.ones(len(rows), np.bool_)
    for column, span in zip(rows.T, domain.spans, strict=True):
        gone = np.isnan(column)
        listed = np.isin(column, span.codes) if span.codes is not None else (column >= span.low) & (column <= span.high)
        inside &= np.where(gone, span.missing, listed)
    rows = rows[inside]
    if not len(rows):
        return None
    decided = case.model.decide(case.model.program.score(rows))
    known = np.unique(case.rows[0][:, place][~np.isnan(case.rows[0][:, place])])
    values = [np.nan] if missing else [*np.unique(np.quantile(known, np.linspace(0, 1, 33), method="nearest")), np.nan]
    for value in values:
        other = rows.copy()
        other[:, place] = value
        turned = np.flatnonzero(case.model.decide(case.model.program.score(other)) != decided)
        if len(turned) and not (np.isnan(value) and not domain.spans[place].missing):
            at = int(turned[0])
            return case.say("refuted", f"the decision changes on {len(turned):,} of {len(rows):,} real rows", Verdict(
                "refuted", math.nan, math.nan, rows[at], other[at]))
    return None


def _robust(case: _Case) -> Proof:
    """Of the holdout's rows, the share whose decision errors can change, with its interval."""
    limit, model = case.claim.limit or 0.0, case.model
    reach = np.zeros(len(model.program.inputs))
    for column, size in case.one.errors.items():
        place = case.scope.place(column)
        if place is not None:
            reach[place] = size
    rows = case.rows[1][np.random.default_rng(0).permutation(len(case.rows[1]))[:MOST_ROWS]]
    cut = margin_cut(model) if model.task == "binary" else 0.0
    if model.task == "regression":
        raise BadProject("a model of a number makes no decisions", where="[[property]]",
                         hint="write: NAME alone moves the margin by at most D")
    stop = time.monotonic() + case.budget.seconds
    tally, worst = {"proved": 0, "refuted": 0, "unknown": 0}, None
    for row in rows:
        if time.monotonic() > stop:
            break
        verdict = case.prover(Robust(row, reach.tolist(), cut), Budget(NODES, ROW_SECONDS))
        tally[verdict.status] += 1
        if verdict.status == "refuted" and worst is None:
            worst = Verdict("refuted", math.nan, math.nan, row, verdict.row)
    n = sum(tally.values())
    if not n:
        return case.say("unknown", "no row was judged in time")
    high = clopper_pearson(tally["refuted"] + tally["unknown"], n)[1]
    low = clopper_pearson(tally["refuted"], n)[0]
    status: Any = "proved" if high <= limit else "refuted" if low > limit else "unknown"
    return case.say(status, f"of {n} rows {tally['proved']} keep their decision, {tally['refuted']} may change it, "
                    f"{tally['unknown']} are open", worst, value=tally["refuted"] / n)


_PROVERS: dict[str, Callable[[_Case], Proof]] = {
    "range": _range, "monotone": _monotone, "flip": _flip, "missing": _flip, "never": _never, "robust": _robust,
}
