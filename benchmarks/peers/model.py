"""The model that every server answers with: imputation, ordinal encoding, and 200 boosted trees of 31 leaves.

Trained from the same rows with the same library versions and a fixed seed, so that it is the same in every environment.
The first line of the table names its columns; the last column is the class.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

TREES, LEAVES = 200, 31


def columns(path: Path) -> tuple[list[str], list[str]]:
    """Names of the numbers and of the categories of a table, in their order."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        names, first = next(rows)[:-1], next(rows)[:-1]
    numbers = [name for name, value in zip(names, first, strict=True) if _is_number(value)]
    return numbers, [name for name in names if name not in numbers]


def pipeline(path: Path) -> Any:
    """The fitted scikit-learn pipeline of the table."""
    import pandas as pd
    from lightgbm import LGBMClassifier
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers, words = columns(path)
    table = pd.read_csv(path, keep_default_na=False)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    ready = ColumnTransformer([
        ("numbers", SimpleImputer(strategy="median"), numbers),
        ("words", Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ("code", encoder)]), words)])
    trees = LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, n_jobs=1, deterministic=True, force_row_wise=True,
                           verbose=-1)
    found = Pipeline([("ready", ready), ("trees", trees)])
    places = list(range(len(numbers), len(numbers) + len(words)))
    target = table.columns[-1]
    return found.fit(table[[*numbers, *words]], table[target], trees__categorical_feature=places)


def answerer(path: Path, *, null: bool) -> Any:
    """A function from a list of records to the probabilities of the second class. null: of nothing at all, 0.5."""
    if null:
        return lambda records: [0.5] * len(records)
    import pandas as pd

    fitted = pipeline(path)
    return lambda records: fitted.predict_proba(pd.DataFrame(records))[:, 1].tolist()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
