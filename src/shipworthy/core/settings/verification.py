"""What must hold before a release is fit."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part


class Requirement(Part, frozen=True):
    """[[requirement]] A metric that the holdout must reach at the pessimistic end of its 95 % interval.

    metric: its name, such as auc, recall or mae. at_least, at_most: the limit; one of the two: at_least where higher is
    better, at_most where lower is. segment: column → value; empty for all rows.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    segment: dict[str, str] = {}


class Value(Part, frozen=True):
    """[value] What a decision earns; costs are negative.

    currency: of all amounts. true_positive, false_positive, false_negative, true_negative: amount per row by truth
    and decision. per_unit_under, per_unit_over: for a regression, the amount for one unit too low or too high.
    capacity: share of rows that may be decided positive. assumed: the amounts are guesses, and every finding says so.
    """

    currency: str = "points"
    true_positive: float = 0.0
    false_positive: float = 0.0
    false_negative: float = 0.0
    true_negative: float = 0.0
    per_unit_under: float = 0.0
    per_unit_over: float = 0.0
    capacity: float = 1.0
    assumed: bool = False


class Gate(Part, frozen=True):
    """[gate] Which rows hold back promotion; every change of the default is shown.

    also: rows beyond the default that must hold. without: rows that need not.
    """

    also: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Simulation(Part, frozen=True):
    """[simulation] How the world answers back, for the scenarios that a release must survive.

    alarm_rows: rows within which an alarm must come. delay_rows: rows that are served until a label is known. labels:
    which come to be known: of all rows, of accepted ones only, or as decided, where a row that was turned away counts
    as one of the first class.
    """

    alarm_rows: Annotated[int, msgspec.Meta(ge=300)] = 2_000
    delay_rows: Annotated[int, msgspec.Meta(ge=0)] = 500
    labels: Literal["all", "accepted", "as-decided"] = "all"
