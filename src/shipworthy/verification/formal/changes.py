"""How far a network's margin moves when one input alone does: differences followed through the layers.

An activation passes on a difference times some slope between its least and greatest one; so the units that the move
does not reach, or that stay on one side of their bend, add nothing to the doubt. Rounding is covered as in `layers`.
Source: Paulsen, Wang and Wang (2020), ReluDiff: differential verification of deep neural networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shipworthy.core.table import Floats
from shipworthy.verification.formal.layers import TINY, UNIT, Lines, Net, Sums, steepness
from shipworthy.verification.formal.regions import Flags

Added = tuple[Floats, Flags]  # (k, n, units) what an input adds to the first sums, and (k, n) whether it can


@dataclass(frozen=True)
class Move:
    """One input of a network at some values before and at some after. within: bounds of all sums on the way, of hidden
    layers; apart: bounds of the difference of each, None where nothing is known."""

    net: Net
    before: Added
    after: Added
    within: tuple[tuple[Floats, Floats], ...]
    apart: tuple[tuple[Floats, Floats], ...] | None = None

    def most(self, weights: Sequence[float]) -> Floats:
        """(n,) above which no gain of weights · margin lies in each box, rounding included."""
        net, mass, lines = self.net, self._masses(), list[Lines]()
        for number in range(net.hidden):
            units = net.layers[number][1].shape[0]
            both = np.concatenate([np.eye(units), -np.eye(units)])
            top = self._above(lines, mass, number, np.broadcast_to(both, (len(mass[0]), 2 * units, units)))
            high, low = top[:, :units], -top[:, units:]
            if self.apart is not None:
                low, high = np.maximum(low, self.apart[number][0]), np.minimum(high, self.apart[number][1])
            lines.append(_lines(steepness(net.activation, *self.within[number]), low, high))
        w = np.broadcast_to(np.asarray(weights, np.float64), (len(mass[0]), 1, len(weights)))
        return self._above(lines, mass, net.hidden, w)[:, 0]

    def _masses(self) -> list[Floats]:
        ends = [np.where(has[..., None], np.abs(share), 0.0).max(axis=0) for share, has in (self.before, self.after)]
        found = [ends[0] + ends[1]]
        for weight, _ in self.net.layers[1:]:
            found.append(found[-1] @ np.abs(weight))
        return found

    def _above(self, lines: Sequence[Lines], mass: Sequence[Floats], last: int, weights: Floats) -> Floats:
        """(n, r) above weights · differences of the sums of a layer. weights: (n, r, units)."""
        constant, heavy = np.zeros(weights.shape[:2]), np.zeros(weights.shape[:2])
        for number in range(last, 0, -1):
            heavy = heavy + (np.abs(weights) @ mass[number][..., None])[..., 0]
            share = weights @ self.net.layers[number][0].T
            slope, up, under, down = lines[number - 1]
            plus, minus = np.maximum(share, 0), np.minimum(share, 0)
            more = (plus @ up[..., None] + minus @ down[..., None])[..., 0]
            constant, heavy = constant + more, heavy + np.abs(more)
            weights = plus * slope[:, None] + minus * under[:, None]
        heavy = heavy + (np.abs(weights) @ mass[0][..., None])[..., 0]
        ends = [np.where(has[..., None], np.einsum("nru,knu->knr", sign * weights, share), -np.inf).max(axis=0)
                for sign, (share, has) in ((1.0, self.after), (-1.0, self.before))]
        return np.asarray(constant + ends[0] + ends[1] + self.net.gamma * heavy + TINY)


def between(one: Sums, other: Sums) -> tuple[tuple[tuple[Floats, Floats], ...], tuple[tuple[Floats, Floats], ...]]:
    """Bounds of all sums between those of one and another input, and of their differences, other less one."""
    sides = list(zip(one.low, one.high, other.low, other.high, strict=True))
    return (tuple((np.minimum(a, c), np.maximum(b, d)) for a, b, c, d in sides),
            tuple(((c - b) - UNIT * np.abs(c - b) - TINY, (d - a) + UNIT * np.abs(d - a) + TINY)
                  for a, b, c, d in sides))


def slope(net: Net, place: int, sums: Sums, weights: Sequence[float]) -> Floats:
    """(n,) above which weights · margin never rises with a number's own column, for each unit of it."""
    read = next(one for one in net.reads if one.place == place)
    count = len(sums.mass[0])
    own = np.ones((1, count), np.bool_)
    step = np.broadcast_to(net.layers[0][0][read.column], (1, count, net.layers[0][0].shape[1]))
    return Move(net, (np.zeros_like(step), own), (step, own),
                tuple(zip(sums.low, sums.high, strict=True))).most(weights)


def _lines(steep: tuple[Floats, Floats], low: Floats, high: Floats) -> Lines:
    """A line above and one below s·D, for slopes s between two and differences D from low to high."""
    least, most = steep
    mixed = (low < 0) & (high > 0)
    width = np.where(mixed, high - low, 1.0)
    over, under = (most * high - least * low) / width, (least * high - most * low) / width
    pad = 8 * UNIT * (np.abs(low) + np.abs(high))
    slope = np.where(low >= 0, most, np.where(mixed, over, least))
    below = np.where(low >= 0, least, np.where(mixed, under, most))
    above = np.where(mixed, np.maximum(most * high - over * high, least * low - over * low) + pad, 0.0)
    lower = np.where(mixed, np.minimum(least * high - under * high, most * low - under * low) - pad, 0.0)
    return slope, above, below, lower
