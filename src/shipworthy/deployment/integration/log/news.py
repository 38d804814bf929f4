"""Labels that nobody has counted yet, and what they change: by their place in the log, so that each is counted once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.table import Mask, Table
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log import tables as log_tables
from shipworthy.deployment.integration.log.entities import joined
from shipworthy.deployment.integration.log.labels import LABELS, Kept, Label
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.log.tables import ENTITY_TABLE, LABEL_TABLE, PLACE
from shipworthy.deployment.integration.log.tail import pieces
from shipworthy.store.tables import Tables, filtered

Places = Mapping[str, int]


@dataclass(frozen=True)
class News:
    """The label that counted before of every prediction on which another one arrived, and the one that counts now.

    A prediction of which the same counts as before is in neither, one without a label before only in `after`. A label
    of before is given the arrival of the one after it: what it had added is taken back then. places, tables: up to
    where all was read, as in `counts.Book`.
    """

    before: Table
    after: Table
    places: dict[str, int]
    tables: dict[str, str]


def news(folder: Path, tables: Tables, places: Places, known: Mapping[str, str]) -> News:
    """What arrived behind the places, in files and in the store. known: table → its version when it was read last."""
    files = _files(Path(folder))
    versions = {name: str(tables.version(name)) for name in (LABEL_TABLE, ENTITY_TABLE) if name in tables.names()}
    fresh = {name: pa.concat_tables([files[name], *(_behind(tables, name, places) if versions.get(name) !=
                                                    known.get(name) else ())], promote_options="permissive")
             for name in files}
    direct = pa.concat_tables([fresh[LABEL_TABLE], *_meant(Path(folder), tables, fresh[ENTITY_TABLE], places)],
                              promote_options="permissive")
    ids = pc.unique(direct.filter(_new(direct, places))["prediction_id"])
    whole = _once([direct, *_stored(tables, LABEL_TABLE, "prediction_id", ids)])
    whole = whole.filter(pc.is_in(whole["prediction_id"], ids))
    told = [log_tables.last_labels(each.drop_columns(list(PLACE)))
            for each in (whole.filter(pc.invert(_new(whole, places))), whole)]
    return News(*_changes(told[0], told[1], str(folder)), _ends(list(fresh.values())), versions)


def _files(folder: Path) -> dict[str, pa.Table]:
    """All labels of the files that servers write, with their place, by the table into which they will be drained."""
    found: list[tuple[int, Label, str, int]] = []
    for path in segments.segments(folder, LABELS):
        for blocks, _ in pieces(path):
            kept = [(place, msgspec.msgpack.decode(block, type=Kept)) for place, block in blocks if block]
            found += [(one.at, label, path.stem, place) for place, one in kept for label in one.labels]
    made = {}
    for name, rows in ((LABEL_TABLE, log_tables.label_rows), (ENTITY_TABLE, log_tables.entity_rows)):
        part = [one for one in found if bool(one[1].entity) == (name == ENTITY_TABLE)]
        data = rows([(at, label) for at, label, _, _ in part])
        data = data.append_column("segment", pa.array([one[2] for one in part], pa.string()))
        made[name] = data.append_column("offset", pa.array([one[3] for one in part], pa.int64()))
    return made


def _behind(tables: Tables, name: str, places: Places) -> Iterator[pa.Table]:
    """The rows of a table of labels that lie behind the places."""
    rows = tables.scan(name)
    drained = rows.to_table(columns=list(PLACE))
    behind = pc.unique(drained.filter(_new(drained, places))["segment"])
    if len(behind):
        data = filtered(rows, pc.field("segment").isin(behind))
        yield data.filter(_new(data, places))


def _meant(folder: Path, tables: Tables, named: pa.Table, places: Places) -> Iterator[pa.Table]:
    """Labels by entity and time as labels of predictions: the new ones, and all others of the same entities."""
    fresh = named.filter(_new(named, places))
    if len(fresh):
        whole = _once([named, *_stored(tables, ENTITY_TABLE, "entity_id", pc.unique(fresh["entity_id"]))])
        since = min(fresh["since"].cast(pa.int64()).to_pylist())
        yield joined(whole, predictions(folder, tables, since=max(0, since)))[0]


def _stored(tables: Tables, name: str, column: str, values: pa.Array) -> Iterator[pa.Table]:
    if len(values) and name in tables.names():
        yield tables.read(name, where=pc.field(column).isin(values))


def _new(data: pa.Table, places: Places) -> pa.Array:
    """Which rows lie behind the places."""
    names = data["segment"].combine_chunks().dictionary_encode()
    ends = np.array([places.get(str(name), 0) for name in names.dictionary.to_pylist()], np.int64)
    code = np.asarray(names.indices.to_numpy(zero_copy_only=False), np.int64)
    return pa.array(np.asarray(data["offset"].to_numpy(), np.int64) > (ends[code] if len(ends) else 0))


def _once(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables in order of arrival, each place once."""
    data = pa.concat_tables(tables, promote_options="permissive")
    data = data.take(pc.sort_indices(data, [("received_at", "ascending")]))
    key = [name for name in ("prediction_id", "entity", *PLACE) if name in data.column_names]
    return data.take(pa.array(np.sort(np.unique(log_tables.codes(data, key), return_index=True)[1])))


def _ends(tables: Sequence[pa.Table]) -> dict[str, int]:
    """Segment → the place of its last block among these rows."""
    found: dict[str, int] = {}
    for data in tables:
        last = data.select(list(PLACE)).group_by("segment").aggregate([("offset", "max")])
        for segment, offset in zip(last["segment"].to_pylist(), last["offset_max"].to_pylist(), strict=True):
            found[segment] = max(found.get(segment, 0), offset)
    return found


def _changes(before: pa.Table, after: pa.Table, origin: str) -> tuple[Table, Table]:
    now = after.take(pc.index_in(before["prediction_id"], after["prediction_id"].combine_chunks()).combine_chunks())
    before = before.set_column(before.column_names.index("received_at"), "received_at", now["received_at"])
    other: Mask = np.asarray(pc.not_equal(before["label"], now["label"]).to_numpy(), np.bool_)
    same = before.filter(pa.array(~other))["prediction_id"].combine_chunks()
    after = after.filter(pc.invert(pc.is_in(after["prediction_id"], same)))
    return log_tables.label_table(before.filter(pa.array(other)), origin), log_tables.label_table(after, origin)
