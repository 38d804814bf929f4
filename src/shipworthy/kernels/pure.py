"""Scoring a program with NumPy alone, which is what a program means: terms, links, calibration.

A term takes inputs (n, d) float64 with NaN for missing, and returns its margin (n, outputs) float64.
Trees route as LightGBM and scikit-learn do; the rules are listed at `trees`.
Nothing here leaves the order of a sum or the last bit of a function to a library, so that the compiled kernel, and
every processor, gives the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[np.generic]]
BLOCK_CELLS = 400_000
ZERO = float(np.float32(1e-35))
TINY = 1e-12
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
DEFAULT_LEFT, CATEGORICAL, MISSING_SHIFT = 1, 2, 2


def linear(inputs: Floats, arrays: Arrays) -> Floats:
    """Weighted sum of inputs plus intercept; a missing input takes `fill` and adds `missing`.

    arrays: place (m,), fill (m,), weight (m, k), missing (m, k), intercept (k,).
    """
    chosen = inputs[:, arrays["place"].astype(np.int64)]
    absent = np.isnan(chosen)
    filled = np.where(absent, arrays["fill"], chosen)
    out = np.broadcast_to(arrays["intercept"].astype(np.float64), (len(inputs), arrays["intercept"].shape[0])).copy()
    for column in range(filled.shape[1]):
        out += filled[:, column, None] * arrays["weight"][column]
        out += absent[:, column, None] * arrays["missing"][column]
    return out


def table(inputs: Floats, arrays: Arrays, places: tuple[int, ...]) -> Floats:
    """Values looked up by cell, over one or two inputs; the first cell of each axis is for missing.

    arrays: cuts0 (and cuts1): ascending, cell 1 + #{cuts ≤ x} for numbers; empty for a category, whose code c
    is cell 1 + c. values: (cells0, k) or (cells0, cells1, k).
    """
    values = arrays["values"]
    cells = [_cell(inputs[:, place], arrays[f"cuts{axis}"], values.shape[axis]) for axis, place in enumerate(places)]
    return np.asarray(values[tuple(cells)], np.float64)


def _cell(column: Floats, cuts: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.int64]:
    absent = np.isnan(column)
    if len(cuts):
        found = 1 + np.searchsorted(cuts, column, side="right")
    else:
        known = np.where(absent, -1.0, column)
        found = np.where((known >= 0) & (known < size - 1), known, -1.0).astype(np.int64) + 1
    return np.where(absent, 0, found)


def trees(inputs: Floats, arrays: Arrays, *, divisor: float, narrow: bool) -> Floats:
    """Sum of the leaves reached, divided by `divisor`, plus the base.

    arrays: root (t,), output (t,) int32; feature, left, right, flags, words (m,) int32; threshold (m,);
    bits (w,) uint32; leaf (l, k or 1); base (k,). A child below 0 is leaf −1 − child.
    flags: bit 0 missing goes left, bit 1 categorical, bits 2–3 missing kind (none, zero, NaN).
    A categorical node reads `words` words of `bits` from place `threshold` on: a listed code goes left, and
    NaN, negative and unlisted codes go right.
    narrow: rows are rounded to float32 first, as scikit-learn does; else numbers within 1e-35 of 0 are 0, as
    LightGBM does.
    Source: Ke et al. (2017), LightGBM; its `tree.h` decision rules.
    """
    base = np.asarray(arrays["base"], np.float64)
    out = np.empty((len(inputs), len(base)))
    step = max(1, BLOCK_CELLS // max(1, len(arrays["root"])))
    for start in range(0, len(inputs), step):
        reached = leaves(inputs[start : start + step], arrays, narrow=narrow)
        out[start : start + step] = sum_leaves(reached, arrays, len(base)) / divisor + base
    return out


def leaves(inputs: Floats, arrays: Arrays, *, narrow: bool = False) -> npt.NDArray[np.int64]:
    """The leaf that every row reaches in every tree, (n, t)."""
    clean = tidy(inputs, narrow=narrow)
    roots = arrays["root"].astype(np.int64)
    node = np.broadcast_to(roots, (len(inputs), len(roots))).ravel().copy()
    row = np.repeat(np.arange(len(inputs)), len(roots))
    active = np.flatnonzero(node >= 0)
    while active.size:
        at = node[active]
        goes_left = decide(clean[row[active], arrays["feature"][at]], arrays, at)
        node[active] = np.where(goes_left, arrays["left"][at], arrays["right"][at])
        active = active[node[active] >= 0]
    return (-1 - node).reshape(len(inputs), len(roots))


def tidy(inputs: Floats, *, narrow: bool) -> Floats:
    """Inputs as trees compare them: rounded to float32, or with numbers within 1e-35 of 0 set to 0."""
    if not narrow:
        return np.where(np.abs(inputs) <= ZERO, 0.0, inputs)
    with np.errstate(over="ignore"):
        return inputs.astype(np.float32).astype(np.float64)


def decide(value: Floats, arrays: Arrays, node: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each value, tidied, goes left at its node. value, node: (n,)."""
    flags = np.asarray(arrays["flags"])[node].astype(np.int64)
    missing = flags >> MISSING_SHIFT
    absent = np.isnan(value)
    plain = np.where(absent, 0.0, value)
    goes_left = plain <= arrays["threshold"][node]
    default = ((missing == MISSING_NAN) & absent) | ((missing == MISSING_ZERO) & (absent | (value == 0)))
    goes_left = np.where(default, (flags & DEFAULT_LEFT) > 0, goes_left)
    at = np.flatnonzero((flags & CATEGORICAL) > 0)
    if at.size:
        goes_left[at] = _listed(value[at], arrays, node[at])
    return np.asarray(goes_left, np.bool_)


