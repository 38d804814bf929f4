"""Counting a log: served rows and the labels that came true of them, as tallies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from shipworthy.core.clock import DAY, MINUTE
from shipworthy.core.grid import FIXED, Plan, Reference, cells_of
from shipworthy.core.meters import OwnMeter
from shipworthy.core.project import Project
from shipworthy.core.table import Ints, Table
from shipworthy.core.tallies import (
    SAMPLED,
    Sample,
    Sums,
    Tallies,
    Words,
    add_sums,
    less,
    no_sample,
    no_sums,
    smallest,
    sums,
)
from shipworthy.deployment.monitoring.joined import Joined, Served, join, served
from shipworthy.deployment.monitoring.meters import Meter, Meters, layout, meters
from shipworthy.deployment.monitoring.own import as_meter

MOST_SEGMENTS = 20
Scope = tuple[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Counting:
    """How the traffic of a release is counted. segments: columns by each of whose values it is counted apart too.

    width: microseconds of a bucket.
    """

    reference: Reference
    meters: Meters
    segments: tuple[str, ...] = ()
    width: int = MINUTE


def counting(
    reference: Reference, *, segments: Sequence[str] = (), width: int = MINUTE, own: Sequence[OwnMeter] = ()
) -> Counting:
    """How to count traffic over a reference: the built-in meters, and the user's own."""
    made = meters(reference)
    more = {kind: tuple(as_meter(one) for one in own if one.of == kind) for kind in ("rows", "labels")}
    made = replace(made, rows=made.rows + more["rows"], labels=made.labels + more["labels"])
    return Counting(reference, made, tuple(segments), width)


def segments_of(project: Project) -> tuple[str, ...]:
    """The columns by whose values a project's traffic is counted apart: those it names, and the protected ones."""
    return tuple(dict.fromkeys((*project.watch.segments, *project.data.protected)))


def tally(how: Counting, log: Table, labels: Table | None = None) -> Tallies:
    """What a log and its labels add up to, each prediction id counted once.

    log: cleaned as the model cleans it. Raises BadData for times without a zone.
    """
    seen = served(how.reference, log)
    known, gone = join(seen, labels) if labels is not None and labels.rows else (None, None)
    found = nothing(how)
    arms, scopes = _arms(seen), _scopes(how, seen)
    rows = _sums(how.meters.rows, seen, (seen.at, how.width), (arms, scopes))
    found = replace(found, rows=rows, sample=sampled(seen, known), vanished=seen.vanished,
                    until=int(seen.at.max(initial=found.until)))
    if known is None or gone is None:
        return found

    def counted(joined: Joined) -> tuple[Sums, Sums]:
        where = arms[joined.row], [(name, inside[joined.row]) for name, inside in scopes]
        return (_sums(how.meters.labels, joined, (joined.arrived, how.width), where),
                _sums(how.meters.cohorts, joined, (seen.at[joined.row], DAY), where))

    came, cohorts = map(less, counted(known), counted(gone))
    return replace(found, labels=came, cohorts=cohorts, told=int(known.arrived.max(initial=found.told)),
                   orphans=known.orphans)


def nothing(how: Counting) -> Tallies:
    """Tallies of nothing."""
    rows, labels, cohorts = (no_sums(layout(one)) for one in (how.meters.rows, how.meters.labels, how.meters.cohorts))
    return Tallies(how.reference.plan.digest, rows, labels, cohorts, no_sample(len(how.reference.plan.columns)))


def _sums(
    counted: tuple[Meter, ...], rows: Served | Joined, when: tuple[Ints, int], where: tuple[Words, list[Scope]]
) -> Sums:
    """The sums of rows. when: microsecond of every row, and of a bucket. where: arm of every row, and the segments."""
    made = layout(counted)
    found, (at, width) = no_sums(made), when
    arms, arm = np.unique(where[0], return_inverse=True)
    keys, group = np.unique(at // width * max(1, len(arms)) + arm, return_inverse=True)
    for segment, inside in where[1]:
        held = np.where(inside, group, -1)
        cells = np.concatenate([one.sums(rows, held, len(keys)) for one in counted], axis=1)
        some = np.bincount(group[inside], minlength=len(keys)) > 0
        named = [(key // len(arms) * width, width, segment, str(arms[key % len(arms)])) for key in keys[some].tolist()]
        found = add_sums(found, sums(made, named, cells[some])) if named else found
    return found


def _arms(seen: Served) -> Words:
    if "arm" not in seen.table.schema:
        return np.full(seen.rows, "", np.str_)
    return np.array(["" if word is None else word for word in seen.table.words("arm")], np.str_)


def _scopes(how: Counting, seen: Served) -> list[Scope]:
    """All rows, and every segment with the rows in it: the values that the plan knows by name, at most twenty."""
    found: list[Scope] = [("", np.ones(seen.rows, np.bool_))]
    plan, groups = how.reference.plan, Plan(how.reference.facts.groups)
    cells = {**cells_of(seen.table, groups), **seen.cells}
    for column in (*plan.columns, *groups.columns):
        if column.name in how.segments and column.kind == "category":
            cell = cells[column.name]
            found += [(f"{column.name}={value}", cell == k) for k, value in enumerate(column.values[:MOST_SEGMENTS])]
    return found


def sampled(seen: Served, known: Joined | None = None, most: int = SAMPLED) -> Sample:
    """Of every day the rows with the smallest hashes, with their loss where it is known."""
    chosen = smallest(seen.hashed, seen.at // DAY, most)
    loss, arrived = np.full(seen.rows, -1, np.int64), np.zeros(seen.rows, np.int64)
    if known is not None:
        loss[known.row[known.last]] = np.rint(known.loss[known.last] * FIXED).astype(np.int64)
        arrived[known.row[known.last]] = known.arrived[known.last]
    cells = [*(seen.cells[name][chosen] for name in seen.reference.plan.names), seen.where[chosen]]
    ids = np.array(seen.ids.take(chosen).to_pylist(), np.str_)
    return Sample(ids, seen.at[chosen], np.stack(cells, axis=1), loss[chosen], arrived[chosen])
