"""A party as a process of its own: reads its Parquet rows, and answers over a socket with masked sums until stopped.

    python -m shipworthy.learning.privacy.federated.party HOST PORT ROWS
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext, SSLEOFError, SSLError, SSLZeroReturnError
from threading import Event
from time import monotonic

import msgspec
import numpy as np

from shipworthy.core.features import Features
from shipworthy.core.model import encode_target
from shipworthy.core.table import Table
from shipworthy.errors import BadData, Misuse
from shipworthy.learning.privacy.federated.asked import Start, Stop, understood
from shipworthy.learning.privacy.federated.lines import ready
from shipworthy.learning.privacy.federated.masks import Seeds
from shipworthy.learning.privacy.federated.rows import Rows

HEAD = 8
PAUSE_SECONDS = 0.5


def answering(encoded: Callable[[Start], Rows]) -> Callable[[bytes], bytes]:
    """The function from a request to the reply of a party, whatever carries them.

    encoded: what a start says → the rows of the party. The first reply is a public key; every other one is a masked
    sum, under masks that are never used again. Raises BadData for a request that is malformed, or fits no rows.
    """
    seeds, turn = Seeds(), 0
    state: list[Rows] = []

    def answer(request: bytes) -> bytes:
        nonlocal turn
        asked = understood(request) if request else None
        if asked is None or isinstance(asked, Stop):
            return seeds.public
        turn += 1
        if isinstance(asked, Start):
            with clear("start"):
                state[:] = [encoded(asked)]
                seeds.agree(asked.own, asked.publics)
            return b""
        if not state:
            raise Misuse("a sum was asked for before the parties had agreed on keys", where="federated training",
                         hint="begin with a start")
        with clear(type(asked).__name__.lower()):
            return seeds.masked(state[0].answer(asked), turn).tobytes()

    return answer


@contextmanager
def clear(what: str) -> Iterator[None]:
    """Raise BadData where a request does not fit the rows: places, lengths or keys that its own start does not give."""
    try:
        yield
    except (msgspec.MsgspecError, ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise BadData(f"a request does not fit these rows: {error}", where=f"federated training, {what}",
                      hint="both ends must run the same version: compare shipworthy --version") from error


def from_table(table: Table, asked: Start) -> Rows:
    """The rows of a table, encoded as every party's are."""
    features = msgspec.json.decode(asked.features, type=Features)
    truth = encode_target(table, asked.target, asked.classes)
    return Rows(features.matrix(table), np.asarray(truth, np.int64), features.inputs)


def send(to: socket.socket, message: bytes) -> None:
    """One message, after its length."""
    to.sendall(len(message).to_bytes(HEAD, "little") + message)


def receive(of: socket.socket) -> bytes:
    """One message. Raises ConnectionError where the other end is gone."""
    return _exactly(of, int.from_bytes(_exactly(of, HEAD), "little"))


def _exactly(of: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = of.recv(min(count, 1 << 20))
        if not part:
            raise ConnectionError("the other end is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def answer_line(line: socket.socket, answer: Callable[[bytes], bytes]) -> bool:
    """Answer until told to stop, then True; False where the other end is gone before."""
    while True:
        try:
            request = receive(line)
        except ConnectionError:
            return False
        if request and isinstance(understood(request), Stop):
            return True
        send(line, answer(request))


def read(rows: Path) -> Callable[[], Callable[[bytes], bytes]]:
    """Answers from a Parquet file, read once; with keys of its own for every training. Raises BadData."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = Table.of(pq.read_table(rows), name=rows.stem, origin=str(rows))
    except (OSError, pa.ArrowInvalid) as error:
        raise BadData("the file is missing or no Parquet", where=str(rows), hint="a party's rows are one Parquet file"
                      ) from error
    return lambda: answering(lambda asked: from_table(table, asked))


def join(rows: Path, to: tuple[str, int], tls: SSLContext, *, seconds: float, told: Callable[[str], None]) -> int:
    """Call a project elsewhere and answer, training after training, until it has not listened for so many seconds.

    told: hears a sentence when a training begins and ends. Returns how many ended as they should. Raises BadData where
    the other end is not who it should be.
    """
    answers, ended, patience = read(rows), 0, Event()
    until = monotonic() + seconds
    while monotonic() < until:
        try:
            with socket.create_connection(to, timeout=seconds) as plain, tls.wrap_socket(plain) as line:
                told("a line is open")
                ended += answer_line(ready(line, seconds), answers())
                told(f"{ended} trainings ended as they should")
                until = monotonic() + seconds
        except (SSLEOFError, SSLZeroReturnError):
            patience.wait(PAUSE_SECONDS)
        except SSLError as error:
            raise BadData(f"the other end is not who it should be, or does not know us: {error.reason}",
                          where=f"{to[0]}:{to[1]}", hint="exchange certificates again: the .crt files") from error
        except OSError:
            patience.wait(PAUSE_SECONDS)
    return ended


def main(host: str, port: str, rows: str) -> None:
    """Answer a project of this machine until told to stop, or until it is gone."""
    answer = read(Path(rows))()
    with socket.create_connection((host, int(port))) as line:
        answer_line(line, answer)


if __name__ == "__main__":
    main(*sys.argv[1:4])
