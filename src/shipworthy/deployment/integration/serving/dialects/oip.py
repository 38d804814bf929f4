"""The Open Inference Protocol v2: a table as one input per column, answers as one output per figure.

Source: Open Inference Protocol, REST API version 2 (KServe, 2023), and Triton's binary tensor data extension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects import tensors
from shipworthy.deployment.integration.serving.dialects.asked import (
    About,
    Answers,
    Headers,
    Question,
    Unreadable,
    Written,
    about_of,
    gathered,
    loose_json,
    notes,
)
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.errors import BadData, one_of

PLATFORM = "shipworthy_program"
LENGTH = "inference-header-content-length"
EXTENSIONS = ("binary_tensor_data", "model_repository")
KINDS = {"number": "FP64", "boolean": "BOOL", "category": "BYTES", "text": "BYTES", "timestamp": "BYTES"}
ACCEPTS = {"number": tensors.NUMBERS, "boolean": ("BOOL",), "category": ("BYTES",), "text": ("BYTES",),
           "timestamp": ("BYTES",)}
_encode = msgspec.json.Encoder().encode


def server_metadata(version: str) -> dict[str, Any]:
    """The answer to GET /v2."""
    return {"name": "shipworthy", "version": version, "extensions": list(EXTENSIONS)}


def repository_index(models: Sequence[tuple[str, str]], ready: bool) -> list[dict[str, Any]]:
    """The answer to POST /v2/repository/index. models: name and version of each."""
    state = "READY" if ready else "UNAVAILABLE"
    return [{"name": name, "version": version, "state": state, "reason": ""} for name, version in models]


def model_metadata(answerer: Answerer, about: About) -> dict[str, Any]:
    """The answer to GET /v2/models/{name}: one input per column, with its kind and whether it may be left out."""
    inputs = [{"name": field.name, "datatype": KINDS[field.kind], "shape": [-1],
               "parameters": {"kind": field.kind, "required": field.required}} for field in answerer.shape.fields]
    outputs = [{"name": name, "datatype": kind, "shape": [-1, *width]}
               for name, (kind, width) in catalogue(about).items()]
    return {"name": about.name, "versions": [about.version], "platform": PLATFORM, "inputs": inputs,
            "outputs": outputs}


def catalogue(about: About) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Every output that can be asked for: its datatype, and its width where it has one.

    contributions are only computed if they are named under outputs, or the parameter "contributions" is true.
    """
    wide = (len(about.classes),)
    found: dict[str, tuple[str, tuple[int, ...]]] = {"prediction": ("BYTES" if about.classes else "FP64", ())}
    if about.classes:
        found["probabilities"] = ("FP64", wide)
    if about.certain:
        found[about.certain] = ("BOOL", wide) if about.classes else ("FP64", (2,))
    return found | {"abstain": ("BOOL", ()), "prediction_id": ("BYTES", ()), "notes": ("BYTES", ()),
                    "contributions": ("FP64", (len(about.inputs),))}


def read(body: bytes, headers: Headers, answerer: Answerer) -> Question:
    """The rows of an infer request.

    more: its id, and which outputs it wants: name → whether raw. Raises BadData naming the input and
    what is wrong with it, msgspec.DecodeError for malformed JSON.
    """
    request, tail = _parts(body, headers)
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise BadData('the request has no list "inputs"', where="inputs", hint="send one input per column")
    if not isinstance(request.get("id"), str | None):
        raise BadData('the "id" of a request is text', where="id", hint='send it in quotes, such as "7"')
    fields = {field.name: field for field in answerer.shape.fields}
    columns: dict[str, list[Any]] = {}
    checked = []
    for entry in request["inputs"]:
        name = _name(entry, fields, answerer)
        if name in columns:
            raise BadData(f'input "{name}" is sent twice', where=f"inputs, {name}", hint="send every input once")
        values, tail = _values(entry, name, fields.get(name), tail)
        if name in fields:
            columns[name] = values
            checked += [(values, entry["datatype"], name)] if "data" in entry else []
    if tail:
        raise Unreadable(f"{len(tail)} bytes follow the inputs that nobody claims", where="body",
                         hint="give every binary input its binary_data_size")
    records = gathered(columns, answerer, "input")
    for values, datatype, name in checked:
        tensors.check(values, datatype, name)
    wanted = _wanted(request, about_of(answerer, "", ""))
    return Question(records, contributions="contributions" in wanted, more=(request.get("id"), wanted))


def write(question: Question, answers: Answers, about: About) -> Written:
    """The answer to an infer request: what its outputs name, or all; each as JSON, or raw where it was asked so."""
    (named, wanted), known = question.more, catalogue(about)
    if question.contributions and "contributions" not in wanted:
        wanted = {**wanted, "contributions": any(wanted.values())}
    outputs, raw = [], []
    for name, binary in wanted.items():
        output, flat = _output(name, known[name], _rows(name, answers, about), about)
        if binary:
            raw.append(tensors.packed(flat, output["datatype"]))
            output.setdefault("parameters", {})["binary_data_size"] = len(raw[-1])
        else:
            output["data"] = flat
        outputs.append(output)
    told = {"id": named} if named else {}
    head = _encode({**told, "model_name": about.name, "model_version": about.version,
                    "parameters": {"release": about.version}, "outputs": outputs})
    if not raw:
        return Written("application/json", head)
    return Written("application/octet-stream", b"".join([head, *raw]),
                   (("inference-header-content-length", str(len(head))),))


