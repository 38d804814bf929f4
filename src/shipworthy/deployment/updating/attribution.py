"""Whose change made it worse: the code's, the model's or the data's. Eight mixes are replayed, and the change shared.

Code is how a row becomes the model's inputs (cleaning and encoders); model is the program, what its codes mean, and its
threshold; data are the rows, as they arrived, with what came true. Shares add up to the change (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial, isfinite, sqrt
from typing import NamedTuple

import msgspec
import numpy as np

from shipworthy.core.canon import digest
from shipworthy.core.evidence import AXES, Finding, say
from shipworthy.core.features import Category, Features
from shipworthy.core.model import Model
from shipworthy.core.rows import also_in
from shipworthy.core.table import Floats, Table
from shipworthy.errors import BadData, Misuse, ShipworthyError
from shipworthy.metrics.losses import row_losses

Mix = frozenset[str]
Step = tuple[float, Mix, Mix]
MIXES = tuple(frozenset(names) for size in range(4) for names in combinations(AXES, size))
NONE, DATA, RELEASE, ALL = (frozenset[str](), frozenset({"data"}), frozenset({"code", "model"}), frozenset(AXES))
TOGETHER = "code and model"
FEWEST = 30
SURE = 1.959964


class Share(NamedTuple):
    """The part of a change that an axis made, with its 95 % interval; NaN where it was not measured by row."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AxisShares:
    """A change of the mean loss, above 0 is worse, and the share of each axis; None where a mix cannot run.

    losses: axes that are new → mean loss. why: mix → why it cannot run. rows: old, new. together: the share of code and
    model as one, where they cannot be parted but their data can.
    """

    change: Share | None
    shares: Mapping[str, Share | None]
    losses: Mapping[Mix, float]
    why: Mapping[Mix, str]
    rows: tuple[int, int] = (0, 0)
    together: Share | None = None

    @property
    def known(self) -> dict[str, Share]:
        """What each axis made of the change, as far as it is known, code and model as one if they cannot be parted."""
        told = {axis: share for axis, share in self.shares.items() if share}
        return {TOGETHER: self.together, **told} if self.together else told

    def served_otherwise(self, more: Floats) -> AxisShares:
        """The shares where what was served is not what the new release answers when it is replayed.

        more: (n,) the loss of each new row as served less the replayed one: it is the code's, that of serving. Its
        interval is added to the code's end by end, which is never too narrow.
        """
        if self.change is None or not np.any(more):
            return self
        half = SURE * sqrt(float(more.var(ddof=1)) / len(more))
        extra = Share(float(more.mean()), float(more.mean()) - half, float(more.mean()) + half)
        code = self.shares.get("code")
        return replace(self, change=_added(self.change, extra), together=self.together and _added(self.together, extra),
                       shares={**self.shares, "code": code and _added(code, extra)})


def _added(one: Share, other: Share) -> Share:
    return Share(*(left + right for left, right in zip(one, other, strict=True)))


def shares(value: Callable[[Mix], Floats | float], *, paired: bool = False) -> AxisShares:
    """The Shapley shares of code, model and data in what changed between no axis new and all of them new.

    value: of a mix, named by its new axes: the losses of rows, (n,), the same rows wherever the data are the same, or
    one figure without an interval. A ShipworthyError of a mix leaves the shares that need it unknown; where code and
    model only run together, they share as one. paired: old and new data are the same rows; else they are independent.
    Source: Shapley (1953), φᵢ = Σ_S |S|!(2−|S|)!/3!·[v(S∪i) − v(S)].
    """
    found: dict[Mix, Floats] = {}
    why: dict[Mix, str] = {}
    for mix in MIXES:
        try:
            found[mix] = np.atleast_1d(np.asarray(value(mix), np.float64))
        except ShipworthyError as error:
            why[mix] = f"{error.problem}: {error.where}" if error.where else error.problem
    told = {axis: _sum(found, _steps(axis), paired) for axis in AXES}
    together = None
    if not any(told.values()):
        together = _sum(found, [(0.5, RELEASE, NONE), (0.5, ALL, DATA)], paired)
        told["data"] = _sum(found, [(0.5, DATA, NONE), (0.5, ALL, RELEASE)], paired)
    sizes = [len(found[mix]) if mix in found else 0 for mix in (NONE, ALL)]
    return AxisShares(_sum(found, [(1.0, ALL, NONE)], paired), told,
                      {mix: float(each.mean()) for mix, each in found.items()}, why, (sizes[0], sizes[1]), together)


def _steps(axis: str) -> list[Step]:
    """The steps in which an axis becomes new, and what each counts for."""
    return [(factorial(len(mix)) * factorial(2 - len(mix)) / factorial(3), mix | {axis}, mix)
            for mix in MIXES if axis not in mix]


def _sum(found: Mapping[Mix, Floats], steps: Sequence[Step], paired: bool) -> Share | None:
    """Weighted sum of the steps' differences, by rows of each side, so that pairs stay pairs; None where one lacks."""
    if any(mix not in found for _, *ends in steps for mix in ends):
        return None
    rows: dict[bool, list[Floats]] = {}
    for weight, after, before in steps:
        sides = [("data" in mix) and not paired for mix in (after, before)]
        if sides[0] == sides[1]:
            rows.setdefault(sides[0], []).append(weight * (found[after] - found[before]))
        else:
            rows.setdefault(sides[0], []).append(weight * found[after])
            rows.setdefault(sides[1], []).append(-weight * found[before])
    each = [np.sum(parts, axis=0) for parts in rows.values()]
    value = float(sum(one.mean() for one in each))
    variance = sum(float(one.var(ddof=1)) / len(one) if len(one) > 1 else float("nan") for one in each)
    half = SURE * sqrt(variance) if isfinite(variance) else float("nan")
    return Share(value, value - half, value + half)


