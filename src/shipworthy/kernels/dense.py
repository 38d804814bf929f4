"""A small network of fully connected layers with NumPy alone, which is what a network in a program means.

Every input becomes columns. A number becomes two: itself, with `fill` where it is missing, held within `low` and
`high`, less `offset`, over `scale`; and 1 where it is missing, else 0. A category of L levels becomes L: 1 for the code
of its own, else 0; a missing or unlisted code is all zeros. A layer is its bias plus column times weight, added one by
one in the order of the columns; then comes the activation, save after the last layer, whose sums are the margin.
`check` bounds every number, so that the margin is finite for every row. A sum then never is −0, so that adding a
column of zeros changes nothing, and the compiled kernel may leave it out.
Source: Goodfellow, Bengio and Courville (2016), Deep Learning, chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shipworthy.kernels.pure import Arrays, Floats, exp, logistic

MOST_LAYERS, MOST_UNITS, MOST_WEIGHTS, MOST = 5, 256, 200_000, 1e12
NUMBERS = ("low", "high", "fill", "offset", "scale")
BLOCK = 512


def score(inputs: Floats, arrays: Arrays, activation: str) -> Floats:
    """The margin (n, k) of inputs (n, d).

    arrays: place, levels (m,) whole, the inputs read and of categories how many levels, else 0; low, high, fill,
    offset, scale (m,), of numbers alone; weight0 (columns, u0), bias0 (u0,), weight1 (u0, u1), bias1 (u1,), and so on,
    the last of k units.
    """
    (weight, bias), *rest = layers(arrays)
    act, out = ACTIVATIONS[activation], np.empty((len(inputs), (rest[-1] if rest else (weight, bias))[1].shape[0]))
    for start in range(0, len(inputs), BLOCK):
        sums = _first(inputs[start : start + BLOCK], arrays, weight, bias)
        for more, base in rest:
            sums = _layer(act(sums), more, base)
        out[start : start + BLOCK] = sums.T
    return out


def layers(arrays: Arrays) -> list[tuple[Floats, Floats]]:
    """Weights and biases of every layer, in order, as float64."""
    return [(np.asarray(arrays[f"weight{n}"], np.float64), np.asarray(arrays[f"bias{n}"], np.float64))
            for n in range(depth(arrays))]


def depth(arrays: Arrays) -> int:
    """How many layers there are."""
    return sum(key.startswith("weight") for key in arrays)


def _first(inputs: Floats, arrays: Arrays, weight: Floats, bias: Floats) -> Floats:
    """Sums of the first layer, (units, n)."""
    out, at = _biases(bias, len(inputs)), 0
    for number, (place, levels) in enumerate(zip(arrays["place"].tolist(), arrays["levels"].tolist(), strict=True)):
        column = inputs[:, place]
        if levels:
            with np.errstate(invalid="ignore"):
                known = (column >= 0) & (column < levels)
            own = np.concatenate([weight[at : at + levels], np.zeros((1, weight.shape[1]))])
            out += own[np.where(known, column, levels).astype(np.int64)].T
            at += levels
        else:
            low, high, fill, offset, scale = (float(arrays[key][number]) for key in NUMBERS)
            absent = np.isnan(column)
            held = np.minimum(np.maximum(np.where(absent, fill, column), low), high)
            out += weight[at][:, None] * ((held - offset) / scale)
            out += weight[at + 1][:, None] * absent
            at += 2
    return out


def _layer(columns: Floats, weight: Floats, bias: Floats) -> Floats:
    """Sums of a layer, (units, n), from the columns before it, (columns, n)."""
    out = _biases(bias, columns.shape[1])
    for column, own in zip(columns, weight, strict=True):
        out += own[:, None] * column
    return out


def _biases(bias: Floats, rows: int) -> Floats:
    return np.repeat((bias + 0.0)[:, None], rows, axis=1)


def identity(x: Floats) -> Floats:
    """x as it is."""
    return x


def relu(x: Floats) -> Floats:
    """x, and 0 below 0."""
    return np.where(x > 0, x, 0.0)


def tanh(x: Floats) -> Floats:
    """The hyperbolic tangent, within 3e-16: from exp, because NumPy's own differs between processors."""
    small = exp(-2.0 * np.abs(x))
    return np.copysign((1.0 - small) / (1.0 + small), x)


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "identity": identity, "logistic": logistic, "relu": relu, "tanh": tanh,
}


def check(arrays: Arrays, inputs: int, outputs: int) -> None:
    """Raises ValueError or KeyError for arrays of plain numbers that make no network, or too large a one.

    At most 5 layers, of 256 units each save the last, and 200,000 weights. No weight, bias or scaled input is beyond
    1e12, so that no sum can overflow.
    """
    count, keys = depth(arrays), ("place", "levels", *NUMBERS)
    if set(arrays) != {*keys, *(f"{key}{n}" for n in range(count) for key in ("weight", "bias"))}:
        raise ValueError("a network has other arrays")
    place, levels = np.asarray(arrays["place"], np.int64), np.asarray(arrays["levels"], np.int64)
    if any(len(arrays[key]) != len(place) for key in keys) or not 1 <= count <= MOST_LAYERS:
        raise ValueError("the arrays of a network do not fit each other")
    if ((place < 0) | (place >= inputs)).any() or ((levels < 0) | (levels > MOST_WEIGHTS)).any():
        raise ValueError("a network reads an input that is not there")
    columns, size = int(np.where(levels > 0, levels, 2).sum()), 0
    for number, (weight, bias) in enumerate(layers(arrays)):
        size += weight.size
        units = weight.shape[1]
        if weight.shape[0] != columns or bias.shape != (units,) or units < 1:
            raise ValueError("the layers of a network do not fit each other")
        if size > MOST_WEIGHTS or (number < count - 1 and units > MOST_UNITS):
            raise ValueError("a network is too large")
        if not (np.abs(weight) <= MOST).all() or not (np.abs(bias) <= MOST).all():
            raise ValueError("a weight of a network is not finite, or beyond 1e12")
        columns = units
    if columns != outputs:
        raise ValueError("a network does not have a value for every output")
    _scaled(arrays, levels)


def _scaled(arrays: Arrays, levels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    low, high, fill, offset, scale = (np.asarray(arrays[key], np.float64)[levels == 0] for key in NUMBERS)
    with np.errstate(all="ignore"):
        ends = np.abs([(low - offset) / scale, (high - offset) / scale])
    good = (low <= high) & (scale > 0) & np.isfinite(fill) & (ends <= MOST).all(axis=0)
    if not good.all():
        raise ValueError("an input of a network is not held within finite bounds")
