"""The rows of the log as Arrow tables: from blocks, from the store, and both in one order, each row once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.canon import digest
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Table, word
from shipworthy.deployment.integration.serving.record import Field

if TYPE_CHECKING:
    from shipworthy.deployment.integration.log.log import Heading, Label, Served
    from shipworthy.store.tables import Tables

UTC_US = pa.timestamp("us", "UTC")
ARROW = {"number": pa.float64(), "boolean": pa.bool_(), "timestamp": UTC_US, "category": pa.string(),
         "text": pa.string()}
PLACE = ("segment", "offset")
OWN = ("prediction_id", "at", "release", "arm", "propensity", "score", "decision", "abstain")
LABEL_TABLE = "labels"
STORED = {"predictions": "served", "shadows": "shadow"}


class Layout(msgspec.Struct, frozen=True):
    """What decides the columns of served rows: the fields asked, and whether a decision is a class or a number."""

    fields: tuple[Field, ...]
    classes: bool

    @property
    def name(self) -> str:
        """The file that tells of this layout, and the store's table of what was served in it."""
        return self.table("predictions")

    def table(self, kind: str) -> str:
        """The store's table of this layout. kind: predictions or shadows."""
        return f"{STORED[kind]}-{digest(self)[:16]}"

    @property
    def stored(self) -> dict[str, str]:
        """Field → column of the store's table, which tells no names apart by case."""
        taken = {*OWN, *PLACE}
        found = {}
        for field in self.fields:
            if field.name not in OWN:
                name = field.name
                while name.lower() in taken:
                    name += "_"
                taken.add(name.lower())
                found[field.name] = name
        return found


def served_rows(heading: Heading, found: Sequence[Served]) -> pa.Table:
    """The predictions of blocks: the columns of `OWN`, then the fields; a field named like one of those is left out."""
    sizes = [len(block.ids) for block in found]
    each = np.repeat(np.arange(len(found)), sizes)
    decision = [value for block in found for value in block.decision]
    columns: dict[str, Any] = {
        "prediction_id": pa.array([value for block in found for value in block.ids], pa.string()),
        "at": pa.array(np.array([block.at for block in found], np.int64)[each], pa.int64()).cast(UTC_US),
        "release": pa.array([heading.release] * len(each), pa.string()),
        "arm": pa.array([block.arm for block in found], pa.string()).take(pa.array(each)),
        "propensity": pa.array(np.array([block.propensity for block in found], np.float64)[each]),
        "score": pa.array([value for block in found for value in block.score], pa.float64()),
        "decision": pa.array(decision, pa.string() if heading.classes else pa.float64()),
        "abstain": pa.array([value for block in found for value in block.abstain], pa.bool_()),
    }
    for place, field in enumerate(heading.fields):
        values = [value for block in found for value in block.columns[place]]
        if field.name not in columns:
            columns[field.name] = pa.array(_typed(field, values), ARROW[field.kept])
    return pa.table(columns)


def read_answers(folder: Path, tables: Tables, kind: str) -> Iterator[tuple[Layout, pa.Table]]:
    """What was drained into the store, by layout. folder: of the log, which holds the layouts. kind: as for `Layout`.
    """
    known = set(tables.names())
    for path in sorted(folder.glob("served-*.json")):
        layout = msgspec.json.decode(path.read_bytes(), type=Layout)
        if layout.table(kind) in known:
            data = tables.read(layout.table(kind)).drop_columns(list(PLACE))
            yield layout, data.rename_columns([*OWN, *layout.stored])


