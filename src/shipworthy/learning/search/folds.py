"""Rows held back within the learning part, so that a search never scores on the tune part."""

from __future__ import annotations

import numpy as np

from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Mask, Table, to_words

HELD_BACK = 0.2
FEW, SOME = 3_000, 20_000


def folds(learn: Table, truth: Floats | Ints, project: Project) -> tuple[Mask, ...]:
    """Masks of the rows held back, (n,) each: 5 folds under 3,000 rows, 3 under 20,000, else one fifth of the rows.

    Where the project splits in time, only the newest fifth is held back; rows of one group stay together.
    """
    n = learn.rows
    random = np.random.default_rng(project.learning.seed)
    if project.split.kind == "time" and project.data.time:
        seconds = learn.numbers(project.data.time)
        held = seconds >= np.nanquantile(seconds, 1 - HELD_BACK)
        if 0 < held.sum() < n:
            return (np.asarray(held),)
    units = _units(learn, project)
    count = 5 if n < FEW else 3 if n < SOME else 1
    parts = count if count > 1 else round(1 / HELD_BACK)
    place = _dealt(units, truth, parts, random, classes=learn.schema[project.data.target].kind != "number")
    made = tuple(np.asarray(place == part) for part in range(count))
    return tuple(held for held in made if 0 < held.sum() < n)


def _units(learn: Table, project: Project) -> Ints | None:
    if not project.data.group or project.data.group not in learn.schema:
        return None
    words = np.array([str(word) for word in to_words(learn.column(project.data.group))])
    return np.asarray(np.unique(words, return_inverse=True)[1], np.int64)


def _dealt(units: Ints | None, truth: Floats | Ints, parts: int, random: np.random.Generator, *, classes: bool) -> Ints:
    """A part for every row: groups whole, else dealt in turn within each class, else at random."""
    if units is not None:
        return np.asarray(random.permutation(int(units.max()) + 1)[units] % parts, np.int64)
    order = random.permutation(len(truth))
    if classes:
        order = order[np.argsort(np.asarray(truth)[order], kind="stable")]
    place = np.empty(len(truth), np.int64)
    place[order] = np.arange(len(truth)) % parts
    return place
