"""MLflow's scoring format: four ways to send rows as JSON, or CSV; answered by {"predictions": […]}.

Source: MLflow 3, "Local inference server specification". A tensor without names is refused: columns have names here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects.asked import (
    About,
    Answers,
    Headers,
    Question,
    Written,
    gathered,
    loose_json,
)
from shipworthy.deployment.integration.serving.dialects.csv import read as read_csv
from shipworthy.errors import BadData, one_of

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
PARAMS = ("details", "contributions")
_encode = msgspec.json.Encoder().encode


def read(body: bytes, headers: Headers, answerer: Answerer) -> Question:
    """The rows of an /invocations request.

    more: whether whole answers are wanted instead of predictions alone. `params` may hold `details` and
    `contributions`, true or false; any other is refused by name. Raises BadData, msgspec.DecodeError.
    """
    request = loose_json(body)
    forms = [form for form in FORMS if form in request] if isinstance(request, dict) else []
    if len(forms) != 1:
        raise BadData(f"the body has {' and '.join(forms) or 'none of ' + ', '.join(FORMS)}", where="body",
                      hint='send one form, such as {"dataframe_records": [{…}]}')
    unknown = [str(key)[:60] for key in request if key not in (*FORMS, "params")]
    if unknown:
        raise BadData(f'field "{unknown[0]}" is not known', where=unknown[0],
                      hint=one_of(unknown[0], (*FORMS, "params")))
    params = _params(request.get("params"))
    records = _records(forms[0], request[forms[0]], answerer)
    return Question(records, contributions=params.get("contributions", False), more=any(params.values()))


def read_table(body: bytes, headers: Headers, answerer: Answerer) -> Question:
    """The rows of a CSV body."""
    return read_csv(body, headers, answerer)._replace(more=False)


def write(question: Question, answers: Answers, about: About) -> Written:
    """{"predictions": […]}: values or classes; whole answers if they are asked for by `params`."""
    whole = question.more or question.contributions
    found = answers if whole else [answer["prediction"] for answer in answers]
    return Written("application/json", _encode({"predictions": found}))


def _records(form: str, given: Any, answerer: Answerer) -> list[Any]:
    if form == "dataframe_split":
        return gathered(_split(given, answerer), answerer)
    if form == "inputs" and isinstance(given, dict):
        columns = {name: values if isinstance(values, list) else [values] for name, values in given.items()}
        return gathered(_times(columns, answerer), answerer)
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise BadData(f"{form} does not name its columns", where=form,
                      hint=f'send {{"{form}": [{{"column": value, …}}, …]}}')
    return answerer.shape.convert([_timed(row, answerer) for row in given])


def _split(given: Any, answerer: Answerer) -> dict[str, list[Any]]:
    names = given.get("columns") if isinstance(given, dict) else None
    rows = given.get("data") if isinstance(given, dict) else None
    if (not isinstance(names, list) or not isinstance(rows, list) or not all(isinstance(n, str) for n in names)
            or not all(isinstance(row, list) and len(row) == len(names) for row in rows)):
        raise BadData("dataframe_split needs columns, and data with as many values a row", where="dataframe_split",
                      hint='send {"columns": […], "data": [[…], …]}')
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f'column "{twice[:60]}" is sent twice', where="dataframe_split", hint="send every column once")
    return _times({name: [row[place] for row in rows] for place, name in enumerate(names)}, answerer)


def _params(given: Any) -> Mapping[str, bool]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadData("params is no object", where="params", hint='send {"details": true}, or leave it out')
    for name, value in given.items():
        if name not in PARAMS:
            raise BadData(f"params: {str(name)[:60]!r} is not known", where="params", hint=one_of(str(name), PARAMS))
        if not isinstance(value, bool):
            raise BadData(f"params: {name} is neither true nor false", where="params", hint="send true or false")
    return given


def _times(columns: dict[str, list[Any]], answerer: Answerer) -> dict[str, list[Any]]:
    """pandas writes a missing time as the word NaT."""
    times = {field.name for field in answerer.shape.fields if field.kind == "timestamp"}
    return {name: [None if value == "NaT" else value for value in values] if name in times else values
            for name, values in columns.items()}


def _timed(row: dict[str, Any], answerer: Answerer) -> dict[str, Any]:
    if "NaT" not in map(str, row.values()):
        return row
    return {name: values[0] for name, values in _times({n: [v] for n, v in row.items()}, answerer).items()}
