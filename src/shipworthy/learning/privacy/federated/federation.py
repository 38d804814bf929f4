"""The coordinator's side: asks every party the same, adds their answers up, and keeps a transcript of what came."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import msgspec
import numpy as np

from shipworthy.core.features import Features
from shipworthy.core.private import Message
from shipworthy.core.project import Federated
from shipworthy.core.table import Floats
from shipworthy.errors import BadData
from shipworthy.learning.privacy.federated.asked import Asked, Start, Stop
from shipworthy.learning.privacy.federated.lines import address, context, pinned, ready
from shipworthy.learning.privacy.federated.masks import opened
from shipworthy.learning.privacy.federated.party import receive, send

Carry = Callable[[Sequence[bytes]], list[bytes]]
LOOK_SECONDS, HELLO_SECONDS = 0.5, 5.0
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
def gathered(rules: Federated, *, own: Callable[[bytes], bytes] | None = None) -> Iterator[Federation]:
    """A federation of a process of this machine for each Parquet file and of callers by TLS; ended with the block.

    rules: with absolute paths. own: answers for the rows of this process, which are one party more.

    Raises BadData when one is lost or silent for too long: masks no longer cancel, so the training is over.
    """
    made: list[subprocess.Popen[bytes]] = []
    lines: list[socket.socket] = []
    try:
        lines += _local(rules, made)
        lines += _called(rules, len(lines))
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


def _local(rules: Federated, made: list[subprocess.Popen[bytes]]) -> Iterator[socket.socket]:
    """The lines of processes of this machine, which are put into `made` as soon as they are started."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(LOOK_SECONDS)
        host, port = door.getsockname()[:2]
        command = [sys.executable, "-m", "shipworthy.learning.privacy.federated.party", host, str(port)]
        for path in rules.parties:
            made.append(subprocess.Popen([*command, path], env={**os.environ, "OMP_NUM_THREADS": "1"}))
        for place in range(len(made)):
            yield ready(_accepted(door, made, place, rules.seconds), rules.seconds)


def _called(rules: Federated, before: int) -> list[socket.socket]:
    """The lines of the parties elsewhere, in the order in which they are named; whoever else calls is hung up on.

    Raises BadData where one has not called in time.
    """
    if not rules.callers:
        return []
    named = [Path(one) for one in rules.callers]
    tls = context(Path(rules.key), named, server=True)
    lines: dict[int, socket.socket] = {}
    until = monotonic() + rules.seconds
    with socket.create_server(address(rules.listen, "[federated] listen")) as door:
        door.settimeout(LOOK_SECONDS)
        while len(lines) < len(named):
            if monotonic() > until:
                for line in lines.values():
                    line.close()
                raise _lost(before + min(set(range(len(named))) - set(lines)))
            try:
                plain = door.accept()[0]
            except TimeoutError:
                continue
            try:
                line = tls.wrap_socket(ready(plain, min(rules.seconds, HELLO_SECONDS)), server_side=True)
            except OSError:
                plain.close()
                continue
            which = pinned(line, named)
            if which < 0 or which in lines:
                line.close()
                continue
            lines[which] = ready(line, rules.seconds)
    return [lines[which] for which in range(len(named))]


def _accepted(
    door: socket.socket, made: Sequence[subprocess.Popen[bytes]], place: int, seconds: float
) -> socket.socket:
    """The line of the next party to call. Raises BadData where a process ended before, or none calls in time."""
    for _ in range(max(1, int(seconds / LOOK_SECONDS))):
        try:
            return door.accept()[0]
        except TimeoutError:
            if any(process.poll() is not None for process in made):
                break
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
