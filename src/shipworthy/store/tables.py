"""Versioned tables: Delta behind six verbs, with its silent conversions refused and its races retried."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from shipworthy.errors import BadData, Misuse, StoreError, one_of
from shipworthy.store import files
from shipworthy.store.delta_types import differences, fit
from shipworthy.store.metadata import Metadata
from shipworthy.store.records import Pin, check_id, now

T = TypeVar("T")

RETRIES = 5
WEEK_HOURS = 168
_WAIT_SECONDS = 600.0
_NOTE = "shipworthy"
_LOG_SETTINGS = {"delta.enableExpiredLogCleanup": "false"}
_HEX_ID = re.compile(r"[0-9a-f]{16,64}")


class Version(msgspec.Struct, frozen=True):
    """One version of a table. casts: column → "uint8 to int16". migration: why the schema changed here."""

    version: int
    at: datetime
    operation: str
    rows_added: int | None = None
    rows_deleted: int | None = None
    casts: dict[str, str] = {}
    migration: str = ""
    schema_changes: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


class _Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What we add to a commit of the table's own log; it holds column names, never values."""

    casts: dict[str, str] = {}
    migration: str = ""
    schema_changes: tuple[str, ...] = ()


class _Added(msgspec.Struct, frozen=True):
    path: str


class _Line(msgspec.Struct, frozen=True):
    """A line of a commit. add: the file that it adds, by its address in the table's folder."""

    add: _Added | None = None


