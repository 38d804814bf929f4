"""The greatest sum of tables over few inputs inside a box, by maximising inputs away in a given order."""

from __future__ import annotations

import numpy as np

from shipworthy_check.program import Rejected
from shipworthy_check.space import Axis, Box

MOST = 20_000_000


def highest(boxes: list[list[list[Box]]], values: list[np.ndarray], box: list[Box], axes: list[Axis],
            order: list[int]) -> float:
    """At most this much is reached in a box. boxes, values: of each group, of which a row meets one box."""
    at = [[(cell, 0) for cell in range(low, high + 1)] + [(-1, 1 << bit) for bit in range(bits.bit_length())
                                                          if bits >> bit & 1] for low, high, bits in box]
    factors = []
    for group, value in zip(boxes, values):
        reads = [place for place in range(len(axes)) if any(_cuts(one[place], box[place]) for one in group)]
        if len(reads) > 2:
            raise Rejected("a tree reads more than two inputs, and none can be maximised away")
        table = np.full([len(at[place]) for place in reads], -np.inf)
        for one, worth in zip(group, value.tolist()):
            inside = [np.flatnonzero([one[place][0] <= cell <= one[place][1] if cell >= 0 else one[place][2] & bit
                                      for cell, bit in at[place]]) for place in reads]
            if all(_meets(part, have) for part, have in zip(one, box)):
                table[np.ix_(*inside)] = np.maximum(table[np.ix_(*inside)], worth) if reads else max(
                    float(table), worth)
        factors.append((reads, table))
    for place in order:
        factors = _without(factors, place)
    return sum(float(table.max()) for _, table in factors)


def _meets(one: Box, other: Box) -> bool:
    return max(one[0], other[0]) <= min(one[1], other[1]) or one[2] & other[2] != 0


def _cuts(one: Box, box: Box) -> bool:
    """Whether a box holds less than all of another in one input."""
    return (box[0] <= box[1] and not (one[0] <= box[0] and box[1] <= one[1])) or bool(box[2] & ~one[2])


def _without(factors: list[tuple[list[int], np.ndarray]], place: int) -> list[tuple[list[int], np.ndarray]]:
    mine = _merged([one for one in factors if place in one[0]], place)
    sizes = {one: size for reads, table in mine for one, size in zip(reads, table.shape)}
    places = sorted(sizes)
    if not places:
        return factors
    if np.prod([float(size) for size in sizes.values()]) > MOST:
        raise Rejected("a table would be too large to be checked")
    whole = np.zeros([sizes[one] for one in places])
    for reads, table in mine:
        turned = np.transpose(table, np.argsort(reads))
        whole = whole + turned.reshape([sizes[one] if one in reads else 1 for one in places])
    rest = [one for one in places if one != place]
    return [one for one in factors if place not in one[0]] + [(rest, whole.max(axis=places.index(place)))]


def _merged(mine: list[tuple[list[int], np.ndarray]], place: int) -> list[tuple[list[int], np.ndarray]]:
    """The factors of one input with the positions as one that no factor of several inputs tells apart."""
    alone = [table for reads, table in mine if len(reads) == 1]
    beside = [(reads, np.moveaxis(table, reads.index(place), 0)) for reads, table in mine if len(reads) > 1]
    if not alone or not beside:
        return mine
    rows = np.concatenate([table.reshape(len(table), -1) for _, table in beside], axis=1)
    _, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    best = np.full(len(first), -np.inf)
    np.maximum.at(best, kind.ravel(), np.sum(alone, axis=0))
    return [([place], best), *(([place, *(one for one in reads if one != place)], table[first])
                               for reads, table in beside)]
