"""The rows of the log as Arrow tables: from blocks, from the store, and both in one order, each row once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from shipworthy.core.canon import canonical, digest
from shipworthy.core.clock import micros
from shipworthy.core.lazy import Lazy
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Table, word
from shipworthy.deployment.integration.serving.record import Field

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

    from shipworthy.deployment.integration.log.answers import Answers, Heading
    from shipworthy.deployment.integration.log.labels import Label
    from shipworthy.store.tables import Tables
else:
    pa, pc = Lazy("pyarrow"), Lazy("pyarrow.compute")

PLACE = ("segment", "offset")
FIRST_OWN = ("prediction_id", "at", "release", "arm", "propensity", "score", "decision", "abstain")
OWN = (*FIRST_OWN, "explored", "influenced", "noise")
HELD = "holdback"  # the arm of entities that another policy answers
LABEL_TABLE, ENTITY_TABLE = "labels", "entity-labels"
STORED = {"predictions": "served", "shadows": "shadow"}


class Layout(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides the columns of served rows: the fields asked, and whether a decision is a class or a number.

    own: the columns beside the fields; of what was stored before there were more, the first eight.
    """

    fields: tuple[Field, ...]
    classes: bool
    own: tuple[str, ...] = FIRST_OWN

    @classmethod
    def of(cls, heading: Heading) -> Layout:
        """The layout of a file of predictions."""
        return cls(heading.fields, bool(heading.classes), OWN)

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
        taken = {*self.own, *PLACE}
        found = {}
        for field in self.fields:
            if field.name not in self.own:
                name = field.name
                while name.lower() in taken:
                    name += "_"
                taken.add(name.lower())
                found[field.name] = name
        return found

    @property
    def columns(self) -> list[str]:
        """The columns of the store's table but for `PLACE`, by the names that they have in the log."""
        return [*self.own, *self.stored]


def served_rows(heading: Heading, found: Answers) -> pa.Table:
    """The predictions of blocks: the columns of `OWN`, then the fields; a field named like one of those is left out."""
    text = pa.string()
    kinds = {"number": pa.float64(), "boolean": pa.bool_(), "timestamp": utc(), "category": text, "text": text}
    columns: dict[str, Any] = {
        "prediction_id": pa.array(found.ids, pa.string()),
        "at": pa.array(found.at, pa.int64()).cast(utc()),
        "release": pa.repeat(heading.release, len(found.ids)),
        "arm": pa.array(found.arm, pa.string()),
        "propensity": pa.array(found.propensity, pa.float64()),
        "score": pa.array(found.score, pa.float64()),
        "decision": pa.array(found.decision, pa.string() if heading.classes else pa.float64()),
        "abstain": pa.array(found.abstain, pa.bool_()),
        "explored": pa.array(found.explored, pa.bool_()),
        "influenced": pa.array(_influenced(heading, found), pa.bool_()),
        "noise": pa.array([one or None for one in found.noise], pa.float64()),
    }
    for place, field in enumerate(heading.fields):
        if field.name not in columns:
            values = [row[place] for row in found.values]
            columns[field.name] = pa.array(_typed(field, values), kinds[field.kept])
    return pa.table(columns)


def layouts(folder: Path) -> list[Layout]:
    """The layouts of what was ever drained from a log."""
    return [msgspec.json.decode(path.read_bytes(), type=Layout) for path in sorted(folder.glob("served-*.json"))]


def read_answers(
    folder: Path, tables: Tables, kind: str, since: int = 0, *, ids: pa.Array | None = None, arm: str = ""
) -> Iterator[tuple[Layout, pa.Table]]:
    """What was drained into the store, by layout. folder: of the log, which holds the layouts. kind: as for `Layout`.

    since: microseconds; what was answered before is not read. ids, arm: of the only predictions that are read.
    """
    known = set(tables.names())
    for layout in layouts(folder):
        if layout.table(kind) in known:
            where = _from("at", since) if ids is None else pc.field("prediction_id").isin(ids)
            if arm:
                where = pc.field("arm") == arm if where is None else where & (pc.field("arm") == arm)
            data = tables.read(layout.table(kind), where=where).drop_columns(list(PLACE))
            yield layout, data.rename_columns(layout.columns)


def in_order(pieces: Sequence[tuple[Layout, pa.Table]]) -> pa.Table:
    """All rows by prediction id, each once; without pieces an empty table with the columns of `OWN`."""
    if not pieces:
        text, number = pa.string(), pa.float64()
        kinds = (text, utc(), text, text, number, number, text, pa.bool_(), pa.bool_(), pa.bool_(), number)
        return pa.schema(list(zip(OWN, kinds, strict=True))).empty_table()
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
        "abstain": Column("abstain", "boolean", "ignored"), "explored": Column("explored", "boolean", "ignored"),
        "influenced": Column("influenced", "boolean", "ignored"), "noise": Column("noise", "number", "ignored"),
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
        "observed_at": pa.array([entry.observed_at.astimezone(UTC) for _, entry in found], utc()),
        "received_at": pa.array([at for at, _ in found], pa.int64()).cast(utc()),
        "source": pa.array([entry.source for _, entry in found], pa.string()),
        "weight": pa.array([entry.weight for _, entry in found], pa.float64()),
    })