@dataclass(frozen=True)
class Tables:
    """The tables of one project. folder: its `.shipworthy`."""

    folder: Path
    metadata: Metadata

    def write(
        self,
        name: str,
        table: pa.Table,
        mode: Literal["append", "overwrite"] = "append",
        *,
        casts: Mapping[str, pa.DataType] | None = None,
        migration: str = "",
        statistics: Sequence[str] = (),
        transaction: tuple[str, int] | None = None,
    ) -> int:
        """The version that holds the rows after they were appended, or took the place of all others; the disk has it.

        The schema must equal the table's exactly. Types that Delta lacks are kept as wider ones, and `casts`
        are made, both only if no value changes, and both are noted in the version.
        migration: why an overwrite may change the schema. statistics: the columns, never personal ones, whose
        smallest and largest value the log may keep; fixed when the table is made.
        transaction: (writer, number), larger for each write; a number already written is not written again,
        and the newest version is returned.
        Raises `BadData` if the rows do not fit, `StoreError` if the disk or another writer was in the way.
        """
        if mode not in ("append", "overwrite"):
            raise Misuse(f'"{mode}" is not a way to write', where=f"table {name}",
                         hint='use mode="append" or mode="overwrite"')
        fitted, changed = fit(table, casts)
        job = _Job(fitted, mode, _Note(changed, migration), tuple(statistics), transaction)
        return _retried(name, lambda: self._write_once(name, job))

    def read(
        self, name: str, version: int | None = None, *, columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """The rows of a version, by default the newest; where: those of which this is true, and no others are kept in
        memory. Raises `StoreError` if that version is gone.
        """
        delta = self._open(name, version)
        if columns is not None:
            known = [field.name for field in delta.schema().fields]
            for column in columns:
                if column not in known:
                    raise BadData(f'table "{name}" has no column "{column}"', where=str(self._path(name)),
                                  hint=one_of(column, known))
        with self._told(name, version):
            rows = delta.to_pyarrow_dataset()
            if where is not None:
                return filtered(rows, where, columns=columns)
            return rows.to_table(columns=None if columns is None else list(columns))

    def scan(self, name: str, version: int | None = None) -> pa.dataset.Dataset:
        """A version as an Arrow dataset, for tables larger than memory; DuckDB and Polars take it as is."""
        delta = self._open(name, version)
        with self._told(name, version):
            return delta.to_pyarrow_dataset()

    def delete_where(self, name: str, ids: Iterable[int | str], *, column: str) -> int:
        """How many rows were deleted whose surrogate id, in `column`, is one of the ids.

        ids: integers, UUIDs or hex digests of 16 digits and more, so that a name cannot end up in a log.
        Older versions still hold the rows until `gc`. Raises `BadData` or `StoreError`.
        """
        wanted = sorted({_surrogate(i) for i in ids}, key=str)
        return _retried(name, lambda: self._delete_once(name, wanted, column)) if wanted else 0

    def remove(self, name: str, column: str, values: pa.ChunkedArray) -> int:
        """How many rows were deleted whose value in a column is one of these, of its type; the log names none of them.

        Older versions still hold the rows until `gc`. Raises `BadData` or `StoreError`.
        """
        return _retried(name, lambda: self._delete_once(name, values.to_pylist(), column))

    def pin(self, name: str, version: int, reason: str) -> Pin:
        """The record that keeps a version readable, whatever `gc` does, until unpinned for that reason."""
        if not reason.strip():
            raise Misuse("a pin needs a reason", where=f"version {version} of table {name}",
                         hint="name the release or report that needs this version")
        with self._held(name, shared=True):
            delta = self._open(name, version)
            with self._told(name, version):
                _check_files(delta)
            made = Pin(table=name, version=version, reason=reason)
            self.metadata.add(made)
        return made

    def unpin(self, name: str, version: int, reason: str) -> None:
        """End the pins of a version that have this reason. Raises `StoreError` if there is none."""
        found = self.metadata.find(Pin, table=name, version=version, reason=reason, ended=None)
        if not found:
            raise StoreError(f'version {version} of table "{name}" is not pinned for "{reason}"',
                             where=str(self._path(name)), hint="history lists the versions and their pins")
        self.metadata.add(*[msgspec.structs.replace(pin, ended=now()) for pin in found])

    def gc(self, name: str, *, hours: int = WEEK_HOURS) -> list[str]:
        """The files deleted: old enough, and needed by neither the newest nor a pinned version.

        Writers through this store wait meanwhile. Readers of old versions do not: keep `hours` above the
        longest read.
        """
        if hours < 0:
            raise Misuse("hours cannot be negative", where=f"hours = {hours}", hint="give 0 or more; 168 is a week")
        with self._held(name, shared=False):
            delta = self._open(name)
            pinned = sorted({pin.version for pin in self.metadata.find(Pin, table=name, ended=None)})
            with self._told(name, None):
                return delta.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True,
                                    keep_versions=pinned)

    def history(self, name: str) -> list[Version]:
        """Every version the log knows, newest first."""
        delta = self._open(name)
        pins: dict[int, list[str]] = {}
        for pin in self.metadata.find(Pin, table=name, ended=None):
            pins.setdefault(pin.version, []).append(pin.reason)
        with self._told(name, None):
            entries = delta.history()
        return [_version(entry, tuple(sorted(pins.get(entry["version"], ())))) for entry in entries]

    def version(self, name: str) -> int:
        """The newest version of a table; it changes with every write. Raises `StoreError` if there is none."""
        return int(self._open(name).version())

    def names(self) -> list[str]:
        """The tables there are, sorted."""
        root = self.folder / "tables"
        return sorted(p.name for p in root.glob("*") if DeltaTable.is_deltatable(str(p)))

    def _path(self, name: str) -> Path:
        return self.folder / "tables" / check_id(name, "a table name")

    def _held(self, name: str, *, shared: bool) -> Any:
        path = self.folder / "locks" / f"table-{check_id(name, 'a table name')}.lock"
        return files.lock(path, _WAIT_SECONDS, shared=shared)

    def _open(self, name: str, version: int | None = None) -> DeltaTable:
        path = self._path(name)
        with self._told(name, version):
            try:
                return DeltaTable(str(path), version=version)
            except TableNotFoundError as error:
                known = one_of(name, self.names())
                raise StoreError(f'there is no table "{name}"', where=str(path), hint=known) from error

    def _write_once(self, name: str, job: _Job) -> int:
        path = self._path(name)
        exists = DeltaTable.is_deltatable(str(path))
        with self._held(name, shared=exists):
            if not exists and not DeltaTable.is_deltatable(str(path)):
                return self._create(name, job)
            delta = self._open(name)
            before = delta.version()
            if job.is_done(delta):
                self._sync(name, 0)  # who wrote it may have been killed before the disk had it
                return before
            changes = differences(pa.schema(delta.schema().to_arrow()), job.rows.schema)
            if changes and not (job.mode == "overwrite" and job.note.migration):
                raise BadData(f'the rows do not fit table "{name}": {"; ".join(changes)}', where=str(path),
                              hint="cast or rename the columns, or overwrite the table and give the migration's reason")
            note = msgspec.structs.replace(job.note, schema_changes=tuple(changes))
            with self._told(name, None):
                write_deltalake(delta, job.rows, mode=job.mode, schema_mode="overwrite" if changes else None,
                                commit_properties=job.commit(note))
            self._sync(name, before + 1)
            return delta.version()

    def _create(self, name: str, job: _Job) -> int:
        """Keeps the log, since pins outlive checkpoints; no other statistics, since they outlive rows."""
        for column in job.statistics:
            if column not in job.rows.column_names:
                raise BadData(f'there is no column "{column}" to keep statistics of', where=str(self._path(name)),
                              hint=one_of(column, job.rows.column_names))
        quoted = ",".join("`" + column.replace("`", "``") + "`" for column in job.statistics)
        with self._told(name, None), files.told(self._path(name)):
            self._path(name).parent.mkdir(parents=True, exist_ok=True)
            write_deltalake(str(self._path(name)), job.rows, mode="error", name=name,
                            configuration=_LOG_SETTINGS | {"delta.dataSkippingStatsColumns": quoted},
                            commit_properties=job.commit(job.note))
        self._sync(name, 0)
        return 0

    def _sync(self, name: str, since: int) -> None:
        """Wait until the disk has the versions from this one on: Delta leaves their files to the operating system."""
        folder, log = self._path(name), self._path(name) / "_delta_log"
        with self._told(name, None):
            found = [path for path in log.iterdir() if path.name[:20].isdigit() and int(path.name[:20]) >= since]
            lines = [line for path in found if path.suffix == ".json" for line in path.read_bytes().splitlines()]
            added = [msgspec.json.decode(line, type=_Line).add for line in lines]
            found += [folder / unquote(each.path) for each in added if each]
            found += [log / "_last_checkpoint"]
            files.sync([*(path for path in found if path.is_file()), log, folder, folder.parent])

    def _delete_once(self, name: str, ids: list[Any], column: str) -> int:
        """A merge, not a predicate: the log then holds no id, and 100,000 ids do not crash the SQL parser."""
        with self._held(name, shared=True):
            delta = self._open(name)
            fields = {field.name: field for field in pa.schema(delta.schema().to_arrow())}
            if column not in fields:
                raise BadData(f'table "{name}" has no column "{column}"', where=str(self._path(name)),
                              hint=one_of(column, fields))
            try:
                source = pa.table({column: pa.array(ids, fields[column].type)})
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                kind = fields[column].type
                raise BadData(f'the ids do not fit column "{column}", which is {kind}: {error}',
                              where=str(self._path(name)), hint=f"give ids of type {kind}") from error
            quoted = "`" + column.replace("`", "``") + "`"
            with self._told(name, None):
                merge = delta.merge(source, f"t.{quoted} = s.{quoted}", source_alias="s", target_alias="t")
                return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])

    @contextmanager
    def _told(self, name: str, version: int | None) -> Iterator[None]:
        """Delta's errors in our words; a lost race passes through to be tried again."""
        which = f'table "{name}"' if version is None else f'version {version} of table "{name}"'
        try:
            yield
        except CommitFailedError:
            raise
        except FileNotFoundError as error:
            raise StoreError(f"{which} was cleaned up and cannot be read", where=str(self._path(name)),
                             hint="read a newer version; pin a version to keep it") from error
        except (DeltaError, OSError) as error:
            problem, hint = files.refusal(error, which)
            if version is not None and "not the same as the specified end version" in str(error):
                problem, hint = f"{which} does not exist", "history lists the versions"
            raise StoreError(problem, where=str(self._path(name)), hint=hint) from error


