from __future__ import annotations

import pyarrow as pa

from shipworthy.core.rows import also_in
from shipworthy.core.table import Table


def test_a_row_is_the_same_when_every_column_is() -> None:
    ours = Table.of({"id": [1, 2, 3], "x": [0.5, None, 0.7]})
    theirs = Table.of({"id": [2, 3, 1], "x": [None, 0.71, 0.5]})
    assert also_in(ours, theirs).tolist() == [True, True, False]


def test_columns_that_are_set_aside_or_of_one_table_only_do_not_count() -> None:
    ours = Table.of({"id": [1, 2], "note": ["a", "b"], "new": [1, 1]})
    theirs = Table.of({"id": [1, 2], "note": ["c", "d"], "old": [0, 0]})
    assert not also_in(ours, theirs).any()
    aside = ours.with_schema(ours.schema.replace("note", role="ignored"))
    assert also_in(aside, theirs).all()


def test_a_column_of_another_type_is_compared_by_its_words() -> None:
    ours = Table.of({"x": [1, 2], "c": pa.array(["a", "b"]).dictionary_encode()})
    assert also_in(ours, Table.of({"x": [1.0, 3.0], "c": ["a", "b"]})).tolist() == [True, False]


def test_tables_without_a_common_column_have_no_common_row() -> None:
    assert not also_in(Table.of({"x": [1]}), Table.of({"y": [1]})).any()
