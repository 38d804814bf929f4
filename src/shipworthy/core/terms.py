"""One summand of a program: what kind of term it is, its arrays, and whether they may be scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.kernels import dense, native, pure, ranked

MANY_ROWS = 256
WHOLE = frozenset(("place", "levels", "root", "output", "feature", "left", "right", "flags", "words", "bits"))
AXES = {"weight": 2, "missing": 2, "leaf": 2}


class Linear(msgspec.Struct, frozen=True, tag="linear"):
    """Weighted sum of numeric inputs."""


class Lookup(msgspec.Struct, frozen=True, tag="lookup"):
    """A table over one or two inputs: a one-hot weight, a shape function, a pair of explainable boosting."""

    places: tuple[int, ...]


class Trees(msgspec.Struct, frozen=True, tag="trees"):
    """A sum or mean of trees. narrow: rows are rounded to float32 first."""

    divisor: float = 1.0
    narrow: bool = False


class Dense(msgspec.Struct, frozen=True, tag="dense"):
    """A small network of fully connected layers. activation: of every layer but the last."""

    activation: Literal["identity", "logistic", "relu", "tanh"] = "relu"


TermKind = Linear | Lookup | Trees | Dense


@dataclass(frozen=True)
class Term:
    """One summand: what it is, and its arrays."""

    kind: TermKind
    arrays: Mapping[str, npt.NDArray[Any]]

    def margin(self, inputs: Floats) -> Floats:
        """This term's share of the margin, (n, outputs)."""
        if isinstance(self.kind, Linear):
            return pure.linear(inputs, self.arrays)
        if isinstance(self.kind, Lookup):
            return pure.table(inputs, self.arrays, self.kind.places)
        if isinstance(self.kind, Dense):
            return dense.score(inputs, self.arrays, self.kind.activation)
        divisor, narrow = self.kind.divisor, self.kind.narrow
        if len(inputs) >= MANY_ROWS and self._compiled is not None:
            return ranked.score(inputs, self.arrays, self._compiled, divisor=divisor, narrow=narrow)
        return pure.trees(inputs, self.arrays, divisor=divisor, narrow=narrow)

    @property
    def part(self) -> native.Part:
        """The term as the compiled kernel takes it."""
        if isinstance(self.kind, Linear):
            return native.Part("linear", self.arrays)
        if isinstance(self.kind, Lookup):
            return native.Part("lookup", self.arrays, places=self.kind.places)
        if isinstance(self.kind, Dense):
            return native.Part("dense", self.arrays, activation=self.kind.activation)
        return native.Part("trees", self.arrays, divisor=self.kind.divisor, narrow=self.kind.narrow)

    @cached_property
    def _compiled(self) -> ranked.Compiled | None:
        return ranked.compile_trees(self.arrays)

    @cached_property
    def boxes(self) -> tuple[ranked.Boxes, ...]:
        """Every tree of the term as the cells of its inputs and the leaves that each leaves open."""
        found = tuple(ranked.boxes(self.arrays, number) for number in range(len(self.arrays["root"])))
        if any(one is None for one in found):
            raise BadModel("a tree of the program shares nodes, or reads an input both as a number and as a code",
                           where="program", hint="lower the trees again from the library model")
        return tuple(one for one in found if one is not None)

    @property
    def places(self) -> tuple[int, ...]:
        """The inputs that this term reads."""
        if isinstance(self.kind, Lookup):
            return self.kind.places
        key = "feature" if isinstance(self.kind, Trees) else "place"
        return tuple(int(place) for place in np.unique(self.arrays[key]))

    @property
    def added(self) -> str:
        """The name of the array whose values are added to the margin: leaves, cells, intercept or last bias."""
        if isinstance(self.kind, Dense):
            return f"bias{dense.depth(self.arrays) - 1}"
        return "intercept" if isinstance(self.kind, Linear) else "values" if isinstance(self.kind, Lookup) else "leaf"

    @property
    def complexity(self) -> int:
        """How many separate statements a reader would have to check: leaves, cells or weights."""
        if isinstance(self.kind, Trees):
            return len(self.arrays["leaf"])
        if isinstance(self.kind, Lookup):
            return int(np.prod(self.arrays["values"].shape[:-1]))
        if isinstance(self.kind, Dense):
            return sum(weight.size + bias.size for weight, bias in dense.layers(self.arrays))
        return len(self.arrays["weight"]) + 1

    @property
    def thresholds(self) -> dict[int, Floats]:
        """The numbers at which this term can jump or, a network, starts to change and stops, by input."""
        if isinstance(self.kind, Lookup):
            return {p: np.asarray(self.arrays[f"cuts{axis}"], np.float64) for axis, p in enumerate(self.kind.places)}
        if isinstance(self.kind, Linear):
            return {}
        if isinstance(self.kind, Dense):
            place, ends = self.arrays["place"], np.stack([self.arrays["low"], self.arrays["high"]], axis=1)
            return {int(p): np.unique(ends[place == p]) for p in np.unique(place[self.arrays["levels"] == 0])}
        ordered = (np.asarray(self.arrays["flags"]) & pure.CATEGORICAL) == 0
        feature, threshold = self.arrays["feature"][ordered], self.arrays["threshold"][ordered]
        return {int(place): np.unique(threshold[feature == place]) for place in np.unique(feature)}


