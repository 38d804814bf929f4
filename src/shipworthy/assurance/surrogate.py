"""A small regression tree that imitates a model, so that one can ask how well a person could foretell it.

Source: Breiman et al. (1984), CART, least squares; on 32 bins of every input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shipworthy.core.table import Floats, Ints

BINS, DEPTH, LEAST = 32, 4, 5


@dataclass(frozen=True)
class _Node:
    value: float
    place: int = -1
    bin: int = -1
    low: _Node | None = None
    high: _Node | None = None


def fit_surrogate(inputs: Floats, target: Floats, *, depth: int = DEPTH) -> Callable[[Floats], Floats]:
    """A function from inputs (m, d) to guesses (m,): a tree of at most `depth` questions, fitted to inputs (n, d)."""
    edges = [_edges(column) for column in inputs.T]
    root = _grow(_binned(inputs, edges), np.asarray(target, np.float64), depth)
    return lambda asked: _read(root, _binned(asked, edges))


def _edges(column: Floats) -> Floats:
    known = column[np.isfinite(column)]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS)[1:-1])) if known.size else np.zeros(0)


def _binned(inputs: Floats, edges: list[Floats]) -> Ints:
    """Bin of every cell, (n, d); missing is bin 0."""
    columns = [np.where(np.isnan(column), 0, 1 + np.searchsorted(edge, column, side="left"))
               for column, edge in zip(inputs.T, edges, strict=True)]
    return np.stack(columns, axis=1).astype(np.int64)


def _grow(bins: Ints, target: Floats, depth: int) -> _Node:
    value = float(target.mean())
    place, cut = _best(bins, target) if depth and len(target) >= 2 * LEAST else (-1, -1)
    if place < 0:
        return _Node(value)
    low = bins[:, place] <= cut
    return _Node(value, place, cut, _grow(bins[low], target[low], depth - 1),
                 _grow(bins[~low], target[~low], depth - 1))


def _best(bins: Ints, target: Floats) -> tuple[int, int]:
    """The input and bin whose split lowers the squared error most; (−1, −1) if none does."""
    best, found, whole = 1e-12, (-1, -1), float(target.sum())
    for place in range(bins.shape[1]):
        count: npt.NDArray[np.float64] = np.cumsum(np.bincount(bins[:, place], minlength=BINS + 1)).astype(np.float64)
        total = np.cumsum(np.bincount(bins[:, place], weights=target, minlength=BINS + 1))
        rest = len(target) - count
        good = (count >= LEAST) & (rest >= LEAST)
        gain = np.where(good, total**2 / np.maximum(count, 1) + (whole - total) ** 2 / np.maximum(rest, 1), 0.0)
        gain = np.where(good, gain - whole**2 / len(target), 0.0)
        cut = int(gain.argmax())
        if gain[cut] > best:
            best, found = float(gain[cut]), (place, cut)
    return found


def _read(node: _Node, bins: Ints) -> Floats:
    if node.low is None or node.high is None:
        return np.full(len(bins), node.value)
    out, low = np.empty(len(bins)), bins[:, node.place] <= node.bin
    out[low], out[~low] = _read(node.low, bins[low]), _read(node.high, bins[~low])
    return out
