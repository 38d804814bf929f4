"""PostgreSQL tables and queries, read only: the server writes the rows as CSV, Arrow reads them by the server's types.

Source: PostgreSQL 17 documentation, COPY.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import csv

from shipworthy.core.table import Table
from shipworthy.data.collection.sqlite import quoted
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData, nearest
from shipworthy.marks import connector

QUERIES = ("select ", "with ", "values ")
PREPARE = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL TIME ZONE 'UTC'",
           "SET LOCAL datestyle = 'ISO'", "SET LOCAL intervalstyle = 'iso_8601'", "SET LOCAL bytea_output = 'hex'",
           "SET LOCAL client_encoding = 'UTF8'")
ARROW = {
    "bool": pa.bool_(), "int2": pa.int64(), "int4": pa.int64(), "int8": pa.int64(), "oid": pa.int64(),
    "float4": pa.float64(), "float8": pa.float64(), "numeric": pa.float64(), "date": pa.date32(),
    "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"),
}
"""Type of the server → type of the column; every other one is read as the server's text."""
NESTED = {"A": "arrays", "C": "rows", "P": "values of no fixed type"}
RELATIONS = ("SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
             "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') "
             "AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' "
             "ORDER BY n.nspname <> current_schema(), n.nspname, c.relname")


@dataclass(frozen=True)
class Asked:
    """What is to be read: a table's name or a query, and where that is, for people."""

    wanted: str
    where: str


@connector("postgresql", schemes=("postgresql", "postgres", "postgresql+pg8000"))
def read_postgres(address: str, *, name: str = "") -> Table:
    """A table from "postgresql://user@host/database#table", "…#schema.table" or "…#SELECT …".

    The password may be in PGPASSWORD. All is read in one transaction that cannot write, so rows are of one moment.
    numeric becomes float64, times become UTC, types that Arrow lacks become text.
    Raises BadData, never showing the password, when server, database, table or driver is missing, when a column holds
    arrays or rows, or when the query is refused.
    """
    from shipworthy.store import postgres

    place, _, wanted = address.partition("#")
    wanted = wanted.strip().rstrip(";")
    asked = Asked(wanted, f"{postgres.shown(place)}#{wanted}")
    postgres.arguments(place)
    try:
        import pg8000
    except ModuleNotFoundError as error:
        raise BadData("reading PostgreSQL needs pg8000", where=asked.where,
                      hint="pip install 'shipworthy[postgres]'") from error
    try:
        with closing(postgres.connect(place)) as connection:
            data = _read(connection, asked)
    except pg8000.Error as error:
        problem, hint = postgres.refusal(error)
        raise BadData(problem, where=asked.where, hint=hint) from error
    query = wanted.lower().startswith(QUERIES)
    return tidied(data, name=name or ("query" if query else wanted.rpartition(".")[2]), origin=asked.where)


def _read(connection: Any, asked: Asked) -> pa.Table:
    cursor = connection.cursor()
    for line in PREPARE:
        cursor.execute(line)
    if asked.wanted.lower().startswith(QUERIES):
        rows = f"({asked.wanted}\n) AS asked"  # on a line of its own, should the query end in a comment
    else:
        rows = _relation(cursor, asked)
    described = connection.execute_unnamed(f"SELECT * FROM {rows} LIMIT 0")  # one statement only, by the protocol
    fields = [(facts["name"], int(facts["type_oid"])) for facts in described.columns]
    schema = _schema(cursor, fields, asked)
    with tempfile.TemporaryFile() as file:
        connection.execute_unnamed(f"COPY (SELECT * FROM {rows}) TO STDOUT WITH (FORMAT csv)", stream=file)
        file.seek(0)
        return _parsed(file, schema, asked)


def _relation(cursor: Any, asked: Asked) -> str:
    """The table or view as SQL. A name without a schema is looked for in the user's own schema first."""
    cursor.execute(RELATIONS)
    found = {f"{scheme}.{table}": (scheme, table) for scheme, table in reversed(cursor.fetchall())}
    short = {table: (scheme, table) for scheme, table in found.values()}
    if asked.wanted not in found and asked.wanted not in short:
        problem = f'there is no table "{asked.wanted}"' if asked.wanted else "the address names no table"
        known = list(reversed([*found, *short]))
        raise BadData(problem, where=asked.where, hint=nearest(asked.wanted, known) or (
            f"it has {', '.join(list(reversed(short))[:5])}" if short else "it has no table that you may see"))
    scheme, table = found.get(asked.wanted) or short[asked.wanted]
    return f"{quoted(scheme)}.{quoted(table)}"


def _schema(cursor: Any, fields: list[tuple[str, int]], asked: Asked) -> pa.Schema:
    numbers = ", ".join(str(oid) for _, oid in fields)
    cursor.execute(f"SELECT oid, typname, typcategory FROM pg_catalog.pg_type WHERE oid IN ({numbers})")
    types = {int(oid): (kind, str(category)) for oid, kind, category in cursor.fetchall()}
    for column, oid in fields:
        kind, category = types[oid]
        if category in NESTED:
            raise BadData(f'column "{column}" holds {NESTED[category]} ({kind.lstrip("_")})', where=asked.where,
                          hint="name the columns in a query: postgresql://…#SELECT a, array_to_string(b, ' ') "
                          "AS b FROM …")
    return pa.schema([(column, ARROW.get(types[oid][0], pa.string())) for column, oid in fields])


def _parsed(file: Any, schema: pa.Schema, asked: Asked) -> pa.Table:
    if not file.read(1):
        return schema.empty_table()
    file.seek(0)
    places = [str(place) for place in range(len(schema))]
    try:
        found = csv.read_csv(
            file, csv.ReadOptions(column_names=places),
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict(zip(places, schema.types, strict=True)), null_values=[""],
                               strings_can_be_null=True, true_values=["t"], false_values=["f"]))
    except pa.ArrowException as error:
        at = next((schema.names[n] for n in range(len(schema)) if f"#{n}:" in str(error)), "")
        raise BadData(f'column "{at}" holds a value that cannot be read: {str(error).rpartition(": ")[2]}' if at
                      else f"the rows cannot be read: {error}", where=asked.where,
                      hint="an infinite time or one before Christ is no time here: leave it out by a query") from error
    return found.rename_columns(schema.names)