def audit(term: Term, inputs: int, outputs: int) -> None:
    """Refuse indexes outside their arrays, cycles and wrong shapes, so that scoring always ends."""
    if not all(_plain(key, array, _axes(key)) for key, array in term.arrays.items() if key != "values"):
        raise BadModel("a term of the program has an array of another kind", where="program.npz",
                       hint="restore the release from a copy, or build it again: shipworthy run")
    try:
        judge = {Linear: _audit_linear, Lookup: _audit_lookup, Trees: _audit_trees,
                 Dense: _audit_dense}[type(term.kind)]
        good = judge(term, inputs, outputs)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadModel("a term of the program lacks an array or has one of the wrong shape", where="program.npz",
                       hint=str(error)) from error
    if not good:
        raise BadModel("a term of the program points outside its arrays", where="program.npz",
                       hint="restore the release from a copy, or build it again: shipworthy run")


def _axes(key: str) -> int:
    """How many axes an array of this name has; those of the layers of a network are numbered."""
    return AXES.get(key.rstrip("0123456789"), 1)


def _plain(key: str, array: npt.NDArray[Any], axes: int) -> bool:
    """Whether an array holds plain numbers, whole ones where it points at something."""
    return native.fits(array, whole=key in WHOLE and array.size > 0) and array.ndim == axes


def _ascends(cuts: npt.NDArray[Any]) -> bool:
    return bool(np.all(cuts[1:] >= cuts[:-1]) and not np.isnan(cuts).any())


def _audit_linear(term: Term, inputs: int, outputs: int) -> bool:
    a, m = term.arrays, len(term.arrays["place"])
    return bool(
        a["weight"].shape == (m, outputs)
        and a["missing"].shape == (m, outputs)
        and a["fill"].shape == (m,)
        and a["intercept"].shape == (outputs,)
        and np.all((a["place"] >= 0) & (a["place"] < inputs))
    )


def _audit_lookup(term: Term, inputs: int, outputs: int) -> bool:
    assert isinstance(term.kind, Lookup)
    values, places = term.arrays["values"], term.kind.places
    fits = all(
        0 <= place < inputs
        and _ascends(term.arrays[f"cuts{axis}"])
        and (not len(term.arrays[f"cuts{axis}"]) or values.shape[axis] == len(term.arrays[f"cuts{axis}"]) + 2)
        for axis, place in enumerate(places)
    )
    return bool(
        fits
        and _plain("values", values, len(places) + 1)
        and 1 <= len(places) <= 2
        and values.shape[-1] == outputs
        and min(values.shape) > 0
    )


def _audit_trees(term: Term, inputs: int, outputs: int) -> bool:
    a = term.arrays
    nodes, leaf_count = len(a["feature"]), len(a["leaf"])
    children = np.concatenate([a["left"], a["right"]]).astype(np.int64)
    parents = np.concatenate([np.arange(nodes)] * 2)
    forward = (children < 0) | (children > parents)
    inside = (children < nodes) & (children >= -leaf_count)
    roots = np.asarray(a["root"], np.int64)
    sized = all(len(a[key]) == nodes for key in ("left", "right", "flags", "words", "threshold"))
    categorical = (np.asarray(a["flags"]) & pure.CATEGORICAL) > 0
    ends = a["threshold"][categorical] + a["words"][categorical]
    bits = (not categorical.any()) or bool(np.all((a["threshold"][categorical] >= 0) & (ends <= len(a["bits"]))))
    return bool(
        sized
        and bits
        and forward.all()
        and inside.all()
        and np.all((a["feature"] >= 0) & (a["feature"] < inputs))
        and np.all((roots < nodes) & (roots >= -leaf_count))
        and len(a["output"]) == len(roots)
        and np.all((a["output"] >= 0) & (a["output"] < outputs))
        and a["base"].shape == (outputs,)
        and a["leaf"].ndim == 2
        and a["leaf"].shape[1] in (1, outputs)
    )


def _audit_dense(term: Term, inputs: int, outputs: int) -> bool:
    dense.check(term.arrays, inputs, outputs)
    return True
