"""What learning hands on: the split, the candidates with their figures, the cost of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.model import Model
from shipworthy.core.private import Message, Others, Private, Spent
from shipworthy.core.program import Link, Program
from shipworthy.core.table import Floats, Ints, Mask, Table


@dataclass(frozen=True)
class Split:
    """Row positions of one table: learn from, tune on, hold out, and rows of the future (traffic)."""

    kind: str
    learn: Ints
    tune: Ints
    holdout: Ints
    future: Ints
    why: str = ""

    def without(self, rows: Sequence[int] | Ints, total: int) -> Split:
        """The same division of a table that lost these rows; positions are those after the loss.

        rows: positions in the table that was split, which had `total` rows.
        """
        kept = np.ones(total, np.bool_)
        kept[np.asarray(rows, np.int64)] = False
        place = np.cumsum(kept) - 1
        learn, tune, holdout, future = (place[part[kept[part]]].astype(np.int64)
                                        for part in (self.learn, self.tune, self.holdout, self.future))
        return replace(self, learn=learn, tune=tune, holdout=holdout, future=future)


@dataclass(frozen=True)
class Parts:
    """The three tables of a split, each with the target."""

    learn: Table
    tune: Table
    holdout: Table


@dataclass(frozen=True)
class Shape:
    """What trees may look like, so that properties of them can be proved; 0 and empty are without limit.

    rounds, leaves: at most, of a class and of a tree. signs: of every input 1 or −1 where the answer may only rise or
    fall with it, else 0. alone: places of inputs that meet no other in a tree. coded: categories of more levels are
    read as numbers, the codes.
    """

    rounds: int = 0
    leaves: int = 0
    signs: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()
    coded: int = 0


@dataclass(frozen=True)
class Job:
    """What a learner is asked for.

    classes: names in the order of the codes, empty for a regression. seconds: how long it may take at most.
    valid: (inputs, truth) for early stopping, or None. settings: of this learner; unknown ones are an error.
    shape: what limits boosted trees. weights: (n,) of the rows that it is given, or None where all weigh the same.
    private, others: what a private or a federated learner is told beside this.
    """

    task: str
    classes: tuple[str, ...]
    inputs: tuple[Input, ...]
    seconds: float = 30.0
    threads: int = 1
    seed: int = 0
    valid: tuple[Floats, Floats | Ints] | None = None
    settings: Mapping[str, float | int | str] = field(default_factory=dict)
    shape: Shape = Shape()
    private: Private | None = None
    others: Others | None = None
    weights: Floats | None = None

    def only(self, rows: Ints | Mask) -> Job:
        """The same for some of the rows."""
        return self if self.weights is None else replace(self, weights=self.weights[rows])

    @property
    def outputs(self) -> int:
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def link(self) -> Link:
        return {"binary": "logistic", "multiclass": "softmax"}.get(self.task, "identity")  # type: ignore[return-value]


@dataclass(frozen=True)
class Fitted:
    """A fitted learner: its program, and the library's own margin for comparison.

    margin: inputs (n, d) → (n, outputs), before the link. bounds: the range searched of each setting.
    rows: how many training rows it saw. private: what a private learner spent.
    transcript: what other parties sent.
    """

    program: Program
    margin: Callable[[Floats], Floats]
    settings: dict[str, float | int | str] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    rows: int = 0
    private: Spent | None = None
    transcript: tuple[Message, ...] = ()


class Recipe(msgspec.Struct, frozen=True):
    """How a model was trained, so that it can be trained again: its learner and the settings of that."""

    learner: str
    settings: dict[str, float | int | str] = {}


CAUTIOUS = Recipe("boosted", {"num_leaves": 7, "min_data_in_leaf": 50, "learning_rate": 0.05, "rounds": 100})
"""Boosted trees that have little room to remember a row."""


class Figures(msgspec.Struct, frozen=True):
    """Measured figures of a candidate. loss: log loss or squared error on tune; metric: AUC, accuracy or R²."""

    loss: float
    metric: float
    complexity: int
    bytes: int
    row_microseconds: float
    fit_seconds: float
    cpu_seconds: float
    library_difference: float = 0.0


NO_UPDATE = "no update"  # the way of a champion that stands beside its challenger


@dataclass(frozen=True)
class Candidate:
    """A fitted rung of the ladder. scores: its predictions on the tune part, in order.

    private: what it spent, if it is a private one. transcript: what other parties sent, if it is a federated one. way:
    by which it was made, of a renewal, where several have one learner.
    """

    learner: str
    glass_box: bool
    model: Model
    figures: Figures
    scores: Floats
    settings: dict[str, float | int | str] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    private: Spent | None = None
    transcript: tuple[Message, ...] = ()
    way: str = ""

    @property
    def name(self) -> str:
        return self.way or self.learner

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.learner, dict(self.settings))


class Cost(msgspec.Struct, frozen=True):
    """What a run took, from the operating system. kwh and grams are intervals; metered False means not counted.

    counters: the energy is from the processor's own counters, not from CPU seconds. memory_kwh: an estimate for the
    memory, not within kwh. overhead: the factor for idle machines and cooling within kwh, 1 for none. grid_as_of: the
    last day that the grams per kWh describe.
    cut: what the clock cut short, in words; empty where the outcome depends on rows, settings and seed alone.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    budget_seconds: float = 0.0
    search_seconds: float = 0.0
    trials: int = 0
    kwh_low: float = 0.0
    kwh_high: float = 0.0
    grams_low: float = 0.0
    grams_high: float = 0.0
    grid: str = ""
    grid_as_of: str = ""
    counters: bool = False
    memory_kwh: float = 0.0
    overhead: float = 1.0
    metered: bool = False
    money: float = 0.0
    currency: str = ""
    cut: str = ""


class Gain(msgspec.Struct, frozen=True):
    """One step of the search: when it ended, and the best so far.

    metric: AUC, accuracy or R² of the best on the rows held back. cpu_seconds, kwh (upper end):
    spent by then.
    """

    seconds: float
    loss: float
    learner: str
    metric: float | None = None
    cpu_seconds: float = 0.0
    kwh: float = 0.0


@dataclass(frozen=True)
class Learned:
    """The outcome of learning: every candidate, the one chosen and why, the cost, the course of the search."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    why: str
    cost: Cost
    course: tuple[Gain, ...] = ()
