"""Searching settings of boosted trees under a wall-clock budget: ask, fit, tell; stopped when it no longer gains.

Source: Akiba et al. (2019), Optuna; tree-structured Parzen estimator, Bergstra et al. (2011).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shipworthy.core.learned import Gain, Job
from shipworthy.core.table import Floats, Ints, Mask
from shipworthy.learning.search.bounds import Bounds, portfolio, ranges, widened
from shipworthy.learning.search.purse import Purse, poor
from shipworthy.learning.selection.choice import quality
from shipworthy.learning.training.boosted import DEFAULT, ONE_THREAD_CELLS, Grown, dataset, grow

PATIENCE = 12
LEAST_GAIN = 0.0005
MOST_ROUNDS = 2_000
HOPELESS = 1.03
MORE_ROWS = 1.1
BYTES_A_LEAF = 24
TASTE = 4
TREE, TREE_A_CELL = 1.5e-3, 2e-8
LEAST_ROUNDS = 50


@dataclass
class Course:
    """How a search went: the best settings with their rounds and bounds, and every trial's best loss so far.

    kept: the best fit on the first fold, for when there is no time to fit again. refit: seconds that would take.
    threads: how many were faster. cut: whether the clock ended the search or a fit of it.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    loss: float = math.inf
    metric: float | None = None
    bounds: Bounds = field(default_factory=dict)
    gains: list[Gain] = field(default_factory=list)
    trials: int = 0
    seconds: float = 0.0
    stopped: str = ""
    kept: Grown | None = None
    refit: float = 0.0
    threads: int = 1
    cut: bool = False


@dataclass(frozen=True)
class Ground:
    """What trials are fitted on: (learn, held back) datasets per fold, and the share of rows a fold learns from."""

    job: Job
    pairs: tuple[tuple[Any, Any], ...]
    share: float


def search(
    inputs: Floats,
    truth: Floats | Ints,
    job: Job,
    held: Sequence[Mask],
    *,
    clock: float,
    end: float,
    trials: int | None = None,
    most_bytes: float = 0.0,
    warm: Mapping[str, Any] | None = None,
    purse: Purse | None = None,
) -> Course:
    """The best settings of boosted trees found before `end`, by loss on held-back rows of the learning part.

    The default settings come first, for as many rounds as job.seconds allow on a usual machine, whatever the clock
    says; then `warm` and a short portfolio, then the sampler's. A trial that is 3 % worse than the best on the first
    fold is dropped; a range on whose bound the best lies is widened; 12 trials without a gain of 0.05 % end it. clock,
    end: of the monotonic clock; an infinite end asks no clock. trials: the most, None for no limit. most_bytes: of the
    program, 0 for no limit.
    """
    begun = time.monotonic()
    ground = _ground(inputs, truth, job, held)
    course = Course(bounds=ranges(len(truth), job.inputs), threads=ground.job.threads)
    study = _study(job.seed, course.bounds, [*([warm] if warm else []), *portfolio(len(truth))])
    stale, longest, budget = 0, 0.0, max(0.1, end - begun)
    while course.trials == 0 or trials is None or course.trials < trials:
        now = time.monotonic()
        if _over(course, stale, now + longest > end - course.refit, purse):
            break
        trial = study.ask(_distributions(course.bounds)) if course.trials else None
        settings = {**DEFAULT, **(trial.params if trial else {}), "rounds": MOST_ROUNDS if trial else _rounds(ground)}
        until = min(end - course.refit, now + 0.15 * budget) if trial else math.inf
        grown = _tried(ground, settings, until, course.loss)
        course.cut |= any(one.cut for one in grown)
        longest = max(0.5 * longest, time.monotonic() - now)
        value = _judged(grown, settings, job, most_bytes if course.trials else 0.0)
        if trial:
            study.tell(trial, value)
        stale = 0 if value < course.loss * (1 - LEAST_GAIN) else stale + 1
        course.trials += 1
        if value < course.loss and len(grown) == len(ground.pairs):
            _better(course, ground, settings, grown)
            course.bounds = widened(course.bounds, settings)
        spent = purse.spent() if purse else (0.0, 0.0)
        course.gains.append(Gain(time.monotonic() - clock, course.loss, "boosted", course.metric, *spent))
    course.seconds = time.monotonic() - begun
    return course


