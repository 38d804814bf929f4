"""A folder or pattern of files that are parts of one table."""

from __future__ import annotations

import glob
from pathlib import Path

import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.data.collection.sqlite import sqlite_tables
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData

READABLE = (
    ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".parquet", ".pq", ".arrow", ".feather", ".jsonl", ".ndjson",
    ".jsonl.gz", ".xlsx", ".xls", ".ods",
)
DATABASES = (".db", ".sqlite", ".sqlite3")
HIDDEN = (".", "_")


def list_sources(folder: str | Path) -> tuple[str, ...]:
    """The address of every readable table below a folder, sorted; each table of a database by itself.

    Raises BadData when the folder is missing or holds no table.
    """
    root = Path(folder)
    if not root.exists():
        raise BadData("there is no such folder", where=str(folder), hint="name a folder that holds tables")
    if root.is_file():
        return _tables(root)
    found = [address for path in sorted(root.rglob("*")) if _wanted(path, root) for address in _tables(path)]
    if not found:
        raise BadData("the folder holds no table", where=str(folder),
                      hint="it may hold CSV, Parquet, Arrow, JSON lines, Excel or SQLite files")
    return tuple(found)


def parts_of(address: str) -> tuple[str, ...]:
    """The files of a folder or pattern, sorted. Raises BadData when there is none."""
    if Path(address).is_dir():
        return tuple(each for each in list_sources(address) if "#" not in each)
    found = sorted(path for path in glob.glob(address, recursive=True) if Path(path).is_file())
    if not found:
        raise BadData("no file matches the pattern", where=address,
                      hint="check the pattern; * stands for part of a name, ** for any folders")
    return tuple(found)


def stack(parts: list[Table], *, name: str, origin: str) -> Table:
    """One table of all rows, in order; columns must agree, integers and decimals meet as decimals.

    Raises BadData naming the first file whose columns differ.
    """
    first = parts[0]
    for part in parts[1:]:
        missing = [each for each in first.schema.names if each not in part.schema]
        extra = [each for each in part.schema.names if each not in first.schema]
        if missing or extra:
            problem = f'column "{missing[0]}" is missing' if missing else f'column "{extra[0]}" is new'
            raise BadData(f"{problem}; every file of one table needs the same columns", where=part.origin,
                          hint=f"the first file is {first.origin}; name one table, or list them as [[source]]")
    try:
        data = pa.concat_tables([part.data.select(list(first.schema.names)) for part in parts],
                                promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BadData(f"the files disagree about a type: {error}", where=origin,
                      hint="make that column one type in all files, or read them as separate sources") from error
    notes = {key: note for part in parts for key, note in part.notes.items()}
    return tidied(data, name=name, origin=origin, notes=notes)


def _wanted(path: Path, root: Path) -> bool:
    inside = path.relative_to(root).parts
    return path.is_file() and not any(part.startswith(HIDDEN) for part in inside)


def _tables(path: Path) -> tuple[str, ...]:
    lower = path.name.lower()
    if lower.endswith(READABLE):
        return (str(path),)
    if lower.endswith(DATABASES):
        return tuple(f"{path}#{table}" for table in sqlite_tables(str(path)))
    return ()
