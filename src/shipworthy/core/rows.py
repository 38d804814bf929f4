"""Which rows are the same: one hash a row, and the rows of one table that another holds too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from shipworthy.core.table import Ints, Mask, Table, to_words


def row_hashes(data: pa.Table) -> Ints:
    """(n,) one hash a row; equal rows have equal hashes within one process."""
    if not data.num_columns or not data.num_rows:
        return np.zeros(data.num_rows, np.int64)
    frame = pl.DataFrame({name: pl.Series(data[name]) for name in sorted(data.column_names)})
    found: Ints = frame.hash_rows(seed=7).to_numpy().view(np.int64)
    return found


def groups(rows: Table) -> npt.NDArray[np.str_] | None:
    """(n,) the group of every row, whose rows are not independent; None where the schema names no group."""
    column = rows.schema.one("group")
    return None if column is None else np.array([str(word) for word in rows.words(column.name)])


def also_in(table: Table, other: Table) -> Mask:
    """(n,) whether each row of the table is a row of the other too.

    Compared are the columns that both have and that are not set aside, identifiers and times included; a column whose
    type differs is compared by its words. Without such a column no row is the same.
    """
    names = [column.name for column in table.schema.columns
             if column.role not in ("ignored", "suspect") and column.name in other.schema]
    if not names:
        return np.zeros(table.rows, np.bool_)
    unlike = {name for name in names if table.data[name].type != other.data[name].type}
    ours, theirs = (row_hashes(_alike(one, names, unlike)) for one in (table, other))
    return np.asarray(np.isin(ours, theirs), np.bool_)


def _alike(table: Table, names: list[str], unlike: set[str]) -> pa.Table:
    return pa.table({name: pa.array(to_words(table.data[name]), pa.string()) if name in unlike else table.data[name]
                     for name in names})
