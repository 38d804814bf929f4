"""The greatest sum of tables over one or two inputs, exactly: one input after another is maximised away.

Positions of an input that no table of two tells apart count as one, at the best of what its own tables add. The price
is the largest table that arises, which the graph of pairs decides: a tree of pairs needs no larger one than it has.
Source: Dechter (1999), Bucket elimination: a unifying framework for reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shipworthy.core.table import Floats, Ints
from shipworthy.verification.formal.boxes import Leaves, holds
from shipworthy.verification.formal.cells import Box, joined

MOST_CELLS = 5_000_000
At = tuple[int, int]  # cell and bit of an input, −1 for the one that it has not
Pairs = dict[tuple[int, ...], Floats]
Factor = tuple[tuple[int, ...], Floats]  # inputs in ascending order, and a value for each of their positions together


@dataclass(frozen=True)
class Most:
    """The greatest sum, the cell and bit of every input where it is, and in which order inputs were maximised away."""

    value: float
    cells: Ints
    bits: Ints
    order: tuple[int, ...]


def most(leaves: Leaves, box: Box) -> Most | None:
    """The greatest sum inside a box; None where a tree reads more than two inputs, or a table would be too large."""
    at = [_positions(box, leaves, place) for place in range(len(leaves.space.axes))]
    read = _factors(leaves, at)
    if read is None:
        return None
    base, own, pairs = read
    kinds, best = _merged(at, own, pairs)
    factors: list[Factor] = [((place,), values) for place, values in best.items()]
    factors += [(places, table[np.ix_(*(kinds[place][0] for place in places))]) for places, table in pairs.items()]
    done = _eliminated(factors)
    if done is None:
        return None
    value, chosen, order = done
    cells, bits = np.full(len(at), -1), np.full(len(at), -1)
    for place, found in enumerate(at):
        number = 0
        if place in chosen:
            alike = np.flatnonzero(kinds[place][1] == chosen[place])
            number = int(alike[own[place][alike].argmax()])
        cells[place], bits[place] = found[number]
    return Most(base + value, cells, bits, order)


def _positions(box: Box, leaves: Leaves, place: int) -> list[At]:
    mask = joined(box.mask[leaves.space.first[place] : leaves.space.first[place + 1]])
    found = [(cell, -1) for cell in range(int(box.lo[place]), int(box.hi[place]) + 1)]
    return found + [(-1, bit) for bit in range(mask.bit_length()) if mask >> bit & 1]


def _factors(leaves: Leaves, at: Sequence[list[At]]) -> tuple[float, list[Floats], Pairs] | None:
    """Base and what reads no input, tables of one input, and of two, over all positions; None if a tree reads more."""
    base, own, pairs = leaves.base, [np.zeros(len(one)) for one in at], Pairs()
    inside = [np.stack([holds(leaves, place, *one) for one in found]) for place, found in enumerate(at)]
    for first, last in zip(leaves.start, leaves.start[1:], strict=False):
        span, value = slice(int(first), int(last)), leaves.value[int(first) : int(last)]
        reads = tuple(place for place, each in enumerate(inside) if not each[:, span].all())
        if len(reads) > 2:
            return None
        if not reads:
            base += float(value[0]) if len(value) else 0.0
        elif len(reads) == 1:
            own[reads[0]] += inside[reads[0]][:, span] @ value
        else:
            one, other = (inside[place][:, span].astype(np.float64) for place in reads)
            table = (one * value) @ other.T
            pairs[reads] = pairs[reads] + table if reads in pairs else table
    return base, own, pairs


def _merged(at: Sequence[list[At]], own: list[Floats], pairs: Pairs) -> tuple[
        dict[int, tuple[Ints, Ints]], dict[int, Floats]]:
    """Of every input, one position of each kind that pairs tell apart and the kind of every position; and by kind the
    most that its own tables add."""
    kinds, best = dict[int, tuple[Ints, Ints]](), dict[int, Floats]()
    for place in range(len(at)):
        beside = [table if places[0] == place else table.T for places, table in pairs.items() if place in places]
        if not beside and not own[place].any():
            continue
        rows = np.concatenate(beside, axis=1) if beside else np.zeros((len(at[place]), 1))
        _, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        kind = kind.ravel()
        best[place] = np.full(len(first), -np.inf)
        np.maximum.at(best[place], kind, own[place])
        kinds[place] = first, kind
    return kinds, best


def _eliminated(factors: list[Factor]) -> tuple[float, dict[int, int], tuple[int, ...]] | None:
    """The greatest sum of factors, the positions where it is, and the order; the cheapest input first."""
    sizes = {place: len(values) for (place, *rest), values in factors if not rest}
    left, order, picks = set(sizes), list[int](), list[tuple[int, tuple[int, ...], Ints]]()
    while left:
        price = {place: np.prod([float(sizes[one]) for one in _around(factors, place) | {place}]) for place in left}
        place = min(left, key=lambda one: (price[one], one))
        if price[place] > MOST_CELLS:
            return None
        places = tuple(sorted(_around(factors, place) | {place}))
        table = np.zeros([sizes[one] for one in places])
        for own, values in factors:
            if place in own:
                table = table + values.reshape([sizes[one] if one in own else 1 for one in places])
        axis = places.index(place)
        rest = tuple(one for one in places if one != place)
        picks.append((place, rest, table.argmax(axis=axis)))
        factors = [*((own, values) for own, values in factors if place not in own), (rest, table.max(axis=axis))]
        order.append(place)
        left.remove(place)
    chosen: dict[int, int] = {}
    for place, rest, pick in reversed(picks):
        chosen[place] = int(pick[tuple(chosen[one] for one in rest)])
    return float(sum(float(values) for _, values in factors)), chosen, tuple(order)


def _around(factors: Sequence[Factor], place: int) -> set[int]:
    return {one for own, _ in factors if place in own for one in own} - {place}