def _listed(value: Floats, arrays: Arrays, node: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    bits = np.asarray(arrays["bits"])
    first, count = arrays["threshold"][node].astype(np.int64), arrays["words"][node].astype(np.int64)
    known = np.isfinite(value) & (value > -1)
    code = np.where(known, np.minimum(np.where(known, value, 0), 2**31 - 1), 0).astype(np.int64)
    inside = known & (code // 32 < count)
    if not len(bits):
        return np.zeros(len(code), np.bool_)
    word = bits[np.where(inside, first + code // 32, 0)].astype(np.int64)
    return np.asarray(inside & ((word >> (code % 32)) & 1 > 0))


def sum_leaves(reached: npt.NDArray[np.int64], arrays: Arrays, outputs: int) -> Floats:
    """Leaf values added in the order of the trees, (n, outputs). reached: (n, t)."""
    leaf = np.asarray(arrays["leaf"], np.float64)
    total = np.zeros((len(reached), outputs))
    for tree in range(reached.shape[1]):
        if leaf.shape[1] == 1:
            total[:, int(arrays["output"][tree])] += leaf[reached[:, tree], 0]
        else:
            total += leaf[reached[:, tree]]
    return total


def logistic(margin: Floats) -> Floats:
    """1 / (1 + exp(−margin)), as LightGBM computes it."""
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + exp(-margin)), np.float64)


def softmax(margin: Floats) -> Floats:
    """Probabilities (n, k) of margins (n, k): exponentials less the largest, over their sum in order."""
    with np.errstate(invalid="ignore"):
        each = exp(margin - margin.max(axis=1, keepdims=True))
    total = np.zeros(len(each))
    for column in each.T:
        total += column
    return np.asarray(each / total[:, None], np.float64)


def scale(score: Floats, slope: float, intercept: float) -> Floats:
    """Log-odds of probabilities (n,) times a slope plus an intercept, or of every class (n, k) and shared out again."""
    chance = np.clip(score, TINY, 1.0)
    if score.ndim == 2:
        return softmax(slope * log(chance))
    return logistic(slope * (log(chance) - log(np.clip(1.0 - score, TINY, 1.0))) + intercept)


def log(x: Floats) -> Floats:
    """Natural logarithm of finite numbers above 0, within one unit in the last place; NaN stays NaN.

    Source: Sun Microsystems (1993), fdlibm, `e_log.c`: x = 2^k (1 + f), then a polynomial in f / (2 + f).
    """
    m, k = np.frexp(np.where(np.isnan(x), 1.0, x))
    low = m < 0.70710678118654752440
    m, k = np.where(low, m * 2.0, m), np.where(low, k - 1, k).astype(np.float64)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (
        1.818357216161805012e-01 + w * 1.479819860511658591e-01)))
    half = 0.5 * f * f
    found = k * LN2_HIGH - ((half - (s * (half + (odd + even)) + k * LN2_LOW)) - f)
    return np.asarray(np.where(np.isnan(x), x, found), np.float64)


def exp(x: Floats) -> Floats:
    """e to the x, within one unit in the last place.

    Written out, because NumPy's own differs between processors in the last bit.
    Source: Sun Microsystems (1993), fdlibm, `e_exp.c`: x = k ln 2 + r, then a rational approximation of exp(r).
    """
    x = np.clip(x, -746.0, 710.0)
    k = np.floor(np.where(np.isnan(x), 0.0, x) * 1.44269504088896338700e00 + 0.5)
    high, low = x - k * LN2_HIGH, k * LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (
        6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))))
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    half = np.floor(k / 2)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(y * np.ldexp(1.0, half.astype(np.int64)) * np.ldexp(1.0, (k - half).astype(np.int64)))


def interpolate(x: Floats, knots: Floats, values: Floats) -> Floats:
    """Values linear between ascending knots and constant beyond them, (n,); NaN stays NaN. All knots are finite."""
    at = np.searchsorted(knots, x, side="right") - 1
    last = len(knots) - 1
    left = np.clip(at, 0, max(last - 1, 0))
    right = np.minimum(left + 1, last)
    inside = (at >= 0) & (at < last) & (knots[left] != x)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        between = (values[right] - values[left]) / (knots[right] - knots[left]) * (x - knots[left]) + values[left]
    out = np.where(inside, between, values[np.clip(at, 0, last)])
    return np.asarray(np.where(np.isnan(x), x, out), np.float64)
