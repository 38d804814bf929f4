"""What a look at a rollout sees: the rows of each arm, their entities, and how much larger the challenger's loss is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.clock import MINUTE
from shipworthy.core.grid import Reference
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.integration.log.tables import HELD
from shipworthy.deployment.integration.rollout.calls import Calls
from shipworthy.deployment.monitoring.joined import join, micros, served
from shipworthy.metrics.arrays import Mask
from shipworthy.metrics.sequential import matched

BUCKET = 200


@dataclass(frozen=True)
class Traffic:
    """The tables that a look reads. predictions, labels: as the log has them; shadows: the challenger's answers that
    nobody was sent, with the columns of predictions and the champion's prediction ids.

    reference: of the champion, by which a loss is measured. Without labels or reference there is no loss.
    """

    predictions: Table
    shadows: Table | None = None
    labels: Table | None = None
    calls: tuple[Calls, ...] = ()
    reference: Reference | None = None


@dataclass(frozen=True)
class Labelled:
    """The rows of a table whose label came, in order of arrival. arrived: (n,) microseconds. loss: (n,) in [0, 1]."""

    table: Table
    arrived: Ints
    loss: Floats

    def where(self, mask: Mask) -> Labelled:
        """Some of the rows."""
        return Labelled(self.table.take(mask), self.arrived[mask], self.loss[mask])


@dataclass(frozen=True)
class Arms:
    """The rows of one rollout. shadow: what the challenger would have answered to rows of the champion.

    unit: the columns whose values name an entity. calls: of minutes that are over for all servers; newest: of all.
    """

    champion: Table
    challenger: Table
    shadow: Table
    unit: tuple[str, ...]
    calls: tuple[Calls, ...]
    newest: tuple[Calls, ...]
    traffic: Traffic

    @property
    def tried(self) -> list[Table]:
        """Every answer of the challenger, sent or not."""
        return [self.challenger, self.shadow]

    @cached_property
    def losses(self) -> tuple[Labelled, Labelled, Labelled] | None:
        """The labelled rows of champion, challenger and shadow; None where no loss can be measured."""
        labels, reference = self.traffic.labels, self.traffic.reference
        if labels is None or reference is None or not labels.rows:
            return None
        first, second, third = (_labelled(reference, table, labels)
                                for table in (self.champion, self.challenger, self.shadow))
        return first, second, third

    def differences(self, column: str = "", value: str = "") -> Floats:
        """The challenger's loss less the champion's, (n,) in [−1, 1], in the order in which they came to be known.

        Where both answered a row it is that row's; where each answered its own, every row of the smaller arm is
        matched with rows of the other that were labelled at about the same time. column, value: of these rows only.
        """
        if self.losses is None:
            return np.zeros(0)
        champion, challenger, shadow = (_within(each, column, value) for each in self.losses)
        at = pc.index_in(shadow.table.column("prediction_id"),
                         value_set=champion.table.column("prediction_id").combine_chunks())
        row = np.asarray(pc.fill_null(at, -1).to_numpy(), np.int64)
        gap = shadow.loss[row >= 0] - champion.loss[row[row >= 0]]
        apart, known = _matched(champion, challenger, self.unit)
        order = np.argsort(np.append(shadow.arrived[row >= 0], known), kind="stable")
        return np.append(gap, apart)[order]


def arms(traffic: Traffic, *, champion: str, challenger: str, since: int, unit: tuple[str, ...] = (),
         shares: Sequence[float] = (1.0,), now: int = 2**62) -> Arms:
    """The rows of a rollout from its start on. champion, challenger: release ids. since, now: microseconds.

    shares: told to the servers. Rows that the challenger answered for certain before it had them all were asked of it
    by name, and are nobody's sample.
    """
    rows = traffic.predictions
    arm, release = rows.words("arm"), rows.words("release")
    recent = micros(rows, "at") >= since if rows.rows else np.zeros(0, np.bool_)
    own = rows.take(recent & (arm != "challenger") & (arm != HELD) & (release == champion))
    drawn = numbers([rows], "propensity") < 1 if 1.0 not in shares else np.ones(rows.rows, np.bool_)
    other = rows.take(recent & drawn & (arm == "challenger") & (release == challenger))
    shadow = other.head(0)
    if traffic.shadows is not None and traffic.shadows.rows:
        asked = traffic.shadows
        shadow = asked.take((micros(asked, "at") >= since) & (asked.words("release") == challenger))
    newest = tuple(each for each in traffic.calls if each.at + MINUTE > since)
    settled = tuple(each for each in newest if each.at + 2 * MINUTE <= now)
    return Arms(own, other, shadow, unit, settled, newest, traffic)


def answered(found: Arms, at: int) -> int:
    """How many rows the challenger answered from a time on, sent or not."""
    return sum(int((micros(table, "at") >= at).sum()) for table in found.tried if table.rows)


def entities(tables: Sequence[Table], unit: Sequence[str]) -> Ints | None:
    """A number for each row of the tables together, equal where it is of one entity; a row without a value in a
    column of the unit is its own. None where every row is: without a unit, or where a column of it was not logged.
    """
    if not unit or any(name not in table.schema for table in tables for name in unit):
        return None
    rows = sum(table.rows for table in tables)
    code = np.zeros(rows, np.int64)
    for name in unit:
        column = pa.chunked_array([chunk for table in tables for chunk in table.column(name).chunks],
                                  tables[0].column(name).type).combine_chunks().dictionary_encode()
        place = np.asarray(pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False), np.int64)
        alone = len(column.dictionary) + np.arange(rows)
        place = np.where(place < 0, alone, place)
        code = np.unique(code * (len(column.dictionary) + rows + 1) + place, return_inverse=True)[1].astype(np.int64)
    return code


def once(table: Table, unit: Sequence[str]) -> Table:
    """The first row of every entity."""
    code = entities([table], unit)
    return table if code is None else table.take(np.sort(np.unique(code, return_index=True)[1]))


def numbers(tables: Sequence[Table], name: str = "score") -> Floats:
    """A numeric column of several tables, (n,); NaN where nothing is known."""
    return np.concatenate([table.numbers(name) for table in tables if table.rows] or [np.zeros(0)])


def _labelled(reference: Reference, table: Table, labels: Table) -> Labelled:
    if not table.rows:
        return Labelled(table, np.zeros(0, np.int64), np.zeros(0))
    log = served(reference, table)
    found, _ = join(log, labels)
    return Labelled(log.table.take(found.row[found.last]), found.arrived[found.last], found.loss[found.last])


def _within(found: Labelled, column: str, value: str) -> Labelled:
    return found.where(found.table.words(column).astype(str) == value) if column and len(found.loss) else found


def _matched(champion: Labelled, challenger: Labelled, unit: tuple[str, ...]) -> tuple[Floats, Ints]:
    """Differences of matched rows and when each was known, by closed buckets of 200 rows of both arms together."""
    champion = champion.where(numbers([champion.table], "propensity") < 1)
    arrived = np.append(champion.arrived, challenger.arrived)
    order = np.argsort(arrived, kind="stable")
    loss = np.append(champion.loss, challenger.loss)[order]
    judged = np.append(np.zeros(len(champion.loss), np.bool_), np.ones(len(challenger.loss), np.bool_))[order]
    code = entities([champion.table, challenger.table], unit)
    gap, last = paired(loss, judged, None if code is None else code[order])
    return gap, arrived[order][last]


def paired(loss: Floats, judged: Mask, code: Ints | None = None) -> tuple[Floats, Ints]:
    """Differences of matched rows, and the position of the row with which each was known.

    loss, judged: (n,) of both arms in order of arrival, by closed buckets of 200 rows. code: (n,) of the entity, which
    counts once a bucket.
    """
    gaps, known = [np.zeros(0)], [np.zeros(0, np.int64)]
    for start in range(0, len(loss) - BUCKET + 1, BUCKET):
        rows = np.arange(start, start + BUCKET)
        if code is not None:
            rows = rows[np.sort(np.unique(code[rows], return_index=True)[1])]
        gap = matched(loss[rows[judged[rows]]], loss[rows[~judged[rows]]])
        gaps.append(gap)
        known.append(np.full(len(gap), start + BUCKET - 1))
    return np.concatenate(gaps), np.concatenate(known)
