"""Addresses: which file or table is meant, and whether it is there."""

from __future__ import annotations

from pathlib import Path

from shipworthy.core.address import divide as divide
from shipworthy.core.address import table_name as table_name
from shipworthy.errors import BadData, nearest

WHERE = "check the path, and from which folder it is meant"
MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive or Excel workbook",
    b"SQLite for": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"ARROW1": "an Arrow file",
}


def local(address: str) -> Path:
    """The path of a file that exists, is a file, is not empty and may be read. Raises BadData."""
    path = Path(address.removeprefix("file://")).expanduser()
    if not path.exists():
        near = nearest(path.name, [each.name for each in path.parent.iterdir()]) if path.parent.is_dir() else ""
        raise BadData("there is no such file", where=address, hint=near or WHERE)
    if path.is_dir():
        raise BadData("this is a folder, not a file", where=address,
                      hint="name one table in it, or a pattern such as *.csv")
    try:
        with path.open("rb") as stream:
            head = stream.read(1)
    except OSError as error:
        raise BadData(f"the file cannot be read: {error.strerror}", where=address,
                      hint="check its permissions") from error
    if not head:
        raise BadData("the file is empty", where=address, hint="check that the export finished")
    return path


def what_is(head: bytes) -> str:
    """What the first bytes of a file say that it is; empty if they say nothing."""
    return next((meaning for magic, meaning in MAGIC.items() if head.startswith(magic)), "")
