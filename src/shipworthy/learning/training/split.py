"""Dividing rows: at random, by class, by group, or in time; one way per project, decided before anything is fitted."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow.compute as pc

from shipworthy.core.agreed import DATES
from shipworthy.core.learned import Parts, Split
from shipworthy.core.project import Project, Splitting
from shipworthy.core.schema import task_of
from shipworthy.core.table import Floats, Ints, Mask, Table, to_words
from shipworthy.errors import BadData, BadProject

EMPTY = np.empty(0, np.int64)
FEWEST = 10


def split(table: Table, project: Project) -> Split:
    """Row positions to learn from, tune on and hold out; rows after the last date are the future.

    Grouped: rows that share the group column stay in one part. In time: every learning row is older than every tuning
    row, whatever group it belongs to.
    Raises BadData for too few rows, one class only, or an empty part; BadProject where the settings name no column.
    """
    if table.rows < 3 * FEWEST:
        raise BadData(f"{table.rows} rows are too few to learn, tune and hold out", where=table.origin or table.name,
                      hint=f"at least {3 * FEWEST} are needed")
    _two_classes(table, project)
    rule = project.split
    drawn = _at_random if rule.newest == 1 else _among_newest
    made = _in_time(table, project) if rule.kind == "time" else drawn(table, project)
    for name in ("learn", "tune", "holdout"):
        if len(getattr(made, name)) < FEWEST:
            raise BadData(f"the split leaves {len(getattr(made, name))} rows to {name}", where="[split]",
                          hint="move the dates or change the shares")
        _has_classes(table, project, getattr(made, name), name)
    return made


def parts(table: Table, rows: Split) -> Parts:
    """The three tables of a split."""
    return Parts(table.take(rows.learn), table.take(rows.tune), table.take(rows.holdout))


def _two_classes(table: Table, project: Project) -> None:
    values = table.column(project.data.target).drop_null().unique()
    if len(values) < 2:
        raise BadData(f'the target "{project.data.target}" has {len(values)} value{"" if len(values) == 1 else "s"}',
                      where=table.origin or table.name, hint="a model needs at least two")


def _has_classes(table: Table, project: Project, rows: Ints, part: str) -> None:
    """No figure exists for a part in which every row has the same answer. Raises BadData."""
    if not _is_classes(table, project):
        return
    found = {word for word in to_words(table.take(rows).column(project.data.target)) if word is not None}
    if len(found) < 2:
        raise BadData(f'the split leaves {len(rows)} rows to {part}, all with the answer "{next(iter(found), "")}"',
                      where="[split]", hint="collect more rows of the other answer, or move the dates")


def _at_random(table: Table, project: Project) -> Split:
    rule, random = project.split, np.random.default_rng(project.split.seed)
    if rule.kind == "grouped":
        if not project.data.group:
            raise BadProject("a grouped split needs [data] group", where="[split]",
                             hint="name the column: [data] group, or choose another kind")
        places = _places(to_words(table.column(project.data.group)))
        draw = random.permutation(places.max() + 1)[places]
        order = np.argsort(draw, kind="stable")
        sizes = np.cumsum(np.bincount(draw))
        edges = [_edge(sizes, share) for share in (1 - rule.tune - rule.holdout, 1 - rule.holdout)]
        why = f"grouped by {project.data.group}: no group is in two parts"
    elif rule.kind == "stratified" and _is_classes(table, project):
        order, edges = _by_class(to_words(table.column(project.data.target)), rule, random)
        why = "at random within each class"
    else:
        order = random.permutation(table.rows)
        edges = [int(table.rows * (1 - rule.tune - rule.holdout)), int(table.rows * (1 - rule.holdout))]
        why = "at random"
    cut = [np.sort(part).astype(np.int64) for part in np.split(order, edges)]
    return Split(rule.kind, cut[0], cut[1], cut[2], EMPTY, why)


def _among_newest(table: Table, project: Project) -> Split:
    """The same draw among the newest rows, each part as large as it would be of all; older rows are learnt from."""
    rule = project.split
    old = np.arange(table.rows) < round(table.rows * (1 - rule.newest))
    if rule.kind == "grouped" and project.data.group:
        places = _places(to_words(table.column(project.data.group)))
        old = np.isin(places, places[old])
    new = np.flatnonzero(~old)
    share = len(new) / table.rows
    if rule.tune + rule.holdout >= share:
        raise BadData(f"{len(new)} newest rows are too few to tune on and hold out", where="[split] newest",
                      hint="raise newest, or lower tune and holdout")
    drawn = msgspec.structs.replace(rule, newest=1.0, tune=rule.tune / share, holdout=rule.holdout / share)
    made = _at_random(table.take(new), msgspec.structs.replace(project, split=drawn))
    learn = np.sort(np.r_[np.flatnonzero(old), new[made.learn]]).astype(np.int64)
    return Split(rule.kind, learn, new[made.tune], new[made.holdout], EMPTY, f"{made.why}, of the newest {share:.0%}")


def _is_classes(table: Table, project: Project) -> bool:
    distinct = pc.count_distinct(table.column(project.data.target)).as_py()
    return task_of(table.schema[project.data.target], distinct, positive=project.data.positive) != "regression"


def _by_class(words: np.ndarray, rule: Splitting, random: np.random.Generator) -> tuple[Ints, list[int]]:
    """An order in which every part has its share of every class, and the two cuts."""
    place = np.empty(len(words))
    for code in np.unique(codes := _places(words)):
        at = np.flatnonzero(codes == code)
        place[at] = (random.permutation(len(at)) + random.random()) / len(at)
    order = np.argsort(place, kind="stable")
    ends = (1 - rule.tune - rule.holdout, 1 - rule.holdout)
    return order, [int(np.searchsorted(place[order], end)) for end in ends]


def _in_time(table: Table, project: Project) -> Split:
    rule, column = project.split, project.data.time
    if not column:
        raise BadProject("a split in time needs [data] time", where="[split]",
                         hint="name the column: [data] time, or choose another kind")
    seconds = table.numbers(column)
    if not np.isfinite(seconds).all():
        raise BadData(f'{int((~np.isfinite(seconds)).sum())} rows have no time in "{column}"',
                      where=table.origin or table.name, hint="drop them or split at random")
    if not rule.learn_until and not rule.tune_until:
        return _time_shares(seconds, rule)
    edges = [rule.until(name).timestamp() if getattr(rule, name) else np.inf for name in DATES]
    masks = [seconds < edges[0], (seconds >= edges[0]) & (seconds < edges[1]),
             (seconds >= edges[1]) & (seconds < edges[2]), seconds >= edges[2]]
    return _ordered(seconds, masks, f"in time: learn before {rule.learn_until}, tune before {rule.tune_until}")


def _time_shares(seconds: Floats, rule: Splitting) -> Split:
    first, second = np.quantile(seconds, [1 - rule.tune - rule.holdout, 1 - rule.holdout])
    masks = [seconds < first, (seconds >= first) & (seconds < second), seconds >= second, np.zeros(len(seconds), bool)]
    day = datetime.fromtimestamp(first, UTC).date().isoformat()
    return _ordered(seconds, masks, f"in time: the oldest {1 - rule.tune - rule.holdout:.0%} to learn, until {day}")


def _ordered(seconds: Floats, masks: list[Mask], why: str) -> Split:
    cut = [np.flatnonzero(mask) for mask in masks]
    cut = [rows[np.argsort(seconds[rows], kind="stable")] for rows in cut]
    return Split("time", cut[0], cut[1], cut[2], cut[3], why)


def _places(words: np.ndarray) -> Ints:
    found: Ints = np.unique(np.array([word or "" for word in words]), return_inverse=True)[1]
    return found


def _edge(sizes: Ints, share: float) -> int:
    """The end of the last whole group within a share of the rows."""
    return int(sizes[max(0, int(np.searchsorted(sizes, share * sizes[-1], side="right")) - 1)])
