"""The SQL tables that index the records, drawn from the structs; in a SQLite file or in PostgreSQL."""

from __future__ import annotations

import sqlite3
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from shipworthy.errors import StoreError
from shipworthy.store import postgres
from shipworthy.store.records import KINDS, Record

BUSY_MILLISECONDS = 30_000

_LOOKUPS: dict[str, tuple[str, ...]] = {
    "runs": ("started",),
    "steps": ("key", "run", "started"),
    "artefacts": ("digest", "key", "at"),
    "edges": ("source", "target", "at"),
    "pins": ("table", "at"),
    "releases": ("digest", "at"),
    "pointers": ("alias", "at"),
    "holdout_reads": ("holdout", "at"),
    "findings": ("run", "release", "row", "at"),
}


class Instant(sa.types.TypeDecorator[datetime]):
    """A moment as UTC text of fixed width, so that every database sorts and compares it alike."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


_SQL: dict[Any, type[sa.types.TypeEngine[Any]]] = {
    str: sa.Text,
    int: sa.BigInteger,
    float: sa.Double,
    datetime: Instant,
    dict: sa.JSON,
}


def when(kind: str) -> str:
    """The column by which a kind's rows are ordered in time."""
    return "started" if "started" in KINDS[kind].__struct_fields__ else "at"


def _table(kind: str, struct: type[Record], tables: sa.MetaData) -> sa.Table:
    columns: list[sa.Column[Any]] = []
    for name, hint in typing.get_type_hints(struct).items():
        if name not in struct.__struct_fields__:
            continue
        optional = type(None) in typing.get_args(hint)
        plain = typing.get_args(hint)[0] if optional else typing.get_origin(hint) or hint
        if name == "id":
            columns.append(sa.Column("id", sa.String(160), primary_key=True))
        else:
            columns.append(sa.Column(name, _SQL[plain](), nullable=optional))
    lookups = [sa.Index(f"ix_{kind}_{name}", name) for name in _LOOKUPS[kind]]
    return sa.Table(kind, tables, *columns, *lookups)


TABLES = sa.MetaData()
INDEX = {kind: _table(kind, struct, TABLES) for kind, struct in KINDS.items()}


def connect_to(address: str | sa.URL) -> sa.Engine:
    """An engine for the index. Raises `StoreError` if the address is none or its driver is not installed."""
    try:
        url = sa.make_url(address)
        if postgres.ours(address):
            return postgres.engine(url)
        if url.get_backend_name() != "sqlite":
            return sa.create_engine(url, pool_pre_ping=True)
        engine = sa.create_engine(url, poolclass=sa.NullPool)
    except (ImportError, exc.ArgumentError) as error:
        raise StoreError(f"this database cannot be used: {error}", where="the address of the index",
                         hint="install its driver, for PostgreSQL by: pip install 'shipworthy[postgres]'; and write "
                         "postgresql://user@host/name") from error
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def shown(url: sa.URL) -> str:
    """The URL without its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    return url.render_as_string(hide_password=True)


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in a transaction that will write; SQLite takes its write lock at once and waits for it."""
    with (
        asked(engine),
        engine.connect().execution_options(shipworthy_writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def asked(engine: sa.Engine) -> Iterator[None]:
    """Turn the database's errors into a `StoreError` that says what to do."""
    try:
        yield
    except (exc.DBAPIError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        text, hint = postgres.refusal(cause) if engine.driver == "pg8000" else (str(cause).strip(), postgres.ELSE)
        hint = _hint(text) if hint == postgres.ELSE else hint
        raise StoreError(f"the index refused: {text}", where=shown(engine.url), hint=hint) from error


def use_wal(engine: sa.Engine) -> None:
    """Let readers of a SQLite index go on while one process writes. Call it under the migration lock."""
    if engine.dialect.name == "sqlite":
        with asked(engine), engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            connection.rollback()
            driver.execute("PRAGMA journal_mode=WAL")


def back_up(engine: sa.Engine, revision: str) -> Path | None:
    """Copy a SQLite index beside itself before it is changed; where the copy is."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    copy = Path(f"{engine.url.database}.before-upgrade-from-{revision}")
    with asked(engine), engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        connection.rollback()
        target = sqlite3.connect(copy)
        try:
            driver.backup(target)
        finally:
            target.close()
    return copy


def _hint(text: str) -> str:
    if "not a database" in text or "malformed" in text:
        return "delete the index file; it is made again from the records when the project is next opened"
    if "full" in text or "I/O" in text:
        return "the disk is full or failing: free some space and run it again; the records are intact"
    if "readonly" in text or "unable to open" in text:
        return "choose a project folder that can be written"
    if "locked" in text:
        return "another process is writing; run it again"
    return "the records are on disk; shipworthy.store.open_store makes the index again if it is deleted"


def _on_connect(connection: sqlite3.Connection, _: object) -> None:
    """SQLAlchemy, not the driver, begins transactions; otherwise SQLite changes tables outside of them."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA synchronous=NORMAL")


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("shipworthy_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
