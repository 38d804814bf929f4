"""Why somebody was refused: the principal reasons of a notice, from exact shares, each shown to matter by itself.

A refused row is compared with one that was just accepted: "factors on which it fell furthest below those whose score
was at or slightly above the minimum" is one of the two ways that the comment on the rule names. A factor is cited if
its share tells against the row and putting the other's value in its place, alone, moves the score the right way.
Source: 12 CFR 1002.9(b)(2) and its official interpretation, comments 9(b)(2)-1 (no more than four) and -5. Not legal
advice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.settings.assurance import Reason
from shipworthy.core.table import Floats, Ints, Table

MOST, NEAREST = 4, 50
Shares = Callable[[Model, Floats], Floats]


@dataclass(frozen=True)
class Factor:
    """One cited column. against: its share of the score, positive tells against the row. code, text: as declared."""

    column: str
    against: float
    code: str
    text: str


def just_accepted(model: Model, table: Table, wish: int = 1) -> Floats:
    """The row (inputs,) to compare with: of the fifty learning rows that are accepted most narrowly the most usual one.

    The model's usual row where none is accepted.
    """
    inputs = model.inputs(table)
    margin = toward(model, inputs, wish)
    accepted = np.flatnonzero(model.decide(model.program.score(inputs)) == wish)
    if not len(accepted):
        return model.reference
    near = inputs[accepted[np.argsort(margin[accepted], kind="stable")[:NEAREST]]]
    strange = np.zeros(len(near))
    for place, kind in enumerate(model.program.inputs):
        column, usual = near[:, place], model.reference[place]
        alike = (column == usual) | (np.isnan(column) & np.isnan(usual))
        if kind.categorical:
            strange += ~alike
            continue
        spread = np.nanstd(inputs[:, place]) if np.isfinite(inputs[:, place]).any() else 0.0
        gap = np.abs(column - usual) / spread if spread > 0 else (~alike).astype(np.float64)
        strange += np.where(alike, 0.0, np.nan_to_num(np.minimum(gap, 3.0), nan=1.0))
    return np.asarray(near[int(strange.argmin())], np.float64)


def toward(model: Model, inputs: Floats, wish: int = 1) -> Floats:
    """How far each row's margin lies toward the class wished for, (n,)."""
    return np.asarray((1.0 if wish else -1.0) * model.program.margin(inputs)[:, 0], np.float64)


def against(model: Model, inputs: Floats, usual: Floats, *, wish: int, shares: Shares) -> Floats:
    """The share of every column against every row, (n, columns), in the order of `model.features.columns`.

    usual: the row compared with. Shares of inputs of one column, such as the parts of a time, are added up.
    """
    compared = model.with_sheet(reference=tuple(None if value != value else float(value) for value in usual))
    found = (-1.0 if wish else 1.0) * np.asarray(shares(compared, inputs), np.float64)
    return np.stack([found[:, places].sum(axis=1) for places in _places(model)], axis=1)


def notices(
    model: Model, inputs: Floats, usual: Floats, *, wish: int, shares: Shares, codes: Mapping[str, Reason]
) -> list[tuple[Factor, ...]]:
    """Up to four principal reasons of every refused row (n, inputs), the weightiest first; of a row that nothing tells
    against, none."""
    told = against(model, inputs, usual, wish=wish, shares=shares)
    helps = resets(model, inputs, usual, wish=wish)
    names, found = model.features.columns, []
    for share, help in zip(told, helps, strict=True):
        order = [at for at in np.argsort(-share, kind="stable").tolist() if share[at] > 0 and help[at] > 0]
        found.append(tuple(_factor(names[at], float(share[at]), codes) for at in order[:MOST]))
    return found


def resets(model: Model, inputs: Floats, usual: Floats, *, wish: int) -> Floats:
    """How far putting one column of the row compared with in place of its own moves each row toward acceptance,
    (n, columns)."""
    before, found = toward(model, inputs, wish), []
    for places in _places(model):
        changed = inputs.copy()
        changed[:, places] = usual[places]
        found.append(toward(model, changed, wish) - before)
    return np.stack(found, axis=1)


def _places(model: Model) -> Sequence[Ints]:
    columns = np.array([encoder.column for encoder in model.features.encoders])
    return [np.flatnonzero(columns == name) for name in model.features.columns]


def _factor(column: str, share: float, codes: Mapping[str, Reason]) -> Factor:
    known = codes.get(column)
    return Factor(column, share, known.code if known else "", known.text if known else column)
