"""What learning hands on: the split, the candidates with their figures, the cost of the run."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from shipworthy.core.model import Model
from shipworthy.core.table import Floats, Ints, Table


@dataclass(frozen=True)
class Split:
    """Row positions of one table: learn from, tune on, hold out, and rows of the future (traffic)."""

    kind: str
    learn: Ints
    tune: Ints
    holdout: Ints
    future: Ints
    why: str = ""


@dataclass(frozen=True)
class Parts:
    """The three tables of a split, each with the target."""

    learn: Table
    tune: Table
    holdout: Table


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


@dataclass(frozen=True)
class Candidate:
    """A fitted rung of the ladder. scores: its predictions on the tune part, in order."""

    learner: str
    glass_box: bool
    model: Model
    figures: Figures
    scores: Floats
    settings: dict[str, float | int | str] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)


class Cost(msgspec.Struct, frozen=True):
    """What a run took, from the operating system. kwh and grams are intervals; energy_known False means not metered."""

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
    metered: bool = False
    money: float = 0.0
    currency: str = ""


class Gain(msgspec.Struct, frozen=True):
    """One step of the search: when it ended, and the best loss so far."""

    seconds: float
    loss: float
    learner: str


@dataclass(frozen=True)
class Learned:
    """The outcome of learning: every candidate, the one chosen and why, the cost, the course of the search."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    why: str
    cost: Cost
    course: tuple[Gain, ...] = ()