def _over(course: Course, stale: int, late: bool, purse: Purse | None) -> bool:
    """Whether the search ends before its next trial, and why, on its course. The first trial is always made."""
    if course.trials and late:
        course.stopped, course.cut = "the budget was used", True
    elif stale >= PATIENCE:
        course.stopped = f"{PATIENCE} trials in a row gained less than {LEAST_GAIN:.2%}"
    elif course.trials and purse:
        used = purse.empty(next_cpu_seconds=course.refit * course.threads)
        course.stopped, course.cut = used or poor(purse.rules, course.gains), course.cut or bool(used)
    return bool(course.stopped)


def _rounds(ground: Ground) -> int:
    """How many rounds of the default settings fit job.seconds on a usual machine, over all folds; 50 at least."""
    data = ground.pairs[0][0]
    tree = TREE + TREE_A_CELL * data.num_data() * data.num_feature()
    rounds = ground.job.seconds / (len(ground.pairs) * ground.job.outputs * tree)
    return int(min(MOST_ROUNDS, max(LEAST_ROUNDS, rounds)))


def _judged(grown: Sequence[Grown], settings: Mapping[str, Any], job: Job, most_bytes: float) -> float:
    """Mean loss over the folds, made bad where the program would be larger than declared; 0 bytes is no limit."""
    value = float(np.mean([one.loss for one in grown]))
    leaves = float(np.mean([one.rounds for one in grown])) * settings["num_leaves"] * job.outputs
    return 2 * abs(value) + 1 if most_bytes and leaves * BYTES_A_LEAF > most_bytes else value


def _ground(inputs: Floats, truth: Floats | Ints, job: Job, held: Sequence[Mask]) -> Ground:
    pairs = []
    for mask in held:
        data = dataset(inputs[~mask], truth[~mask], job.only(~mask))
        pairs.append((data, dataset(inputs[mask], truth[mask], job, reference=data)))
    return Ground(replace(job, threads=_threads(pairs[0][0], job)), tuple(pairs), 1 - float(held[0].mean()))


def _threads(data: Any, job: Job) -> int:
    """One thread or all that are allowed, whichever grows a few trees faster now: on a busy machine one often does."""
    if job.threads == 1 or data.num_data() * data.num_feature() <= ONE_THREAD_CELLS:
        return 1
    taste = {**DEFAULT, "rounds": TASTE}
    taken = {threads: min(grow(data, replace(job, threads=threads), taste, end=time.monotonic() + 1).seconds
                          for _ in "ab") for threads in (1, job.threads)}
    return min(taken, key=lambda threads: taken[threads])


def _tried(ground: Ground, settings: Mapping[str, Any], end: float, best: float) -> list[Grown]:
    """The fits of one trial, one per fold; only the first where that is hopeless or time is up."""
    grown: list[Grown] = []
    for data, valid in ground.pairs:
        left = max(0.05, end - time.monotonic()) / (len(ground.pairs) - len(grown))
        grown.append(grow(data, ground.job, settings, end=time.monotonic() + left, valid=valid))
        if math.isfinite(best) and grown[0].loss > best * HOPELESS:
            break
    return grown


def _better(course: Course, ground: Ground, settings: dict[str, Any], grown: list[Grown]) -> None:
    more = MORE_ROWS if len(ground.pairs) == 1 else 1.05
    value, rounds = (float(np.mean([getattr(one, name) for one in grown])) for name in ("loss", "rounds"))
    course.settings = {**settings, "rounds": max(5, round(rounds * more))}
    course.loss, course.kept = value, grown[0]
    course.metric = _metric(ground, grown[0])
    kept = np.mean([one.rounds / max(1, one.booster.current_iteration()) for one in grown])
    course.refit = float(np.mean([one.seconds for one in grown]) * kept * more / ground.share * 1.4 + 0.2)


def _metric(ground: Ground, grown: Grown) -> float:
    """AUC, accuracy or R² of a fit on the rows held back from it."""
    held = ground.pairs[0][1]
    scores = np.asarray(grown.booster.predict(held.get_data(), num_iteration=grown.rounds,
                                              num_threads=ground.job.threads), np.float64)
    return quality(scores, np.asarray(held.get_label(), np.float64), ground.job.task)


def _study(seed: int, bounds: Bounds, first: Sequence[Mapping[str, Any]]) -> Any:
    """A study that asks for the first settings before its own."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True))
    for known in first:
        study.enqueue_trial({name: known[name] for name in bounds if name in known}, skip_if_exists=True)
    return study


def _distributions(bounds: Bounds) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    from shipworthy.learning.search.bounds import LOGS, WHOLE

    return {name: IntDistribution(int(low), int(high), log=name in LOGS) if name in WHOLE
            else FloatDistribution(low, high, log=name in LOGS) for name, (low, high) in bounds.items()}
