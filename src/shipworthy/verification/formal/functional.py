"""Two properties for all inputs: the range of the output, and columns that are provably without effect."""

from __future__ import annotations

import math

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.program import Linear, Trees
from shipworthy.core.project import Project
from shipworthy.core.table import Floats
from shipworthy.marks import check
from shipworthy.verification.formal.bounds import margin_bounds, reach, tree_leaves
from shipworthy.verification.formal.claims import Budget, Steady
from shipworthy.verification.formal.families import Prover
from shipworthy.verification.formal.scope import scope

TRIES = 300
ROUNDING = 1e-9
MOVE_SECONDS = 2.0


@check("output-range", row="verification.functional")
def output_range(model: Model, parts: Parts, *, margin: float = 20.0, stretch: float = 1.0) -> Finding:
    """Whether no input at all can push the output beyond its limits, proved from leaves, tables and weights.

    Classes: log-odds within ±margin, or within 0 and 1 where the margin is the probability itself (trees, forests).
    Regression: within the target's range on the learning rows, stretched by this share of it on both sides. Domain:
    every input, missing included; numbers of linear terms within the range that learning rows span. A bound beyond the
    limit is no proof: then rows are searched, and without one it is unknown.
    """
    inputs = model.inputs(parts.learn)
    low, high = _domain(inputs)
    least, most = margin_bounds(model.program, low, high)
    limits = _limits(model, parts, margin, stretch)
    words = _words(model, float(least.min()), float(most.max()))
    linear = any(isinstance(term.kind, Linear) for term in model.program.terms)
    where = "all inputs within the learning rows' range" if linear else "all inputs"
    told = f"{limits[0]:.4g} to {limits[1]:.4g} is allowed"
    if np.isfinite(least).all() and np.isfinite(most).all() and _within(least, most, limits):
        return say("pass", f"Proved for {where}: the margin stays within {words}; {told}.", low=float(least.min()),
                   high=float(most.max()), limit=limits[1])
    row, value = _worst(model, inputs, low, high, limits)
    if not _within(value, value, limits):
        record = {one.name: float(x) for one, x in zip(model.program.inputs, row, strict=True)}
        return say("fail", f"Refuted: one row has a margin of {value:.4g}; {told}.", value=value, limit=limits[1], n=1,
                   counterexample={"inputs": record, "margin": value},
                   remedy="a leaf, cell or weight is out of proportion: train with more rows a leaf, or look for a "
                   "broken label")
    return say("unknown", f"The bound for {where} is {words}, wider than allowed ({told}), but no row among those "
               f"tried goes beyond {value:.4g}.", value=value, low=float(least.min()), high=float(most.max()),
               limit=limits[1],
               remedy="a smaller model has a tighter bound; or declare wider limits in [checks.output-range]")


def _domain(inputs: Floats) -> tuple[Floats, Floats]:
    known = np.where(np.isfinite(inputs), inputs, np.nan)
    empty = ~np.isfinite(known).any(axis=0)
    known[:, empty] = 0.0
    return np.nanmin(known, axis=0), np.nanmax(known, axis=0)


def _limits(model: Model, parts: Parts, margin: float, stretch: float) -> tuple[float, float]:
    if model.task != "regression":
        return (-margin, margin) if model.program.link in ("logistic", "softmax") else (0.0, 1.0)
    truth = model.truth(parts.learn)
    low, high = float(truth.min()), float(truth.max())
    return low - stretch * (high - low), high + stretch * (high - low)


def _within(low: Floats | float, high: Floats | float, limits: tuple[float, float]) -> bool:
    return bool(np.min(low) >= limits[0] - ROUNDING and np.max(high) <= limits[1] + ROUNDING)


def _words(model: Model, low: float, high: float) -> str:
    if model.task == "binary" and model.program.link == "logistic" and np.isfinite([low, high]).all():
        ends = model.program.finish(np.array([[low], [high]]))
        return f"{low:.3g} to {high:.3g} (probability {ends[0]:.3g} to {ends[1]:.3g})"
    return f"{low:.4g} to {high:.4g}"


