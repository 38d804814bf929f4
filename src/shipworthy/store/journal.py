"""What a long writing job had done when it was killed, so that the next run goes on from there.

Beside the file to be written stands a folder `.NAME.unfinished` with all that is not final: the file itself, the tables
that it is made of as Arrow streams one after another, and a small state that says how many bytes of them are whole.
The state is replaced only after those bytes are on disk; what lies beyond them is cut off. A file whose end is written
last, such as Parquet, cannot be continued, so it is written again from the tables, which is quick.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.ipc

from shipworthy.errors import Misuse, StoreError
from shipworthy.store.files import lock, told, write_bytes


class State(msgspec.Struct, frozen=True):
    """job: what must be the same for a run to go on. rows: done. size: bytes of the tables that hold them."""

    job: dict[str, Any]
    rows: int = 0
    size: int = 0


class Journal:
    """The unfinished work on one file, held by one process. As a context: it is left there if the block raises.

    job: what is done, by name; a run that finds another job unfinished is refused. fresh: forget what was done.
    Raises Misuse naming what changed since, or that another process is at work on the same file.
    """

    def __init__(self, path: Path, job: dict[str, Any], *, fresh: bool = False) -> None:
        self.folder = path.with_name(f".{path.name}.unfinished")
        self.path = self.folder / path.name
        self._final, self._held = path, ExitStack()
        with told(path):
            self.folder.mkdir(exist_ok=True)
        try:
            self._held.enter_context(lock(self.folder / "lock", 0))
        except StoreError as error:
            raise Misuse("another run is writing this file", where=str(path), hint="wait for it, or stop it") from error
        try:
            self._state = State(job) if fresh else self._found(job)
        except Misuse:
            self._held.close()
            raise

    @property
    def rows(self) -> int:
        """How many rows are done."""
        return self._state.rows

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def tables(self) -> Iterator[pa.Table]:
        """The tables that were done, in order."""
        if not self._state.size:
            return
        with told(self.folder), (self.folder / "tables").open("rb") as file:
            while file.tell() < self._state.size:
                yield pyarrow.ipc.open_stream(file).read_all()

    def add(self, table: pa.Table) -> None:
        """Keep a table as done; it is on disk when this returns."""
        tables = self.folder / "tables"
        with told(tables), tables.open("rb+" if tables.exists() else "xb") as file:
            file.truncate(self._state.size)
            file.seek(self._state.size)
            with pyarrow.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        self._state = State(self._state.job, self._state.rows + table.num_rows, size)
        write_bytes(self.folder / "state.json", msgspec.json.encode(self._state))

    def finish(self) -> None:
        """Put the whole file, at `path`, to its final name, and forget the rest."""
        with told(self._final):
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.path, self._final)
        self.forget()

    def forget(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._held.close()

    def _found(self, job: dict[str, Any]) -> State:
        state = State(job)
        with suppress(FileNotFoundError, msgspec.MsgspecError):
            state = msgspec.json.decode((self.folder / "state.json").read_bytes(), type=State)
        known = msgspec.json.decode(msgspec.json.encode(job))
        changed = [name for name in known if state.job.get(name) != known[name]] if state.rows else []
        if changed:
            raise Misuse(f"an earlier run was interrupted after {state.rows:,} rows, and since then this changed: "
                         f"{', '.join(changed)}", where=str(self._final),
                         hint="run it with what it was begun with to go on, or start over: --fresh")
        return state if state.rows else State(job)
