"""Bounds of networks over boxes of inputs: a line above and below every activation, followed back to the inputs.

What the real network does is bounded in doubles, with all that rounding may have added. A sum of n products in any
order is off by at most γ(n) = n·u / (1 − n·u) times the same sum of absolute values, u = 2⁻⁵³. So beside every bound
runs its mass, that sum of absolute values: every product of the way back has its place in it, and twice γ times the
mass covers them all, the rounding of the mass itself included. `drift` bounds in the same way how far the kernel lies
from the real network. The columns that a number becomes are taken as the kernel makes them: rounding never turns an
order around, so their ends are those of the range.
Source: Zhang et al. (2018), Efficient neural network robustness certification with general activation functions;
Paulsen, Wang and Wang (2020), ReluDiff, for the change between two inputs; Higham (2002), Accuracy and stability of
numerical algorithms, section 3.1, for γ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shipworthy.core.program import Dense, Program
from shipworthy.core.table import Floats
from shipworthy.kernels import dense
from shipworthy.verification.formal.regions import Boxes, Flags

UNIT, TINY = 2.0**-53, 1e-290
ACTIVATED = 2e-15  # tanh and the logistic of the kernel lie within it of the true ones
Lines = tuple[Floats, Floats, Floats, Floats]  # slope and constant above, slope and constant below: (n, units) each


@dataclass(frozen=True)
class Read:
    """An input that a network reads: its place among all inputs, its first column, and the numbers of `kernels.dense`;
    levels: 0 for a number."""

    place: int
    column: int
    levels: int
    low: float
    high: float
    fill: float
    offset: float
    scale: float

    def scaled(self, x: Floats) -> Floats:
        """The column of numbers, as the kernel makes it."""
        return np.asarray((np.minimum(np.maximum(x, self.low), self.high) - self.offset) / self.scale)

    @property
    def filled(self) -> float:
        """The column where the number is missing."""
        return float(self.scaled(np.array(self.fill)))


@dataclass(frozen=True)
class Sums:
    """What the layers of a network can be in some boxes. low, high: of the sums of each hidden layer, (n, units).

    mass: of every layer, how much is added up in absolute values. lines: above and below each activation.
    """

    low: tuple[Floats, ...]
    high: tuple[Floats, ...]
    mass: tuple[Floats, ...]
    lines: tuple[Lines, ...]


@dataclass(frozen=True)
class Above:
    """A sum that lies above something in each box: share, (n, r, columns), of the columns, and a constant (n, r).

    mass: (n, r) of absolute values that were added up on the way.
    """

    share: Floats
    constant: Floats
    mass: Floats


@dataclass(frozen=True)
class Net:
    """One network over some inputs."""

    layers: tuple[tuple[Floats, Floats], ...]
    activation: str
    reads: tuple[Read, ...]

    @property
    def hidden(self) -> int:
        """How many layers are followed by an activation."""
        return len(self.layers) - 1

    @cached_property
    def gamma(self) -> float:
        """Twice γ for the longest sum there is on the way."""
        longest = max(max(weight.shape) for weight, _ in self.layers) + len(self.reads) + 12 * len(self.layers)
        return float(2 * longest * UNIT / (1 - longest * UNIT))

    def at(self, place: int, other: int) -> Net:
        """The same network that reads another input in place of one."""
        return Net(self.layers, self.activation, tuple(
            Read(other if one.place == place else one.place, *list(vars(one).values())[1:]) for one in self.reads))

    def columns(self, boxes: Boxes) -> Floats:
        """(n, columns) the largest absolute value of each."""
        found = np.ones((len(boxes), len(self.layers[0][0])))
        for one in self.reads:
            if not one.levels:
                ends = np.abs(one.scaled(np.stack([boxes.low[:, one.place], boxes.high[:, one.place]])))
                found[:, one.column] = np.maximum(ends.max(axis=0), abs(one.filled))
        return found

    def added(self, one: Read, boxes: Boxes) -> tuple[Floats, Flags]:
        """What an input adds to the first sums: (k, n, units) at its extreme values, (k, n) which of these it has."""
        weight, place = self.layers[0][0], one.place
        if one.levels:
            own = np.concatenate([weight[one.column : one.column + one.levels], np.zeros((1, weight.shape[1]))])
            mine = np.zeros((one.levels + 1, len(boxes)), np.bool_)
            mine[: one.levels] = boxes.of(place).T[: one.levels]
            mine[-1] = boxes.gone[:, place] | boxes.of(place)[:, one.levels :].any(axis=1)
            return np.broadcast_to(own[:, None], (len(own), len(boxes), weight.shape[1])), mine
        ends = one.scaled(np.stack([boxes.low[:, place], boxes.high[:, place]]))
        missing = one.filled * weight[one.column] + weight[one.column + 1]
        share = np.concatenate([ends[:, :, None] * weight[one.column],
                                np.broadcast_to(missing, (1, len(boxes), len(missing)))])
        return share, np.stack([boxes.number[:, place], boxes.number[:, place], boxes.gone[:, place]])

    def spread(self, boxes: Boxes) -> Floats:
        """(inputs, n, units) how far each input moves the first sums."""
        found = np.zeros((boxes.width, len(boxes), self.layers[0][0].shape[1]))
        for one in self.reads:
            share, has = self.added(one, boxes)
            found[one.place] += _most(share, has) + _most(-share, has)
        return found

    def sums(self, boxes: Boxes) -> Sums:
        """The bounds of every hidden layer: of the first exactly, of the others by lines and by intervals."""
        mass = self._masses(boxes)
        low, high, lines = list[Floats](), list[Floats](), list[Lines]()
        for number in range(self.hidden):
            pad = self.gamma * mass[number] + TINY
            if number == 0:
                most, least = self._first(boxes)
            else:
                units = self.layers[number][0].shape[1]
                each = np.broadcast_to(np.concatenate([np.eye(units), -np.eye(units)]), (len(boxes), 2 * units, units))
                top = highest([(self, self.back(Sums((), (), tuple(mass), tuple(lines)), number, each))], boxes)
                most, least = self._interval(number, low[-1], high[-1])
                most, least = np.minimum(most + pad, top[:, :units]), np.maximum(least - pad, -top[:, units:])
            pad = pad if number == 0 else np.zeros(1)
            low.append(least - pad)
            high.append(most + pad)
            lines.append(relaxed(self.activation, low[-1], high[-1]))
        return Sums(tuple(low), tuple(high), tuple(mass), tuple(lines))

    def _masses(self, boxes: Boxes) -> list[Floats]:
        held, found = self.columns(boxes), list[Floats]()
        for weight, bias in self.layers:
            found.append(held @ np.abs(weight) + np.abs(bias))
            held = found[-1] if self.activation in ("relu", "identity") else np.ones_like(found[-1])
        return found

    def _first(self, boxes: Boxes) -> tuple[Floats, Floats]:
        most = np.repeat(self.layers[0][1][None], len(boxes), axis=0)
        least = most.copy()
        for one in self.reads:
            share, has = self.added(one, boxes)
            most, least = most + _most(share, has), least - _most(-share, has)
        return most, least

    def _interval(self, number: int, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        weight, bias = self.layers[number]
        act, pad = dense.ACTIVATIONS[self.activation], _doubt(self.activation)
        a, b = act(low) - pad, act(high) + pad
        up, down = np.maximum(weight, 0), np.minimum(weight, 0)
        return bias + b @ up + a @ down, bias + a @ up + b @ down

    def back(self, sums: Sums, last: int, weights: Floats) -> Above:
        """A sum above weights · sums of a layer, followed back to the columns. weights: (n, r, units of the layer)."""
        count = weights.shape[:2]
        constant, mass = np.zeros(count), np.zeros(count)
        for number in range(last, -1, -1):
            weight, bias = self.layers[number]
            constant, mass = constant + weights @ bias, mass + _times(np.abs(weights), sums.mass[number])
            share = weights @ weight.T
            if number:
                slope, up, under, down = sums.lines[number - 1]
                plus, minus = np.maximum(share, 0), np.minimum(share, 0)
                constant = constant + _times(plus, up) + _times(minus, down)
                mass = mass + _times(plus, np.abs(up)) - _times(minus, np.abs(down))
                weights = plus * slope[:, None] + minus * under[:, None]
        return Above(share, constant, mass)

    def drift(self, boxes: Boxes, weights: Sequence[float]) -> float:
        """How far weights · margin of the kernel may lie from that of the real network, in any row of these boxes."""
        mass, off = self._masses(boxes), np.zeros(len(self.layers[0][0]))
        for number, (weight, _) in enumerate(self.layers):
            off = off @ np.abs(weight) * (1 + self.gamma) + self.gamma * mass[number].max(axis=0)
            off = off + (_doubt(self.activation) if number < self.hidden else 0.0)
        w = np.abs(np.asarray(weights, np.float64))
        return float(off @ w + self.gamma * (mass[-1].max(axis=0) @ w) + TINY)


def network(program: Program) -> Net | None:
    """The network that a program is; None if it is something else, or reads an input twice."""
    if len(program.terms) != 1 or not isinstance(kind := program.terms[0].kind, Dense):
        return None
    arrays, reads, at = program.terms[0].arrays, list[Read](), 0
    for number, (place, levels) in enumerate(zip(arrays["place"].tolist(), arrays["levels"].tolist(), strict=True)):
        reads.append(Read(place, at, levels, *(float(arrays[key][number]) for key in dense.NUMBERS)))
        at += levels or 2
    if len({one.place for one in reads}) < len(reads):
        return None
    return Net(tuple(dense.layers(arrays)), kind.activation, tuple(reads))


def highest(parts: Sequence[tuple[Net, Above]], boxes: Boxes) -> Floats:
    """(n, r) above which no sum of some sums over shared inputs lies in each box, rounding included."""
    total = sum((above.constant + net.gamma * above.mass for net, above in parts), np.zeros(1))
    for shares, _, has in extremes(parts, boxes):
        total = total + np.where(has[..., None], shares, -np.inf).max(axis=0)
    return np.asarray(total + TINY)


def extremes(parts: Sequence[tuple[Net, Above]], boxes: Boxes) -> list[tuple[Floats, Floats, Flags]]:
    """Of every input that is read: (k, n, r) what it adds at each value that may be extreme, these values (k, n), NaN
    for missing, and (k, n) which of them the boxes have."""
    found = []
    for place in sorted({one.place for net, _ in parts for one in net.reads}):
        own = [(one, above) for net, above in parts for one in net.reads if one.place == place]
        found.append(_codes(own, boxes, place) if own[0][0].levels else _numbers(own, boxes, place))
    return found


def _numbers(own: Sequence[tuple[Read, Above]], boxes: Boxes, place: int) -> tuple[Floats, Floats, Flags]:
    low, high = boxes.low[:, place], boxes.high[:, place]
    kinks = {(one.low, one.high) for one, _ in own}
    inner = sorted({end for ends in kinks for end in ends}) if len(kinks) > 1 else []
    values = np.stack([low, high, *(np.clip(end, low, high) for end in inner)])
    shares = np.zeros((len(values) + 1, len(boxes), own[0][1].share.shape[1]))
    for one, above in own:
        column, flag = above.share[..., one.column], above.share[..., one.column + 1]
        shares[:-1] += one.scaled(values)[..., None] * column
        shares[-1] += one.filled * column + flag
    has = np.repeat(boxes.number[None, :, place], len(values), axis=0)
    return (shares, np.concatenate([values, np.full((1, len(boxes)), np.nan)]),
            np.concatenate([has, boxes.gone[None, :, place]]))


def _codes(own: Sequence[tuple[Read, Above]], boxes: Boxes, place: int) -> tuple[Floats, Floats, Flags]:
    codes = boxes.of(place)
    shares = np.zeros((codes.shape[1] + 1, len(boxes), own[0][1].share.shape[1]))
    for one, above in own:
        shares[: one.levels] += np.moveaxis(above.share[..., one.column : one.column + one.levels], 2, 0)
    values = np.append(np.arange(codes.shape[1], dtype=np.float64), np.nan)
    return (shares, np.repeat(values[:, None], len(boxes), axis=1),
            np.concatenate([codes.T, boxes.gone[None, :, place]]))


def relaxed(activation: str, low: Floats, high: Floats) -> Lines:
    """A line above and one below an activation, for sums from low to high."""
    zero, one = np.zeros_like(low), np.ones_like(low)
    if activation == "identity":
        return one, zero, one, zero
    if activation == "relu":
        mixed = (low < 0) & (high > 0)
        slope = np.where(low >= 0, 1.0, np.where(mixed, high / np.where(mixed, high - low, 1.0), 0.0))
        over = np.maximum(-slope * low, high - slope * high) + 4 * UNIT * (np.abs(slope * low) + np.abs(high))
        return slope, np.where(mixed, over, 0.0), np.where(low >= 0, 1.0, np.where(mixed & (high > -low), 1.0, 0.0)), \
            zero
    slope, ends = steepness(activation, low, high)[0], dense.ACTIVATIONS[activation](np.stack([low, high]))
    pad = 2 * ACTIVATED + 4 * UNIT * slope * np.maximum(np.abs(low), np.abs(high))
    return slope, ends[1] - slope * high + pad, slope, ends[0] - slope * low - pad


def steepness(activation: str, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The least and greatest slope of an activation between two sums."""
    if activation == "identity":
        return np.ones_like(low), np.ones_like(low)
    if activation == "relu":
        return ((low >= 0) & (high > 0)).astype(np.float64), (high > 0).astype(np.float64)
    ends = dense.ACTIVATIONS[activation](np.stack([low, high]))
    slopes = ends * (1 - ends) if activation == "logistic" else 1 - ends**2
    top = 0.25 if activation == "logistic" else 1.0
    most = np.where((low <= 0) & (high >= 0), top, np.minimum(slopes.max(axis=0) + 4 * ACTIVATED, top))
    return np.maximum(slopes.min(axis=0) - 4 * ACTIVATED, 0.0), most


def _doubt(activation: str) -> float:
    return 0.0 if activation in ("relu", "identity") else ACTIVATED


def _times(rows: Floats, column: Floats) -> Floats:
    """(n, r, units) times (n, units): (n, r)."""
    return np.asarray((rows @ column[..., None])[..., 0])


def _most(share: Floats, has: Flags) -> Floats:
    return np.asarray(np.where(has[..., None], share, -np.inf).max(axis=0))
