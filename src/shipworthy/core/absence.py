"""Proof of absence: a search of every byte of a folder for words, plain, in common encodings and inside containers.

Compressed pages of Parquet and members of archives are read decoded; what cannot be read is reported, never skipped.
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

DEEP = 4
IN_TEXT = frozenset(("utf-8", "json", "url"))


class Hit(msgspec.Struct, frozen=True):
    """A word where it should not be. file: from the folder searched; `!` leads into a container. how: the encoding."""

    file: str
    word: str
    how: str


class Searched(msgspec.Struct, frozen=True):
    """What a search saw. unread: files that could not be read whole, each with the reason: they prove nothing."""

    files: int
    bytes: int
    hits: tuple[Hit, ...]
    unread: tuple[str, ...] = ()


def search(folder: Path, words: Iterable[str], *, also: Iterable[Path] = ()) -> Searched:
    """Every place under a folder, or in further files, where one of the words stands. words: not empty, not short.

    In text, a word of digits counts only where it is a number of its own; where values may touch, as in a database,
    anywhere.
    """
    wanted = {needle: (word, how) for word in words for how, needle in encodings(word).items()}
    hits: dict[Hit, None] = {}
    unread: list[str] = []
    files = size = 0
    for path in (*sorted(folder.rglob("*")), *also):
        if not path.is_file() or path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            unread.append(f"{name}: {error.strerror}")
            continue
        files, size = files + 1, size + len(raw)
        found = [(name, name.encode())]
        try:
            found += opened(name, raw)
        except UNREADABLE as error:
            found.append((name, raw))
            unread.append(f"{name}: {error}")
        for place, text in found:
            whole = readable(text)
            hits |= {Hit(place, word, how): None for needle, (word, how) in wanted.items()
                     if (stands(word, text) if whole and how in IN_TEXT and word.isdecimal() else needle in text)}
    return Searched(files, size, tuple(hits), tuple(unread))


def readable(raw: bytes) -> bool:
    """Whether bytes are text, in which one value never touches the next."""
    try:
        return "\0" not in raw.decode()
    except UnicodeDecodeError:
        return False


def stands(digits: str, text: bytes) -> bool:
    """Whether digits stand in a text by themselves, and not inside a longer number, word or fraction."""
    edges = rb"(?<![0-9A-Za-z])(?<![0-9]\.)%b(?![0-9A-Za-z])(?!\.[0-9]*[1-9])" % digits.encode()
    return re.search(edges, text) is not None


def encodings(word: str) -> dict[str, bytes]:
    """Name of the encoding → the bytes of a word in it; base64 at each of its three alignments, without its edges."""
    plain = word.encode()
    found = {"utf-8": plain, "utf-16": word.encode("utf-16-le"), "utf-16 big-endian": word.encode("utf-16-be"),
             "hex": plain.hex().encode(), "json": word.encode("ascii", "backslashreplace"),
             "url": quote(word).encode()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        found[f"base64 at {shift}"] = coded[(0, 2, 3)[shift] : len(plain + b"\0" * shift) // 3 * 4]
    return {how: needle for how, needle in found.items() if len(needle) >= 4 and (how == "utf-8" or needle != plain)}


UNREADABLE = (pa.ArrowInvalid, OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError)


def opened(name: str, raw: bytes, *, deep: int = DEEP) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file, and what lies inside it where it is a container, each with its place. Raises UNREADABLE."""
    yield name, raw
    if deep == 0:
        return
    if raw[:4] == raw[-4:] == b"PAR1":
        yield f"{name}!", _parquet(raw)
    elif raw[:2] == b"\x1f\x8b":
        yield from opened(f"{name}!", gzip.decompress(raw), deep=deep - 1)
    elif raw[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for member in archive.namelist():
                yield from opened(f"{name}!{member}", archive.read(member), deep=deep - 1)
    elif raw[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                if file is not None:
                    yield from opened(f"{name}!{entry.name}", file.read(), deep=deep - 1)
    elif raw[:6] == b"ARROW1":
        yield f"{name}!", _words(pa.ipc.open_file(pa.BufferReader(raw)).read_all())


def _parquet(raw: bytes) -> bytes:
    """The decoded words of a Parquet file, and what its footer says of them."""
    with pq.ParquetFile(pa.BufferReader(raw)) as file:
        footer = [str(file.metadata.row_group(group).column(column).statistics)
                  for group in range(file.metadata.num_row_groups) for column in range(file.metadata.num_columns)]
        return _words(file.read()) + "\n".join(footer).encode()


def _words(table: pa.Table) -> bytes:
    """Every value as text, whatever its type; only fractions and truth values name nobody."""
    pieces = []
    for column in table.columns:
        if pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
            continue
        values = [value for value in column.to_pylist() if value is not None]
        pieces.append(b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values))
    return b"\n".join(pieces)
