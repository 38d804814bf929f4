"""A model: features and a program with the schema they expect; rows in, predictions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.canon import canonical, digest
from shipworthy.core.cleaning import Cleaning, Words
from shipworthy.core.encode import Fill, filled, fillers, value_reader
from shipworthy.core.features import Category, Features
from shipworthy.core.predictions import Predictions
from shipworthy.core.program import Program, read_program
from shipworthy.core.schema import Schema, Task
from shipworthy.core.table import Floats, Ints, Mask, Table, is_text, to_words
from shipworthy.core.units import restated
from shipworthy.errors import BadData, BadModel


class Sheet(msgspec.Struct, frozen=True):
    """The JSON part of a model.

    schema: the columns it needs. target: what it predicts. positive: the second class of a binary task.
    threshold: a probability at or above it decides for the second class. conformal: the score beyond which a
    class (1 − probability) or a value (absolute residual) lies outside the set or interval; level: its coverage.
    reference: (inputs,) what an input is compared with in explanations: the median or most frequent code.
    cleaning: how the columns are read before they are encoded, as training read them.
    """

    features: Features
    schema: Schema
    task: Task
    target: str
    classes: tuple[str, ...]
    threshold: float = 0.5
    conformal: float | None = None
    level: float = 0.9
    reference: tuple[float | None, ...] = ()
    cleaning: Cleaning = Cleaning()


@dataclass(frozen=True)
class Model:
    """What a release serves, and what every check judges."""

    sheet: Sheet
    program: Program

    @property
    def features(self) -> Features:
        return self.sheet.features

    @property
    def task(self) -> Task:
        return self.sheet.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.sheet.classes

    @cached_property
    def digest(self) -> str:
        return digest([digest(self.sheet), self.program.digest])

    @cached_property
    def reference(self) -> Floats:
        """(inputs,) the row that explanations compare with; NaN where missing is the usual value."""
        return np.array([np.nan if v is None else v for v in self.sheet.reference], np.float64)

    def cleaned(self, table: Table, *, but: tuple[str, ...] = ()) -> Table:
        """A table as it arrived, read as training read its own; one that is clean already is unchanged.

        but: columns that only share a name with one of training.
        """
        cleaning = self.sheet.cleaning
        return cleaning.table(table, [each.column for each in cleaning.readings if each.column not in but])

    def inputs(self, table: Table) -> Floats:
        """Inputs of every row, (rows, inputs), of a table as it arrived: cleaned, then encoded.

        A column that declares another unit than the model's is restated; BadData where that cannot be.
        """
        table = restated(table, self.sheet.schema, self.features.columns)
        coded = {column: read for column, read in self._coded.items()
                 if column in table.schema and is_text(table.data[column].type)}
        others = [column for column in self.features.columns if column not in coded]
        return self.features.matrix(self.sheet.cleaning.table(table, others), coded)

    @cached_property
    def _coded(self) -> dict[str, Callable[[Any], float]]:
        """The readers of the categories that are words: a word becomes its code without a cleaned word in between."""
        kinds = {each.column: type(each) for each in self.features.encoders}
        return {column: read for column, read in self.readers
                if kinds[column] is Category and isinstance(self.sheet.cleaning.of(column), Words | None)}

    @cached_property
    def readers(self) -> tuple[tuple[str, Callable[[Any], float]], ...]:
        """Of every input its column, and the function from one value as it arrived to the number in `inputs`."""
        return tuple((each.column, value_reader(each, self.sheet.cleaning.of(each.column)))
                     for each in self.features.encoders)

    def row(self, record: Mapping[str, Any]) -> list[float]:
        """The inputs of one record as it arrived: the row of `inputs` for the same values.

        Raises BadData for a missing field, and for a value that cannot be read as training read the column.
        """
        self._complete(record)
        return [read(record[column]) for column, read in self.readers]

    @cached_property
    def _fillers(self) -> tuple[tuple[str, Fill], ...]:
        return fillers(self.features.encoders, self.sheet.cleaning)

    def rows(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """The inputs (n, inputs) of n records given as columns of Python values as they arrived, without Arrow.

        Every row is what `row` gives. Raises BadData as `row` does.
        """
        self._complete(columns)
        return filled(self._fillers, columns, len(self.features.encoders))

    def _complete(self, fields: Mapping[str, Any]) -> None:
        for column in self.features.columns:
            if column not in fields:
                raise BadData(f'field "{column}" is missing', where=column, hint="send null if the value is unknown")

    def score(self, table: Table) -> Floats:
        """Value, probability of the second class, or (n, k) probabilities, for every row."""
        return self.program.score(self.inputs(table))

    def predict(self, table: Table) -> Predictions:
        """Answers for every row. Raises BadData when a column is missing or of another kind."""
        return self.answer(self.score(table))

    def answer(self, score: Floats) -> Predictions:
        """Decision, interval or set, and abstention, from scores.

        The model abstains unless the set holds one class and that is the one decided on: costs may have moved the
        threshold to where the decision is not the likely class.
        """
        sheet, edge = self.sheet, self.sheet.conformal
        if sheet.task == "regression":
            unsure = ~np.isfinite(score)
            if edge is None:
                return Predictions(score, score, unsure)
            return Predictions(score, score, unsure, low=score - edge, high=score + edge)
        each = score if score.ndim == 2 else np.stack([1 - score, score], axis=1)
        place = self.decide(score)
        decision = np.array(sheet.classes, dtype=object)[place]
        members: Mask | None = None if edge is None else np.asarray((1 - each) <= edge, np.bool_)
        doubt: Mask = np.asarray(~np.isfinite(each).all(axis=1), np.bool_)
        if members is not None:
            doubt = np.asarray(doubt | (members.sum(axis=1) != 1) | ~members[np.arange(len(place)), place], np.bool_)
        return Predictions(score, decision, doubt, members=members, classes=sheet.classes)

    def decide(self, score: Floats) -> Ints:
        """(n,) code of the class decided for: the likeliest of many, the second of two from the threshold on."""
        return np.asarray(score.argmax(axis=1) if score.ndim == 2 else score >= self.sheet.threshold, np.int64)

    def truth(self, table: Table) -> Floats | Ints:
        """The target of every row: (n,) values, or codes of `classes`.

        Raises BadData when a label is missing or is of no class that the model knows.
        """
        return encode_target(table, self.sheet.target, self.classes)

    def with_sheet(self, **changes: Any) -> Model:
        return Model(msgspec.structs.replace(self.sheet, **changes), self.program)

    def with_program(self, program: Program) -> Model:
        return replace(self, program=program)

    def files(self) -> dict[str, bytes]:
        return {"model.json": canonical(self.sheet), **self.program.files()}

    def __repr__(self) -> str:
        return f"Model({self.program.label} for {self.sheet.target}, {len(self.features.inputs)} inputs)"

    def _repr_html_(self) -> str:
        size = f"{self.program.complexity:,} leaves, cells and weights over {len(self.features.inputs)} inputs"
        return f"<p><b>{escape(self.program.label)}</b> for {escape(self.sheet.target)}: {size}</p>"


def read_model(files: Mapping[str, bytes]) -> Model:
    """A model from its files. Raises BadModel when one is malformed or they do not fit each other."""
    try:
        sheet = msgspec.json.decode(files["model.json"], type=Sheet)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise BadModel("the model cannot be read", where="model.json", hint=str(error)) from error
    model = Model(sheet, read_program(files))
    if model.features.inputs != model.program.inputs:
        raise BadModel("the features do not produce the inputs that the program reads", where="model.json",
                       hint="restore the release from a copy, or build it again: shipworthy run")
    return model


def encode_target(table: Table, target: str, classes: tuple[str, ...]) -> Floats | Ints:
    """The target column as codes of `classes`, or as float64 when there are none."""
    if not classes:
        values = table.numbers(target)
        if not np.isfinite(values).all():
            raise BadData(f"{int((~np.isfinite(values)).sum())} rows have no finite {target}", where=table.origin,
                          hint="drop the rows without an answer, or correct the target")
        return values
    places = {name: place for place, name in enumerate(classes)}
    codes = np.array([places.get(word, -1) for word in to_words(table.column(target))], np.int64)
    if (codes < 0).any():
        at = int(np.flatnonzero(codes < 0)[0])
        raise BadData(f"row {at} has the label {table.words(target)[at]!r}, which is none of {list(classes)}",
                      where=f"{table.origin or table.name}, column {target}",
                      hint="correct the label, or train again with rows of that class")
    return codes
