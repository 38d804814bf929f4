"""Bounds of a program's margin over every input at once, from leaves, tables and weights.

A bound is proved, never reached by trying: every tree lies between its least and greatest leaf, every table between
its least and greatest cell, every weight moves no further than its input, every unit of a network between the bounds of
its sum. The sum of bounds is a bound of the sum; it
may be wide, because one row need not reach all extremes together.
Source: Gowal et al. (2018), interval bound propagation, for networks.
"""

from __future__ import annotations

import numpy as np

from shipworthy.core.program import Dense, Linear, Program, Term, Trees
from shipworthy.core.table import Floats
from shipworthy.kernels import dense, pure


def margin_bounds(program: Program, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Least and greatest margin of each output, (outputs,) each, for all inputs within low and high or missing.

    low, high: (inputs,) the domain of numbers, which only linear terms need: trees, tables and networks, which hold
    their inputs within bounds of their own, are bounded for all.
    """
    least, most = np.zeros(program.outputs), np.zeros(program.outputs)
    for term in program.terms:
        a, b = _bounds(term, low, high)
        least, most = least + a, most + b
    return least, most


def _bounds(term: Term, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    if isinstance(term.kind, Linear):
        return _linear(term, low, high)
    if isinstance(term.kind, Trees):
        return _trees(term, term.kind)
    return _dense(term, term.kind) if isinstance(term.kind, Dense) else _table(term)


def _dense(term: Term, kind: Dense) -> tuple[Floats, Floats]:
    """Layer by layer: activations rise with their sums, so bounds of the sums are bounds of what they give."""
    (first, bias), *rest = dense.layers(term.arrays)
    least, most = _first(term, first)
    least, most = bias + least, bias + most
    for weight, base in rest:
        low, high = (dense.ACTIVATIONS[kind.activation](ends) for ends in (least, most))
        up, down = np.maximum(weight, 0), np.minimum(weight, 0)
        least, most = base + low @ up + high @ down, base + high @ up + low @ down
    return least, most


def _first(term: Term, weight: Floats) -> tuple[Floats, Floats]:
    """Bounds of what all inputs add to each unit of the first layer: a number anywhere within its ends or missing, a
    category one of its levels or none."""
    least, most, at, arrays = np.zeros(weight.shape[1]), np.zeros(weight.shape[1]), 0, term.arrays
    for number, levels in enumerate(arrays["levels"].tolist()):
        if levels:
            ends = np.concatenate([weight[at : at + levels], np.zeros((1, weight.shape[1]))])
        else:
            low, high, fill, offset, scale = (float(arrays[key][number]) for key in dense.NUMBERS)
            z = [(value - offset) / scale for value in (low, high, min(max(fill, low), high))]
            ends = np.stack([weight[at] * z[0], weight[at] * z[1], weight[at] * z[2] + weight[at + 1]])
        least, most, at = least + ends.min(axis=0), most + ends.max(axis=0), at + (levels or 2)
    return least, most


def _table(term: Term) -> tuple[Floats, Floats]:
    values = np.asarray(term.arrays["values"], np.float64)
    flat = values.reshape(-1, values.shape[-1])
    return flat.min(axis=0), flat.max(axis=0)


def _trees(term: Term, kind: Trees) -> tuple[Floats, Floats]:
    base = np.asarray(term.arrays["base"], np.float64)
    least, most = np.zeros(len(base)), np.zeros(len(base))
    leaf = np.asarray(term.arrays["leaf"], np.float64)
    for output, members in zip(term.arrays["output"], tree_leaves(term), strict=True):
        values = leaf[members]
        at = int(output) if leaf.shape[1] == 1 else slice(None)
        least[at] += values.min(axis=0)[0] if leaf.shape[1] == 1 else values.min(axis=0)
        most[at] += values.max(axis=0)[0] if leaf.shape[1] == 1 else values.max(axis=0)
    return least / kind.divisor + base, most / kind.divisor + base


def _linear(term: Term, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    place = np.asarray(term.arrays["place"], np.int64)
    weight, intercept = np.asarray(term.arrays["weight"], np.float64), np.asarray(term.arrays["intercept"], np.float64)
    missing = weight * np.asarray(term.arrays["fill"], np.float64)[:, None] + term.arrays["missing"]
    ends = np.stack([weight * low[place][:, None], weight * high[place][:, None], missing])
    return intercept + ends.min(axis=0).sum(axis=0), intercept + ends.max(axis=0).sum(axis=0)


def tree_leaves(term: Term) -> list[list[int]]:
    """The leaves of every tree, by position in the leaf array."""
    left, right = term.arrays["left"], term.arrays["right"]
    found = []
    for root in term.arrays["root"]:
        waiting, leaves = [int(root)], []
        while waiting:
            node = waiting.pop()
            if node < 0:
                leaves.append(-1 - node)
            else:
                waiting += [int(left[node]), int(right[node])]
        found.append(leaves)
    return found


def reach(term: Term, tree: int, leaf: int, start: Floats) -> Floats:
    """A row near `start` that reaches a leaf of a tree, (inputs,), or comes near where the path contradicts itself.

    Used to look for counterexamples: whether the row truly reaches the leaf is for the kernel to say.
    """
    row, arrays = start.copy(), term.arrays
    for node, goes_left in _path(term, tree, leaf):
        place, threshold = int(arrays["feature"][node]), float(arrays["threshold"][node])
        if int(arrays["flags"][node]) & pure.CATEGORICAL:
            row[place] = _level(term, node, goes_left)
        elif goes_left and not row[place] <= threshold:
            row[place] = threshold
        elif not goes_left and not row[place] > threshold:
            row[place] = np.nextafter(threshold, np.inf) if abs(threshold) > pure.ZERO else 2 * pure.ZERO
    return row


def _path(term: Term, tree: int, leaf: int) -> list[tuple[int, bool]]:
    left, right = term.arrays["left"], term.arrays["right"]
    waiting: list[tuple[int, list[tuple[int, bool]]]] = [(int(term.arrays["root"][tree]), [])]
    while waiting:
        node, path = waiting.pop()
        if node == -1 - leaf:
            return path
        if node >= 0:
            waiting += [(int(left[node]), [*path, (node, True)]), (int(right[node]), [*path, (node, False)])]
    return []


def _level(term: Term, node: int, inside: bool) -> float:
    first, words = int(term.arrays["threshold"][node]), int(term.arrays["words"][node])
    bits = np.asarray(term.arrays["bits"])[first : first + words].astype(np.int64)
    listed = [32 * w + b for w, word in enumerate(bits) for b in range(32) if (int(word) >> b) & 1]
    if inside:
        return float(listed[0]) if listed else np.nan
    return float(next((code for code in range(32 * words) if code not in listed), np.nan))
