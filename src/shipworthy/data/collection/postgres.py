"""PostgreSQL tables, by SQLAlchemy."""

from __future__ import annotations

import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.data.collection.places import divide
from shipworthy.data.collection.tidy import finish
from shipworthy.data.collection.values import column_of
from shipworthy.errors import BadData, nearest
from shipworthy.marks import connector

BATCH = 50_000


@connector("postgresql", schemes=("postgresql", "postgres"))
def read_postgres(address: str, *, name: str = "") -> Table:
    """A table from "postgresql://user@host/database#schema.table", streamed from the server.

    Raises BadData without the password when the server, the table or the driver is missing.
    """
    import sqlalchemy as sa

    place, wanted = divide(address)
    scheme, table = "public", wanted
    if "." in wanted:
        scheme, _, table = wanted.partition(".")
    shown = f"{place.split('@')[-1]}#{wanted}"
    try:
        engine = sa.create_engine(
            place.replace("postgres://", "postgresql://").replace("postgresql://", "postgresql+psycopg://")
        )
    except ModuleNotFoundError as error:
        raise BadData(
            "reading PostgreSQL needs psycopg", where=shown, hint="pip install 'shipworthy[postgres]'"
        ) from error
    try:
        names = sa.inspect(engine).get_table_names(schema=scheme)
        if table not in names:
            raise BadData(
                f'there is no table "{wanted}"',
                where=shown,
                hint=nearest(table, names) or f"it has {', '.join(names[:5])}",
            )
        source = sa.Table(table, sa.MetaData(), schema=scheme, autoload_with=engine)
        data = _stream(engine, source)
    except sa.exc.SQLAlchemyError as error:
        raise BadData("the database cannot be read", where=shown, hint=type(error).__name__) from error
    finally:
        engine.dispose()
    return finish(data, name=name or table, origin=shown)


def _stream(engine: object, source: object) -> pa.Table:
    import sqlalchemy as sa

    assert isinstance(engine, sa.Engine) and isinstance(source, sa.Table)
    names = [column.name for column in source.columns]
    pieces = []
    with engine.connect().execution_options(stream_results=True, yield_per=BATCH) as connection:
        for rows in connection.execute(sa.select(source)).partitions():
            pieces.append(
                pa.Table.from_arrays([column_of([row[n] for row in rows]) for n in range(len(names))], names=names)
            )
    if not pieces:
        raise BadData("the table has no rows", where=source.name, hint="name a table that has rows: address#table")
    return pa.concat_tables(pieces, promote_options="permissive")
