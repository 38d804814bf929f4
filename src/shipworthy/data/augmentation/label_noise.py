"""Rows whose label looks wrong, by what a model that never saw them expects.

Ranking by the margin between the given label and the best other, cross-fitted: Northcutt, Jiang and Chuang (2021),
"Confident learning: estimating uncertainty in dataset labels". Regression: residuals against their local spread.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from shipworthy.core.features import Features, fit
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadData

FOLDS = 4
TREES = 80
LEAVES = 15
RATE = 0.1
MOST_CODES = 254


def suspect_labels(table: Table, target: str = "", *, classes: tuple[str, ...] = (), seed: int = 0) -> Ints:
    """(n,) positions of the rows with a label, most suspicious first.

    target: the schema's when left out. classes: their order; sorted when left out. Raises BadData without a target or
    when every label is equal.
    """
    name = target or _target(table)
    known = np.flatnonzero(np.asarray(table.data[name].is_valid().to_numpy(), np.bool_))
    rows = table.take(known)
    if rows.schema[name].kind == "number" and len(rows.data[name].unique()) > 20:
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
    features = fit(table.drop(target))
    inputs = features.matrix(table)
    fold = np.random.default_rng(seed).integers(0, folds, table.rows)
    out = np.full((table.rows, classes), 1e-6)
    for each in range(folds):
        learn, ask = fold != each, fold == each
        if not ask.any() or len(np.unique(codes[learn])) < 2:
            continue
        model = HistGradientBoostingClassifier(
            max_iter=TREES,
            max_leaf_nodes=LEAVES,
            learning_rate=RATE,
            early_stopping=False,
            random_state=seed,
            l2_regularization=1.0,
            categorical_features=_categories(features),
        )
        with threadpool_limits(1):  # two OpenMP threads beside another busy process are slower than one
            model.fit(inputs[learn], codes[learn])
            out[np.ix_(ask, model.classes_.astype(np.int64))] = model.predict_proba(inputs[ask])
    return out


def surprise(table: Table, target: str, seed: int) -> Floats:
    """(n,) residual over the spread expected there, both cross-fitted."""
    features = fit(table.drop(target))
    inputs, truth = features.matrix(table), table.numbers(target)
    fold = np.random.default_rng(seed).integers(0, FOLDS, table.rows)
    left = np.zeros(table.rows)
    for each in range(FOLDS):
        learn, ask = fold != each, fold == each
        left[ask] = truth[ask] - _regressor(features, seed).fit(inputs[learn], truth[learn]).predict(inputs[ask])
    spread = np.zeros(table.rows)
    for each in range(FOLDS):
        learn, ask = fold != each, fold == each
        spread[ask] = _regressor(features, seed).fit(inputs[learn], np.abs(left[learn])).predict(inputs[ask])
    found: Floats = np.abs(left) / np.maximum(spread, 0.1 * np.abs(left).mean() + 1e-12)
    return found


def _regressor(features: Features, seed: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        early_stopping=False,
        random_state=seed,
        categorical_features=_categories(features),
    )


def _categories(features: Features) -> list[bool]:
    return [0 < each.levels <= MOST_CODES for each in features.inputs]


def _target(table: Table) -> str:
    found = table.schema.one("target")
    if found is None:
        raise BadData("the table has no target", where=table.name, hint="name it in [data] target")
    return found.name
