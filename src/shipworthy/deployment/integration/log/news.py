"""Labels that nobody has counted yet, and what they change: by their place in the log, so that each is counted once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.table import Table
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log import tables as log_tables
from shipworthy.deployment.integration.log.entities import OWN, joined
from shipworthy.deployment.integration.log.labels import LABELS, Kept, Label
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.log.tables import ENTITY_TABLE, LABEL_TABLE, PLACE
from shipworthy.deployment.integration.log.tail import pieces
from shipworthy.deployment.integration.log.waiting import Waiting, known_meaning
from shipworthy.store.tables import Tables, filtered

Places = Mapping[str, int]


@dataclass(frozen=True)
class News:
    """All labels that were counted before of every prediction of which something is new, and all that are there now.

    ids: of those predictions, whether they were served yet or not. before, after: each with every statement, in order
    of arrival. seen: prediction_id and arrival of the labels that name one. waiting: what is remembered of labels by
    entity from now on, and what waited before of the others. places, tables: up to where all was read, as in
    `counts.Book`.
    """

    ids: list[str]
    before: Table
    after: Table
    seen: pa.Table
    waiting: Waiting
    places: dict[str, int]
    tables: dict[str, str]


def news(folder: Path, tables: Tables, places: Places, known: Mapping[str, str], waiting: Waiting) -> News:
    """What arrived behind the places, in files and in the store, and what waited for a prediction that came.

    known: table → its version when it was read last.
    """
    files = _files(Path(folder))
    versions = {name: str(tables.version(name)) for name in (LABEL_TABLE, ENTITY_TABLE) if name in tables.names()}
    fresh = {name: _concat([files[name], *(_behind(tables, name, places) if versions.get(name) != known.get(name)
                                           else ())]) for name in files}
    ends = _ends(list(fresh.values()))
    fresh = {name: data.filter(_new(data, places)) for name, data in fresh.items()}
    due = waiting.data.filter(waiting.data["due"])
    asked = _unique(fresh[LABEL_TABLE]["prediction_id"], due.filter(pc.equal(due["entity_id"], ""))["prediction_id"])
    named, ids = _named((Path(folder), tables, places), files[ENTITY_TABLE], waiting,
                        (asked, _unique(fresh[ENTITY_TABLE]["entity_id"], due["entity_id"])))
    direct = _once([files[LABEL_TABLE].filter(pc.is_in(files[LABEL_TABLE]["prediction_id"], value_set=ids)),
                    *_stored(tables, LABEL_TABLE, "prediction_id", ids)])
    old = pc.invert(pc.or_(_new(direct, places), pc.is_in(direct["prediction_id"],
                                                          value_set=_flat(waiting.direct["prediction_id"]))))
    before = [direct.filter(old), _of(named, "was", ids)]
    after = [direct, _of(named, "now", ids)]
    seen = direct.filter(pc.is_in(direct["prediction_id"], value_set=asked))
    return News(ids.to_pylist(), _told(before, str(folder)), _told(after, str(folder)),
                pa.table([seen["prediction_id"], seen["received_at"].cast(pa.int64())], ["prediction_id", "arrived"]),
                waiting.meaning(_remembered(named, waiting)), ends, versions)


def _named(
    where: tuple[Path, Tables, Places], files: pa.Table, waiting: Waiting, asked: tuple[pa.Array, pa.Array]
) -> tuple[pa.Table, pa.Array]:
    """Labels by entity with the prediction that each meant, `was`, and means, `now`; and the ids of all predictions of
    which something is new. asked: such ids, and entities of which something is.
    """
    folder, tables, places = where
    (ids, entities), mine = asked, waiting.named
    while True:
        beside = mine.filter(pc.is_in(mine["prediction_id"], value_set=ids))["entity_id"]
        entities = _unique(entities, beside)
        named = _once([files.filter(pc.is_in(files["entity_id"], value_set=entities)),
                       *_stored(tables, ENTITY_TABLE, "entity_id", entities)])
        new = _flat(_new(named, places))
        now = _meant(folder, tables, named)
        was = pc.if_else(new, "", known_meaning(waiting, named, now))
        moved = pc.not_equal(now, was)
        more = pc.unique(pa.concat_arrays([ids, now.filter(moved), was.filter(moved)]))
        more = more.filter(pc.not_equal(more, ""))
        if len(more) == len(ids):
            break
        ids = more
    return named.append_column("was", was).append_column("now", now).append_column("new", new), ids


def _meant(folder: Path, tables: Tables, named: pa.Table) -> pa.Array:
    """The prediction that every label by entity means now; empty for none."""
    if not len(named):
        return pa.array([], pa.string())
    since = min(named["since"].cast(pa.int64()).to_pylist())
    row = pa.array(np.arange(len(named)), pa.int64())
    found = joined(named.append_column("row", row), predictions(folder, tables, since=max(0, since)))[0]
    place = pc.index_in(row, value_set=_flat(found["row"]))
    return pc.fill_null(_flat(found["prediction_id"]).take(place), "")


def _of(named: pa.Table, when: str, ids: pa.Array) -> pa.Table:
    """Labels by entity as labels of the predictions that they meant. when: was or now."""
    data = named.set_column(named.column_names.index("prediction_id"), "prediction_id", named[when])
    return data.filter(pc.is_in(named[when], value_set=ids)).drop_columns([*OWN, "was", "now", "new"])


def _remembered(named: pa.Table, waiting: Waiting) -> pa.Table:
    """What is remembered of labels by entity: of the new ones, and of those that were remembered before."""
    keep = pc.or_(named["new"], known_meaning(waiting, named, pa.array([None] * len(named), pa.string())).is_valid())
    data = named.filter(keep)
    names = [json.dumps(sorted(json.loads(text))) for text in data["entity"].to_pylist()]
    return pa.table({
        "prediction_id": data["now"], "entity_id": data["entity_id"], "names": pa.array(names, pa.string()),
        "since": data["since"].cast(pa.int64()), "until": data["until"].cast(pa.int64()),
        "arrived": data["received_at"].cast(pa.int64())})


def _told(parts: Sequence[pa.Table], origin: str) -> Table:
    """Labels of predictions in order of arrival, without repeats, as `read.label_history` gives them."""
    data = _concat(parts)
    data = data.take(pc.sort_indices(data, [(name, "ascending") for name in ("received_at", *PLACE)]))
    return log_tables.label_table(log_tables.without_repeats([data.drop_columns(list(PLACE))]), origin)


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
    """The rows of several tables, those of each place once: what is drained meanwhile is read twice."""
    data = _concat(tables)
    first = np.sort(np.unique(log_tables.codes(data, data.column_names), return_index=True)[1])
    return data.take(pa.array(first))


def _concat(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive")


def _unique(*columns: pa.ChunkedArray | pa.Array) -> pa.Array:
    """All words of the columns, each once, but for the empty one."""
    words = pc.unique(pa.concat_arrays([_flat(column) for column in columns]))
    return words.filter(pc.not_equal(words, ""))


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _ends(tables: Sequence[pa.Table]) -> dict[str, int]:
    """Segment → the place of its last block among these rows."""
    found: dict[str, int] = {}
    for data in tables:
        last = data.select(list(PLACE)).group_by("segment").aggregate([("offset", "max")])
        for segment, offset in zip(last["segment"].to_pylist(), last["offset_max"].to_pylist(), strict=True):
            found[segment] = max(found.get(segment, 0), offset)
    return found