def entity_rows(found: Sequence[tuple[int, Label]]) -> pa.Table:
    """Labels given by entity and time as they are stored: `label_rows`, the entity as JSON, and the time it means.

    entity_id: of the entity, for deleting its rows without naming it.
    """
    told = [entity_text(entry) for _, entry in found]
    more = {"entity": pa.array(told, pa.string()),
            "entity_id": pa.array([digest(text)[:32] for text in told], pa.string()),
            "since": pa.array([entry.since for _, entry in found], pa.int64()).cast(utc()),
            "until": pa.array([entry.until for _, entry in found], pa.int64()).cast(utc())}
    data = label_rows(found)
    for name, values in more.items():
        data = data.append_column(name, values)
    return data


def entity_text(label: Label) -> str:
    """The entity of a label as it is stored."""
    return canonical(dict(label.entity)).decode()


def read_labels(tables: Tables, since: int = 0, *, ids: pa.Array | None = None) -> Iterator[pa.Table]:
    """The labels that were drained into the store, of those that arrived since a time. ids: of their predictions."""
    return _read(tables, LABEL_TABLE, since, ids)


def read_entity_labels(tables: Tables, since: int = 0) -> Iterator[pa.Table]:
    """The labels given by entity and time that were drained into the store, of those that arrived since a time."""
    return _read(tables, ENTITY_TABLE, since)


def stored_labels(tables: Tables) -> Iterator[Label]:
    """The labels that were drained into the store, one by one, as they were kept."""
    from shipworthy.deployment.integration.log.labels import Label

    for data in (*read_labels(tables), *read_entity_labels(tables)):
        for batch in data.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                named = json.loads(row["entity"]) if "entity" in row else {}
                told = row["label"] if row["number"] is None else row["number"]
                since, until = ((micros(row["since"]), micros(row["until"])) if named else (0, 0))
                yield Label(row["prediction_id"], told, row["observed_at"], row["source"], row["weight"],
                            tuple(named.items()), since, until)


def utc() -> pa.DataType:
    """How times are stored."""
    return pa.timestamp("us", "UTC")


def without_repeats(pieces: Sequence[pa.Table]) -> pa.Table:
    """Labels in the order of their arrival, without those that say again what their source said of it before.

    A label is known by its word, so 1 and "1" are one statement.
    """
    data = pa.concat_tables(pieces)
    data = data.take(pc.sort_indices(data, [("received_at", "ascending")]))
    said = [name for name in data.column_names if name not in ("number", "received_at", "entity_id", "why")]
    return data.take(pa.array(np.sort(np.unique(codes(data, said), return_index=True)[1])))


def last_labels(data: pa.Table) -> pa.Table:
    """Of labels in order of arrival, the one of every prediction that became known last; of such, the last to arrive.

    Predictions are in the order of their first label.
    """
    key = codes(data, ("prediction_id",))
    known = np.argsort(data["observed_at"].cast(pa.int64()).to_numpy(), kind="stable")
    last = known[len(key) - 1 - np.unique(key[known][::-1], return_index=True)[1]]
    first = np.unique(key, return_index=True)[1]
    return data.take(pa.array(last[np.argsort(first, kind="stable")]))


def label_table(data: pa.Table, origin: str) -> Table:
    """Stored labels as a table: `label` is text, or a number where all are."""
    numbers = len(data) > 0 and data["number"].null_count == 0
    told = data["number"] if numbers else data["label"]
    return Table.of(data.drop_columns(["number"]).set_column(1, "label", told), name="labels", origin=origin)


def codes(data: pa.Table, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number for every row, equal where these columns are."""
    code = np.zeros(len(data), np.int64)
    for name in names:
        column = data[name].combine_chunks().dictionary_encode()
        place = np.asarray(pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False), np.int64)
        code = np.unique(code * (len(column.dictionary) + 1) + place + 1, return_inverse=True)[1]
    return code


def _from(column: str, since: int) -> pc.Expression | None:
    return pc.field(column) >= pa.scalar(since, utc()) if since else None


def _read(tables: Tables, name: str, since: int, ids: pa.Array | None = None) -> Iterator[pa.Table]:
    if name in tables.names():
        where = _from("received_at", since) if ids is None else pc.field("prediction_id").isin(ids)
        yield tables.read(name, where=where).drop_columns(list(PLACE))


def _influenced(heading: Heading, found: Answers) -> list[bool | None]:
    """Whether the label of each row could not exist, or could differ, without the model's decision; None if unknown.

    Where chance had a say the label is not the model's doing. A decision that no class is says nothing of any row.
    """
    told = heading.influenced
    if told == "unknown" or (told != "all" and not set(told) <= set(heading.classes)):
        return [None] * len(found.ids)
    return [not explored and (told == "all" or word(decision) in told)
            for decision, explored in zip(found.decision, found.explored, strict=True)]


def _typed(field: Field, values: list[Any]) -> list[Any]:
    if field.words or field.kept != field.kind:
        return [word(value) for value in values]
    if field.kind == "timestamp":
        return [datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
    return values
