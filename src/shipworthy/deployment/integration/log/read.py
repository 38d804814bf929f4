"""The log as tables: what was served, and what came true of it; read while servers write, drained or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.clock import DAY
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log import tables as log_tables
from shipworthy.deployment.integration.log.answers import Answers, Heading, answers
from shipworthy.deployment.integration.log.entities import joined
from shipworthy.deployment.integration.log.labels import LABELS, Kept, Label
from shipworthy.deployment.integration.log.log import PREDICTIONS, SHADOWS, decoded

if TYPE_CHECKING:
    from shipworthy.store.tables import Tables


def read_log(folder: Path, tables: Tables | None, *, time: str = "", since: int = 0) -> tuple[Table, Table]:
    """Every prediction, and the label that counts of every prediction that has one; safe while servers write.

    tables: of the store into which the log is drained, or None where it never is.
    time: a logged timestamp column that says when a row happened, used for `at` where it is known: for replays of
    history, whose rows are older than their answers; their labels then arrived when they were observed.
    since: microseconds since 1970; what was answered before is not read, nor labels that arrived a day before it.
    """
    served = predictions(folder, tables, time=time, since=since)
    found = labels(folder, tables, served=served, since=since)
    if time and found.rows:
        found = found.with_column("received_at", found.column("observed_at"))
    return served, found


def predictions(
    folder: Path, tables: Tables | None = None, *, time: str = "", since: int = 0, arm: str = ""
) -> Table:
    """What was served: prediction_id, at, release, arm, propensity, score, decision, abstain, explored, influenced,
    noise, and the fields asked.

    Sorted by prediction id, each once. score: value, probability of the second class, or of the class decided on.
    A release without a field that another has gives null there. tables, time, since: as for `read_log`. arm: of this
    one only.
    """
    return _answers(Path(folder), PREDICTIONS, tables, time, since, arm=arm)


def shadows(folder: Path, tables: Tables | None = None, *, time: str = "", since: int = 0) -> Table:
    """What a challenger would have served, under the prediction ids of what was: the columns of `predictions`."""
    return _answers(Path(folder), SHADOWS, tables, time, since)


def _answers(folder: Path, name: str, tables: Tables | None, time: str, since: int, *, arm: str = "") -> Table:
    waiting = [(log_tables.Layout.of(heading), log_tables.served_rows(heading, found))
               for heading, found in _served(folder, name, since)]  # first: what moves meanwhile is read twice
    pieces = [*waiting, *(log_tables.read_answers(folder, tables, name, since, arm=arm) if tables else ())]
    data = log_tables.in_order(pieces)
    if arm:
        data = data.filter(pc.equal(data["arm"], arm))
    if since:
        data = data.filter(pc.greater_equal(data["at"], pa.scalar(since, log_tables.utc())))
    if time and time in data.column_names:
        at = data.column_names.index("at")
        data = data.set_column(at, "at", pc.coalesce(data[time], data["at"]))
    return Table(data, log_tables.schema(data, [layout for layout, _ in pieces]), "log", str(folder))


def labels(
    folder: Path, tables: Tables | None = None, *, served: Table | None = None, since: int = 0
) -> Table:
    """The label that counts of every labelled prediction, with observed_at, received_at, source and weight.

    It is the one that became known last; of several that did, the last to arrive. Its label is text, or a number where
    all are. served: what `predictions` gave, if it is at hand; labels given by entity and time are joined to it.
    since: as for `read_log`.
    """
    found, _ = _label_rows(folder, tables, served, since)
    return log_tables.label_table(log_tables.last_labels(found), str(folder))


def label_history(folder: Path, tables: Tables | None = None, *, served: Table | None = None) -> Table:
    """Every label that ever arrived for a prediction, in order, corrections and all; what only repeats is left out."""
    return log_tables.label_table(_label_rows(folder, tables, served)[0], str(folder))


def waiting(folder: Path, tables: Tables | None = None, *, served: Table | None = None) -> Table:
    """Labels given by entity and time that mean no prediction yet: entity (JSON), since, until, and why.

    why: "none" where no answer for the entity lies in that time, "several" where its last ones were given at once.
    """
    return Table.of(_label_rows(folder, tables, served)[1], name="waiting labels", origin=str(folder))


def found_by_id(folder: Path, tables: Tables, ids: Collection[str]) -> Table:
    """The predictions of these ids, as `predictions` gives them, wherever in the log they are."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    waiting = [(log_tables.Layout.of(heading), _picked(heading, found, wanted))
               for heading, found in _served(Path(folder), PREDICTIONS, 0)]
    pieces = [*waiting, *log_tables.read_answers(Path(folder), tables, PREDICTIONS, ids=wanted)]
    data = log_tables.in_order(pieces)
    return Table(data, log_tables.schema(data, [layout for layout, _ in pieces]), "log", str(folder))


def _picked(heading: Heading, found: Answers, wanted: pa.Array) -> pa.Table:
    data = log_tables.served_rows(heading, found)
    return data.filter(pc.is_in(data["prediction_id"], wanted))


def _label_rows(
    folder: Path, tables: Tables | None, served: Table | None, since: int = 0
) -> tuple[pa.Table, pa.Table]:
    """Labels of predictions, and those that wait for theirs; both in order of arrival."""
    first = max(since - DAY, 0)  # a label by entity may mean an answer up to a day ahead
    told = list(_labels(Path(folder), first))
    direct = [log_tables.label_rows([one for one in told if not one[1].entity]),
              *(log_tables.read_labels(tables, first) if tables else ())]
    named = log_tables.without_repeats([log_tables.entity_rows([one for one in told if one[1].entity]),
                                        *(log_tables.read_entity_labels(tables, first) if tables else ())])
    if len(named):
        found, named = joined(named, predictions(folder, tables) if served is None else served)
        direct.append(found)
    return log_tables.without_repeats(direct), named


def _served(folder: Path, name: str, since: int) -> Iterator[tuple[Heading, Answers]]:
    for path in segments.segments(folder, name):
        found = [] if segments.is_older(path, since) else list(segments.blocks(path))
        if len(found) > 1:
            yield msgspec.msgpack.decode(found[0], type=Heading), answers(found[1:])


def _labels(folder: Path, since: int) -> Iterator[tuple[int, Label]]:
    for path in segments.segments(folder, LABELS):
        for kept in [] if segments.is_older(path, since) else decoded(list(segments.blocks(path))[1:], Kept):
            if kept.at >= since:
                yield from ((kept.at, label) for label in kept.labels)