def _parts(body: bytes, headers: Headers) -> tuple[Any, memoryview]:
    """The JSON of a request, and the raw tensors after it."""
    said = headers.get(LENGTH)
    if said is None:
        return loose_json(body), memoryview(b"")
    if not (said.isascii() and said.isdigit() and len(said) < 16 and int(said) <= len(body)):
        raise Unreadable(f"the header says that {said[:40]!r} bytes are JSON, of {len(body)}",
                         where="Inference-Header-Content-Length", hint="send the length of the JSON in bytes")
    return loose_json(body[: int(said)]), memoryview(body)[int(said) :]


def _name(entry: Any, fields: Mapping[str, Field], answerer: Answerer) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, str) and (name in fields or name in answerer.shape.ignored):
        return name
    raise BadData(f"input {str(name)[:60]!r} is not known", where=f"inputs, {str(name)[:60]}",
                  hint=one_of(str(name), fields))


def _values(
    entry: Mapping[str, Any], name: str, field: Field | None, tail: memoryview
) -> tuple[list[Any], memoryview]:
    """The values of one input, and what is left of the raw tensors. field: None if nobody looks at it."""
    datatype, size = str(entry.get("datatype"))[:20], _parameters(entry, f"inputs, {name}").get("binary_data_size")
    accepted: Sequence[str] = tensors.DATATYPES
    if field:
        accepted = (*ACCEPTS[field.kind], *(tensors.NUMBERS if field.words else ()),
                    *(("BYTES",) if field.text else ()))
    if datatype not in accepted:
        raise BadData(f'input "{name}" has the datatype {datatype!r}', where=f"inputs, {name}",
                      hint=f"send {KINDS[field.kind] if field else 'one of ' + ', '.join(accepted)}")
    if size is None:
        values = tensors.listed(entry.get("data"), datatype, name)
    else:
        if type(size) is not int or not 0 <= size <= len(tail):
            raise BadData(f'input "{name}" claims {str(size)[:20]} bytes of the {len(tail)} that are left',
                          where=f"inputs, {name}", hint="set binary_data_size to its bytes, and send the header "
                                                        "Inference-Header-Content-Length")
        values, tail = tensors.unpacked(bytes(tail[:size]), datatype, name), tail[size:]
    shape = entry.get("shape")
    if shape not in ([len(values)], [len(values), 1]):
        raise BadData(f'input "{name}" holds {len(values)} values, but its shape is {str(shape)[:40]}',
                      where=f"inputs, {name}", hint=f"send the shape [{len(values)}]")
    return values, tail


def _wanted(request: Mapping[str, Any], about: About) -> dict[str, bool]:
    """Output → whether it is wanted raw: those that are named, or all."""
    parameters, known = _parameters(request, "parameters"), catalogue(about)
    binary = _true(parameters, "binary_data_output", False)
    shares = _true(parameters, "contributions", False)
    named = request.get("outputs")
    named = [] if named is None else named
    if not isinstance(named, list):
        raise BadData("outputs is no list", where="outputs", hint='send [{"name": "prediction"}], or leave it out')
    found: dict[str, bool] = {}
    for entry in named:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in known:
            raise BadData(f"output {str(name)[:60]!r} is not known", where="outputs", hint=one_of(str(name), known))
        found[name] = _true(_parameters(entry, f"outputs, {name}"), "binary_data", binary)
    return found or {name: binary for name in known if name != "contributions" or shares}


def _parameters(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found = entry.get("parameters")
    found = {} if found is None else found
    if not isinstance(found, dict):
        raise BadData("parameters is no object", where=where, hint='send {"name": value}, or leave it out')
    return found


def _true(parameters: Mapping[str, Any], name: str, usual: bool) -> bool:
    found = parameters.get(name, usual)
    if not isinstance(found, bool):
        raise BadData(f"the parameter {name} is neither true nor false", where="parameters", hint="send true or false")
    return found


def _rows(name: str, answers: Answers, about: About) -> list[Any]:
    """The values of one output, a row an answer."""
    if name == "notes":
        return [_encode(found).decode() if (found := notes(answer)) else "" for answer in answers]
    if name == "set":
        return [[each in answer["set"] for each in about.classes] for answer in answers]
    if name in ("probabilities", "contributions"):
        return [list(answer[name].values()) for answer in answers]
    return [answer[name] for answer in answers]


def _output(
    name: str, form: tuple[str, tuple[int, ...]], rows: list[Any], about: About
) -> tuple[dict[str, Any], list[Any]]:
    """One output without its data, and the data, flat. Parameters are scalars in this protocol: names are JSON text."""
    datatype, width = form
    output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [len(rows), *width]}
    names = {"probabilities": about.classes, "set": about.classes, "contributions": about.inputs}.get(name)
    if names:
        output["parameters"] = {"columns": _encode(names).decode()}
    return output, [value for row in rows for value in row] if width else rows
