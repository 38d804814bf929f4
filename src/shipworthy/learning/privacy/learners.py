"""The two private learners, lowered into programs: a line over declared scales, and one table per input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import msgspec
import numpy as np

from shipworthy.core.learned import Fitted, Job
from shipworthy.core.private import Noise, Private, Spent, Step
from shipworthy.core.program import Linear, Lookup, Program, Term
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import BadProject
from shipworthy.learning.privacy.accountant import sigma_for
from shipworthy.learning.privacy.boosting import Boosting, boost
from shipworthy.learning.privacy.descent import Descent, descend
from shipworthy.learning.privacy.noise import SystemNoise
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner

CELLS, FINE = 16, 64
STRICT = 0.3
Recipe = TypeVar("Recipe", Descent, Boosting)


@learner("private-linear", tasks=("binary",), glass_box=True, order=12, by_name=True)
def private_linear(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Logistic regression by noisy gradients of clipped rows, over the declared scales.

    Settings: steps, share, clip and rate. Source: Abadi et al. (2016).
    """
    told = _told(job)
    strict = told.rules.epsilon < STRICT
    default = {"steps": 400 if strict else 800, "share": 0.03, "clip": 1.0 if strict else 2.0, "rate": 2.0}
    settings = known_settings(default, job, "private-linear")
    recipe, spent = _afforded(msgspec.convert(settings, Descent), told, len(truth))
    weights = descend(design(inputs, job, told), np.asarray(truth, np.int64), recipe, _noise(told))[0]
    program = Program(job.inputs, _lowered_line(weights, job, told), job.link, job.classes, label="private-linear")

    def margin(rows: Floats) -> Floats:
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray((design(rows, job, told) @ weights)[:, None], np.float64)

    return Fitted(program, margin, settings, rows=len(truth), private=spent)


@learner("private-additive", tasks=("binary",), glass_box=True, order=32, by_name=True)
def private_additive(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """One table per input, boosted in turn from noisy sums of residuals over 16 declared cells or the declared levels.

    Settings: rounds and rate. Source: Nori et al. (2021).
    """
    told = _told(job)
    settings = known_settings({"rounds": 20, "rate": 0.25}, job, "private-additive")
    recipe, spent = _afforded(msgspec.convert({**settings, "inputs": len(job.inputs)}, Boosting), told, len(truth))
    cuts = [np.empty(0) if kind.categorical else _cuts(*told.bounds[n], told.heavy[n], CELLS)
            for n, kind in enumerate(job.inputs)]
    cells = [kind.levels + 1 if kind.categorical else len(each) + 2
             for kind, each in zip(job.inputs, cuts, strict=True)]
    tables = boost(_codes(inputs, cuts), cells, np.asarray(truth, np.int64), recipe, _noise(told))
    terms = tuple(Term(Lookup((n,)), {"cuts0": each, "values": table[0][:, None]})
                  for n, (each, table) in enumerate(zip(cuts, tables, strict=True)))
    program = Program(job.inputs, terms, job.link, job.classes, label="private-additive")

    def margin(rows: Floats) -> Floats:
        codes = _codes(rows, cuts, cells)
        found = np.sum([table[0][codes[:, n]] for n, table in enumerate(tables)], axis=0)
        return np.asarray(found[:, None], np.float64)

    return Fitted(program, margin, settings, rows=len(truth), private=spent)


def design(inputs: Floats, job: Job, told: Private) -> Floats:
    """Numbers on their declared scale and whether they are missing, levels as flags, and a constant; (n, columns)."""
    blocks = []
    for place, kind in enumerate(job.inputs):
        column, (low, high) = inputs[:, place], told.bounds[place]
        absent = np.isnan(column)
        if kind.categorical:
            blocks.append((column[:, None] == np.arange(kind.levels)).astype(np.float64))
            continue
        if told.heavy[place]:
            cell = np.searchsorted(_cuts(low, high, True, FINE), column, side="right")
            scaled = (cell + 0.5) / FINE
        else:
            scaled = (column - low) / (high - low)
        blocks.append(np.stack([np.where(absent, 0.0, scaled), absent], axis=1))
    return np.concatenate([*blocks, np.ones((len(inputs), 1))], axis=1)


def _lowered_line(weights: Floats, job: Job, told: Private) -> tuple[Term, ...]:
    """Terms equal to `design(inputs) @ weights`, up to the order of summing."""
    plain, terms, at, shift = [], [], 0, float(weights[-1])
    for place, kind in enumerate(job.inputs):
        low, high = told.bounds[place]
        if kind.categorical:
            values, cuts = np.append(0.0, weights[at : at + kind.levels]), np.empty(0)
        elif told.heavy[place]:
            values = np.append(weights[at + 1], weights[at] * (np.arange(FINE) + 0.5) / FINE)
            cuts = _cuts(low, high, True, FINE)
        else:
            slope = weights[at] / (high - low)
            plain.append((place, low, slope, weights[at + 1]))
            shift -= slope * low
        if kind.categorical or told.heavy[place]:
            terms.append(Term(Lookup((place,)), {"cuts0": cuts, "values": values[:, None]}))
        at += kind.levels if kind.categorical else 2
    lines = np.array(plain, np.float64).reshape(-1, 4)
    line = Term(Linear(), {"place": lines[:, 0].astype(np.int64), "fill": lines[:, 1], "weight": lines[:, 2:3],
                           "missing": lines[:, 3:4], "intercept": np.array([shift])})
    return (line, *terms)


def _cuts(low: float, high: float, heavy: bool, cells: int) -> Floats:
    """The cuts between equal cells of [low, high], or of its logarithm from low."""
    share = np.arange(1, cells) / cells
    return np.asarray(low + (np.expm1(share * np.log1p(high - low)) if heavy else share * (high - low)), np.float64)


def _codes(inputs: Floats, cuts: Sequence[Floats], cells: Sequence[int] | None = None) -> Ints:
    """The cell of every value: 0 if missing, then in order. cells: how many; a level beyond them is missing."""
    found = np.zeros(inputs.shape, np.int64)
    for place, each in enumerate(cuts):
        column = inputs[:, place]
        known = ~np.isnan(column)
        if len(each):
            code = np.searchsorted(each, column, side="right")
        else:
            known &= (column >= 0) & (column < (cells[place] - 1 if cells else np.inf))
            code = np.where(known, column, 0).astype(np.int64)
        found[:, place] = np.where(known, code + 1, 0)
    return found


def _told(job: Job) -> Private:
    if job.private is None:
        raise BadProject("a private learner needs a budget", where="[learning] learners",
                         hint="write [privacy] with epsilon, and leave [learning] learners out")
    return job.private


def _noise(told: Private) -> Noise:
    return told.noise or SystemNoise()


def _afforded(recipe: Recipe, told: Private, rows: int) -> tuple[Recipe, Spent]:
    """The recipe with the least noise by which all releases together keep to the budget, and what one spends."""
    rules = told.rules
    noisy = msgspec.structs.replace(recipe, sigma=_sigma(recipe, rules.epsilon, rules.delta, rules.releases))
    return noisy, Spent(noisy.log, rules.epsilon, rules.delta, msgspec.to_builtins(noisy), rows)


@cache
def _sigma(recipe: Descent | Boosting, epsilon: float, delta: float, releases: int) -> float:
    def logged(sigma: float) -> tuple[Step, ...]:
        log = msgspec.structs.replace(recipe, sigma=sigma).log
        return tuple(msgspec.structs.replace(step, times=step.times * releases) for step in log)

    return sigma_for(logged, epsilon, delta)
