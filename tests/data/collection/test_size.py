"""A source that the machine cannot hold is refused with a way out; rows drawn from it are the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shipworthy.data.collection.read import read
from shipworthy.data.collection.size import drawn, largest
from shipworthy.errors import BadData

ROWS = 250_000


def batches(size: int, rows: int = ROWS) -> tuple[list[pa.RecordBatch], pa.Schema]:
    table = pa.table({"n": np.arange(rows)})
    return table.to_batches(max_chunksize=size), table.schema


def test_drawn_rows_are_as_many_as_asked_in_order_and_the_same_in_any_batches() -> None:
    found = [drawn(*batches(size), 1_000)["n"].to_pylist() for size in (1_000, 7_777, ROWS)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 1_000
    assert found[0] == sorted(set(found[0]))


def test_every_part_and_every_phase_of_the_table_is_drawn_alike() -> None:
    """χ² over ten parts and over the 24 phases of a daily cycle; 50 is beyond chance for either."""
    n = drawn(*batches(10_000), 24_000)["n"].to_numpy()
    for groups in (n // (ROWS // 10), n % 24):
        counts = np.bincount(groups)
        assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 50


def test_fewer_rows_than_asked_are_all_of_them() -> None:
    assert drawn(*batches(10, 30), 1_000)["n"].to_pylist() == list(range(30))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    table = pa.table({"n": np.arange(20_000), "x": np.arange(20_000) / 7})
    pq.write_table(table, tmp_path / "a.parquet")
    lines = list(zip(table["n"].to_pylist(), table["x"].to_pylist(), strict=True))
    (tmp_path / "a.csv").write_text("n,x\n" + "".join(f"{n},{x!r}\n" for n, x in lines))
    (tmp_path / "a.jsonl").write_text("".join(f'{{"n": {n}, "x": {x!r}}}\n' for n, x in lines))
    return tmp_path


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
def test_a_table_larger_than_memory_allows_is_refused_with_the_rows_that_fit(files: Path, name: str) -> None:
    with pytest.raises(BadData) as caught:
        read(str(files / name), most_bytes=100_000)
    assert caught.value.problem == "the table takes more than 0.1 MB, a tenth of this machine's memory"
    assert caught.value.where == str(files / name)
    assert caught.value.hint == "read a part of it, drawn at random: [[source]] rows = 6000, or --rows 6000"
    assert read(str(files / name), most_bytes=100_000, rows=6_000).rows == 6_000


def test_every_format_draws_the_same_rows_and_notes_it(files: Path) -> None:
    found = [read(str(files / name), rows=100) for name in ("a.csv", "a.parquet", "a.jsonl")]
    assert found[0].digest == found[1].digest == found[2].digest
    assert found[0].notes["rows"] == "100 rows, drawn at random"


def test_a_folder_and_a_frame_are_held_to_the_same_limit(files: Path) -> None:
    (files / "a.jsonl").unlink()
    with pytest.raises(BadData, match="the files take more than 0.4 MB together"):
        read(str(files), most_bytes=400_000)
    assert read(str(files), rows=50).rows == 50
    frame = pa.table({"n": np.arange(20_000)})
    assert read(frame, rows=50).rows == 50
    with pytest.raises(BadData, match="the table takes more than 0.1 MB"):
        read(frame, most_bytes=100_000)


def test_a_tenth_of_a_machine_is_more_than_a_small_table() -> None:
    assert largest() > 10_000_000
