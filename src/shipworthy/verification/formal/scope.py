"""The rows that a declared property speaks of: columns and conditions of the project as spans of a program's inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from shipworthy.core.claims import Condition
from shipworthy.core.features import Category, Moment
from shipworthy.core.model import Model
from shipworthy.core.program import Dense, Linear
from shipworthy.core.project import Project
from shipworthy.core.schema import Schema
from shipworthy.core.table import Floats
from shipworthy.errors import BadProject, one_of
from shipworthy.verification.formal.claims import Domain, Span

MOMENTS = {"hour": (0, 23), "weekday": (1, 7), "day": (1, 31), "month": (1, 12)}
NOTHING = Span(math.inf, -math.inf, False)


@dataclass(frozen=True)
class Scope:
    """A model over the rows that there can be. low, high: (inputs,) of the learning rows. schema: of the table."""

    model: Model
    project: Project
    low: Floats
    high: Floats
    schema: Schema

    def places(self, column: str) -> list[int]:
        """The inputs made of a column, or of a part of it, such as "when.hour"; none if the model does not read it.

        Raises BadProject for a column that the table does not have.
        """
        encoders = self.model.features.encoders
        found = [place for place, one in enumerate(encoders) if column in (one.column, one.name)]
        if not found and column not in self.schema:
            known = [*self.schema.names, *(one.name for one in encoders if isinstance(one, Moment))]
            raise BadProject(f'a property names the column "{column}", which does not exist', where="[[property]]",
                             hint=one_of(column, known))
        return found

    def place(self, column: str) -> int | None:
        """The one input made of a column; None if the model does not read it. Raises BadProject if it has several."""
        found = self.places(column)
        if len(found) > 1:
            names = [self.model.features.encoders[place].name for place in found]
            raise BadProject(f'the model reads "{column}" in {len(found)} parts', where="[[property]]",
                             hint=f"name one of them: {', '.join(names)}")
        return found[0] if found else None

    def domain(self, within: dict[str, tuple[float, float]], when: Iterable[Condition]) -> Domain:
        """All rows there can be, less those that a property does not speak of.

        Numbers lie in [data.limits]; without them a program with weights is judged within the learning rows' range,
        and any other for all numbers.
        """
        spans = [self._span(place) for place in range(len(self.model.features.encoders))]
        for column, (low, high) in within.items():
            self._narrow(spans, Condition(column, low, high))
        for one in when:
            self._narrow(spans, one)
        rules = self.project.domain
        groups = [tuple(filter(None.__ne__, map(self.place, group))) for group in rules.one_of]
        pairs = [(self.place(above), self.place(below)) for below, above in rules.order]
        return Domain(tuple(spans), tuple(group for group in groups if len(group) > 1),  # type: ignore[misc]
                      tuple((a, b) for a, b in pairs if a is not None and b is not None))

    def _span(self, place: int) -> Span:
        encoder = self.model.features.encoders[place]
        if isinstance(encoder, Category):
            return Span(codes=tuple(range(len(encoder.levels))))
        if isinstance(encoder, Moment):
            low, high = MOMENTS.get(encoder.part, (-math.inf, math.inf))
            return Span(low, high, whole=encoder.part in MOMENTS)
        if encoder.column in self.schema and self.schema[encoder.column].kind == "boolean":
            return Span(0.0, 1.0, whole=True)
        weighed = any(isinstance(term.kind, Linear | Dense) and place in term.places
                      for term in self.model.program.terms)
        usual = (float(self.low[place]), float(self.high[place])) if weighed else (-math.inf, math.inf)
        low, high = self.project.data.limits.get(encoder.column, usual)
        return Span(low, high, whole=encoder.column in self.project.domain.whole)

    def _narrow(self, spans: list[Span], one: Condition) -> None:
        place = self.place(one.column)
        if place is None:
            raise BadProject(f'a property has a condition on "{one.column}", which the model does not read',
                             where="[[property]]", hint="name a column that the model reads, or leave it out")
        span, encoder = spans[place], self.model.features.encoders[place]
        if one.missing:
            spans[place] = replace(NOTHING, missing=True, whole=span.whole, codes=None if span.codes is None else ())
        elif one.word is not None:
            if isinstance(encoder, Category):
                if one.word not in encoder.levels:
                    raise BadProject(f'"{one.word}" is no value of {one.column} that the model knows',
                                     where="[[property]]", hint=one_of(one.word, encoder.levels))
                spans[place] = replace(span, missing=False, codes=(encoder.levels.index(one.word),))
            else:
                value = _number(one)
                spans[place] = replace(span, missing=False, low=max(span.low, value), high=min(span.high, value))
        elif span.codes is not None:
            raise BadProject(f'"{one.column}" holds words, and has no range', where="[[property]]",
                             hint=f'write: {one.column} is "{encoder.levels[0]}"'
                             if isinstance(encoder, Category) else "")
        else:
            low = math.nextafter(one.low, math.inf) if one.open and one.low > -math.inf else one.low
            high = math.nextafter(one.high, -math.inf) if one.open and one.high < math.inf else one.high
            spans[place] = replace(span, missing=False, low=max(span.low, low), high=min(span.high, high))

    def record(self, row: Floats) -> dict[str, Any]:
        """A request whose inputs are this row; of a part of a time, the first time in 2024 that has all parts."""
        found: dict[str, Any] = {}
        for place, encoder in enumerate(self.model.features.encoders):
            value = float(row[place])
            if isinstance(encoder, Category):
                known = value == value and 0 <= value < len(encoder.levels)
                found[encoder.column] = encoder.levels[int(value)] if known else None
            elif isinstance(encoder, Moment):
                found.setdefault(encoder.column, self._time(encoder.column, row))
            elif value != value:
                found[encoder.column] = None
            else:
                boolean = encoder.column in self.schema and self.schema[encoder.column].kind == "boolean"
                found[encoder.column] = bool(value) if boolean else value
        return found

    def _time(self, column: str, row: Floats) -> str | None:
        wanted = {one.part: float(row[place]) for place, one in enumerate(self.model.features.encoders)
                  if isinstance(one, Moment) and one.column == column and row[place] == row[place]}
        if "seconds" in wanted:
            return datetime.fromtimestamp(wanted["seconds"], UTC).isoformat()
        start = datetime(2024, 1, 1, tzinfo=UTC)
        for hours in range(366 * 24):
            at = start + timedelta(hours=hours)
            parts = {"hour": at.hour, "weekday": at.isoweekday(), "day": at.day, "month": at.month}
            if wanted and all(parts[name] == value for name, value in wanted.items()):
                return at.isoformat()
        return None


def scope(model: Model, project: Project, inputs: Floats, schema: Schema) -> Scope:
    """The scope of a model. inputs: (n, d) of the learning rows."""
    known = np.where(np.isfinite(inputs), inputs, np.nan)
    known[:, ~np.isfinite(known).any(axis=0)] = 0.0
    return Scope(model, project, np.nanmin(known, axis=0), np.nanmax(known, axis=0), schema)


def _number(one: Condition) -> float:
    word = str(one.word)
    try:
        return {"true": 1.0, "false": 0.0}.get(word.lower()) if word.lower() in ("true", "false") else float(word)  # type: ignore[return-value]
    except ValueError as error:
        raise BadProject(f'"{one.column}" holds numbers, and "{word}" is none', where="[[property]]",
                         hint=f"write: {one.column} is at least A") from error
