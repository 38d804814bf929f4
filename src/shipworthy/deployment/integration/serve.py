"""Answering records with a model: compiled once when the release is opened, the same numbers as its batch answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from shipworthy.core.contributions import contributions as core_contributions
from shipworthy.core.features import Category, Encoder, Moment, Number
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Serving
from shipworthy.core.table import Floats, Table
from shipworthy.deployment.integration.record import Field, Shape, word
from shipworthy.deployment.integration.row import scored
from shipworthy.errors import BadData, Misuse, nearest

Contributions = Callable[[Model, Floats], Floats]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
NAN = float("nan")
SINGLE = 4
DAY = 86_400
ARROW = {"number": pa.float64(), "boolean": pa.bool_(), "timestamp": pa.timestamp("us", "UTC"),
         "category": pa.string(), "text": pa.string()}


@dataclass(frozen=True)
class Batch:
    """Answers to n records. score: (n,) value, probability of the second class, or of the class decided on (k > 2).

    columns: what was asked, by field. unseen: values of categories that training did not have.
    """

    answers: list[dict[str, Any]]
    score: list[float]
    columns: dict[str, list[Any]]
    unseen: int


class Answerer:
    """Answers records of one model. Made by `answerer`."""

    def __init__(self, model: Model, serving: Serving, contributions: Contributions | None) -> None:
        self.model, self.serving, self.shape = model, serving, Shape(model)
        self._contributions = contributions
        self._score, self._one = scored(model.program), model.program.link in ("identity", "logistic")
        keys = {field.name: field for field in self.shape.fields}
        self._encoders = [(keys[e.column].key, _single(e, keys[e.column])) for e in model.features.encoders]
        self._levels = {keys[e.column]: frozenset(e.levels) for e in model.features.encoders if isinstance(e, Category)}

    def answer(self, records: Sequence[Mapping[str, Any]], *, contributions: bool = False) -> list[dict[str, Any]]:
        """One answer per record: prediction, probabilities, set or interval, abstain; contributions if asked.

        Raises BadData naming record and field: what came, what was expected.
        """
        return self.batch(self.shape.convert(records), contributions=contributions).answers

    def batch(self, records: Sequence[Any], *, contributions: bool = False) -> Batch:
        """Answers to decoded records (see `Shape`). Raises BadData for more rows than declared."""
        if len(records) > self.serving.max_rows:
            raise BadData(f"{len(records):,} records are more than the {self.serving.max_rows:,} allowed at once",
                          where="body", hint="send them in several requests")
        unseen = self._unseen(records)
        columns = self.shape.columns(records)
        if len(records) <= SINGLE:
            answers, score = self._few(records)
        else:
            answers, score = self._many(columns)
        for place, names in unseen.items():
            answers[place]["unseen"] = names
        if contributions:
            self._explain(records, answers)
        return Batch(answers, score, columns, sum(map(len, unseen.values())))

    def _few(self, records: Sequence[Any]) -> tuple[list[dict[str, Any]], list[float]]:
        answers, kept = [], []
        for record in records:
            score = self._score([encode(getattr(record, key)) for key, encode in self._encoders])
            if self._one:
                answers.append(self._plain(score[0]))
                kept.append(score[0])
            else:
                several = np.array([score])
                answers.append(self.model.answer(several)[0])
                kept.append(float(several.max()))
        return answers, kept

    def _many(self, columns: Mapping[str, list[Any]]) -> tuple[list[dict[str, Any]], list[float]]:
        score = self.model.score(self.table(columns))
        if score.ndim == 1:
            kept = score.tolist()
            return [self._plain(value) for value in kept], kept
        answered = self.model.answer(score)
        return [answered[place] for place in range(len(answered))], score.max(axis=1).tolist()

    def _plain(self, score: float) -> dict[str, Any]:
        """The answer of `Model.answer` for one score of a binary or regression model, without arrays."""
        sheet = self.model.sheet
        edge, finite = sheet.conformal, score - score == 0
        if sheet.task == "regression":
            interval = {} if edge is None else {"interval": [score - edge, score + edge]}
            return {"prediction": score, **interval, "abstain": not finite}
        other = 1 - score
        answer: dict[str, Any] = {"prediction": sheet.classes[score >= sheet.threshold],
                                  "probabilities": {sheet.classes[0]: other, sheet.classes[1]: score}}
        if edge is None:
            return {**answer, "abstain": not finite}
        answer["set"] = [name for name, each in zip(sheet.classes, (other, score), strict=True) if 1 - each <= edge]
        answer["abstain"] = not finite or len(answer["set"]) != 1
        return answer

    def table(self, columns: Mapping[str, list[Any]]) -> Table:
        """Columns of decoded values as the table that training would have seen."""
        arrays = {}
        for field in self.shape.fields:
            values = columns[field.name]
            values = [word(value) for value in values] if field.words else values
            arrays[field.name] = pa.array(values, ARROW[field.kind])
        return Table(pa.table(arrays), self.model.sheet.schema.only(self.shape.names), origin="request")

    def _unseen(self, records: Sequence[Any]) -> dict[int, list[str]]:
        """Record → its fields whose value training did not have. Raises BadData where the project refuses them."""
        found: dict[int, list[str]] = {}
        for field, levels in self._levels.items():
            for place, record in enumerate(records):
                value = getattr(record, field.key)
                if value is None or (value if value.__class__ is str else word(value)) in levels:
                    continue
                found.setdefault(place, []).append(field.name)
                if self.serving.unseen == "refuse":
                    text = str(value)[:60]
                    told = f"record {place}: " if place else ""
                    raise BadData(f'{told}field "{field.name}": {text!r} was never seen in training',
                                  where=field.name, hint=nearest(text, levels) or "send null")
        return found

    def _explain(self, records: Sequence[Any], answers: list[dict[str, Any]]) -> None:
        if self._contributions is None:
            raise Misuse("this model has no reference row to explain against", where="contributions",
                         hint="ask without contributions")
        inputs = np.array([[encode(getattr(r, key)) for key, encode in self._encoders] for r in records])
        names = [entry.name for entry in self.model.features.inputs]
        for answer, shares in zip(answers, self._contributions(self.model, inputs), strict=True):
            answer["contributions"] = dict(zip(names, map(float, shares), strict=True))


def answerer(
    model: Model, project: Project | Serving | None = None, *, contributions: Contributions | None = None
) -> Answerer:
    """The compiled answerer of a model.

    contributions: (model, inputs (n, d)) → (n, d) shares of the margin; by default the exact ones against the model's
    reference row, where it has one.
    """
    serving = project.serve if isinstance(project, Project) else project or Serving()
    exact = _exact if len(model.sheet.reference) == len(model.features.inputs) else None
    return Answerer(model, serving, contributions or exact)


def _exact(model: Model, inputs: Floats) -> Floats:
    return core_contributions(model.program, inputs, model.reference)


def _single(encoder: Encoder, field: Field) -> Callable[[Any], float]:
    """The encoder of one value, equal to its column of `Features.matrix`."""
    if isinstance(encoder, Number):
        return _number
    if isinstance(encoder, Category):
        codes: dict[str | None, float] = {level: float(place) for place, level in enumerate(encoder.levels)}
        return (lambda value: codes.get(word(value), NAN)) if field.words else (lambda value: codes.get(value, NAN))
    return _moment(encoder)


def _number(value: float | None) -> float:
    return NAN if value is None else float(value)


def _moment(encoder: Moment) -> Callable[[datetime | None], float]:
    part = encoder.part

    def one(value: datetime | None) -> float:
        if value is None:
            return NAN
        seconds = float((value - EPOCH) // TICK) / 1e6
        if part == "seconds":
            return seconds
        day, rest = divmod(int(seconds // 1), DAY)
        if part == "hour":
            return float(rest // 3_600)
        if part == "weekday":
            return float((day + 3) % 7 + 1)
        date = EPOCH + timedelta(days=day)
        return float(date.month if part == "month" else date.day)

    return one
