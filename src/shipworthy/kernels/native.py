"""The compiled kernel: the answers of `pure` to the last bit, by a C extension where it could be built.

A scorer is made once from a program's arrays. Everything is checked then, so that no row can make it read outside
them. `SHIPWORTHY_KERNEL` chooses: unset takes the extension if it is there, `pure` never, `native` insists on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shipworthy.errors import Misuse, nearest
from shipworthy.kernels.dense import NUMBERS, layers
from shipworthy.kernels.pure import Arrays, Floats

try:
    from shipworthy.kernels import _native
except ImportError:  # no compiler when it was installed, or a Python that the stable ABI leaves out
    _native = None  # type: ignore[assignment]

VARIABLE = "SHIPWORTHY_KERNEL"
CHOICES = ("", "pure", "native")
LINKS = {"identity": 0, "logistic": 1, "softmax": 2, "share": 3}
LINEAR, LOOKUP, TREES, DENSE = range(4)
ACTIVATIONS = ("identity", "logistic", "relu", "tanh")
NODES = ("feature", "left", "right", "flags", "words")
Row = Sequence[float] | bytearray | memoryview


@dataclass(frozen=True)
class Part:
    """One term for the compiled kernel: its kind, its arrays as `pure` takes them, and the settings of that kind."""

    kind: Literal["linear", "lookup", "trees", "dense"]
    arrays: Arrays
    places: tuple[int, ...] = ()
    divisor: float = 1.0
    narrow: bool = False
    activation: str = "identity"


class Scorer:
    """A program that was checked and packed. Safe to use from several threads; large batches release the GIL.

    row: the scores of one row, as a tuple of floats, from a list, a tuple or a buffer of native doubles, NaN for
    missing; row_margin: the same before link and calibration. Both raise ValueError for another number of inputs.
    """

    def __init__(self, made: _native.Scorer, outputs: int) -> None:
        self._made, self._outputs = made, outputs
        self.row, self.row_margin = made.row, made.row_margin

    def batch(self, inputs: Floats) -> Floats:
        """Scores, (n, outputs), of inputs (n, d)."""
        return self._fill(self._made.batch, inputs)

    def margin(self, inputs: Floats) -> Floats:
        """Margins before link and calibration, (n, outputs), of inputs (n, d)."""
        return self._fill(self._made.batch_margin, inputs)

    def _fill(self, run: Any, inputs: Floats) -> Floats:
        out = np.empty((len(inputs), self._outputs))
        run(np.ascontiguousarray(inputs, np.float64), out)
        return out


def wanted() -> bool:
    """Whether programs are scored by the extension here and now.

    Raises Misuse if SHIPWORTHY_KERNEL names no kernel, or insists on an extension that is not there.
    """
    said = os.environ.get(VARIABLE, "")
    if said not in CHOICES:
        raise Misuse(f"there is no kernel {said!r}", where=VARIABLE, hint=nearest(said, CHOICES[1:]) or "unset it")
    if said == "native" and _native is None:
        raise Misuse("the compiled kernel is not built", where=VARIABLE,
                     hint="install a C compiler and the headers of Python, then install shipworthy again")
    return said != "pure" and _native is not None


def branch() -> Callable[..., tuple[int, float, float, int, bytes]] | None:
    """The compiled branch and bound of `verification.formal.search`, or None where the pure one is used."""
    return getattr(_native, "branch", None) if wanted() else None


def told() -> str:
    """Which kernel scores here, and why."""
    if wanted():
        return "compiled (C extension)"
    return f"pure NumPy ({'the C extension is not built' if _native is None else f'{VARIABLE}=pure'})"


def scorer(
    parts: Sequence[Part], *, inputs: int, outputs: int, link: str, knots: tuple[Sequence[float], Sequence[float]],
    scaling: tuple[float, float] | None,
) -> Scorer | None:
    """A scorer of terms that add up, or None where programs are scored by the pure kernel.

    knots: scores and values of a calibration, both empty for none; scaling: or its slope and intercept.
    Raises ValueError for arrays that do not fit each other, point outside what they index, or run in a circle.
    """
    if not wanted():
        return None
    try:
        score, value = (np.asarray(each, np.float64) for each in knots)
        made = _native.Scorer(inputs, outputs, [_packed(part) for part in parts], LINKS[link], score, value,
                              scaling is not None, *(scaling or (1.0, 0.0)))
    except (LookupError, TypeError, OverflowError) as error:
        raise ValueError(f"{error.__class__.__name__}: {error}") from error
    return Scorer(made, outputs)


def fits(array: npt.NDArray[Any], *, whole: bool) -> bool:
    """Whether an array is of numbers that float64 holds, or of whole numbers that int64 holds."""
    return array.dtype.kind in "iuf" and np.can_cast(array.dtype, np.int64 if whole else np.float64)


def _packed(part: Part) -> tuple[Any, ...]:
    arrays = part.arrays
    if part.kind == "linear":
        numbers = (_numbers(arrays[key]) for key in ("fill", "weight", "missing", "intercept"))
        return (LINEAR, _whole(arrays["place"]), *numbers)
    if part.kind == "lookup":
        cuts = [_numbers(arrays[f"cuts{axis}"]) for axis, _ in enumerate(part.places)]
        return (LOOKUP, np.array(part.places, np.int64), cuts[0], cuts[-1], _numbers(arrays["values"]))
    if part.kind == "dense":
        several = layers(arrays)
        return (DENSE, _whole(arrays["place"]), _whole(arrays["levels"]),
                *(_numbers(arrays[key]) for key in NUMBERS), ACTIVATIONS.index(part.activation),
                *(tuple(_numbers(layer[side]) for layer in several) for side in (0, 1)))
    nodes = (_whole(arrays[key]) for key in NODES)
    rest = (_whole(arrays[key]) for key in ("root", "output", "bits"))
    return (TREES, *nodes, _numbers(arrays["threshold"]), *rest, _numbers(arrays["leaf"]), _numbers(arrays["base"]),
            part.divisor, part.narrow)


def _numbers(array: npt.NDArray[Any]) -> Floats:
    if not fits(array, whole=False):
        raise ValueError(f"an array of {array.dtype} is not of numbers")
    return np.ascontiguousarray(array, np.float64)


def _whole(array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if array.size and not fits(array, whole=True):
        raise ValueError(f"an array of {array.dtype} is not of whole numbers")
    return np.ascontiguousarray(array, np.int64)
