"""What every metric needs of its arrays: one type each, one length, no division by zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.errors import Misuse

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def same_length(*arrays: Array) -> None:
    """Nothing; raises Misuse unless every array has one dimension and the same number of rows."""
    shapes = [np.shape(array) for array in arrays]
    if any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
        listed = ", ".join(str(shape) for shape in shapes)
        raise Misuse("the arrays must have one dimension and the same length", where=f"shapes {listed}",
                     hint="give one value a row, for the same rows")


def columns(*arrays: Array) -> list[Floats]:
    """The arrays as 64-bit floats, each (n,). Raises Misuse if lengths differ or a value is no number."""
    same_length(*arrays)
    try:
        return [np.asarray(array, dtype=np.float64) for array in arrays]
    except (TypeError, ValueError) as error:
        raise Misuse("a metric takes numbers", where=str(error), hint="encode classes as 0, 1, …") from error


def coded(labels: Array) -> tuple[Array, Ints]:
    """The distinct labels in order, (g,), and the position of every row's label among them, (n,)."""
    values, codes = np.unique(np.asarray(labels), return_inverse=True)
    return values, codes.astype(np.int64, copy=False)


def mean(values: Array) -> float:
    """Arithmetic mean. NaN if there are no values, without a warning."""
    return float(np.mean(values)) if len(values) else float("nan")


def ratio(part: float, whole: float) -> float:
    """part / whole. NaN if whole is 0."""
    return float(part / whole) if whole else float("nan")
