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

from shipworthy.core.canon import canonical, digest_array, digest_parts
from shipworthy.core.features import Input
from shipworthy.core.npz import read_arrays
from shipworthy.core.table import Floats
from shipworthy.core.terms import Dense as Dense
from shipworthy.core.terms import Linear as Linear
from shipworthy.core.terms import Lookup as Lookup
from shipworthy.core.terms import Term as Term
from shipworthy.core.terms import TermKind as TermKind
from shipworthy.core.terms import Trees as Trees
from shipworthy.core.terms import audit
from shipworthy.errors import BadModel
from shipworthy.kernels import native, pure
from shipworthy.kernels.pure import TINY as TINY
from shipworthy.kernels.pure import logistic as logistic

Link = Literal["identity", "logistic", "softmax", "share"]
FORMAT, DENSE_FORMAT = 2, 3


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
    """The JSON part of a program. format: 3 if a term is a network, which releases before it cannot score, else 2."""

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
        return sum(term.complexity for term in self.terms)

    @property
    def head(self) -> Head:
        return Head(self.inputs, tuple(term.kind for term in self.terms), self.link, self.classes, self.calibration,
                    self.label, DENSE_FORMAT if any(isinstance(term.kind, Dense) for term in self.terms) else FORMAT)

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
    if head.format not in (FORMAT, DENSE_FORMAT):
        raise BadModel(f"program format {head.format} is unknown", where="program.json",
                       hint=f"this version reads formats {FORMAT} and {DENSE_FORMAT}")
    terms = tuple(Term(kind, {key.split(".", 1)[1]: array for key, array in arrays.items() if key.startswith(f"{n}.")})
                  for n, kind in enumerate(head.terms))
    program = Program(head.inputs, terms, head.link, head.classes, head.calibration, head.label)
    if program.head.format != head.format:
        raise BadModel(f"a program of these terms has another format than {head.format}", where="program.json",
                       hint="the file was altered or written by another program")
    if program.outputs < 1:
        raise BadModel("the program has no classes to share out", where="program.json",
                       hint="the file was altered or written by another program")
    if program.outputs > 1 and isinstance(program.calibration, Calibration):
        raise BadModel("a calibration by knots is of one score, the program has one for every class",
                       where="program.json", hint="the file was altered or written by another program")
    for term in terms:
        audit(term, len(head.inputs), program.outputs)
    return program