def filtered(rows: pa.dataset.Dataset, where: pc.Expression, *, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a scanned table of which an expression is true, file by file.

    A deletion rewrites files with Arrow's string_view, which no comparison within a file takes: those are compared in
    memory, as the strings of the table's own schema. All others by their statistics first.
    """
    names = rows.schema.names if columns is None else list(columns)
    found = [rows.schema.empty_table().select(names)]
    for part in rows.get_fragments(where):
        if any(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind) for kind in part.physical_schema.types):
            found.append(part.to_table(schema=rows.schema).filter(where).select(names))
        else:
            found.append(part.to_table(schema=rows.schema, columns=names, filter=where))
    return pa.concat_tables(found)


@dataclass(frozen=True)
class _Job:
    """One write, the same at every attempt."""

    rows: pa.Table
    mode: Literal["append", "overwrite"]
    note: _Note
    statistics: tuple[str, ...]
    transaction: tuple[str, int] | None

    def is_done(self, delta: DeltaTable) -> bool:
        """A fresh writer must ask: Delta refuses a repeated number only to a writer that raced the first."""
        if self.transaction is None:
            return False
        last = delta.transaction_version(self.transaction[0])
        return last is not None and last >= self.transaction[1]

    def commit(self, note: _Note) -> CommitProperties:
        done = [Transaction(*self.transaction)] if self.transaction else None
        told = {_NOTE: msgspec.json.encode(note).decode()} if note != _Note() else None
        return CommitProperties(custom_metadata=told, app_transactions=done)


def _retried(name: str, attempt: Callable[[], T]) -> T:
    """Try again after a lost race, each time on the table as it then is."""
    for tried in range(RETRIES + 1):
        try:
            return attempt()
        except CommitFailedError as error:
            if tried == RETRIES:
                raise StoreError(f'other writers changed table "{name}" {RETRIES + 1} times in a row',
                                 where=f"table {name}",
                                 hint="nothing was written; run it again when fewer processes write") from error
            time.sleep((0.5 + secrets.randbelow(1000) / 1000) * 0.02 * 2**tried)
    raise AssertionError("unreachable")


def _surrogate(id: int | str) -> int | str:
    if isinstance(id, int) and not isinstance(id, bool):
        return id
    text = str(id)
    try:
        return text if _HEX_ID.fullmatch(text) else text if str(UUID(text)) == text.lower() else _no(text)
    except ValueError:
        return _no(text)


def _no(text: str) -> str:
    raise BadData("rows are deleted by surrogate id: an integer, a UUID or a hex digest", where="ids",
                  hint="find the subject's ids first; a name or number of a person must not reach a log")


def _check_files(delta: DeltaTable) -> None:
    for file in delta.file_uris():
        if not Path(file.removeprefix("file://")).exists():
            raise FileNotFoundError(file)


def _version(entry: Mapping[str, Any], pins: tuple[str, ...]) -> Version:
    numbers = entry.get("operationMetrics") or {}
    deleted = numbers.get("num_deleted_rows", numbers.get("num_target_rows_deleted"))
    added = numbers.get("num_added_rows", numbers.get("num_target_rows_inserted"))
    note = msgspec.json.decode(entry.get(_NOTE) or "{}", type=_Note)
    return Version(version=entry["version"], at=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                   operation=str(entry.get("operation", "")).lower(), rows_added=None if added is None else int(added),
                   rows_deleted=None if deleted is None else int(deleted), casts=note.casts, migration=note.migration,
                   schema_changes=note.schema_changes, pins=pins)
