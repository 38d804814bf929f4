"""What must hold before a release is fit."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part


class Requirement(Part, frozen=True):
    """[[requirement]] A metric that the holdout must reach at the pessimistic end of its 95 % interval.

    metric: its name, such as auc, recall or mae. at_least, at_most: the limit; one of the two: at_least where higher is
    better, at_most where lower is. segment: column → value; empty for all rows; the value "*" asks it of every value.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    segment: dict[str, str] = {}


class Value(Part, frozen=True):
    """[value] What a decision earns; costs are negative.

    currency: of all amounts. true_positive, false_positive, false_negative, true_negative: amount per row by truth
    and decision. per_unit_under, per_unit_over: for a regression, the amount for one unit too low or too high. An
    amount is a number, or a column that holds it for every row, with a factor if need be: "-0.1 * loan".
    capacity: share of rows that may be decided positive. nothing: the decision without a model; if empty, the first of
    two classes, the most frequent of more, the median. policy: column with what is decided today, to be compared with.
    assumed: the amounts are guesses, and every finding says so.
    """

    currency: str = "points"
    true_positive: float | str = 0.0
    false_positive: float | str = 0.0
    false_negative: float | str = 0.0
    true_negative: float | str = 0.0
    per_unit_under: float | str = 0.0
    per_unit_over: float | str = 0.0
    capacity: float = 1.0
    nothing: str = ""
    policy: str = ""
    assumed: bool = False


class Property(Part, frozen=True):
    """[[property]] What must hold of every input, proved from the program itself; see docs/guides/properties.md.

    claim: one sentence, such as "never falls when age rises". within: column → lowest and highest value, where the
    claim is about those alone. errors: column → error of measurement, in the column's unit, that "errors of
    measurement" speaks of; a column that is not named is exact.
    """

    claim: str
    within: dict[str, tuple[float, float]] = {}
    errors: dict[str, float] = {}


class Domain(Part, frozen=True):
    """[domain] Which rows there can be, beyond the ranges of [data.limits]; properties speak of no others.

    whole: columns that hold whole numbers only. one_of: groups of 0-or-1 columns of which exactly one is 1. order:
    pairs of columns, the first of which is never above the second.
    """

    whole: tuple[str, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    order: tuple[tuple[str, str], ...] = ()


class Gate(Part, frozen=True):
    """[gate] Which rows hold back promotion; every change of the default is shown.

    also: rows beyond the default that must hold. without: rows that need not. apart: how far the margin (log-odds, or
    the number that is predicted) of a new release may lie from the champion's in any row there can be; 0 for no limit.
    """

    also: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    apart: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0


class Simulation(Part, frozen=True):
    """[simulation] How the world answers back, for the scenarios that a release must survive.

    alarm_rows: rows within which an alarm must come. delay_rows: rows that are served until a label is known. labels:
    which come to be known: of all rows, of accepted ones only, or as decided, where a row that was turned away counts
    as one of the first class.
    """

    alarm_rows: Annotated[int, msgspec.Meta(ge=300)] = 2_000
    delay_rows: Annotated[int, msgspec.Meta(ge=0)] = 500
    labels: Literal["all", "accepted", "as-decided"] = "all"
