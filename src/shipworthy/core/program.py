"""The compiled predictor: what a model computes, as typed JSON and plain arrays.

Learners of any library are lowered into a program. The program is what is scored, served, explained,
signed and released. Nothing in it can run code.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from shipworthy.core.canon import canonical, digest_array, digest_parts
from shipworthy.core.features import Input
from shipworthy.core.npz import read_arrays
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel
from shipworthy.kernels import native, pure, ranked
from shipworthy.kernels.pure import TINY as TINY
from shipworthy.kernels.pure import logistic as logistic

Link = Literal["identity", "logistic", "softmax", "share"]
FORMAT = 2
MANY_ROWS = 256
WHOLE = frozenset(("place", "root", "output", "feature", "left", "right", "flags", "words", "bits"))
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


TermKind = Linear | Lookup | Trees


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
        key = "place" if isinstance(self.kind, Linear) else "feature"
        return tuple(int(place) for place in np.unique(self.arrays[key]))

    @property
    def thresholds(self) -> dict[int, Floats]:
        """The numbers at which this term can jump, by input."""
        if isinstance(self.kind, Lookup):
            return {p: np.asarray(self.arrays[f"cuts{axis}"], np.float64) for axis, p in enumerate(self.kind.places)}
        if isinstance(self.kind, Linear):
            return {}
        ordered = (np.asarray(self.arrays["flags"]) & pure.CATEGORICAL) == 0
        feature, threshold = self.arrays["feature"][ordered], self.arrays["threshold"][ordered]
        return {int(place): np.unique(threshold[feature == place]) for place in np.unique(feature)}


class Calibration(msgspec.Struct, frozen=True, tag="knots"):
    """A non-decreasing map of the score, linear between knots, constant beyond them."""

    score: tuple[float, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.score) != len(self.value) or not self.score:
            raise BadModel("a calibration needs as many values as scores", where="calibration",
                           hint="give one value for each score, and at least one")
        if any(b < a for a, b in zip(self.score, self.score[1:], strict=False)):
            raise BadModel("a calibration's scores must ascend", where="calibration",
                           hint="sort the pairs of score and value by score")
        if any(b < a for a, b in zip(self.value, self.value[1:], strict=False)):
            raise BadModel("a calibration must not decrease", where="calibration",
                           hint="fit it by isotonic regression, which never decreases")
        if not np.isfinite([*self.score, *self.value]).all():
            raise BadModel("a calibration's numbers must be finite", where="calibration", hint="calibrate it again")

    def __call__(self, score: Floats) -> Floats:
        return pure.interpolate(score, np.array(self.score), np.array(self.value))


class Scaling(msgspec.Struct, frozen=True, tag="scaling"):
    """Log-odds times a slope plus an intercept: (n,) probabilities of the second class, or (n, k) of every class.

    Of a class the log-odds are those against all others together; of many classes the logarithms are scaled and
    shared out again, so that they add up to 1. Source: Platt (1999); Guo et al. (2017) for the temperature 1 / slope.
    """

    slope: float
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.slope < math.inf and math.isfinite(self.intercept)):
            raise BadModel("a scaling needs a slope above 0 and finite numbers", where=f"slope {self.slope:g}",
                           hint="a higher score must stay higher; calibrate it again")

    def __call__(self, score: Floats) -> Floats:
        return pure.scale(score, self.slope, self.intercept)


class Head(msgspec.Struct, frozen=True):
    """The JSON part of a program."""

    inputs: tuple[Input, ...]
    terms: tuple[TermKind, ...]
    link: Link
    classes: tuple[str, ...]
    calibration: Calibration | Scaling | None
    label: str
    format: int = FORMAT


@dataclass(frozen=True)
class Program:
    """Terms that add up to a margin, a link, an optional calibration.

    link: identity leaves the margin as it is (a value, or the share of the second class); share does so for every
    class; logistic and softmax make probabilities of it.
    classes: two or more names in the order of the codes, or empty for regression. label: which learner it was.
    """

    inputs: tuple[Input, ...]
    terms: tuple[Term, ...]
    link: Link
    classes: tuple[str, ...] = ()
    calibration: Calibration | Scaling | None = None
    label: str = ""

    @property
    def outputs(self) -> int:
        """How many margins a row has: one for every class under softmax and share, else one."""
        return len(self.classes) if self.link in ("softmax", "share") else 1

    def margin(self, inputs: Floats) -> Floats:
        """Sum of the terms, (n, outputs), before the link. inputs: (n, len(self.inputs)), NaN for missing."""
        self._fits(inputs)
        if self.scorer is not None:
            return self.scorer.margin(inputs)
        total = np.zeros((len(inputs), self.outputs))
        for term in self.terms:
            total += term.margin(inputs)
        return total

    def score(self, inputs: Floats) -> Floats:
        """Value (n,) of a regression, probability of the second class (n,), or of every class (n, k)."""
        self._fits(inputs)
        if self.scorer is None:
            return self.finish(self.margin(inputs))
        score = self.scorer.batch(inputs)
        return score if self.link in ("softmax", "share") else score[:, 0]

    def finish(self, margin: Floats) -> Floats:
        """Link and calibration of a margin (n, outputs)."""
        score = margin if self.link == "share" else pure.softmax(margin) if self.link == "softmax" else margin[:, 0]
        score = logistic(score) if self.link == "logistic" else score
        return self.calibration(score) if self.calibration else score

    @cached_property
    def scorer(self) -> native.Scorer | None:
        """The program ready to score with the compiled kernel; None where the pure one is used.

        Raises BadModel when the arrays of a term do not fit each other or point outside what they index.
        """
        after = self.calibration
        knots = (after.score, after.value) if isinstance(after, Calibration) else ((), ())
        scaling = (after.slope, after.intercept) if isinstance(after, Scaling) else None
        try:
            return native.scorer([term.part for term in self.terms], inputs=len(self.inputs), outputs=self.outputs,
                                 link=self.link, knots=knots, scaling=scaling)
        except ValueError as error:
            raise BadModel(f"the program cannot be scored: {error}", where="program",
                           hint="lower it again from the library model") from error

    def _fits(self, inputs: Floats) -> None:
        if inputs.shape[1] != len(self.inputs):
            raise BadModel(f"the program reads {len(self.inputs)} inputs, got {inputs.shape[1]}", where="inputs",
                           hint="make them with the features of the same model: model.features.matrix(table)")

    def calibrated(self, calibration: Calibration | Scaling | None) -> Program:
        return replace(self, calibration=calibration)

    @property
    def parameters(self) -> int:
        """How many numbers the program holds."""
        return sum(int(array.size) for term in self.terms for array in term.arrays.values())

    @property
    def complexity(self) -> int:
        """How many separate statements a reader would have to check: leaves, cells and weights."""
        return sum(int(term.arrays["leaf"].shape[0]) if isinstance(term.kind, Trees)
                   else int(np.prod(term.arrays["values"].shape[:-1])) if isinstance(term.kind, Lookup)
                   else int(term.arrays["weight"].shape[0]) + 1 for term in self.terms)

    @property
    def head(self) -> Head:
        return Head(self.inputs, tuple(term.kind for term in self.terms), self.link, self.classes, self.calibration,
                    self.label)

    @cached_property
    def digest(self) -> str:
        arrays = [f"{n}.{key}:{digest_array(term.arrays[key])}".encode() for n, term in enumerate(self.terms)
                  for key in sorted(term.arrays)]
        return digest_parts([canonical(self.head), *arrays])

    def files(self) -> dict[str, bytes]:
        """The program as `program.json` and `program.npz`; no pickle."""
        packed = io.BytesIO()
        arrays: dict[str, Any] = {f"{n}.{key}": term.arrays[key] for n, term in enumerate(self.terms)
                                  for key in sorted(term.arrays)}
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        return {"program.json": canonical(self.head), "program.npz": packed.getvalue()}


def read_program(files: Mapping[str, bytes]) -> Program:
    """A program from its two files.

    Raises BadModel when either is malformed, of another format, holds objects, or points outside its arrays.
    """
    try:
        head = msgspec.json.decode(files["program.json"], type=Head, strict=False)
        arrays = read_arrays(files["program.npz"])
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
        raise BadModel("the program cannot be read", where="program.json, program.npz", hint=str(error)) from error
    if head.format != FORMAT:
        raise BadModel(f"program format {head.format} is unknown", where="program.json",
                       hint=f"this version reads format {FORMAT}")
    terms = tuple(Term(kind, {key.split(".", 1)[1]: array for key, array in arrays.items() if key.startswith(f"{n}.")})
                  for n, kind in enumerate(head.terms))
    program = Program(head.inputs, terms, head.link, head.classes, head.calibration, head.label)
    if program.outputs < 1:
        raise BadModel("the program has no classes to share out", where="program.json",
                       hint="the file was altered or written by another program")
    if program.outputs > 1 and isinstance(program.calibration, Calibration):
        raise BadModel("a calibration by knots is of one score, the program has one for every class",
                       where="program.json", hint="the file was altered or written by another program")
    for term in terms:
        _audit(term, len(head.inputs), program.outputs)
    return program


def _audit(term: Term, inputs: int, outputs: int) -> None:
    """Refuse indexes outside their arrays, cycles and wrong shapes, so that scoring always ends."""
    if not all(_plain(key, array, AXES.get(key, 1)) for key, array in term.arrays.items() if key != "values"):
        raise BadModel("a term of the program has an array of another kind", where="program.npz",
                       hint="restore the release from a copy, or build it again: shipworthy run")
    try:
        audit = {Linear: _audit_linear, Lookup: _audit_lookup, Trees: _audit_trees}[type(term.kind)]
        good = audit(term, inputs, outputs)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadModel("a term of the program lacks an array or has one of the wrong shape", where="program.npz",
                       hint=str(error)) from error
    if not good:
        raise BadModel("a term of the program points outside its arrays", where="program.npz",
                       hint="restore the release from a copy, or build it again: shipworthy run")


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
