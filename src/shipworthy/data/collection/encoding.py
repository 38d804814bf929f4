"""The encoding of a text file: byte order mark, strict UTF-8, then statistics."""

from __future__ import annotations

import bz2
import codecs
import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

from shipworthy.data.collection.places import what_is
from shipworthy.errors import BadData

CHUNK = 1 << 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(path: Path) -> str:
    """The Python name of a text file's encoding. Raises BadData when the file is not text.

    Strict UTF-8 is tried on the whole file before any statistics; those see the first 256 kB that fail.
    """
    with opened(path) as stream:
        head = stream.read(CHUNK)
        meaning = what_is(head)
        if meaning:
            raise BadData(f"the file is {meaning}, not a text table", where=str(path),
                          hint="rename it to its true suffix")
        for mark, name in MARKS:
            if head.startswith(mark):
                return name
        if b"\0" in head:
            raise BadData("the file is binary, not a text table", where=str(path), hint="export it as CSV or Parquet")
        return "utf-8" if _is_utf8(head, stream) else _guess(path, head)


@contextmanager
def as_utf8(path: Path, encoding: str) -> Iterator[Path]:
    """The path of the same text in UTF-8; a temporary copy, written in pieces, when it is in another encoding."""
    if encoding in ("utf-8", "utf-8-sig", "ascii"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / (path.name.removesuffix(".gz").removesuffix(".bz2"))
        decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
        with opened(path) as source, copy.open("wb") as out:
            try:
                while piece := source.read(CHUNK):
                    out.write(decoder.decode(piece).encode())
                out.write(decoder.decode(b"", True).encode())
            except UnicodeError as error:
                raise BadData("the file is neither UTF-8 nor any other text that is known", where=str(path),
                              hint="if it is a text table, save it again as UTF-8") from error
        yield copy


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile | bz2.BZ2File]:
    """The bytes of a file, unpacked when its name ends in .gz or .bz2. Raises BadData when they are damaged."""
    try:
        with _open(path) as stream:
            yield stream
    except (EOFError, OSError) as error:
        raise BadData(
            f"the file cannot be read: {error}",
            where=str(path),
            hint="check its permissions; if it is packed, pack it again: the archive is damaged or cut off",
        ) from error


def _open(path: Path) -> BinaryIO | gzip.GzipFile | bz2.BZ2File:
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(path, "rb")
    return bz2.BZ2File(path, "rb") if path.suffix.lower() == ".bz2" else path.open("rb")


def _is_utf8(head: bytes, stream: BinaryIO | gzip.GzipFile | bz2.BZ2File) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
    try:
        piece = head
        while piece:
            decoder.decode(piece)
            piece = stream.read(CHUNK)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _guess(path: Path, head: bytes) -> str:
    best = from_bytes(head[: 1 << 18]).best()
    if best is None:
        return "cp1252"
    if best.encoding in ("ascii", "utf_8"):
        return "cp1252"
    return str(best.encoding)
