"""SQLite tables, read only."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.data.collection.places import divide, local, table_name
from shipworthy.data.collection.tidy import tidied
from shipworthy.data.collection.values import column_of
from shipworthy.errors import BadData, nearest
from shipworthy.marks import connector


@connector("sqlite", suffixes=(".sqlite", ".sqlite3", ".db"), schemes=("sqlite",))
def read_sqlite(address: str, *, name: str = "") -> Table:
    """A table from "sqlite:///file.db#table" or "file.db#table"; the table may be left out if there is only one.

    Raises BadData naming the tables when the one asked for is not there.
    """
    place, wanted = divide(address)
    with closing(_open(place)) as connection:
        names = tables_of(connection)
        if not wanted and len(names) == 1:
            wanted = names[0]
        if wanted not in names:
            problem = f'there is no table "{wanted}"' if wanted else f"the database holds {len(names)} tables"
            raise BadData(problem, where=address,
                          hint=nearest(wanted, names) or f"name one: {place}#{names[0]}" if names else "it is empty")
        cursor = connection.execute(f"SELECT * FROM {quoted(wanted)}")
        header = [facts[0] for facts in cursor.description]
        rows = cursor.fetchall()
    columns = [column_of([row[place] for row in rows]) for place in range(len(header))]
    return tidied(pa.Table.from_arrays(columns, names=header), name=name or table_name(place, wanted), origin=address)


def sqlite_tables(place: str) -> tuple[str, ...]:
    """The names of the tables and views in an SQLite file. Raises BadData when it is no database."""
    with closing(_open(place)) as connection:
        return tables_of(connection)


def tables_of(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names of the tables and views that a user made."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
                              "AND name NOT LIKE 'sqlite_%' ORDER BY name").fetchall()
    return tuple(row[0] for row in rows)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _open(place: str) -> sqlite3.Connection:
    path = local(place.removeprefix("sqlite:///"))
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise BadData(f"this is not an SQLite database: {error}", where=place,
                      hint="rename it to its true suffix") from error
    return connection