def in_order(pieces: Sequence[tuple[Layout, pa.Table]]) -> pa.Table:
    """All rows by prediction id, each once; without pieces an empty table with the columns of `OWN`."""
    if not pieces:
        return pa.schema([(name, kind) for name, kind in zip(OWN, _OWN_TYPES, strict=True)]).empty_table()
    data = pa.concat_tables([rows for _, rows in pieces], promote_options="permissive")
    ids = data["prediction_id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    return data.take(pa.array(order[np.append(True, ids[1:] != ids[:-1])[: len(ids)]]))


def schema(data: pa.Table, layouts: Sequence[Layout]) -> Schema:
    """Kinds and roles of the columns of served rows: what every request must hold is a feature."""
    fields = {field.name: field for layout in layouts for field in layout.fields}
    decided = "category" if pa.types.is_string(data.schema.field("decision").type) else "number"
    roles: dict[str, Column] = {
        "prediction_id": Column("prediction_id", "text", "identifier"), "at": Column("at", "timestamp", "time"),
        "release": Column("release", "category", "ignored"), "arm": Column("arm", "category", "ignored"),
        "propensity": Column("propensity", "number", "ignored"), "score": Column("score", "number", "ignored"),
        "decision": Column("decision", decided, "ignored"),  # type: ignore[arg-type]
        "abstain": Column("abstain", "boolean", "ignored"),
    }
    asked = {name: Column(name, field.kept, "feature" if field.required else "ignored")  # type: ignore[arg-type]
             for name, field in fields.items()}
    return Schema(tuple(roles.get(name) or asked[name] for name in data.column_names))


def label_rows(found: Sequence[tuple[int, Label]]) -> pa.Table:
    """Labels as they are stored, with the microsecond when they arrived. number: the label where it is one."""
    values = [entry.label for _, entry in found]
    return pa.table({
        "prediction_id": pa.array([entry.prediction_id for _, entry in found], pa.string()),
        "label": pa.array([word(value) for value in values], pa.string()),
        "number": pa.array([value if isinstance(value, float) else None for value in values], pa.float64()),
        "observed_at": pa.array([entry.observed_at.astimezone(UTC) for _, entry in found], UTC_US),
        "received_at": pa.array([at for at, _ in found], pa.int64()).cast(UTC_US),
        "source": pa.array([entry.source for _, entry in found], pa.string()),
        "weight": pa.array([entry.weight for _, entry in found], pa.float64()),
    })


def read_labels(tables: Tables) -> Iterator[pa.Table]:
    """The labels that were drained into the store."""
    if LABEL_TABLE in tables.names():
        yield tables.read(LABEL_TABLE).drop_columns(list(PLACE))


def without_repeats(pieces: Sequence[pa.Table]) -> pa.Table:
    """Labels in the order of their arrival, without those that say again what their source said last."""
    data = pa.concat_tables(pieces)
    data = data.take(pc.sort_indices(data, [("received_at", "ascending")]))
    key = _codes(data, ("prediction_id", "source"))
    said = _codes(data, ("label", "number", "observed_at", "weight"))
    order = np.argsort(key, kind="stable")
    key, said = key[order], said[order]
    again = np.append(False, (key[1:] == key[:-1]) & (said[1:] == said[:-1]))[: len(key)]
    return data.take(pa.array(np.sort(order[~again])))


def last_labels(data: pa.Table) -> pa.Table:
    """Of labels in order of arrival, the last of every prediction; predictions in the order of their first label."""
    key = _codes(data, ("prediction_id",))
    first, last = np.unique(key, return_index=True)[1], np.unique(key[::-1], return_index=True)[1]
    return data.take(pa.array((len(key) - 1 - last)[np.argsort(first, kind="stable")]))


def label_table(data: pa.Table, origin: str) -> Table:
    """Stored labels as a table: `label` is text, or a number where all are."""
    numbers = len(data) > 0 and data["number"].null_count == 0
    told = data["number"] if numbers else data["label"]
    return Table.of(data.drop_columns(["number"]).set_column(1, "label", told), name="labels", origin=origin)


def _codes(data: pa.Table, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number for every row, equal where these columns are."""
    code = np.zeros(len(data), np.int64)
    for name in names:
        column = data[name].combine_chunks().dictionary_encode()
        place = np.asarray(pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False), np.int64)
        code = np.unique(code * (len(column.dictionary) + 1) + place + 1, return_inverse=True)[1]
    return code


def _typed(field: Field, values: list[Any]) -> list[Any]:
    if field.words or field.kept != field.kind:
        return [word(value) for value in values]
    if field.kind == "timestamp":
        return [datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
    return values


_OWN_TYPES = (pa.string(), UTC_US, pa.string(), pa.string(), pa.float64(), pa.float64(), pa.string(), pa.bool_())
