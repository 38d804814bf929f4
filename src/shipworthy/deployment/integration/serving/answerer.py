"""Answering records with a model: compiled once when the release is opened, the same numbers as its batch answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import call, itemgetter
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import astuple

from shipworthy.core.cleaning import Numbers, Reading, parsed
from shipworthy.core.contributions import contributions as core_contributions
from shipworthy.core.encode import swift_reader
from shipworthy.core.features import Category, Number
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Serving
from shipworthy.core.table import Floats, word
from shipworthy.deployment.integration.releases.declared import Declared
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.deployment.integration.serving.row import scored
from shipworthy.errors import BadData, Misuse, nearest

Contributions = Callable[[Model, Floats], Floats]
SINGLE = 4


@dataclass(frozen=True)
class Batch:
    """Answers to n records. score: (n,) value, probability of the second class, or of the class decided on (k > 2).

    columns: what was asked, by field. unseen: values of categories that training did not have. outside: numbers outside
    the limits that are declared, or else expected.
    """

    answers: list[dict[str, Any]]
    score: list[float]
    columns: dict[str, list[Any]]
    unseen: int
    outside: int = 0


class One(NamedTuple):
    """The answer to one record. values: of every field of the record, in their order, as the log keeps them."""

    answer: dict[str, Any]
    score: float
    values: tuple[Any, ...]
    unseen: int
    outside: int


class Answerer:
    """Answers records of one model. Made by `answerer`."""

    def __init__(
        self, model: Model, serving: Serving, contributions: Contributions | None, told: Declared
    ) -> None:
        self.model, self.serving, self.shape = model, serving, Shape(model, told.columns)
        self._contributions = contributions
        self._score, self._one = scored(model.program), model.program.link in ("identity", "logistic")
        keys = {field.name: field for field in self.shape.fields}
        self._readers = [(keys[column].key, read) for column, read in model.readers]
        places = {field.name: place for place, field in enumerate(self.shape.fields)}
        self._swift = [swift_reader(e, self._reading(e.column), strict=not keys[e.column].loose)
                       for e in model.features.encoders]
        self._picked = _picker([places[column] for column, _ in model.readers])
        self._noted = [(keys[e.column].key, e.column, reading.one if (reading := self._reading(e.column)) else word,
                        frozenset(e.levels + e.rare) if isinstance(e, Category) else frozenset())
                       for e in model.features.encoders]
        self._limits = [(keys[name].key, name, self._reading(name), *told.limits[name])
                        for name in model.features.columns if name in told.limits]
        plain = {e.column: at for at, e in enumerate(model.features.encoders) if isinstance(e, Number)}
        self._within = [(plain.get(name, 0), low, high) for _, name, _, low, high in self._limits]
        self._looked = all(name in plain for _, name, *_ in self._limits)
        self._careful = serving.strange == "abstain"

    def _reading(self, column: str) -> Reading | None:
        return self.model.sheet.cleaning.of(column)

    def answer(self, records: Sequence[Mapping[str, Any]], *, contributions: bool = False) -> list[dict[str, Any]]:
        """One answer per record: prediction, probabilities, set or interval, abstain; contributions if asked.

        unseen names the fields whose value training did not have, missing those whose value it took for none, outside
        those beyond the limits that the project declares, or else the contract expects.

        Raises BadData naming record and field: what came, what was expected.
        """
        return self.batch(self.shape.convert(records), contributions=contributions).answers

    def batch(self, records: Sequence[Any], *, contributions: bool = False) -> Batch:
        """Answers to decoded records (see `Shape`). Raises BadData for more rows than declared."""
        few(len(records), self.serving.max_rows)
        columns = self.shape.columns(records)
        if len(records) <= SINGLE:
            rows = [[read(getattr(record, key)) for key, read in self._readers] for record in records]
            gaps = [(place, at) for place, row in enumerate(rows) for at, value in enumerate(row) if value != value]
            notes, (answers, score) = self._notes(records, gaps), self._few(rows)
        else:
            inputs = self.model.rows(columns)
            notes, (answers, score) = self._notes(records, np.argwhere(np.isnan(inputs)).tolist()), self._many(inputs)
        beyond = self._outside(records) if self._limits else {}
        for place, note in (*notes.items(), *beyond.items()):
            answers[place].update(note)
            if self._careful and ("unseen" in note or "outside" in note):
                answers[place]["abstain"] = True
        if contributions:
            self._explain(np.array(rows) if len(records) <= SINGLE else inputs, answers)
        return Batch(answers, score, columns, sum(len(note.get("unseen", ())) for note in notes.values()),
                     sum(len(note["outside"]) for note in beyond.values()))

    def one(self, record: Any) -> One:
        """The answer to one decoded record: what `batch` gives for it, without the detours that a batch needs."""
        values = astuple(record)
        given = self._picked(values)
        row = list(map(call, self._swift, given))
        score = self._score(row)
        answer, kept = (self.plain(score[0]), score[0]) if self._one else self._several(score)
        unseen = outside = 0
        if (total := sum(row)) != total:  # a NaN among them, which is quicker to see than to find
            gaps = [(0, at) for at, read in enumerate(row) if read != read and given[at] is not None]
            notes = self._notes((record,), gaps).get(0, {}) if gaps else {}
            answer.update(notes)
            unseen = len(notes.get("unseen", ()))
        if self._limits and not (self._looked and all(low <= row[at] <= high for at, low, high in self._within)):
            beyond = self._outside((record,)).get(0, {})
            answer.update(beyond)
            outside = len(beyond.get("outside", ()))
        if self._careful and (unseen or outside):
            answer["abstain"] = True
        return One(answer, kept, self.shape.kept(values), unseen, outside)

    def _several(self, score: Sequence[float]) -> tuple[dict[str, Any], float]:
        several = np.array([score])
        return self.model.answer(several)[0], float(several.max())

    def _few(self, inputs: Sequence[list[float]]) -> tuple[list[dict[str, Any]], list[float]]:
        answers, kept = [], []
        for row in inputs:
            score = self._score(row)
            if self._one:
                answers.append(self.plain(score[0]))
                kept.append(score[0])
            else:
                answer, most = self._several(score)
                answers.append(answer)
                kept.append(most)
        return answers, kept

    def _many(self, inputs: Floats) -> tuple[list[dict[str, Any]], list[float]]:
        score = self.model.program.score(inputs)
        if score.ndim == 2:
            answered = self.model.answer(score)
            return [answered[place] for place in range(len(answered))], score.max(axis=1).tolist()
        kept: list[float] = score.tolist()
        return (list(map(self.plain, kept)) if self.model.sheet.task == "regression" else self._two(score, kept)), kept

    def _two(self, score: Floats, kept: Sequence[float]) -> list[dict[str, Any]]:
        """What `plain` gives for every score of a binary model, by arrays."""
        sheet = self.model.sheet
        first, second = sheet.classes
        other, high, edge = 1 - score, score >= sheet.threshold, sheet.conformal
        decision = [second if one else first for one in high.tolist()]
        if edge is None:
            return [{"prediction": d, "probabilities": {first: o, second: s}, "abstain": a} for d, o, s, a in
                    zip(decision, other.tolist(), kept, (~np.isfinite(score)).tolist(), strict=True)]
        inside = (1 - other <= edge) + 2 * (1 - score <= edge)
        unsure = ~np.isfinite(score) | (inside != 1 + high)
        sets = [[[], [first], [second], [first, second]][code] for code in inside.tolist()]
        return [{"prediction": d, "probabilities": {first: o, second: s}, "set": i, "abstain": a} for d, o, s, i, a in
                zip(decision, other.tolist(), kept, sets, unsure.tolist(), strict=True)]

    def plain(self, score: float) -> dict[str, Any]:
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
        answer["abstain"] = not finite or answer["set"] != [answer["prediction"]]
        return answer

    def _notes(self, records: Sequence[Any], gaps: Iterable[Sequence[int]]) -> dict[int, dict[str, list[str]]]:
        """Record → its fields whose value training did not have (unseen), or took for none (missing).

        gaps: record and input wherever the input is NaN. Raises BadData where the project refuses unseen values.
        """
        found: dict[int, dict[str, list[str]]] = {}
        for place, at in gaps:
            key, name, one, levels = self._noted[at]
            given = getattr(records[place], key)
            meant = None if given is None else one(given)
            if given is None or (levels and meant in levels):
                continue
            if levels and meant is not None and self.serving.unseen == "refuse":
                raise _unseen(name, str(given)[:60], place, levels)
            fields = found.setdefault(place, {}).setdefault("missing" if meant is None else "unseen", [])
            fields += [name] if name not in fields else []
        return found

    def _outside(self, records: Sequence[Any]) -> dict[int, dict[str, list[str]]]:
        """Record → its fields whose number lies beyond what is declared possible, or else expected (outside)."""
        found: dict[int, dict[str, list[str]]] = {}
        for key, name, reading, low, high in self._limits:
            for place, record in enumerate(records):
                number = _number(getattr(record, key), reading)
                if number is not None and not low <= number <= high:
                    found.setdefault(place, {"outside": []})["outside"].append(name)
        return found

    def _explain(self, inputs: Floats, answers: list[dict[str, Any]]) -> None:
        if self._contributions is None:
            raise Misuse("this model has no reference row to explain against", where="contributions",
                         hint="ask without contributions")
        names = [entry.name for entry in self.model.features.inputs]
        for answer, shares in zip(answers, self._contributions(self.model, inputs), strict=True):
            answer["contributions"] = dict(zip(names, map(float, shares), strict=True))


def few(rows: int, most: int) -> None:
    """Raise BadData where there are more rows than may be asked about at once."""
    if rows > most:
        raise BadData(f"{rows:,} records are more than the {most:,} allowed at once", where="body",
                      hint="send them in several requests")


def _picker(places: Sequence[int]) -> Callable[[tuple[Any, ...]], Sequence[Any]]:
    if list(places) == list(range(len(places))):
        count = len(places)
        return lambda values: values[:count]
    return itemgetter(*places) if len(places) > 1 else lambda values: (values[places[0]],)


def _number(value: Any, reading: Reading | None) -> float | None:
    """The number that was sent; None where there is none, or a code for none."""
    if isinstance(value, str):
        if isinstance(reading, Numbers):
            return reading.text.number(value) if reading.text else None
        found = parsed(value.strip(), comma=False)
        return found[0] if found else None
    coded = isinstance(reading, Numbers) and any(gap.low == gap.high == value for gap in reading.gaps)
    return float(value) if isinstance(value, int | float) and not coded else None


def _unseen(name: str, text: str, place: int, levels: Iterable[str]) -> BadData:
    told = f"record {place}: " if place else ""
    return BadData(f'{told}field "{name}": {text!r} was never seen in training', where=name,
                   hint=nearest(text, levels) or "send null")


def answerer(
    model: Model, project: Project | Serving | None = None, *, contributions: Contributions | None = None,
    told: Declared | None = None,
) -> Answerer:
    """The compiled answerer of a model.

    contributions: (model, inputs (n, d)) → (n, d) shares of the margin; by default the exact ones against the model's
    reference row, where it has one. told: what else is known of the table that the model was learnt from.
    """
    serving = project.serve if isinstance(project, Project) else project or Serving()
    exact = _exact if len(model.sheet.reference) == len(model.features.inputs) else None
    return Answerer(model, serving, contributions or exact, told or Declared())


def _exact(model: Model, inputs: Floats) -> Floats:
    return core_contributions(model.program, inputs, model.reference)
