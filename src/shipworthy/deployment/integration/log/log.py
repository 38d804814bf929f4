"""The log of what was served and of what came true: how it is written; `read` makes tables of it.

A prediction is in the log before its answer leaves, so an acknowledged answer is never lost to a killed process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.answers import Heading, Served, ServedRow
from shipworthy.deployment.integration.log.labels import LABELS, Counted, Label, LabelLog
from shipworthy.deployment.integration.log.writer import Mode, Writer

Block = TypeVar("Block")
PREDICTIONS, SHADOWS = "predictions", "shadows"


class Arm:
    """What one release answers, or would have answered, in files of its own. Made by `Log`; not for several threads.

    A server keeps an answer and then waits before it sends it, which costs nothing but in mode "durable":

    >>> arm.served(ServedRow(...)); await arm.durable()  # doctest: +SKIP
    """

    def __init__(self, folder: Path, name: str, heading: Heading, mode: Mode) -> None:
        self._writer = Writer(folder, name, msgspec.msgpack.encode(heading), mode=mode)
        self._pack = msgspec.msgpack.Encoder().encode
        self.begin, self.durable, self.close = self._writer.begin, self._writer.durable, self._writer.close

    def served(self, block: Served | ServedRow) -> None:
        """Keep one request's predictions. Raises StoreError when the disk refuses: then do not answer."""
        self._writer.append(self._pack(block))


class Log:
    """The open log of one server process. cut: bytes of half-written blocks that an earlier process left.

    heading: of the release that answers, whose place is `champion`. Further releases write beside it: see `arm`.
    """

    def __init__(self, folder: Path, heading: Heading, *, mode: Mode = "kept") -> None:
        self.folder, self.mode = Path(folder), mode
        self.cut = sum(segments.recover(self.folder, name) for name in (PREDICTIONS, SHADOWS, LABELS))
        self.champion = self.arm(heading)
        self.champion.begin()
        self.served = self.champion.served
        self._labels = LabelLog(self.folder, mode=mode)

    def arm(self, heading: Heading, *, shadow: bool = False) -> Arm:
        """A place for the answers of another release; whoever asks for it closes it.

        shadow: answers that nobody was sent, under the prediction ids of those that were: `predictions` leaves them
        out, and `shadows` reads them.
        """
        return Arm(self.folder, SHADOWS if shadow else PREDICTIONS, heading, self.mode)

    async def durable(self) -> None:
        """Wait until the disk has all that `served` and `labelled` were given; at once unless the mode is "durable".

        Everybody who waits shares one wait of the disk. Raises StoreError when it failed: then do not answer.
        """
        await self.champion.durable()
        await self._labels.durable()

    def labelled(self, labels: Sequence[Label]) -> Counted:
        """Keep labels, all or none of them. Raises StoreError when the disk refuses."""
        return self._labels.keep(labels)

    def close(self) -> None:
        self.champion.close()
        self._labels.close()


def decoded(found: Sequence[bytes], kind: type[Block]) -> list[Block]:
    """Blocks of a kind; an empty one, as a power cut leaves behind, holds nothing."""
    decoder = msgspec.msgpack.Decoder(kind)
    return [decoder.decode(block) for block in found if block]
