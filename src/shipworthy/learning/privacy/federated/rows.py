"""A party's side: its rows, which never leave it, and the sums over them that it is asked for."""

from __future__ import annotations

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import logistic
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import Misuse
from shipworthy.learning.privacy.federated.asked import Asked, Cells, Grow, Leaf, Pull, Slope, Spread
from shipworthy.learning.training.lower_linear import design


class Rows:
    """The rows of one party, and where a training stands with them."""

    def __init__(self, inputs: Floats, truth: Ints, kinds: tuple[Input, ...]) -> None:
        self.inputs, self.truth, self.kinds = inputs, truth, kinds
        self.margin = np.zeros(len(truth))
        self.codes = np.zeros(inputs.shape, np.int64)
        self.node = np.zeros(len(truth), np.int64)
        self.sizes: tuple[int, ...] = ()

    def answer(self, asked: Asked) -> Floats:
        """The sums that are asked for, (values,). Raises Misuse for what is no sum."""
        match asked:
            case Spread():
                return self._spread(asked)
            case Slope():
                return self._slope(asked)
            case Cells():
                return self._cut(asked)
            case Pull():
                return self._pull(asked)
            case Grow():
                return self._grow(asked)
            case Leaf():
                self._descend(asked.splits)
                self.margin += np.array(asked.values)[self.node]
                self.node[:] = 0
                return np.array([len(self.truth)], np.float64)
        raise Misuse(f"a party does not answer {type(asked).__name__}", where="federated training",
                     hint="only sums over its rows may be asked for")

    def _spread(self, asked: Spread) -> Floats:
        found = []
        for column, kind, (low, high) in zip(self.inputs.T, self.kinds, asked.bounds, strict=True):
            known = column[np.isfinite(column)]
            share = known / max(1, kind.levels) if kind.categorical else (known - low) / (high - low)
            cell = np.clip((share * asked.cells).astype(np.int64), 0, asked.cells - 1)
            found.append(np.bincount(cell, minlength=asked.cells).astype(np.float64))
        return np.append(np.concatenate(found), [len(self.truth), self.truth.sum()])

    def _slope(self, asked: Slope) -> Floats:
        matrix = design(self.inputs, self.kinds, np.array(asked.middle), np.array(asked.scale))
        matrix = np.concatenate([matrix, np.ones((len(matrix), 1))], axis=1)
        chance = logistic(matrix @ np.array(asked.weights))
        bend = (matrix * (chance * (1 - chance))[:, None]).T @ matrix
        return np.concatenate([matrix.T @ (chance - self.truth), bend.ravel()])

    def _cut(self, asked: Cells) -> Floats:
        cuts = [np.array(each) for each in asked.cuts]
        self.sizes = sizes(self.kinds, asked.cuts)
        self.codes = codes(self.inputs, self.kinds, cuts)
        self.margin[:], self.node[:] = 0.0, 0
        return np.array([len(self.truth)], np.float64)

    def _pull(self, asked: Pull) -> Floats:
        if asked.before >= 0:
            self.margin += np.array(asked.change)[self.codes[:, asked.before]]
        chance = logistic(self.margin)
        code, size = self.codes[:, asked.place], self.sizes[asked.place]
        return np.concatenate([np.bincount(code, self.truth - chance, size),
                               np.bincount(code, chance * (1 - chance), size)])

    def _grow(self, asked: Grow) -> Floats:
        self._descend(asked.splits)
        chance = logistic(self.margin)
        every = sum(self.sizes)
        found = np.zeros((2, asked.nodes, every))
        for weight, kept in ((self.truth - chance, found[0]), (chance * (1 - chance), found[1])):
            begin = 0
            for place, size in enumerate(self.sizes):
                cell = self.node * size + self.codes[:, place]
                kept[:, begin : begin + size] = np.bincount(cell, weight, asked.nodes * size).reshape(-1, size)
                begin += size
        return found.ravel()

    def _descend(self, splits: tuple[tuple[int, tuple[int, ...]], ...]) -> None:
        after = 2 * self.node
        for node, (place, left) in enumerate(splits):
            if place >= 0:
                here = self.node == node
                after[here] += ~np.isin(self.codes[here, place], left)
        if splits:
            self.node = after


def sizes(kinds: tuple[Input, ...], cuts: tuple[tuple[float, ...], ...]) -> tuple[int, ...]:
    """How many cells every input has: one for missing, then its levels, or one more than its cuts."""
    return tuple(1 + (kind.levels or len(each) + 1) for kind, each in zip(kinds, cuts, strict=True))


def codes(inputs: Floats, kinds: tuple[Input, ...], cuts: list[Floats]) -> Ints:
    """The cell of every value, (n, inputs): 0 if missing or no level, then in order."""
    found = np.zeros(inputs.shape, np.int64)
    for place, (kind, each) in enumerate(zip(kinds, cuts, strict=True)):
        column = inputs[:, place]
        if kind.categorical:
            known = (column >= 0) & (column < kind.levels)
            code = np.where(known, column, 0).astype(np.int64)
        else:
            known, code = ~np.isnan(column), np.searchsorted(each, column, side="right")
        found[:, place] = np.where(known, code + 1, 0)
    return found