class Side(NamedTuple):
    """One end of the comparison. rows: as they arrived, with the target; learnt: rows that its model learnt from."""

    model: Model
    rows: Table
    learnt: Table | None = None

    @property
    def ids(self) -> dict[str, str]:
        """The digest of every axis; what is equal on both sides has no share."""
        sheet = self.model.sheet
        made = [msgspec.structs.replace(one, levels=(), rare=()) if isinstance(one, Category) else one
                for one in sheet.features.encoders]
        return {"code": digest([sheet.cleaning, made]), "data": self.rows.digest,
                "model": digest([self.model.program.digest, _levels(self.model), sheet.threshold, sheet.classes])}


def replayed(old: Side, new: Side, *, ready: Callable[[], None] = lambda: None) -> AxisShares:
    """Whose change made the loss another: log loss, or squared error, of rows that neither model learnt from.

    ready: called before each mix is scored; a ShipworthyError of it is why that mix does not run.
    Raises Misuse for models that answer different questions, BadData under 30 rows of a side.
    """
    if (old.model.task, old.model.classes, old.model.sheet.target) != (
            new.model.task, new.model.classes, new.model.sheet.target):
        raise Misuse("the two answer different questions", where=f"{old.model!r}, {new.model!r}",
                     hint="compare releases of one target and the same classes")
    rows = {False: _fresh(old, new), True: _fresh(new, old)}
    kept: dict[tuple[bool, ...], Floats] = {}
    same = {axis: old.ids[axis] == new.ids[axis] for axis in AXES}

    def value(mix: Mix) -> Floats:
        code, model, data = (axis in mix and not same[axis] for axis in AXES)
        key = (code, model, data)
        if key not in kept:
            ready()
            made = mixed(new.model if code else old.model, new.model if model else old.model)
            table = rows[data]
            kept[key] = row_losses(made.score(table), made.truth(table), made.task)
        return kept[key]

    return shares(value, paired=same["data"])


def mixed(code: Model, model: Model) -> Model:
    """The model, reading rows by the other's cleaning and encoders. Raises Misuse where it cannot read what they make.

    The codes of a category are the model's own: another order of the same words is not another code.
    """
    levels = _levels(model)
    made = tuple(msgspec.structs.replace(one, levels=levels[one.column])
                 if isinstance(one, Category) and one.column in levels else one
                 for one in code.sheet.features.encoders)
    features = Features(made)
    if features.inputs != model.program.inputs:
        known = {one.name for one in model.program.inputs}
        odd = sorted(known ^ {one.name for one in features.inputs}) or ["their kinds"]
        raise Misuse("the model does not read what the other code makes", where=", ".join(odd[:5]),
                     hint="shares need both codes to make the inputs of both models")
    return model.with_sheet(features=features, cleaning=code.sheet.cleaning, schema=code.sheet.schema)


def _levels(model: Model) -> dict[str, tuple[str, ...]]:
    return {one.column: one.levels for one in model.features.encoders if isinstance(one, Category)}


def _fresh(side: Side, other: Side) -> Table:
    """The rows of a side that neither model learnt from. Raises BadData under 30."""
    rows = side.rows
    for learnt in (side.learnt, other.learnt):
        if learnt is not None:
            rows = rows.take(~also_in(rows, learnt))
    if rows.rows < FEWEST:
        raise BadData(f"{rows.rows} rows are too few that neither model learnt from", where=side.rows.name,
                      hint=f"at least {FEWEST} of each side are needed")
    return rows


def judged(found: AxisShares) -> Finding:
    """Whether it got worse, and through which axis: fail where the pessimistic end says so."""
    n = min(found.rows)
    if found.change is None:
        return say("unknown", f"Old and new cannot be compared: {next(iter(found.why.values()))}.", n=n)
    change = found.change
    known = found.known
    parts = ", ".join(f"{axis} {known[axis].value:+.4f} ({known[axis].low:+.4f} to {known[axis].high:+.4f})"
                      if axis in known else f"{axis} unknown" for axis in (known if found.together else found.shares))
    span = f"the loss changed by {change.value:+.4f} (95 % interval {change.low:+.4f} to {change.high:+.4f}): {parts}"
    lacking = f"; {len(found.why)} of 8 mixes cannot run: {next(iter(found.why.values()))}" if found.why else ""
    facts = {"value": change.value, "low": change.low, "high": change.high, "limit": 0.0, "n": n, "chart": {
        "kind": "bars", "name": list(known), "value": [share.value for share in known.values()],
        "low": [share.low for share in known.values()], "high": [share.high for share in known.values()]}}
    if change.low > 0:
        first = max(known, key=lambda axis: known[axis].value) if known else ""
        return say("fail", f"It got worse{f', most through the {first}' if first else ''}: {span}{lacking}.", **facts,
                   remedy=REMEDIES.get(first, "let both codes make the same inputs, and compare again"))
    verdict = "pass" if change.high <= 0 or change.value <= 0 else "unknown"
    return say("pass" if verdict == "pass" else "unknown",
               f"{'It did not get worse' if verdict == 'pass' else 'It may have got worse'}: {span}{lacking}.", **facts)


REMEDIES = {TOGETHER: "shipworthy rollback, or search again: shipworthy run",
            "code": "look at what changed in cleaning and encoders, or: shipworthy rollback",
            "model": "shipworthy rollback, or search again: shipworthy run",
            "data": "shipworthy watch names the columns; renew with the newest labels: shipworthy renew"}
