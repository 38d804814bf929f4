"""The record of an answer: the blocks that a server writes, and their rows as columns.

A block is MessagePack, an array without names: what all blocks of a file share is said once, in its heading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shipworthy.deployment.integration.serving.record import Field


class Heading(msgspec.Struct, frozen=True):
    """The first block of a file of predictions: what every block in it shares.

    influenced: as [feedback] declares it.
    """

    release: str
    classes: tuple[str, ...]
    fields: tuple[Field, ...]
    influenced: str | tuple[str, ...] = "unknown"


class Served(msgspec.Struct, frozen=True, array_like=True):
    """One block: the predictions of one request, by column. at: microseconds since 1970 UTC."""

    ids: list[str]
    at: int
    arm: str
    propensity: float
    score: list[float]
    decision: list[Any]
    abstain: list[bool]
    columns: list[list[Any]]


class ServedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One block: the prediction of a request of one row, packed in half the time of a `Served` of one.

    values: of the fields, in their order.
    """

    id: str
    at: int
    arm: str
    propensity: float
    score: float
    decision: Any
    abstain: bool
    values: tuple[Any, ...]


class ExploredRow(ServedRow, frozen=True, array_like=True, gc=False):
    """One block where chance may have had a say. noise: on the score that was sent; `score` is without it.

    explored: whether the action could have been another; then propensity is the chance of the one taken.
    """

    noise: float = 0.0
    explored: bool = False


class Explored(Served, frozen=True, array_like=True):
    """Several rows of one chance. noise: of every row; none where it is empty. explored: as for `ExploredRow`."""

    noise: list[float] = []
    explored: bool = False


class Answers(msgspec.Struct, frozen=True):
    """The rows of many blocks, by column. sizes: rows of each block. values: of the fields, a tuple for each row."""

    sizes: list[int]
    ids: list[str]
    at: list[int]
    arm: list[str]
    propensity: list[float]
    score: list[float]
    decision: list[Any]
    abstain: list[bool]
    values: list[tuple[Any, ...]]
    noise: list[float]
    explored: list[bool]


def answers(blocks: Iterable[bytes]) -> Answers:
    """The rows of blocks, in their order; an empty block, as a power cut leaves behind, holds none."""
    rows = Answers([], [], [], [], [], [], [], [], [], [], [])
    many, one = msgspec.msgpack.Decoder(Explored).decode, msgspec.msgpack.Decoder(ExploredRow).decode
    for block in filter(None, blocks):
        if _is_array(block[1]):
            _extend(rows, many(block))
        else:
            row = one(block)
            rows.sizes.append(1)
            rows.ids.append(row.id)
            rows.at.append(row.at)
            rows.arm.append(row.arm)
            rows.propensity.append(row.propensity)
            rows.score.append(row.score)
            rows.decision.append(row.decision)
            rows.abstain.append(row.abstain)
            rows.values.append(row.values)
            rows.noise.append(row.noise)
            rows.explored.append(row.explored)
    return rows


def _extend(rows: Answers, block: Explored) -> None:
    size = len(block.ids)
    rows.sizes.append(size)
    rows.ids.extend(block.ids)
    rows.at.extend([block.at] * size)
    rows.arm.extend([block.arm] * size)
    rows.propensity.extend([block.propensity] * size)
    rows.score.extend(block.score)
    rows.decision.extend(block.decision)
    rows.abstain.extend(block.abstain)
    rows.values.extend(zip(*block.columns) if block.columns else [()] * size)
    rows.noise.extend(block.noise or [0.0] * size)
    rows.explored.extend([block.explored] * size)


def _is_array(code: int) -> bool:
    """Whether what begins with this byte is an array, as the ids of many rows are (MessagePack specification)."""
    return 0x90 <= code <= 0x9F or code in (0xDC, 0xDD)
