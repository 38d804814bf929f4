"""The prediction log in order of arrival, its windows, and the late labels joined to it by prediction id."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.chosen import levels
from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.grid import FIXED, Reference, cells_of, decided, score_cells
from shipworthy.core.table import Floats, Ints, Table, to_words
from shipworthy.core.tallies import mixed
from shipworthy.deployment.monitoring.chance import chance_loss, coins
from shipworthy.deployment.monitoring.expected import by_score
from shipworthy.deployment.monitoring.forest import depth
from shipworthy.deployment.monitoring.reference import strangeness
from shipworthy.errors import BadData

LEVELS = {"hour": ("hour", "day", "week"), "day": ("day", "week"), "week": ("week",)}
PER_YEAR = {"hour": 8_760, "day": 365, "week": 52}
FEWEST_ROWS = 30


def micros(table: Table, name: str) -> Ints:
    """A time column as microseconds since 1970 UTC. Raises BadData when it is naive, missing or null."""
    column = table.column(name)
    if pa.types.is_string(column.type) and not column.null_count:
        column = _parsed(column, name)
    if not pa.types.is_timestamp(column.type):
        raise BadData(f'column "{name}" does not hold times', where=table.name, hint="store UTC timestamps")
    if column.type.tz is None:
        raise BadData(f'the times in "{name}" have no zone', where=table.name, hint="store them as timestamps in UTC")
    if column.null_count:
        raise BadData(f'{column.null_count} rows have no "{name}"', where=table.name,
                      hint="give every row its time, or leave out the rows without one")
    return np.asarray(pc.cast(pc.cast(column, pa.timestamp("us", "UTC")), pa.int64()).to_numpy(), np.int64)


def _parsed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    from shipworthy.core.cleaning import moment

    return pa.chunked_array([pa.array([moment(word) for word in column.to_pylist()], pa.timestamp("us", "UTC"))])


def window_of(at: Ints, level: str) -> Ints:
    """The number of the UTC hour, day or week (from Monday) of every time."""
    if level == "hour":
        return np.asarray(at // HOUR)
    days = at // DAY
    return np.asarray(days if level == "day" else (days + 3) // 7)


def start_of(window: int, level: str) -> int:
    """The first microsecond of a window."""
    return window * HOUR if level == "hour" else window * DAY if level == "day" else (window * 7 - 3) * DAY


@dataclass(frozen=True)
class Served:
    """A prediction log, each prediction id once, ordered by time.

    at: (n,) microseconds. cells: column → (n,). where: (n,) score cell. score: (n,). decision: (n,) class words.
    strange, isolated: (n,) outlier scores, by columns and by the forest.
    """

    table: Table
    reference: Reference
    at: Ints
    ids: pa.Array

    @cached_property
    def cells(self) -> dict[str, Ints]:
        return cells_of(self.table, self.reference.plan)

    @cached_property
    def score(self) -> Floats:
        column = self.table.column("score")
        if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            return np.array([max(row) if row else np.nan for row in column.to_pylist()], np.float64)
        return self.table.numbers("score")

    @cached_property
    def decision(self) -> npt.NDArray[np.object_]:
        return self.table.words("decision")

    @cached_property
    def where(self) -> Ints:
        return score_cells(self.reference.plan, self.score, decided(self.table, self.reference.plan.classes))

    @cached_property
    def expected(self) -> Floats:
        """The loss that is expected of every row by its score, before its label, (n,) in [0, 1]."""
        return by_score(self.reference)[self.where]

    @cached_property
    def audit(self) -> Ints:
        """Which share of the audit holds every row first, (n,) places in `AUDITS`."""
        return levels(self.ids.to_pylist())

    @cached_property
    def strange(self) -> Ints:
        found = strangeness(self.reference.plan, self.reference.planned, self.cells)
        return np.rint(found * FIXED).astype(np.int64)

    @cached_property
    def hashed(self) -> npt.NDArray[np.uint64]:
        """A hash of every prediction id, which chooses what is kept of few rows only."""
        return mixed(self.ids.to_pylist())

    @cached_property
    def isolated(self) -> Ints:
        known = self.reference
        return depth(known.forest, known.plan, known.planned, self.cells)

    @cached_property
    def abstained(self) -> npt.NDArray[np.bool_]:
        if "abstain" not in self.table.schema:
            return np.zeros(self.table.rows, np.bool_)
        return np.asarray(self.table.column("abstain").fill_null(False).to_numpy(), np.bool_)

    @property
    def rows(self) -> int:
        return self.table.rows

    @property
    def vanished(self) -> tuple[str, ...]:
        """Planned columns that the log does not hold."""
        return tuple(name for name in self.reference.plan.names if name not in self.table.schema)


def served(reference: Reference, log: Table) -> Served:
    """The log, ready to be counted. A repeated prediction id counts once: a second delivery is harmless."""
    at = micros(log, "at")
    ids = pa.array(to_words(log.column("prediction_id")), pa.string())
    order = np.argsort(at, kind="stable")
    first = np.zeros(log.rows, np.bool_)
    coded = np.asarray(ids.dictionary_encode().indices.to_numpy(zero_copy_only=False))[order]
    first[np.unique(coded, return_index=True)[1]] = True
    order = order[first]
    return Served(log.take(order), reference, at[order], ids.take(pa.array(order)))


@dataclass(frozen=True)
class Joined:
    """Labels that found their prediction, in order of arrival.

    log: where they found it. row: (k,) position in the log. arrived: (k,) microseconds. loss: (k,) in [0, 1].
    surprise: (k,) what came true less what was expected, in [−1, 1]. truth: (k,) words or numbers. source: (k,) who
    said so. last: (k,) whether none that came later corrects it. orphans: labels without a prediction.
    """

    log: Served
    row: Ints
    arrived: Ints
    loss: Floats
    surprise: Floats
    truth: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]
    last: npt.NDArray[np.bool_]
    orphans: int

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def came(self) -> Floats:
        """What came true, (k,): 1 for the second of two classes, 1 for a right answer among many, a number's loss."""
        plan = self.log.reference.plan
        if plan.value:
            return self.loss
        if len(plan.classes) > 2:
            return 1.0 - self.loss
        return np.asarray(self.truth.astype(str) == plan.classes[1], np.float64)

    @cached_property
    def influence(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Floats]:
        """Whether it is told if the label owes itself to the decision, whether it does, and its propensity, (k,)."""
        table, n = self.log.table, len(self)
        told, propensity = np.full(n, np.nan), np.ones(n)
        if "influenced" in table.schema:
            told = table.numbers("influenced")[self.row]
        if "propensity" in table.schema:
            propensity = table.numbers("propensity")[self.row]
        return ~np.isnan(told), np.nan_to_num(told) > 0, np.nan_to_num(propensity)

    @cached_property
    def noise(self) -> Floats:
        """The noise that was put on each answer, (k,), in the units of `surprise`; 0 where there was none."""
        if "noise" not in self.log.table.schema:
            return np.zeros(len(self))
        scale = self.log.reference.facts.cap if self.log.reference.plan.value else 1.0
        return np.asarray(np.nan_to_num(self.log.table.numbers("noise"))[self.row] / scale)


