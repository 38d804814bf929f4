"""Labels as clients and files tell them: JSON, JSON lines, CSV or the rows of a table; checked before any is kept."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipworthy.core.clock import DAY, micros
from shipworthy.core.table import word
from shipworthy.deployment.integration.log.labels import Label
from shipworthy.errors import BadData, nearest

AHEAD = timedelta(days=1)
FORM = "send prediction_id, label, observed_at (such as 2024-07-09T08:00:00Z), and source, or a list of them"
WANTED = {**dict.fromkeys(("observed_at", "at", "since"), "a time with a zone, such as 2024-07-09T08:00:00Z"),
          "weight": "a number"}
_SHOWN = 60


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One label of a request.

    prediction_id: of the answer; or else entity, column → value, and at: the last answer for that entity up to that
    time is meant, since another time if one is given, else as far back as `[serve] label_days` says.
    """

    label: str | float | bool
    observed_at: datetime
    prediction_id: str = ""
    source: str = ""
    weight: float = 1.0
    entity: dict[str, str | int | float | bool] = {}
    at: datetime | None = None
    since: datetime | None = None


COLUMNS = Told.__struct_fields__
_decode = msgspec.json.Decoder(Told | list[Told])


@dataclass(frozen=True)
class Rules:
    """What a label of a release may say. classes: none for a regression. same: spelling → the class that it means.

    entity: the columns by which the log can find an answer. days: how long before its time that answer may lie.
    rows: labels allowed at once.
    """

    classes: tuple[str, ...]
    same: Mapping[str, str] = field(default_factory=dict)
    entity: tuple[str, ...] = ()
    days: float = 30.0
    rows: int = 10_000


def read_body(body: bytes, rules: Rules) -> list[Label]:
    """The labels of a request's body: one as JSON or a list of them, JSON lines, or CSV with a header.

    Raises msgspec.DecodeError for what is none of these, BadData naming the field and, beyond the first, the label.
    """
    head = body.partition(b"\n")[0].strip()
    if head[:1] not in (b"{", b"[") and b"label" in head and b"," in head:
        try:
            found = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadData(f"the CSV cannot be read: {error}", where="body", hint="send it as UTF-8") from error
        return read_rows(found[0], [row for row in found[1:] if row], rules)
    try:
        told = _json(body)
    except msgspec.ValidationError as error:
        raise BadData(f"the label cannot be read: {error}", where="labels", hint=FORM) from error
    _few(len(told), rules)
    return [checked(one, rules, f"label {place}: " if place else "") for place, one in enumerate(told)]


def read_rows(names: Sequence[str], rows: Iterable[Sequence[Any]], rules: Rules, *, most: int = 0) -> list[Label]:
    """The labels of a table: columns as in `Told`, and one column for every part of an entity.

    rows: values or their words; times as words or datetimes. most: rows allowed; 0 is what the rules allow.
    Raises BadData naming the row, counted from 1 without the header, and the column.
    """
    for name in names:
        if name == "entity" or name not in (*COLUMNS, *rules.entity):
            raise BadData(f'the column "{name}" is no part of a label', where=name,
                          hint=nearest(name, [*COLUMNS, *rules.entity]) or "leave it out")
    if missing := [name for name in ("label", "observed_at") if name not in names]:
        raise BadData(f'the column "{missing[0]}" is missing', where=missing[0],
                      hint="a table of labels has prediction_id, label, observed_at, and source")
    found = []
    for place, row in enumerate(rows, 1):
        if place > (most or rules.rows):
            _few(place, rules)
        if len(row) != len(names):
            raise BadData(f"row {place}: {len(row)} values for {len(names)} columns", where="body",
                          hint="quote a value that holds a comma")
        found.append(checked(_row(dict(zip(names, row, strict=True)), rules, place), rules, f"row {place}: "))
    return found


