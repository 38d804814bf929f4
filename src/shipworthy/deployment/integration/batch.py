"""Scoring a table in pieces: on all cores, in order, with the answers that the server would give."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa

from shipworthy.core.cleaning import Times, Truths
from shipworthy.core.features import Moment
from shipworthy.core.model import Model
from shipworthy.core.predictions import Predictions
from shipworthy.core.table import Floats, Mask, Table
from shipworthy.errors import BadData

AHEAD = 2  # pieces that wait for a core, so that none is idle while others are read and written
MOST_THREADS = 16
A = TypeVar("A")
B = TypeVar("B")


class Piece(Protocol):
    """Some rows of a file, after `first` others."""

    @property
    def data(self) -> pa.Table: ...
    @property
    def origin(self) -> str: ...
    @property
    def first(self) -> int: ...
    @property
    def table(self) -> Callable[[pa.Table], Table]: ...


def answered(
    model: Model, pieces: Iterable[Piece], *, identifiers: tuple[str, ...] = (), threads: int = 0
) -> Iterator[pa.Table]:
    """The answers to every piece as `columns`, in the order of the pieces, of which few are held at a time.

    threads: 0 is one a core. Raises BadData naming the first row and column that cannot be read.
    """
    return in_order(pieces, lambda piece: _answer(model, piece, identifiers), threads or cores())


def in_order(given: Iterable[A], work: Callable[[A], B], threads: int) -> Iterator[B]:
    """What a function makes of every value, in their order, by several threads; at most `threads` + 2 are held."""
    waiting: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for each in given:
            waiting.append(pool.submit(work, each))
            if len(waiting) >= threads + AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """How many threads score: one for every core that this process may use, at most 16."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_THREADS)


def words_of(model: Model) -> frozenset[str]:
    """The columns of which the model reads words as words, and not as times or truths."""
    return frozenset(each.column for each in model.features.encoders if not isinstance(each, Moment)
                     and not isinstance(model.sheet.cleaning.of(each.column), Times | Truths))


def columns(answers: Predictions, given: pa.Table | None = None) -> pa.Table:
    """Predictions as columns: those given, decision, score or one a class, set or low and high, abstain.

    set: for every row the list of the classes in it.
    A given column that is called as an answer's column is written as "given.score".
    """
    found = {"decision": pa.array(answers.decision, pa.string() if answers.classes else pa.float64())}
    if answers.score.ndim == 2:
        found |= {f"score.{name}": pa.array(answers.score[:, place]) for place, name in enumerate(answers.classes)}
    else:
        found["score"] = pa.array(answers.score)
    if answers.members is not None:
        found["set"] = _sets(answers.classes, answers.members)
    if answers.low is not None and answers.high is not None:
        found |= {"low": pa.array(answers.low), "high": pa.array(answers.high)}
    found["abstain"] = pa.array(np.asarray(answers.abstain))
    before = {} if given is None else {name: given[name] for name in given.column_names}
    return pa.table({**{f"given.{name}" if name in found else name: values for name, values in before.items()},
                     **found})


def _sets(classes: tuple[str, ...], members: Mask) -> pa.Array:
    """For every row the names of the classes in its set. members: (n, k)."""
    ends = np.concatenate([[0], members.sum(axis=1).cumsum()])
    names = pa.array(classes, pa.string()).take(pa.array(np.nonzero(members)[1]))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names)


def _answer(model: Model, piece: Piece, identifiers: tuple[str, ...]) -> pa.Table:
    try:
        inputs = model.inputs(piece.table(piece.data))
    except BadData as error:
        raise _located(model, piece, error) from error
    given = piece.data.select([name for name in identifiers if name in piece.data.column_names])
    return columns(model.answer(model.program.score(inputs)), plain(given))


def plain(data: pa.Table) -> pa.Table:
    """The same columns with their words in full where they came as codes."""
    for place, field in enumerate(data.schema):
        if pa.types.is_dictionary(field.type):
            data = data.set_column(place, field.name, data[field.name].cast(field.type.value_type))
    return data


def _located(model: Model, piece: Piece, error: BadData) -> BadData:
    """The error with the first row of which it is true, by halving: rows that can be read stay so without others."""
    low, high = 0, int(piece.data.num_rows)
    while high - low > 1:
        middle = (low + high) // 2
        found = _refused(model, piece, low, middle)
        low, high, error = (low, middle, found) if found else (middle, high, error)
    alone = _refused(model, piece, low, high) or error
    where = f"{piece.origin}, row {piece.first + high:,} (the first is 1)"
    return BadData(alone.problem, where=f"{where}, {alone.where}" if alone.where not in where else where,
                   hint=alone.hint)


def _refused(model: Model, piece: Piece, low: int, high: int) -> BadData | None:
    try:
        _: Floats = model.inputs(piece.table(piece.data.slice(low, high - low)))
    except BadData as error:
        return error
    return None
