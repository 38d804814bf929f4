"""A search for absence finds a word in every encoding and container, and owns what it cannot read."""

from __future__ import annotations

import base64
import gzip
import io
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from shipworthy.core.absence import search

WORD = "zq7f3aNadia Ö"


def found(folder: Path, word: str = WORD) -> set[str]:
    return {hit.file for hit in search(folder, [word]).hits}


@pytest.mark.parametrize("raw", [
    WORD.encode(), WORD.encode("utf-16"), WORD.encode("utf-16-be"), WORD.encode().hex().encode(),
    *(base64.b64encode(b"." * shift + WORD.encode() + b"tail") for shift in range(6)),
    b'{"name": "zq7f3aNadia \\xd6"}', b"/?name=zq7f3aNadia%20%C3%96",
])
def test_a_word_is_found_in_every_encoding(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before " + raw + b" after")
    assert found(tmp_path) == {"file"}


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_word_is_found_in_the_pages_of_parquet(compression: str, dictionary: bool, tmp_path: Path) -> None:
    words = [f"somebody {n}" for n in range(5_000)] + [f"it was {WORD}!"]
    table = pa.table({"n": np.arange(len(words)), "deep": [{"name": word} for word in words]})
    pq.write_table(table, tmp_path / "rows.parquet", compression=compression, use_dictionary=dictionary)
    assert "rows.parquet!" in found(tmp_path)
    assert "rows.parquet!" in found(tmp_path, "it was zq7f3a")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view(),
                                  pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())])
def test_a_word_is_found_whatever_the_type_of_its_column(kind: pa.DataType, tmp_path: Path) -> None:
    value = [WORD] if pa.types.is_list(kind) else WORD.encode() if "binary" in str(kind) else WORD
    column = pa.array([value] * 300, pa.list_(pa.string()) if pa.types.is_list(kind) else None).cast(kind)
    pq.write_table(pa.table({"name": column}), tmp_path / "rows.parquet", compression="zstd", write_statistics=False)
    assert "rows.parquet!" in found(tmp_path)


def test_a_number_is_found_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 8_675_309]}), tmp_path / "rows.parquet")
    assert "rows.parquet!" in found(tmp_path, "8675309")


def test_a_word_is_found_inside_containers_of_containers(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"name": [WORD]}), sink, compression="zstd")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.parquet", sink.getvalue())
    with tarfile.open(tmp_path / "backup.tar", "w") as tar:
        info = tarfile.TarInfo("all.zip.gz")
        packed = gzip.compress(inner.getvalue())
        info.size = len(packed)
        tar.addfile(info, io.BytesIO(packed))
    assert "backup.tar!all.zip.gz!!rows.parquet!" in found(tmp_path)


def test_a_deleted_row_is_found_in_the_free_pages_of_a_database(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "index.db")) as connection, connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE t (name TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", [WORD])
        connection.commit()
        connection.execute("DELETE FROM t")
        connection.commit()
    assert "index.db" in found(tmp_path)


def test_a_word_is_found_in_an_arrow_file_with_compressed_buffers(tmp_path: Path) -> None:
    table = pa.table({"name": [WORD] * 500})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(str(tmp_path / "rows.arrow"), table.schema, options=options) as sink:
        sink.write_table(table)
    assert "rows.arrow!" in found(tmp_path)


def test_what_cannot_be_read_is_told_and_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing inside PAR1")
    seen = search(tmp_path, [WORD])
    assert seen.hits == ()
    assert [text.split(":")[0] for text in seen.unread] == ["broken.parquet"]


def test_other_words_are_no_hits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(WORD.encode()[:-1])
    seen = search(tmp_path, [WORD])
    assert (seen.hits, seen.files) == ((), 1)


@pytest.mark.parametrize("text, stands", [
    ('{"id": 1234567}', True), ("1234567", True), ("a,1234567,b\n", True), ("1234567.0", True), ("c-1234567_x", True),
    ('{"share": 0.1234567}', False), ("81234567", False), ("12345678", False), ("ab1234567", False),
    ("1234567.25", False), ("9f1234567e", False), ("of 1234567.", True),
])
def test_digits_in_a_text_count_only_where_they_are_a_number_of_their_own(text: str, stands: bool,
                                                                        tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text, "utf-8")
    assert bool(found(tmp_path, "1234567")) == stands


def test_digits_count_anywhere_in_a_file_where_values_touch(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "rows.db")) as rows:
        rows.execute("create table people (id text, born text)")
        rows.execute("insert into people values ('1234567', '2001-01-01')")
        rows.commit()
    assert found(tmp_path, "1234567") == {"rows.db"}