def arrival(labels: Table) -> Ints:
    """When every label arrived, (n,) microseconds: received_at, or observed_at where that is not told.

    What was received late was observed in a window that is over; by arrival it is counted, and counted once.
    """
    return micros(labels, "received_at" if "received_at" in labels.schema else "observed_at")


def join(log: Served, labels: Table) -> tuple[Joined, Joined]:
    """Labels joined to the log by prediction id, never by time; and those that were taken back, when they were.

    Of several labels of a prediction the one counts that became known last; of such, the last to arrive. One that
    comes to count takes back the one before it at its own arrival, so sums of what arrived earlier stay as they were,
    and the outcome is the same in whatever order the labels are given but for those of one microsecond.
    """
    arrived = arrival(labels)
    observed = micros(labels, "observed_at") if "observed_at" in labels.schema else arrived
    order = np.lexsort((observed, arrived))
    at = pc.index_in(pa.array(to_words(labels.column("prediction_id")), pa.string()), value_set=log.ids)
    row = np.asarray(pc.fill_null(at, -1).to_numpy(zero_copy_only=False), np.int64)[order]
    order, row = order[row >= 0], row[row >= 0]
    label = to_words(labels.column("label"))[order]
    source = (to_words(labels.column("source")) if "source" in labels.schema
              else np.full(labels.rows, "", object))[order]
    came, before = _successive(row, observed[order], label)
    here = came[before >= 0]
    last = ~np.isin(came, before)
    orphans = labels.rows - len(order)
    return (_made(log, (row, arrived[order], label, source), (came, came, last), orphans),
            _made(log, (row, arrived[order], label, source), (before[before >= 0], here, np.zeros(len(here), bool))))


def _successive(row: Ints, observed: Ints, label: npt.NDArray[np.object_]) -> tuple[Ints, Ints]:
    """The labels that ever counted, in order of arrival, and which each of them replaced; −1 for none.

    row, observed, label: (n,) in order of arrival.
    """
    order = np.argsort(row, kind="stable")
    rank = np.unique(observed, return_inverse=True)[1] + np.unique(row, return_inverse=True)[1] * len(row)
    won = order[rank[order] == np.maximum.accumulate(rank[order])]
    same = row[won][1:] == row[won][:-1]
    won = won[np.append(True, ~same | (label[won][1:] != label[won][:-1]))[: len(won)]]
    before = np.append(-1, np.where(row[won][1:] == row[won][:-1], won[:-1], -1))[: len(won)]
    first = np.argsort(won, kind="stable")
    return won[first], before[first]


def _made(
    log: Served, told: tuple[Ints, Ints, npt.NDArray[np.object_], npt.NDArray[np.object_]],
    chosen: tuple[Ints, Ints, npt.NDArray[np.bool_]], orphans: int = 0,
) -> Joined:
    """Some labels as they are judged. told: row, arrival, label and source. chosen: their places, and of their arrival.
    """
    place, when, last = chosen
    row, arrived, label, source = told[0][place], told[1][when], told[2][place], told[3][place]
    known, loss, surprise = _judge(log, row, label)
    return Joined(log, row[known], arrived[known], loss[known], surprise[known], label[known], source[known],
                  last[known], orphans)


def _judge(
    log: Served, row: Ints, label: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    plan, score = log.reference.plan, log.score[row]
    if plan.value:
        truth = np.array([_number(word) for word in label], np.float64)
        gap = (truth - score) / log.reference.facts.cap
        known = np.isfinite(gap)
        return known, np.minimum(np.abs(gap), 1.0), np.clip(gap, -1.0, 1.0)
    known = np.isin(label.astype(str), plan.classes) & np.isfinite(score)
    if len(plan.classes) > 2:
        wrong = (log.decision[row] != label).astype(np.float64)
        return known, wrong, 1.0 - wrong - score
    came = (label == plan.classes[1]).astype(np.float64)
    if not log.reference.facts.by_coin:
        return known, (log.decision[row] != label).astype(np.float64), came - score
    return known, chance_loss(score, came, coins(log.table.words("prediction_id")[row])), came - score


def _number(word: str | None) -> float:
    try:
        return float(word) if word is not None else float("nan")
    except ValueError:
        return float("nan")