def checked(told: Told, rules: Rules, place: str = "") -> Label:
    """A label as the log keeps it. place: said before the problem. Raises BadData naming the field."""
    zoned("observed_at", told.observed_at, place)
    if told.observed_at > datetime.now(UTC) + AHEAD:
        raise BadData(f"{place}observed_at {told.observed_at.isoformat()} has not come yet", where="observed_at",
                      hint="send when it became known")
    said = word(told.label) or ""
    known = rules.same.get(said, said) in rules.classes if rules.classes else _is_number(told.label)
    if not known:
        raise BadData(f"{place}{said[:_SHOWN]!r} is no label of this model", where="label",
                      hint=nearest(said, rules.classes) or f"send {' or '.join(rules.classes) or 'a number'}")
    if not 0 <= told.weight < float("inf"):
        raise BadData(f"{place}{told.weight} is no weight", where="weight", hint="send 0 or more; 1 is usual")
    if told.entity or not told.prediction_id:
        return _of_entity(told, rules, place)
    if len(told.prediction_id) != 36:
        raise BadData(f"{place}{told.prediction_id[:_SHOWN]!r} is no prediction id", where="prediction_id",
                      hint="send the prediction_id of the answer")
    return Label(told.prediction_id, told.label, told.observed_at, told.source, told.weight)


def zoned(name: str, value: datetime, place: str = "") -> int:
    """A time as microseconds since 1970 UTC. Raises BadData where it has no zone."""
    if value.tzinfo is None:
        raise BadData(f"{place}{name} {value.isoformat()} has no zone", where=name,
                      hint="add Z for UTC, as in 2024-07-09T08:00:00Z")
    return micros(value)


def _of_entity(told: Told, rules: Rules, place: str) -> Label:
    if told.prediction_id:
        raise BadData(f"{place}a label is given by prediction_id, or by entity and at, not by both", where="entity",
                      hint="leave one of them out")
    for name, value in told.entity.items():
        if name not in rules.entity:
            raise BadData(f'{place}"{name[:_SHOWN]}" names no entity in this log', where="entity",
                          hint=nearest(name, rules.entity) or (
                              f"these do: {', '.join(rules.entity)}" if rules.entity else
                              "send prediction_id; or name a column in [data] identifiers or group and build again"))
        if not word(value):
            raise BadData(f'{place}"{name}" is empty', where="entity", hint="send whose answer it was")
    if not told.entity:
        raise BadData(f"{place}the label names no answer", where="prediction_id",
                      hint="send prediction_id, or entity and at")
    if told.at is None:
        raise BadData(f"{place}at is missing", where="at", hint="send the time up to which the answer was given")
    until = zoned("at", told.at, place)
    since = until - round(rules.days * DAY) if told.since is None else zoned("since", told.since, place)
    if since > until:
        raise BadData(f"{place}since lies behind at", where="since", hint="send a since that is earlier than at")
    named = tuple(sorted((name, word(value) or "") for name, value in told.entity.items()))
    return Label("", told.label, told.observed_at, told.source, told.weight, named, since, until)


def _json(body: bytes) -> list[Told]:
    try:
        found = _decode.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):
            raise
        return [_line(line, number) for number, line in enumerate(lines, 1)]
    return found if isinstance(found, list) else [found]


def _line(line: bytes, number: int) -> Told:
    try:
        return msgspec.json.decode(line, type=Told)
    except msgspec.ValidationError as error:
        raise BadData(f"line {number}: the label cannot be read: {error}", where="labels", hint=FORM) from error


def _row(values: dict[str, Any], rules: Rules, place: int) -> Told:
    told = {name: value for name, value in values.items()
            if name in COLUMNS and name not in rules.entity and value is not None and value != ""}
    entity = {name: values[name] for name in rules.entity if values.get(name) not in (None, "")}
    if entity and not told.get("prediction_id"):
        told["entity"] = entity
    if not rules.classes and isinstance(told.get("label"), str):
        told["label"] = _number(told["label"], place)
    try:
        return msgspec.convert(told, Told, strict=False)
    except msgspec.ValidationError as error:
        found = re.search(r"`\$\.(\w+)`|field `(\w+)`", str(error))
        name = next(filter(None, found.groups()), "label") if found else "label"
        given = "it is empty" if name not in told else f"{str(told[name])[:_SHOWN]!r} cannot be read"
        raise BadData(f'row {place}: column "{name}": {given}', where=name,
                      hint=f"write {WANTED.get(name, 'a value')}") from error


def _number(text: str, place: int) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadData(f"row {place}: {text[:_SHOWN]!r} is no label of this model", where="label",
                      hint="send a number") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and abs(value) < float("inf")


def _few(count: int, rules: Rules) -> None:
    if count > rules.rows:
        raise BadData(f"{count:,} labels are more than the {rules.rows:,} allowed at once", where="body",
                      hint="send them in several requests, or as a file: shipworthy labels FILE")
