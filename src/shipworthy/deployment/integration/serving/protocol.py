"""The Open Inference Protocol v2: a table as one input per column, answers as one output per figure.

Source: Open Inference Protocol, REST API version 2 (KServe, 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.deployment.integration.serving.answerer import Answerer, Batch
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.errors import BadData, one_of

PLATFORM = "shipworthy_program"
KINDS = {"number": "FP64", "boolean": "BOOL", "category": "BYTES", "text": "BYTES", "timestamp": "BYTES"}
NUMBERS = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")
ACCEPTS = {"number": NUMBERS, "boolean": ("BOOL",), "category": ("BYTES",), "text": ("BYTES",), "timestamp": ("BYTES",)}


def server_metadata(version: str) -> dict[str, Any]:
    """The answer to GET /v2."""
    return {"name": "shipworthy", "version": version, "extensions": []}


def model_metadata(answerer: Answerer, name: str, version: str) -> dict[str, Any]:
    """The answer to GET /v2/models/{name}: one input per column, with its kind and whether it may be left out."""
    inputs = [{"name": field.name, "datatype": KINDS[field.kind], "shape": [-1],
               "parameters": {"kind": field.kind, "required": field.required}} for field in answerer.shape.fields]
    outputs: list[dict[str, Any]] = [
        {"name": "prediction", "datatype": "BYTES" if answerer.model.classes else "FP64", "shape": [-1]}]
    if answerer.model.classes:
        outputs.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, len(answerer.model.classes)]})
    outputs.append({"name": "abstain", "datatype": "BOOL", "shape": [-1]})
    return {"name": name, "versions": [version], "platform": PLATFORM, "inputs": inputs, "outputs": outputs}


def records_of(request: Any, answerer: Answerer) -> list[dict[str, Any]]:
    """The rows of an infer request. Raises BadData naming the input and what is wrong with it."""
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise BadData('the request has no list "inputs"', where="inputs", hint="send one input per column")
    fields = {field.name: field for field in answerer.shape.fields}
    columns: dict[str, list[Any]] = {}
    for entry in request["inputs"]:
        name = entry.get("name") if isinstance(entry, dict) else None
        if name in answerer.shape.ignored:
            continue
        if not isinstance(name, str) or name not in fields:
            raise BadData(f"input {str(name)[:60]!r} is not known", where=f"inputs, {str(name)[:60]}",
                          hint=one_of(str(name), fields))
        if name in columns:
            raise BadData(f'input "{name}" is sent twice', where=f"inputs, {name}", hint="send every input once")
        columns[name] = _data(entry, fields[name])
    for name, field in fields.items():
        if field.required and name not in columns:
            raise BadData(f'input "{name}" is missing', where=f"inputs, {name}", hint=f"send {field.wanted}")
    sizes = {name: len(data) for name, data in columns.items()}
    if len(set(sizes.values())) > 1:
        raise BadData("the inputs differ in length: " + ", ".join(f"{n} {size}" for n, size in list(sizes.items())[:6]),
                      where="inputs", hint="send as many values of every column")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def response(
    request: Mapping[str, Any], batch: Batch, ids: Sequence[str], *, name: str, version: str, classes: tuple[str, ...]
) -> dict[str, Any]:
    """The answer to an infer request. parameters carry the release and the prediction ids."""
    answers, size = batch.answers, len(batch.answers)
    kind = "BYTES" if classes else "FP64"
    outputs: list[dict[str, Any]] = [
        {"name": "prediction", "datatype": kind, "shape": [size], "data": [a["prediction"] for a in answers]}]
    if classes:
        data = [value for answer in answers for value in answer["probabilities"].values()]
        outputs.append({"name": "probabilities", "datatype": "FP64", "shape": [size, len(classes)], "data": data,
                        "parameters": {"classes": list(classes)}})
    outputs.append({"name": "abstain", "datatype": "BOOL", "shape": [size], "data": [a["abstain"] for a in answers]})
    wanted = {entry["name"] for entry in request.get("outputs") or [] if isinstance(entry, dict) and "name" in entry}
    answer: dict[str, Any] = {
        "model_name": name, "model_version": version,
        "parameters": {"release": version, "prediction_ids": list(ids)},
        "outputs": [output for output in outputs if not wanted or output["name"] in wanted],
    }
    return {"id": request["id"], **answer} if isinstance(request.get("id"), str) else answer


def _data(entry: Mapping[str, Any], field: Field) -> list[Any]:
    data, shape, kind = entry.get("data"), entry.get("shape"), entry.get("datatype")
    accepted = (*ACCEPTS[field.kind], *(NUMBERS if field.words else ()), *(("BYTES",) if field.text else ()))
    if kind not in accepted:
        raise BadData(f'input "{field.name}" has the datatype {str(kind)[:20]!r}', where=f"inputs, {field.name}",
                      hint=f"send {KINDS[field.kind]}")
    if not isinstance(data, list):
        raise BadData(f'input "{field.name}" has no list "data"', where=f"inputs, {field.name}",
                      hint="send the values as one flat list")
    flat = [value for part in data for value in (part if isinstance(part, list) else (part,))]
    if shape not in ([len(flat)], [len(flat), 1]):
        raise BadData(f'input "{field.name}" holds {len(flat)} values, but its shape is {str(shape)[:40]}',
                      where=f"inputs, {field.name}", hint=f"send the shape [{len(flat)}]")
    return flat
