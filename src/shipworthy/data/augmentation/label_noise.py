"""Rows whose label looks wrong, by what a model that never saw them expects.

Ranking by the margin between the given label and the best other, cross-fitted: Northcutt, Jiang and Chuang (2021),
"Confident learning: estimating uncertainty in dataset labels". Regression: residuals against their local spread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shipworthy.core.features import fit
from shipworthy.core.schema import task_of
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadData

FOLDS = 4
ROUNDS = 40
MOST_TREES = 160
LEAVES = 15
STEPS = 6.0
COLUMNS = 60


def suspect_labels(table: Table, target: str = "", *, classes: tuple[str, ...] = (), seed: int = 0) -> Ints:
    """(n,) positions of the rows with a label, most suspicious first.

    target: the schema's when left out. classes: their order; sorted when left out. Raises BadData without a target or
    when every label is equal.
    """
    name = target or _target(table)
    known = np.flatnonzero(np.asarray(table.data[name].is_valid().to_numpy(), np.bool_))
    rows = table.take(known)
    if not classes and task_of(rows.schema[name], len(rows.data[name].unique())) == "regression":
        doubt = -surprise(rows, name, seed)
    else:
        codes, names = codes_of_labels(rows, name, classes)
        each = expected(rows, name, codes, len(names), seed=seed)
        given = each[np.arange(len(codes)), codes]
        each[np.arange(len(codes)), codes] = -1.0
        doubt = given - each.max(axis=1)
    found: Ints = known[np.argsort(doubt, kind="stable")].astype(np.int64)
    return found


def codes_of_labels(table: Table, target: str, classes: tuple[str, ...] = ()) -> tuple[Ints, tuple[str, ...]]:
    """(n,) label codes and the names of the classes, sorted. Raises BadData when there is but one."""
    words = table.words(target).astype(str)
    names = classes or tuple(str(word) for word in np.unique(words))
    if len(names) < 2:
        raise BadData(f"every row has the label {names[0] if names else None!r}", where=target,
                      hint="name a target with two classes or more")
    place = {word: code for code, word in enumerate(names)}
    return np.array([place[word] for word in words], np.int64), names


def expected(table: Table, target: str, codes: Ints, classes: int, *, seed: int = 0, folds: int = FOLDS) -> Floats:
    """(n, classes) probabilities of every label, each row by a model that was fitted without it."""
    grow = _grower(table, target, seed)
    fold = np.random.default_rng(seed).integers(0, folds, table.rows)
    out = np.full((table.rows, classes), 1e-6)
    for each in range(folds):
        learn, ask = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        seen, truth = np.unique(codes[learn], return_inverse=True)
        if len(ask) and len(seen) > 1:
            found = grow(truth, learn, len(seen))(ask)
            out[np.ix_(ask, seen)] = found if len(seen) > 2 else np.stack([1 - found, found], axis=1)
    return out


def surprise(table: Table, target: str, seed: int) -> Floats:
    """(n,) residual over the spread expected there, both cross-fitted."""
    grow, truth = _grower(table, target, seed), table.numbers(target)
    fold = np.random.default_rng(seed).integers(0, FOLDS, table.rows)
    parts = [(np.flatnonzero(fold != each), np.flatnonzero(fold == each)) for each in range(FOLDS)]
    left, spread = np.zeros(table.rows), np.zeros(table.rows)
    for learn, ask in parts:
        left[ask] = truth[ask] - grow(truth[learn], learn, 0)(ask)
    for learn, ask in parts:
        spread[ask] = grow(np.abs(left[learn]), learn, 0)(ask)
    found: Floats = np.abs(left) / np.maximum(spread, 0.1 * np.abs(left).mean() + 1e-12)
    return found


def _grower(table: Table, target: str, seed: int) -> Callable[[Any, Ints, int], Callable[[Ints], Floats]]:
    """(truth of some rows, those rows, classes) → (rows → expectation): the rows are encoded and binned once.

    One thread: beside another busy process two are slower than one. Trees and columns are so bounded that many classes
    or a wide table take no longer; fewer rounds take longer steps.
    """
    import lightgbm

    features = fit(table.drop(target))
    inputs = features.matrix(table)
    fixed = {"verbose": -1, "num_threads": 1, "feature_pre_filter": False}
    places = [place for place, each in enumerate(features.inputs) if each.categorical]
    binned = lightgbm.Dataset(inputs, np.zeros(table.rows), categorical_feature=places, params=fixed,
                              free_raw_data=False).construct()

    def grow(truth: Any, learn: Ints, classes: int) -> Callable[[Ints], Floats]:
        rounds = ROUNDS if classes <= 2 else max(10, min(ROUNDS, MOST_TREES // classes))
        settings: dict[str, Any] = {
            **fixed, "deterministic": True, "force_col_wise": True, "seed": seed,
            "num_leaves": LEAVES, "lambda_l2": 1.0,
            "learning_rate": min(0.5, STEPS / rounds), "feature_fraction": min(1.0, COLUMNS / inputs.shape[1]),
            "objective": "regression" if not classes else "binary" if classes == 2 else "multiclass",
            **({"num_class": classes} if classes > 2 else {}),
        }
        rows = binned.subset(learn.tolist())
        rows.construct().set_label(np.asarray(truth, np.float64))
        booster = lightgbm.train(settings, rows, rounds)
        return lambda ask: np.asarray(booster.predict(inputs[ask], num_threads=1), np.float64)

    return grow


def _target(table: Table) -> str:
    found = table.schema.one("target")
    if found is None:
        raise BadData("the table has no target", where=table.name, hint="name it in [data] target")
    return found.name
