"""CSV: a line of column names, then a line a row; an empty cell is no value.

Cells have no types, so each is read as its field wants it: a plain number, true or false, an ISO 8601 time, or text.
Source: RFC 4180.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import msgspec

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects.asked import (
    About,
    Answers,
    Headers,
    Question,
    Unreadable,
    Written,
    gathered,
    notes,
)
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.errors import BadData

KIND = "text/csv"
TRUTHS = {"true": True, "false": False}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_encode = msgspec.json.Encoder().encode


def read(body: bytes, headers: Headers, answerer: Answerer) -> Question:
    """The rows of a CSV body in UTF-8. Raises BadData naming column and line, Unreadable where it is no CSV."""
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise Unreadable("the body is not UTF-8", where="body", hint="save the file as UTF-8") from error
    except csv.Error as error:
        raise Unreadable(f"the body is not CSV: {error}", where="body", hint="quote cells by doubled quotes") from error
    lines = [line for line in lines if line]
    if not lines:
        raise Unreadable("the body is empty", where="body", hint="send a line of column names first")
    names, rows = lines[0], lines[1:]
    for place, row in enumerate(rows):
        if len(row) != len(names):
            raise Unreadable(f"row {place + 1} has {len(row)} cells, the first line {len(names)}", where="body",
                             hint="send one cell a column")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f'column "{twice[:60]}" is sent twice', where="body", hint="send every column once")
    fields = {field.name: field for field in answerer.shape.fields}
    columns = {name: [_value(row[place], fields[name], at) for at, row in enumerate(rows)] if name in fields else
               [None] * len(rows) for place, name in enumerate(names)}
    return Question(gathered(columns, answerer))


def write(question: Question, answers: Answers, about: About) -> Written:
    """A line an answer: prediction_id, release, prediction, a probability a class, set or interval, abstain, notes.

    set and notes are JSON; the names of probabilities and contributions follow a dot, as in probabilities.yes.
    """
    heads = _heads(about, question.contributions)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(heads)
    writer.writerows(_cells(answer, about, question.contributions) for answer in answers)
    return Written("text/csv; charset=utf-8", out.getvalue().encode())


def _heads(about: About, contributions: bool) -> list[str]:
    certain = {"set": ["set"], "interval": ["interval.low", "interval.high"], "": []}[about.certain]
    return ["prediction_id", "release", "prediction", *(f"probabilities.{name}" for name in about.classes), *certain,
            "abstain", "notes", *(f"contributions.{name}" for name in about.inputs if contributions)]


def _cells(answer: dict[str, Any], about: About, contributions: bool) -> list[Any]:
    held = _encode(answer["set"]).decode() if "set" in answer else ""
    certain = {"set": [held], "interval": answer.get("interval", ("", "")), "": ()}[about.certain]
    flags, shares = notes(answer), answer.get("contributions", {})
    return [answer["prediction_id"], answer["release"], answer["prediction"],
            *(answer["probabilities"].get(name, "") for name in about.classes), *certain,
            "true" if answer["abstain"] else "false", _encode(flags).decode() if flags else "",
            *(shares.get(name, "") for name in about.inputs if contributions)]


def _value(cell: str, field: Field, place: int) -> Any:
    """One cell as its field wants it. Raises BadData."""
    if not cell:
        return None
    if field.text or field.kind not in ("number", "boolean"):
        return cell
    if field.kind == "number" and _NUMBER.fullmatch(cell):
        return float(cell)
    if field.kind == "boolean" and cell.lower() in TRUTHS:
        return TRUTHS[cell.lower()]
    raise BadData(f'row {place + 1}, column "{field.name}": "{cell[:60]}" is not {field.wanted}', where=field.name,
                  hint="leave the cell empty if the value is unknown")
