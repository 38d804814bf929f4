"""The coordinator's side: asks every party the same, adds their answers up, and keeps a transcript of what came."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from shipworthy.core.features import Features
from shipworthy.core.private import Message
from shipworthy.core.table import Floats
from shipworthy.errors import BadData
from shipworthy.learning.privacy.federated.asked import Asked, Start, Stop
from shipworthy.learning.privacy.federated.masks import opened
from shipworthy.learning.privacy.federated.party import receive, send

Carry = Callable[[Sequence[bytes]], list[bytes]]
SECONDS, LOOK_SECONDS = 60.0, 0.5
FEWEST = 3


class Federation:
    """Parties that have agreed on keys. carry: one request to each, in their order → one reply from each.

    transcript: every message that a party sent, in order, without its numbers.
    """

    def __init__(self, carry: Carry, parties: int) -> None:
        self._carry, self.parties, self.turn = carry, parties, 0
        self.transcript: list[Message] = []

    def start(self, features: Features, target: str, classes: tuple[str, ...]) -> None:
        """Exchange keys, and tell every party how rows become inputs. Raises BadData for fewer than three parties.

        With two, either knows what the other sent.
        """
        if self.parties < FEWEST:
            raise BadData(f"{self.parties} parties are too few: a sum of two tells each what the other has",
                          where="federated training", hint="at least three are needed")
        publics = dict(enumerate(self._carry([b""] * self.parties)))
        self.turn = 1
        self._carry([msgspec.msgpack.encode(Start(own, publics, msgspec.json.encode(features), target, classes))
                     for own in range(self.parties)])

    def ask(self, asked: Asked, values: int) -> Floats:
        """The sum of what the parties answer, (values,).

        Raises BadData where one sends another number of values: its rows, perhaps. The answers are thrown away.
        """
        self.turn += 1
        replies = self._carry([msgspec.msgpack.encode(asked)] * self.parties)
        about = type(asked).__name__.lower()
        self.transcript += [Message(party, self.turn, about, len(reply) // 8, values)
                            for party, reply in enumerate(replies)]
        wrong = [party for party, reply in enumerate(replies) if len(reply) != 8 * values]
        if wrong:
            raise BadData(f"party {wrong[0]} sent {len(replies[wrong[0]]) // 8:,} values where a sum has {values:,}",
                          where=f"federated training, {about}", hint="its program is not ours; leave it out")
        return opened([np.frombuffer(reply, "<u8").astype(np.uint64) for reply in replies])


@contextmanager
def processes(
    files: Sequence[Path], *, own: Callable[[bytes], bytes] | None = None, seconds: float = SECONDS
) -> Iterator[Federation]:
    """A federation of processes of this machine, one for each Parquet file; ended with the block.

    own: answers for the rows of this process, which are one party more.

    Raises BadData when one is lost or silent for so many seconds: masks no longer cancel, so the training is over.
    """
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(LOOK_SECONDS)
        host, port = door.getsockname()[:2]
        command = [sys.executable, "-m", "shipworthy.learning.privacy.federated.party", host, str(port)]
        made = [subprocess.Popen([*command, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"}) for path in files]
        lines: list[socket.socket] = []
        try:
            for place in range(len(files)):
                lines.append(_accepted(door, made, place, seconds))
            here = [own] if own else []

            def carry(requests: Sequence[bytes]) -> list[bytes]:
                sent = _carried(lines, requests[len(here) :])
                return [answer(request) for answer, request in zip(here, requests, strict=False)] + sent

            yield Federation(carry, len(here) + len(lines))
            for line in lines:
                send(line, msgspec.msgpack.encode(Stop()))
        finally:
            for line in lines:
                line.close()
            for process in made:
                process.terminate()
                process.wait()


def _accepted(
    door: socket.socket, made: Sequence[subprocess.Popen[bytes]], place: int, seconds: float
) -> socket.socket:
    """The line of the next party to call. Raises BadData where a process ended before, or none calls in time."""
    for _ in range(max(1, int(seconds / LOOK_SECONDS))):
        try:
            line = door.accept()[0]
        except TimeoutError:
            if any(process.poll() is not None for process in made):
                break
            continue
        line.settimeout(seconds)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line
    raise _lost(place)


def _carried(lines: Sequence[socket.socket], requests: Sequence[bytes]) -> list[bytes]:
    for place, (line, request) in enumerate(zip(lines, requests, strict=True)):
        try:
            send(line, request)
        except OSError as error:
            raise _lost(place) from error
    replies = []
    for place, line in enumerate(lines):
        try:
            replies.append(receive(line))
        except OSError as error:
            raise _lost(place) from error
    return replies


def _lost(place: int) -> BadData:
    return BadData(f"party {place + 1} of the others is lost, and without it no sum can be opened",
                   where="federated training", hint="start the training again with the parties that are there")
