"""Records of all work: each a JSON file first, then a row of the index; the files are the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from shipworthy.errors import Misuse, StoreError, one_of
from shipworthy.store import files, migrations
from shipworthy.store.index import INDEX, asked, back_up, connect_to, use_wal, when, writing
from shipworthy.store.records import KIND_OF, KINDS, HoldoutRead, R, Record, check_id, encode

_CHUNK = 500
_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Metadata:
    """The records of one project. folder: its `.shipworthy`. One database indexes one project."""

    folder: Path
    engine: sa.Engine

    def add(self, *records: Record) -> None:
        """Write records and index them; a record whose id is known replaces the old one.

        Either every file is written or, if the disk refuses, none. Raises `StoreError`.
        """
        with self._writing() as connection:
            self._put(connection, records)

    def get(self, kind: type[R], id: str) -> R | None:
        """The record of a kind with an id; None if there is none."""
        found = self.find(kind, limit=1, id=id)
        return found[0] if found else None

    def find(self, kind: type[R], *, limit: int | None = None, **equal: Any) -> list[R]:
        """The records of a kind whose fields equal what is asked, newest first."""
        table = INDEX[KIND_OF[kind]]
        query = sa.select(table).where(*[self._column(table, name) == value for name, value in equal.items()])
        query = query.order_by(table.c[when(table.name)].desc(), table.c.id.desc()).limit(limit)
        with asked(self.engine), self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [_record(kind, row) for row in rows]

    def read_holdout(self, holdout: str, *, subject: str, reader: str) -> int:
        """Record that a holdout was read to judge a subject; how many different subjects it has now judged.

        subject: a model's digest. To judge the same model again teaches nothing that could choose another.
        """
        self.add(HoldoutRead(holdout=holdout, subject=subject, reader=reader))
        table = INDEX["holdout_reads"]
        query = sa.select(sa.func.count(table.c.subject.distinct())).where(table.c.holdout == holdout)
        with asked(self.engine), self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def holdouts(self) -> int:
        """How many different holdouts were ever read."""
        query = sa.select(sa.func.count(INDEX["holdout_reads"].c.holdout.distinct()))
        with asked(self.engine), self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def rebuild(self) -> dict[str, int]:
        """Make the index again from the files; how many records each kind has.

        Raises `StoreError` for a file that cannot be read; the index is then as it was.
        """
        with files.lock(self._lock, _WAIT_SECONDS), writing(self.engine) as connection:
            counts = self._fill(connection)
        return counts

    @property
    def _lock(self) -> Path:
        return self.folder / "locks" / "records.lock"

    @property
    def _pending(self) -> Path:
        return self.folder / "records" / ".pending"

    def _path(self, kind: str, id: str) -> Path:
        return self.folder / "records" / kind / f"{check_id(id)}.json"

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with files.lock(self._lock, _WAIT_SECONDS):
            self._catch_up()
            with writing(self.engine) as connection:
                yield connection
            self._settle()

    def _put(self, connection: sa.Connection, records: Iterable[Record]) -> None:
        """A note of what is under way goes first, so that a kill between file and row is mended later."""
        listed = list(records)
        paths = {self._path(KIND_OF[type(r)], r.id): encode(r) for r in listed}
        with files.told(self._pending):
            self._pending.mkdir(parents=True, exist_ok=True)
            for record in listed:
                (self._pending / f"{KIND_OF[type(record)]}={record.id}").touch()
        files.write_files(paths)
        self._index(connection, listed)

    def _index(self, connection: sa.Connection, records: list[Record]) -> None:
        for kind, struct in KINDS.items():
            own = {r.id: r for r in records if type(r) is struct}
            table, ids = INDEX[kind], list(own)
            for start in range(0, len(ids), _CHUNK):
                some = ids[start : start + _CHUNK]
                connection.execute(sa.delete(table).where(table.c.id.in_(some)))
                connection.execute(sa.insert(table), [msgspec.structs.asdict(own[i]) for i in some])

    def _catch_up(self) -> None:
        """Index what a killed process wrote but did not index. Only under the lock."""
        notes = [n.name.partition("=") for n in self._pending.glob("*=*")] if self._pending.exists() else []
        if not notes:
            return
        left = [(kind, self._path(kind, id)) for kind, _, id in notes]
        for _, path in left:
            files.sweep(path)
        with writing(self.engine) as connection:
            self._index(connection, [_decode(path, KINDS[kind]) for kind, path in left if path.exists()])
        self._settle()

    def _settle(self) -> None:
        for note in self._pending.glob("*=*") if self._pending.exists() else ():
            note.unlink(missing_ok=True)

    def _fill(self, connection: sa.Connection) -> dict[str, int]:
        counts = {}
        for kind, struct in KINDS.items():
            found = [_decode(p, struct) for p in sorted((self.folder / "records" / kind).glob("[!.]*.json"))]
            connection.execute(sa.delete(INDEX[kind]))
            self._index(connection, found)
            counts[kind] = len(found)
        return counts

    def _column(self, table: sa.Table, name: str) -> sa.Column[Any]:
        if name not in table.c:
            raise Misuse(f'{table.name} have no field "{name}"', where=table.name, hint=one_of(name, table.c.keys()))
        return table.c[name]


def open_metadata(folder: Path, url: str | None = None) -> Metadata:
    """The records under a `.shipworthy` folder, their index made, upgraded or mended if it has to be.

    url: of a database; by default a SQLite file in the folder. Raises `StoreError`.
    """
    address = url or sa.URL.create("sqlite", database=str(folder / "index.db"))
    metadata = Metadata(folder, connect_to(address))
    gate = folder / "locks" / "migration.lock"
    with files.lock(gate, _WAIT_SECONDS, shared=True):
        ready = _revision(metadata.engine) == migrations.HEAD
    if not ready:
        with files.lock(gate, _WAIT_SECONDS):
            _migrate(metadata)
    with files.lock(metadata._lock, _WAIT_SECONDS):
        metadata._catch_up()
    return metadata


def _migrate(metadata: Metadata) -> None:
    engine = metadata.engine
    before = _revision(engine)
    if before == migrations.HEAD:
        return
    use_wal(engine)
    if before is not None:
        back_up(engine, before)
    with files.lock(metadata._lock, _WAIT_SECONDS), writing(engine) as connection:
        migrations.upgrade(connection)
        if before is None:
            metadata._fill(connection)


def _revision(engine: sa.Engine) -> str | None:
    with asked(engine), engine.connect() as connection:
        return migrations.revision_of(connection)


def _record(kind: type[R], row: sa.RowMapping) -> R:
    return kind(**{name: row[name] for name in kind.__struct_fields__})


def _decode(path: Path, struct: type[Record]) -> Record:
    try:
        return msgspec.json.decode(files.read_bytes(path), type=struct)
    except msgspec.DecodeError as error:
        raise StoreError(f"a record cannot be read: {error}", where=str(path),
                         hint="restore the file from a backup, or delete it to forget that record") from error