def _worst(model: Model, inputs: Floats, low: Floats, high: Floats, limits: tuple[float, float]) -> tuple[Floats,
                                                                                                          float]:
    """The row whose margin lies furthest out, among learning rows, corners and rows aimed at extreme leaves."""
    start = np.where(np.isfinite(model.reference), model.reference, 0.0)
    rows = [start, low, high, *inputs[:1000]]
    for term in model.program.terms:
        if isinstance(term.kind, Trees):
            leaf = np.abs(np.nan_to_num(np.asarray(term.arrays["leaf"], np.float64), nan=np.inf)).max(axis=1)
            extreme = [(float(leaf[members].max()), tree, members[int(leaf[members].argmax())])
                       for tree, members in enumerate(tree_leaves(term))]
            rows += [reach(term, tree, at, start) for _, tree, at in sorted(extreme, reverse=True)[:TRIES]]
    tried = np.stack(rows)
    margins = model.program.margin(tried)
    middle = sum(limits) / 2
    beyond = np.abs(np.where(np.isfinite(margins), margins - middle, np.inf)).max(axis=1)
    best = int(beyond.argmax())
    worst = margins[best][int(np.abs(np.nan_to_num(margins[best] - middle, nan=np.inf)).argmax())]
    return tried[best], float(worst)


@check("structural-zero", row="verification.functional")
def structural_zero(project: Project, model: Model, parts: Parts) -> Finding:
    """Whether no column that was set aside can change an answer: nothing in the program reads it, so none can.

    Of a protected column that the project lets the model read, it is proved how far it alone can move an answer, within
    two seconds; the verdict is unknown, as nobody declared how far it may. Copies of a column are judged by the leakage
    checks.
    """
    aside = [name for name in project.data.set_aside if name in parts.learn.schema]
    protected = [c.name for c in parts.learn.schema.protected if c.name not in aside]
    if not aside and not protected:
        return say("not-applicable", "No column is set aside or protected, so none has to be without effect.")
    reads = _reads(model)
    broken = [name for name in aside if name in reads]
    n = len(aside) + len(protected)
    if broken:
        return say("fail", f"The model reads {', '.join(broken)}, which "
                   f"{'was' if len(broken) == 1 else 'were'} set aside.", value=float(len(broken)), limit=0.0, n=n,
                   counterexample={"columns": broken},
                   remedy="train again: shipworthy run builds the features from the roles in the project file")
    bounded = {claim.column for claim in project.claims if claim.kind == "flip"}  # the check of properties judges them
    used = [name for name in protected if name in reads and name not in bounded]
    free = [name for name in (*aside, *protected) if name not in reads]
    proof = f"proved for all inputs without effect: {', '.join(free)}" if free else "no column is proved without effect"
    if used:
        moves = {name: _most_moved(project, model, parts, name) for name in used}
        told = "; ".join(f"{name} moves the margin by {move}" for name, (move, _) in moves.items())
        first = moves[used[0]][1]
        size = f"{math.ceil(100 * first) / 100:g}" if math.isfinite(first) else "A NUMBER"
        listed = ", ".join(f'"{name}"' for name in dict.fromkeys((*project.data.set_aside, *used)))
        return say("unknown", f"The model reads what is protected: {told}; {proof}.", value=float(len(used)), limit=0.0,
                   n=n, remedy=f"in [data] write set_aside = [{listed}]; or declare how far it may move an answer: "
                   f'[[property]] claim = \'"{used[0]}" alone moves the margin by at most {size}\'')
    left = bounded & set(protected) & reads
    more = f"; what was declared of {', '.join(sorted(left))} is judged as a property" if left else ""
    return say("pass", f"No part of the program reads them, so {proof}{more}." if free else
               f"Nothing is set aside{more}.", value=0.0, limit=0.0, n=n)


def _most_moved(project: Project, model: Model, parts: Parts, column: str) -> tuple[str, float]:
    """How far a change of one column alone can move the margin, over all other values; proved, in words, and the bound
    of it.
    """
    about = scope(model, project, model.inputs(parts.learn), parts.learn.schema)
    places = about.places(column)
    if len(places) != 1 or model.program.outputs > 1:
        return "what is not known of several inputs or classes", math.inf
    verdict = Prover(model.program, about.domain({}, ()))(Steady(places[0], math.inf), Budget(seconds=MOVE_SECONDS))
    if not math.isfinite(verdict.high):
        return f"what is not proved ({verdict.why or 'the search ended'})", math.inf
    near = verdict.high - verdict.low <= 1e-3 * max(1.0, verdict.high)
    also = "" if near else f", and by {max(verdict.low, 0):.3g} in one row"
    return f"at most {verdict.high:.3g}{also}", verdict.high


def _reads(model: Model) -> frozenset[str]:
    """The columns that some term of the program truly reads; an input with zero weight does not count."""
    places: set[int] = set()
    for term in model.program.terms:
        if isinstance(term.kind, Linear):
            live = np.any(np.asarray(term.arrays["weight"]) != 0,
                          axis=1) | np.any(np.asarray(term.arrays["missing"]) != 0, axis=1)
            places |= {int(place) for place in np.asarray(term.arrays["place"])[live]}
        else:
            places |= set(term.places)
    return frozenset(model.features.encoders[place].column for place in places)
