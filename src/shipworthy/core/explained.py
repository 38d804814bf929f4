"""Why one row is answered as it is: from the usual row's margin, input by input, to the row's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from shipworthy.core.contributions import contributions
from shipworthy.core.features import Category, Encoder, Moment
from shipworthy.core.model import Model
from shipworthy.core.shown import WORDS, shown
from shipworthy.core.table import Table
from shipworthy.errors import Misuse

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LINKS = {"logistic": "log-odds of {}", "softmax": "log-weight of {}", "share": "share of {}", "identity": "share of {}"}


@dataclass(frozen=True)
class Share:
    """One input: its value in the row, its usual value, and how far the one in place of the other moves the margin."""

    input: str
    value: str
    usual: str
    share: float


@dataclass(frozen=True)
class Explanation:
    """An answer and what made it. base: the margin of the usual row. total: that of this row, base and all shares.

    unit: of base, shares and total. shares: of every input, the largest first. calibrated: the answer's score is the
    margin after a calibration.
    """

    answer: dict[str, Any]
    unit: str
    base: float
    total: float
    shares: tuple[Share, ...]
    calibrated: bool = False

    @property
    def digits(self) -> int:
        """So many decimals that the largest figure has four significant digits; at least one, at most six."""
        largest = max((abs(value) for value in (self.base, self.total, *(one.share for one in self.shares))), default=0)
        return min(6, max(1, 3 - math.floor(math.log10(largest)))) if 0 < largest < math.inf else 4

    @property
    def moved(self) -> tuple[Share, ...]:
        """The inputs whose share is not zero to so many decimals."""
        return tuple(one for one in self.shares if round(one.share, self.digits) != 0)

    def as_plain(self) -> dict[str, Any]:
        """Plain values for JSON; contributions holds the share of every input, zeros too."""
        return {"answer": self.answer, "unit": self.unit, "base": self.base, "sum": self.total,
                "contributions": {one.input: one.share for one in self.shares},
                "values": {one.input: one.value for one in self.shares},
                "usual": {one.input: one.usual for one in self.shares}}

    def __str__(self) -> str:
        figures = [(self._figure(value), text) for value, text in self._lines()]
        wide = max(len(figure) for figure, _ in figures)
        lines = [f"  {figure:>{wide}}  {text}" for figure, text in figures]
        return "\n".join([f"answer: {_answered(self.answer)}", f"in {self.unit}:", *lines, *self._left_out()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = [(self._figure(value), text) for value, text in self._lines()]
        left = [("", text.strip()) for text in self._left_out()]
        return shown(f"{_answered(self.answer)}, in {self.unit}", [*lines, *left], letters=WORDS)

    def _lines(self) -> list[tuple[float, str]]:
        told = [(one.share, f"{one.input} = {one.value} (usual: {one.usual})") for one in self.moved]
        after = ", before calibration" if self.calibrated else ""
        return [(self.base, "the usual row"), *told, (self.total, f"the sum: this row{after}")]

    def _left_out(self) -> list[str]:
        count = len(self.shares) - len(self.moved)
        inputs = "1 more input moves" if count == 1 else f"{count} more inputs move"
        return [f"  {inputs} it by less than {10.0 ** -self.digits / 2:.{self.digits + 1}f}"] if count else []

    def _figure(self, value: float) -> str:
        return f"{value:+,.{self.digits}f}"


def explained(model: Model, table: Table, row: int = 0, *, unit: str = "") -> Explanation:
    """Exact shares of the margin of one row of a table as it arrived, against the usual row of the training data.

    row: its position, from 0. unit: that of a regression's target. Raises Misuse when there is no such row, BadData
    when a column is missing or cannot be read as training read it.
    """
    if not 0 <= row < table.rows:
        raise Misuse(f"there is no row {row}", where=table.origin or table.name,
                     hint=f"rows are 0 to {table.rows - 1}" if table.rows else "the table is empty")
    one = table.take([row])
    program, inputs = model.program, model.inputs(one)
    margins, usual = program.margin(inputs)[0], program.margin(model.reference[None])[0]
    place = int(margins.argmax())
    shares = contributions(program, inputs, model.reference)[0]
    cells = model.sheet.cleaning.table(one, model.features.columns)
    truths = {column.name for column in model.sheet.schema.columns if column.kind == "boolean"}
    told = []
    for at, encoder in enumerate(model.features.encoders):
        words = _truth if encoder.column in truths else partial(_value, encoder)
        here, there = words(inputs[0, at], cells), words(model.reference[at], None)
        told.append(Share(encoder.name, here, there, float(shares[at])))
    classes = model.classes[place] if len(margins) > 1 else model.classes[-1] if model.classes else ""
    where = LINKS[program.link].format(f'{model.sheet.target} = "{classes}"') if classes else (
        f"{unit} ({model.sheet.target})" if unit else f"the unit of {model.sheet.target}")
    return Explanation(model.predict(one)[0], where, float(usual[place]), float(margins[place]),
                       tuple(sorted(told, key=lambda each: -abs(each.share))), program.calibration is not None)


def _truth(number: float, cells: Table | None) -> str:
    return "missing" if np.isnan(number) else "true" if number else "false"


def _value(encoder: Encoder, number: float, cells: Table | None) -> str:
    """An input in words. cells: the row that it comes from, for a category that training did not have."""
    if np.isnan(number):
        word = cells.words(encoder.column)[0] if cells is not None and isinstance(encoder, Category) else None
        return "missing" if word is None else f"{word} (not among the levels of training)"
    if isinstance(encoder, Category):
        return encoder.levels[int(number)]
    if isinstance(encoder, Moment) and encoder.part == "weekday":
        return DAYS[int(number) - 1]
    if isinstance(encoder, Moment) and encoder.part == "seconds":
        return datetime.fromtimestamp(number, UTC).isoformat().replace("+00:00", "Z")
    return f"{number:,.0f}" if number % 1 == 0 and abs(number) < 1e15 else f"{number:.6g}"


def in_words(encoder: Encoder, number: float) -> str:
    """What an input stands for, such as a level or a weekday."""
    return _value(encoder, number, None)


def _answered(answer: dict[str, Any]) -> str:
    """An answer in one line."""
    prediction = answer["prediction"]
    told = prediction if isinstance(prediction, str) else f"{prediction:,.6g}"
    if "probabilities" in answer:
        told += f" ({', '.join(f'{name} {share:.3f}' for name, share in answer['probabilities'].items())})"
    if "interval" in answer:
        told += " ({:,.6g} to {:,.6g})".format(*answer["interval"])
    return told + (", unsure: the model abstains" if answer.get("abstain") else "")
