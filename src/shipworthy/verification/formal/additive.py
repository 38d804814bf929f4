"""Claims about additive models: every table as a tree with a leaf for each of its cells, for the engine of ensembles.

A table over one input has its extremes at its cells, and so has a sum of tables that share no input: the first bound is
exact there. Where pairs share inputs, the search splits these. Steps of one input change its own tables alone, which
makes them a chain of one-dimensional tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shipworthy.core.program import Linear, Lookup, Program, Term, Trees
from shipworthy.kernels import pure


def tabular(program: Program) -> bool:
    """Whether a program is of tables, trees and constants."""
    return all(isinstance(term.kind, Lookup | Trees) or (isinstance(term.kind, Linear) and not term.places)
               for term in program.terms)


def as_trees(program: Program) -> Program:
    """The same function in trees and constants.

    Numbers within 1e-35 of 0 are read as 0, as trees do; the checker of certificates reads the tables themselves.
    """
    terms = tuple(_tree(term, term.kind) if isinstance(term.kind, Lookup) else term for term in program.terms)
    return replace(program, terms=terms)


@dataclass
class Nodes:
    """The arrays of one tree as it grows."""

    rows: list[tuple[int, float, int, int, int, int]] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    cells: list[tuple[int, ...]] = field(default_factory=list)

    def leaf(self, cell: tuple[int, ...]) -> int:
        self.cells.append(cell)
        return -len(self.cells)

    def node(self) -> int:
        self.rows.append((0, 0.0, 0, 0, 0, 0))
        return len(self.rows) - 1

    def listed(self, codes: Sequence[int]) -> tuple[float, int]:
        """Where the bits of a set of codes begin, and how many words they are."""
        words = [0] * (max(codes) // 32 + 1)
        for code in codes:
            words[code // 32] |= 1 << code % 32
        self.bits += words
        return float(len(self.bits) - len(words)), len(words)


def _tree(term: Term, kind: Lookup) -> Term:
    values = np.asarray(term.arrays["values"], np.float64)
    cuts = [np.asarray(term.arrays[f"cuts{axis}"], np.float64) for axis in range(len(kind.places))]
    nodes = Nodes()
    root = _axis(nodes, kind.places, cuts, values.shape, ())
    columns: list[Any] = list(zip(*nodes.rows, strict=True)) or [()] * 6
    names = ("feature", "threshold", "left", "right", "flags", "words")
    arrays: dict[str, Any] = {name: np.array(column, np.float64 if name == "threshold" else np.int32)
                              for name, column in zip(names, columns, strict=True)}
    return Term(Trees(), {**arrays, "root": np.array([root], np.int32), "output": np.zeros(1, np.int32),
                          "bits": np.array(nodes.bits, np.uint32), "base": np.zeros(values.shape[-1]),
                          "leaf": np.stack([values[cell] for cell in nodes.cells])})


def _axis(nodes: Nodes, places: Sequence[int], cuts: Sequence[Any], shape: Sequence[int],
          cell: tuple[int, ...]) -> int:
    """The root of a tree over the axes that are left, below a cell of those before."""
    number = len(cell)
    if number == len(places):
        return nodes.leaf(cell)
    place, own = places[number], cuts[number]

    def below(at: int) -> int:
        return _axis(nodes, places, cuts, shape, (*cell, at))

    if not len(own):
        return _codes(nodes, place, list(range(shape[number] - 1)), below)
    known = nodes.node()  # missing goes right, every number left
    left, right = _numbers(nodes, place, own, (0, len(own)), below), below(0)
    nodes.rows[known] = (place, math.inf, left, right, pure.MISSING_NAN << pure.MISSING_SHIFT, 0)
    return known


def _numbers(nodes: Nodes, place: int, cuts: Any, among: tuple[int, int], below: Any) -> int:
    first, last = among
    if first == last:
        return int(below(1 + first))
    middle = (first + last) // 2
    here = nodes.node()
    left, right = (_numbers(nodes, place, cuts, side, below) for side in ((first, middle), (middle + 1, last)))
    nodes.rows[here] = (place, math.nextafter(float(cuts[middle]), -math.inf), left, right, 0, 0)
    return here


def _codes(nodes: Nodes, place: int, codes: list[int], below: Any) -> int:
    """Codes in halves; what is none of them goes right everywhere, and ends in the cell of missing."""
    if not codes:
        return int(below(0))
    half = codes[: len(codes) // 2] or codes
    here = nodes.node()
    left = int(below(1 + half[0])) if len(half) == 1 else _inside(nodes, place, half, below)
    right = _codes(nodes, place, codes[len(half):], below)
    start, words = nodes.listed(half)
    nodes.rows[here] = (place, start, left, right, pure.CATEGORICAL, words)
    return here


def _inside(nodes: Nodes, place: int, codes: list[int], below: Any) -> int:
    """Codes in halves, where nothing else arrives."""
    if len(codes) == 1:
        return int(below(1 + codes[0]))
    half = codes[: len(codes) // 2]
    here = nodes.node()
    left, right = _inside(nodes, place, half, below), _inside(nodes, place, codes[len(half):], below)
    start, words = nodes.listed(half)
    nodes.rows[here] = (place, start, left, right, pure.CATEGORICAL, words)
    return here
