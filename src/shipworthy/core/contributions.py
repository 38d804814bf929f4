"""Exact shares of the margin: how much each input moved a row away from the reference row.

The game gives an input its row's value or the reference's; shares are its Shapley values. They add up to
margin(row) − margin(reference). Linear and one-input terms are read off, pairs are split in half, trees take the
closed form of a leaf: it pays only where the row opens what the reference shuts and the other way round. A network has
no closed form, and none is guessed.
Source: Lundberg et al. (2020), interventional TreeSHAP; Janzing et al. (2020) for the choice of the game.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from shipworthy.core.model import Model
from shipworthy.core.program import Dense, Linear, Lookup, Program, Term, Trees
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import BadModel, Misuse
from shipworthy.kernels import pure, ranked

BLOCK_CELLS = 2_000_000


def contributions(program: Program, inputs: Floats, reference: Floats) -> Floats:
    """Shares of every input, (n, d); each row adds up to its margin less that of the reference.

    inputs (n, d), reference (d,), NaN for missing. The margin is before link and calibration; with several outputs
    it is that of the class with the largest. Raises BadModel for a reference of another length, Misuse for a program
    that holds a network.
    """
    if not closed(program):
        raise Misuse("the exact share of each input is not known: the model holds a network", where="contributions",
                     hint="ask without contributions, or release a model of lines, tables or trees")
    if len(reference) != len(program.inputs):
        raise BadModel(f"the reference has {len(reference)} inputs, the program reads {len(program.inputs)}",
                       where="reference", hint="use the reference of the model that holds this program")
    out = np.zeros(inputs.shape)
    chosen = program.margin(inputs).argmax(axis=1) if program.outputs > 1 else np.zeros(len(inputs), np.int64)
    for output in np.unique(chosen):
        rows = np.flatnonzero(chosen == output)
        for term in program.terms:
            out[rows] += _shares(term, inputs[rows], reference, int(output))
    return out


def closed(program: Program) -> bool:
    """Whether the shares of a program have a closed form: no term is a network."""
    return not any(isinstance(term.kind, Dense) for term in program.terms)


def shares(model: Model, inputs: Floats) -> Floats:
    """Exact shares of the margin, (n, inputs), compared with the model's usual row."""
    return contributions(model.program, inputs, model.reference)


def _shares(term: Term, inputs: Floats, reference: Floats, output: int) -> Floats:
    if isinstance(term.kind, Trees):
        return _trees(term, inputs, reference, output) / term.kind.divisor
    if isinstance(term.kind, Lookup) and len(term.kind.places) == 2:
        return _pair(term, inputs, reference, output)
    return _direct(term, inputs, reference, output)


def _direct(term: Term, inputs: Floats, reference: Floats, output: int) -> Floats:
    """Shares of a term that is a sum of functions of one input each."""
    out = np.zeros(inputs.shape)
    if isinstance(term.kind, Linear):
        arrays = term.arrays
        for number, place in enumerate(arrays["place"].astype(np.int64)):
            moved = [np.where(np.isnan(v), arrays["fill"][number], v) * arrays["weight"][number, output]
                     + np.isnan(v) * arrays["missing"][number, output] for v in (inputs[:, place], reference[place])]
            out[:, place] += moved[0] - moved[1]
        return out
    place = term.places[0]
    out[:, place] = term.margin(inputs)[:, output] - term.margin(reference[None])[0, output]
    return out


def _pair(term: Term, inputs: Floats, reference: Floats, output: int) -> Floats:
    """Each of two inputs: half its move beside the other's reference, half beside the other's own value."""
    out = np.zeros(inputs.shape)
    first, second = term.places if term.places[0] != term.places[-1] else (term.places[0], -1)
    both = term.margin(inputs)[:, output]
    none = term.margin(reference[None])[0, output]
    if second < 0:
        out[:, first] = both - none
        return out
    one, other = (_only(term, inputs, reference, place)[:, output] for place in (first, second))
    out[:, first] = ((one - none) + (both - other)) / 2
    out[:, second] = ((other - none) + (both - one)) / 2
    return out


def _only(term: Term, inputs: Floats, reference: Floats, place: int) -> Floats:
    mixed = np.tile(reference, (len(inputs), 1))
    mixed[:, place] = inputs[:, place]
    return term.margin(mixed)


def _trees(term: Term, inputs: Floats, reference: Floats, output: int) -> Floats:
    assert isinstance(term.kind, Trees)
    rows, usual = (pure.tidy(v, narrow=term.kind.narrow) for v in (inputs, reference[None]))
    leaf = np.asarray(term.arrays["leaf"], np.float64)
    out = np.zeros(inputs.shape)
    for box in term.boxes:
        if not box.axes or (leaf.shape[1] == 1 and box.tree.output != output):
            continue
        value = leaf[box.tree.leaves, output if leaf.shape[1] > 1 else 0]
        places = [axis.place for axis in box.axes]
        step = max(1, BLOCK_CELLS // (len(places) * len(value)))
        for start in range(0, len(rows), step):
            out[start : start + step, places] += _leaf_shares(box, rows[start : start + step], usual, value)
    return out


def _leaf_shares(box: ranked.Boxes, rows: Floats, usual: Floats, value: Floats) -> Floats:
    """Shares of the inputs of one tree, (n, inputs of the tree)."""
    pairs = list(zip(box.axes, box.open, strict=True))
    here = np.stack([mask[axis.find(rows[:, axis.place])] for axis, mask in pairs], axis=1)
    there = np.stack([mask[axis.find(usual[:, axis.place])] for axis, mask in pairs], axis=1)
    gained, lost = here & ~there, there & ~here
    alive = (here | there).all(axis=1)
    p: Ints = gained.sum(axis=1)
    q: Ints = lost.sum(axis=1)
    plus, minus = _weights(len(pairs))
    paid = np.where(alive, value, 0.0)
    up = np.matmul(gained.astype(np.float64), (paid * plus[p, q])[:, :, None])
    down = np.matmul(lost.astype(np.float64), (paid * minus[p, q])[:, :, None])
    return np.asarray((up - down)[:, :, 0], np.float64)


def _weights(most: int) -> tuple[Floats, Floats]:
    """(p − 1)! q! / (p + q)! and p! (q − 1)! / (p + q)!, each (most + 1, most + 1); 0 where undefined."""
    plus = np.zeros((most + 1, most + 1))
    for p in range(1, most + 1):
        for q in range(most + 1 - p):
            plus[p, q] = factorial(p - 1) * factorial(q) / factorial(p + q)
    return plus, plus.T.copy()
