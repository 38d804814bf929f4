"""Scoring one row: by the compiled kernel, or else with the same sums in the same order on plain Python floats.

An array operation costs a microsecond however few rows it has, and the pure kernel needs dozens a tree level.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import isfinite, isnan, trunc

import numpy as np

from shipworthy.core.program import Dense, Linear, Lookup, Program, Term, Trees
from shipworthy.core.table import Floats
from shipworthy.deployment.integration.serving.ranked_row import summed
from shipworthy.kernels.dense import ACTIVATIONS, NUMBERS, layers
from shipworthy.kernels.pure import CATEGORICAL, DEFAULT_LEFT, MISSING_NAN, MISSING_SHIFT, MISSING_ZERO, ZERO

Row = list[float]
Margin = Callable[[Row], list[float]]
Node = tuple[int, float, int, int, bool]
Careful = tuple[float, int, int, int, int]
_LARGEST_CODE = 2**31 - 1


def scored(program: Program) -> Callable[[Row], Sequence[float]]:
    """A function from the inputs of one row to its scores, bit for bit what `program.score` gives; one or per class."""
    if program.scorer is not None:
        return program.scorer.row
    margin = compiled(program)

    def score(row: Row) -> list[float]:
        found: list[float] = program.finish(np.array([margin(row)])).ravel().tolist()
        return found

    return score


def compiled(program: Program) -> Margin:
    """A function from the inputs of one row to its margin, bit for bit what `program.margin` gives for it."""
    terms = [_term(term, program.outputs) for term in program.terms]
    outputs = program.outputs

    def margin(row: Row) -> list[float]:
        total = [0.0] * outputs
        for term in terms:
            for place, value in enumerate(term(row)):
                total[place] += value
        return total

    return margin


def _term(term: Term, outputs: int) -> Margin:
    if isinstance(term.kind, Linear):
        return _linear(term)
    if isinstance(term.kind, Lookup):
        return _lookup(term, term.kind.places)
    if isinstance(term.kind, Dense):
        return _dense(term, term.kind)
    return _trees(term, term.kind, outputs)


def _linear(term: Term) -> Margin:
    arrays = {key: array.tolist() for key, array in term.arrays.items()}
    columns = list(zip(arrays["place"], arrays["fill"], arrays["weight"], arrays["missing"], strict=True))
    intercept = [float(value) for value in arrays["intercept"]]

    def margin(row: Row) -> list[float]:
        out = intercept.copy()
        for place, fill, weight, missing in columns:
            value = row[place]
            absent = float(isnan(value))
            value = fill if absent else value
            for output in range(len(out)):
                out[output] += value * weight[output]
                out[output] += absent * missing[output]
        return out

    return margin


def _lookup(term: Term, places: tuple[int, ...]) -> Margin:
    values = np.asarray(term.arrays["values"], np.float64)
    table, outputs = values.reshape(-1, values.shape[-1]).tolist(), values.shape[-1]
    axes = [(place, term.arrays[f"cuts{axis}"].tolist(), values.shape[axis]) for axis, place in enumerate(places)]

    def margin(row: Row) -> list[float]:
        cell = 0
        for place, cuts, size in axes:
            cell = cell * size + _cell(row[place], cuts, size)
        found: list[float] = table[cell]
        return found

    return margin if outputs else lambda row: []


def _cell(value: float, cuts: list[float], size: int) -> int:
    if isnan(value):
        return 0
    if cuts:
        return 1 + bisect_right(cuts, value)
    return int(value) + 1 if 0 <= value < size - 1 else 0


def _dense(term: Term, kind: Dense) -> Margin:
    """Columns of zeros are left out, which changes no sum; `accumulate` adds one by one, in order."""
    (first, bias), *rest = layers(term.arrays)
    activate, read = ACTIVATIONS[kind.activation], _columns(term)

    def margin(row: Row) -> list[float]:
        places, values = read(row)
        sums = _summed(np.array(values), first[places], bias)
        for weight, base in rest:
            sums = _summed(activate(sums), weight, base)
        found: list[float] = sums.tolist()
        return found

    return margin


def _summed(columns: Floats, weight: Floats, bias: Floats) -> Floats:
    parts = np.empty((len(columns) + 1, len(bias)))
    np.add(bias, 0.0, out=parts[0])
    np.multiply(columns[:, None], weight, out=parts[1:])
    return np.asarray(np.add.accumulate(parts, axis=0)[-1])


def _columns(term: Term) -> Callable[[Row], tuple[list[int], list[float]]]:
    """A function from a row to the columns of a network that are not zero, and what they hold."""
    levels = term.arrays["levels"].tolist()
    starts = [0, *accumulate(count or 2 for count in levels)]
    numbers = (term.arrays[key].tolist() for key in NUMBERS)
    readings = list(zip(term.arrays["place"].tolist(), levels, starts, *numbers, strict=False))

    def read(row: Row) -> tuple[list[int], list[float]]:
        places, values = [], []
        for place, count, start, low, high, fill, offset, scale in readings:
            value = row[place]
            if count:
                if 0 <= value < count:
                    places.append(start + int(value))
                    values.append(1.0)
                continue
            absent = value != value
            value = fill if absent else value
            places.append(start)
            values.append(((low if value < low else high if value > high else value) - offset) / scale)
            if absent:
                places.append(start + 1)
                values.append(1.0)
        return places, values

    return read


def _trees(term: Term, kind: Trees, outputs: int) -> Margin:
    base, divisor, narrow = [float(value) for value in term.arrays["base"]], kind.divisor, kind.narrow
    total = (summed(term, outputs) if len(term.arrays["root"]) else None) or _walked(term, outputs)

    def margin(row: Row) -> list[float]:
        if narrow:
            with np.errstate(over="ignore"):
                row = np.asarray(row, np.float32).astype(np.float64).tolist()
        else:
            row = [0.0 if -ZERO <= value <= ZERO else value for value in row]
        return [value / divisor + base[place] for place, value in enumerate(total(row))]

    return margin


def _walked(term: Term, outputs: int) -> Margin:
    """The sum of leaves by walking every tree, for trees too large for masks."""
    nodes, careful = _nodes(term)
    words = term.arrays["bits"].astype(np.int64).tolist()
    leaf = np.asarray(term.arrays["leaf"], np.float64)
    each, wide = leaf.tolist(), leaf.shape[1] > 1
    roots = list(zip(term.arrays["root"].tolist(), term.arrays["output"].tolist(), strict=True))

    def total(row: Row) -> list[float]:
        out = [0.0] * outputs
        for node, output in roots:
            while node >= 0:
                feature, threshold, left, right, plain = nodes[node]
                value = row[feature]
                if plain and value == value:
                    node = left if value <= threshold else right
                else:
                    node = _next(value, careful[node], words)
            for place, part in enumerate(each[-1 - node]):
                out[place if wide else output] += part
        return out

    return total


def _nodes(term: Term) -> tuple[list[Node], list[Careful]]:
    """Every node twice: as a number that is present needs it, if that is plain, and with all its rules."""
    arrays = {key: term.arrays[key].tolist() for key in ("feature", "threshold", "left", "right", "flags", "words")}
    plain = [not flags & CATEGORICAL and flags >> MISSING_SHIFT != MISSING_ZERO for flags in arrays["flags"]]
    threshold, left, right = arrays["threshold"], arrays["left"], arrays["right"]
    return (list(zip(arrays["feature"], threshold, left, right, plain, strict=True)),
            list(zip(threshold, left, right, arrays["flags"], arrays["words"], strict=True)))


def _next(value: float, node: Careful, words: list[int]) -> int:
    """The next node, by every rule of the kernel."""
    threshold, left, right, flags, count = node
    if flags & CATEGORICAL:
        return left if _listed(value, int(threshold), count, words) else right
    missing, absent = flags >> MISSING_SHIFT, isnan(value)
    if (missing == MISSING_NAN and absent) or (missing == MISSING_ZERO and (absent or value == 0)):
        return left if flags & DEFAULT_LEFT else right
    return left if (0.0 if absent else value) <= threshold else right


def _listed(value: float, first: int, count: int, words: list[int]) -> bool:
    if not isfinite(value) or trunc(value) < 0:
        return False
    code = int(min(value, _LARGEST_CODE))
    return code // 32 < count and bool(words[first + code // 32] >> (code % 32) & 1)
