"""What people decided instead of the model: kept beside the log of answers, under the prediction id of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from shipworthy.core.clock import DAY
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.answers import Heading, answers
from shipworthy.deployment.integration.log.log import PREDICTIONS
from shipworthy.deployment.integration.log.writer import Writer

OVERRIDES = "overrides"


class Override(msgspec.Struct, frozen=True):
    """One decision of a person in place of a served one. before: what stood until then. at: microseconds since 1970
    UTC."""

    prediction_id: str
    release: str
    decision: str | float
    before: str | float
    by: str
    why: str
    at: int


class Answered(NamedTuple):
    """What was served under a prediction id. classes: of the release; none for a regression."""

    release: str
    classes: tuple[str, ...]
    at: int
    decision: str | float
    abstain: bool


def keep(folder: Path, override: Override) -> None:
    """Append one override to the log, in a file that is closed at once: there are few. Raises StoreError."""
    writer = Writer(folder, OVERRIDES, b"")
    try:
        writer.append(msgspec.msgpack.encode(override))
    finally:
        writer.close()


def overrides(folder: Path, prediction_id: str = "") -> list[Override]:
    """Every override, oldest first; of one prediction if its id is given."""
    decode = msgspec.msgpack.Decoder(Override).decode
    found = [decode(block) for path in segments.segments(folder, OVERRIDES)
             for block in list(segments.blocks(path))[1:] if block]
    return sorted((one for one in found if prediction_id in ("", one.prediction_id)), key=lambda one: one.at)


def answered(folder: Path, prediction_id: str) -> Answered | None:
    """What was served under a prediction id, by the files that nobody has drained yet; None if it is not there."""
    begun = _millisecond(prediction_id)
    for path in _near(folder, begun):
        found = list(segments.blocks(path))
        if len(found) < 2:
            continue
        for block in found[1:]:
            if prediction_id.encode() not in block:
                continue
            rows = answers([block])
            at = rows.ids.index(prediction_id)
            heading = msgspec.msgpack.decode(found[0], type=Heading)
            return Answered(heading.release, heading.classes, rows.at[0], rows.decision[at], rows.abstain[at])
    return None


def _near(folder: Path, millisecond: int) -> Iterator[Path]:
    """The files that may hold an answer of that time, the newest first."""
    since = max(millisecond * 1_000 - DAY, 0)
    yield from (path for path in reversed(segments.segments(folder, PREDICTIONS))
                if not segments.is_older(path, since))


def _millisecond(prediction_id: str) -> int:
    """When an id was given out, in milliseconds since 1970 UTC (RFC 9562, 5.7)."""
    digits = prediction_id.replace("-", "")[:12]
    return int(digits, 16) if digits and all(letter in "0123456789abcdef" for letter in digits) else 0
