"""Linear, additive and boosted-tree models from sums over the rows of all parties, lowered into programs.

Each is what one would fit on all rows together with the same cells: gradients, curvatures and histograms are sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shipworthy.core.features import Features, Input
from shipworthy.core.program import Lookup, Program, Term, Trees
from shipworthy.core.table import Floats
from shipworthy.learning.privacy.federated.asked import Cells, Grow, Leaf, Pull, Slope, Spread
from shipworthy.learning.privacy.federated.federation import Federation
from shipworthy.learning.privacy.federated.rows import sizes
from shipworthy.learning.training.lower_linear import lower_linear

FINE, CELLS = 4096, 32
RIDGE, TOLERANCE, STEPS = 1.0, 1e-6, 12
Bounds = Sequence[tuple[float, float]]


def fit_linear(parties: Federation, features: Features, bounds: Bounds, classes: tuple[str, ...]) -> Program:
    """Logistic regression by Newton steps from summed gradients and curvatures, with a ridge of 1 but for the constant.

    Source: Cox (1958); Böhning (1992) for the steps.
    """
    kinds = features.inputs
    spread, _ = _spread(parties, kinds, bounds)
    middle, scale = _moments(spread, kinds, bounds)
    columns = sum(kind.levels or 2 for kind in kinds) + 1
    weights, ridge = np.zeros(columns), np.append(np.full(columns - 1, RIDGE), 1e-9)
    for _ in range(STEPS):
        found = parties.ask(Slope(*(tuple(each.tolist()) for each in (weights, middle, scale))), columns + columns**2)
        bend = found[columns:].reshape(columns, columns) + np.diag(ridge)
        step = np.linalg.solve(bend, found[:columns] + ridge * weights)
        weights = weights - step
        if np.abs(step).max() < TOLERANCE:
            break
    terms = lower_linear(kinds, (middle, scale), weights[:-1, None], weights[-1:])
    return Program(kinds, terms, "logistic", classes, label="federated-linear")


def fit_additive(
    parties: Federation, features: Features, bounds: Bounds, classes: tuple[str, ...], *, rounds: int = 40,
    rate: float = 0.3
) -> Program:
    """One table per input, boosted in turn from summed residuals by cell. Source: Lou, Caruana and Gehrke (2012)."""
    kinds = features.inputs
    cuts, size, chance = _cut(parties, kinds, bounds)
    base = float(np.log(chance / (1 - chance)))
    tables = [np.zeros(each) for each in size]
    tables[0] += base
    before, change = 0, np.full(size[0], base)
    for _ in range(rounds):
        for place, each in enumerate(size):
            found = parties.ask(Pull(place, before, tuple(change.tolist())), 2 * each)
            before, change = place, rate * found[:each] / (found[each:] + RIDGE)
            tables[place] += change
    terms = tuple(Term(Lookup((place,)), {"cuts0": np.array(cuts[place]), "values": table[:, None]})
                  for place, table in enumerate(tables))
    return Program(kinds, terms, "logistic", classes, label="federated-additive")


def fit_trees(
    parties: Federation, features: Features, bounds: Bounds, classes: tuple[str, ...], *, trees: int = 60,
    depth: int = 4, rate: float = 0.2
) -> Program:
    """Trees boosted level by level from summed histograms. Source: Chen and Guestrin (2016), XGBoost, section 2."""
    kinds = features.inputs
    cuts, size, chance = _cut(parties, kinds, bounds)
    base = float(np.log(chance / (1 - chance)))
    grown = _Grown(kinds, cuts)
    parties.ask(Leaf((), (base,)), 1)
    for _ in range(trees):
        levels: list[list[Split]] = []
        for level in range(depth):
            nodes = 2**level
            last = tuple(levels[-1]) if levels else ()
            found = parties.ask(Grow(nodes, last), 2 * nodes * sum(size)).reshape(2, nodes, -1)
            levels.append([_best(found[:, node], size, kinds) for node in range(nodes)])
        values = rate * _leaves(found, levels[-1], size)
        parties.ask(Leaf(tuple(levels[-1]), tuple(values.tolist())), 1)
        grown.add(levels, values)
    return Program(kinds, (grown.term(base),), "logistic", classes, label="federated-trees")


Split = tuple[int, tuple[int, ...]]


def _spread(parties: Federation, kinds: tuple[Input, ...], bounds: Bounds) -> tuple[Floats, float]:
    """Rows by fine cell of every input, (inputs, cells), and the share of positives."""
    found = parties.ask(Spread(tuple(bounds), FINE), len(kinds) * FINE + 2)
    return found[:-2].reshape(len(kinds), FINE), float(np.clip(found[-1] / max(1.0, found[-2]), 1e-6, 1 - 1e-6))


def _moments(spread: Floats, kinds: tuple[Input, ...], bounds: Bounds) -> tuple[Floats, Floats]:
    """Mean and standard deviation of every number, as its fine cells give them; 0 and 1 of a category."""
    middle, scale = np.zeros(len(kinds)), np.ones(len(kinds))
    for place, (kind, (low, high)) in enumerate(zip(kinds, bounds, strict=True)):
        if not kind.categorical and spread[place].sum():
            at, share = low + (np.arange(FINE) + 0.5) / FINE * (high - low), spread[place] / spread[place].sum()
            middle[place] = share @ at
            scale[place] = float(np.sqrt(share @ (at - middle[place]) ** 2)) or 1.0
    return middle, scale


def _cut(
    parties: Federation, kinds: tuple[Input, ...], bounds: Bounds
) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...], float]:
    """Cuts of every number at the quantiles that the fine cells show, told to the parties; cells; positives.

    A fine cell counts for one cut's share at the most, so that one frequent value does not take all cuts.
    """
    spread, chance = _spread(parties, kinds, bounds)
    cuts = []
    for counts, kind, (low, high) in zip(spread, kinds, bounds, strict=True):
        capped = np.minimum(counts, counts.sum() / CELLS)
        below = np.cumsum(capped) / max(1.0, capped.sum())
        edges = low + (np.searchsorted(below, np.arange(1, CELLS) / CELLS) + 1) / FINE * (high - low)
        cuts.append(() if kind.categorical else tuple(map(float, np.unique(edges))))
    parties.ask(Cells(tuple(cuts)), 1)
    return tuple(cuts), sizes(kinds, tuple(cuts)), chance


def _best(sums: Floats, size: tuple[int, ...], kinds: tuple[Input, ...]) -> Split:
    """The input and the cells that go left by which a node gains most; (-1, ()) where nothing is gained.

    sums: (2, all cells), residuals and curvatures. Cells of a category are put in the order of their mean residual
    (Fisher, 1958); missing ones go right there, and of a number to whichever side gains more.
    """
    best: Split = (-1, ())
    gained, begin = 1e-6, 0
    for place, (each, kind) in enumerate(zip(size, kinds, strict=True)):
        pull, bend = sums[:, begin : begin + each]
        begin += each
        order = 1 + (np.argsort(pull[1:] / (bend[1:] + RIDGE), kind="stable") if kind.categorical
                     else np.arange(each - 1))
        for missing in (False,) if kind.categorical else (False, True):
            left = np.stack([np.cumsum(part[order])[:-1] + missing * part[0] for part in (pull, bend)])
            total = np.array([[pull.sum()], [bend.sum()]])
            gain = _worth(left) + _worth(total - left) - _worth(total)
            gain[(left[1] < RIDGE) | (total[1] - left[1] < RIDGE)] = -np.inf
            if len(gain) and gain.max() > gained:
                gained = float(gain.max())
                cells = order[: int(gain.argmax()) + 1]
                best = (place, tuple(int(cell) for cell in (np.append(0, cells) if missing else cells)))
    return best


def _worth(sums: Floats) -> Floats:
    return np.asarray(sums[0] ** 2 / (np.maximum(sums[1], 0.0) + RIDGE), np.float64)


def _leaves(sums: Floats, splits: Sequence[Split], size: tuple[int, ...]) -> Floats:
    """The step of every node below the last splits, (2 · nodes,); of one that stays, the first of its two."""
    begins, found = np.cumsum([0, *size]), np.zeros(2 * len(splits))
    for node, (place, cells) in enumerate(splits):
        pull, bend = (part[begins[max(0, place)] : begins[max(0, place) + 1]] for part in sums[:, node])
        left = np.isin(np.arange(len(pull)), cells) if place >= 0 else np.ones(len(pull), np.bool_)
        for side, mask in enumerate((left, ~left)):
            found[2 * node + side] = pull[mask].sum() / (max(0.0, bend[mask].sum()) + RIDGE)
    return found


class _Grown:
    """Trees as the flat arrays of a term."""

    def __init__(self, kinds: tuple[Input, ...], cuts: Sequence[Sequence[float]]) -> None:
        self.kinds, self.cuts = kinds, cuts
        self.rows: list[tuple[int, float, int, int, int, int]] = []
        self.bits: list[int] = []
        self.leaf: list[float] = []
        self.root: list[int] = []

    def add(self, levels: Sequence[Sequence[Split]], values: Floats) -> None:
        self.root.append(self._node(levels, values, 0, 0))

    def _node(self, levels: Sequence[Sequence[Split]], values: Floats, level: int, node: int) -> int:
        """The place of a node, or −1 less the place of a leaf; a node that stays is passed through."""
        if level == len(levels):
            self.leaf.append(float(values[node]))
            return -len(self.leaf)
        place, cells = levels[level][node]
        if place < 0:
            return self._node(levels, values, level + 1, 2 * node)
        own = len(self.rows)
        self.rows.append((0, 0.0, 0, 0, 0, 0))
        at, flags, words = self._rule(place, cells)
        left, right = (self._node(levels, values, level + 1, 2 * node + side) for side in (0, 1))
        self.rows[own] = (place, at, left, right, flags, words)
        return own

    def _rule(self, place: int, cells: tuple[int, ...]) -> tuple[float, int, int]:
        """Threshold or place of the listed codes, flags, and how many words of codes."""
        if not self.kinds[place].categorical:
            cut = self.cuts[place][max(cells) - 1]
            return float(np.nextafter(cut, -np.inf)), (8 | int(0 in cells)), 0
        words = [0] * (self.kinds[place].levels // 32 + 1)
        for code in (cell - 1 for cell in cells):
            words[code // 32] |= 1 << code % 32
        begin = len(self.bits)
        self.bits += words
        return float(begin), 2, len(words)

    def term(self, base: float) -> Term:
        columns: list[Any] = list(zip(*self.rows, strict=True)) or [()] * 6
        kinds = ("feature", "threshold", "left", "right", "flags", "words")
        arrays: dict[str, Any] = {kind: np.array(column, np.float64 if kind == "threshold" else np.int32)
                                  for kind, column in zip(kinds, columns, strict=True)}
        return Term(Trees(), {
            **arrays, "root": np.array(self.root, np.int32), "output": np.zeros(len(self.root), np.int32),
            "bits": np.array(self.bits, np.uint32), "leaf": np.array(self.leaf)[:, None], "base": np.array([base])})

