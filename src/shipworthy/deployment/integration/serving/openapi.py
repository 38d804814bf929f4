"""What a release can be asked, for people and programs: the schema of its records, and an OpenAPI 3.1 document.

Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12.
"""

from __future__ import annotations

import sys
from typing import Any

from shipworthy import __version__
from shipworthy.core.contributions import closed
from shipworthy.core.features import Category
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.example import example
from shipworthy.deployment.integration.serving import review
from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects import mlflow, oip, tensors
from shipworthy.deployment.integration.serving.dialects.asked import NOTES, About, about_of
from shipworthy.deployment.integration.serving.dialects.table import DIALECTS
from shipworthy.deployment.integration.serving.record import Field

Json = dict[str, Any]
RAW = "application/octet-stream"
SHOWN_LEVELS = 20
TYPES = {"number": "number", "boolean": "boolean", "category": "string", "text": "string", "timestamp": "string"}
REFUSALS = {400: "The body is not of the form that its content type says.", 401: "Nobody knows the token.",
            403: "The token, or a page without one, may not ask this.", 408: "The body did not arrive in time.",
            413: "The body is too large.", 415: "The content type is not read here.",
            422: "A value, a field or a number of rows does not fit; the error names it.",
            429: "The server is busy; come back after Retry-After.",
            503: "Nothing can be logged, so nothing is answered."}


def schema(release: Release, answerer: Answerer) -> Json:
    """The answer to GET /v1/schema: every field of a record, and what answers hold."""
    about = _about(release, answerer)
    known = {column.name: column for column in answerer.model.sheet.schema.columns}
    fields = []
    for field in answerer.shape.fields:
        column = known.get(field.name)
        told = {"unit": column.unit, "meaning": column.meaning} if column else {}
        fields.append({"name": field.name, "kind": field.kind, "required": field.required, "takes": field.wanted,
                       "levels": _levels(answerer, field), **{key: value for key, value in told.items() if value}})
    return {"model": about.name, "release": release.id, "task": answerer.model.sheet.task,
            "target": answerer.model.sheet.target, "classes": list(about.classes), "fields": fields,
            "ignored": list(answerer.shape.ignored), "limits": _limits(answerer),
            "example": example(answerer.model)}


def document(release: Release, answerer: Answerer) -> Json:
    """The OpenAPI document of a release: its paths, the types of its records, their limits."""
    about = _about(release, answerer)
    title = f"{about.name}: predictions of {answerer.model.sheet.target}"
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": about.version,
                 "description": f"Served by Shipworthy {__version__}. Every answer has a prediction id, under which "
                                "the log keeps it and labels may follow."},
        "paths": _own(answerer) | _reviews() | _mlflow(answerer) | _protocol(answerer, about) | _health(),
        "components": {"schemas": _schemas(answerer, about), "responses": _refusals()},
    }


def _about(release: Release, answerer: Answerer) -> About:
    return about_of(answerer, release.manifest.name, release.id[:16])


def _limits(answerer: Answerer) -> Json:
    serving = answerer.serving
    return {"rows": serving.max_rows, "megabytes": serving.max_megabytes, "concurrent": serving.max_concurrent,
            "unseen": serving.unseen}


def _levels(answerer: Answerer, field: Field) -> list[str]:
    levels = next((entry.levels for entry in answerer.model.features.encoders
                   if isinstance(entry, Category) and entry.column == field.name), ())
    return list(levels[:SHOWN_LEVELS])


def _own(answerer: Answerer) -> Json:
    rows = {"oneOf": [_ref("Record"), _many(answerer, _ref("Record"))]}
    content: Json = {kind: {} for kind in DIALECTS["predict"]}
    content["application/json"] = {"schema": rows, "example": example(answerer.model)}
    answers: Json = {kind: {} for kind in DIALECTS["predict"]}
    answers["application/json"] = {"schema": {"oneOf": [_ref("Answer"), {"type": "array", "items": _ref("Answer")}]}}
    labels = {"oneOf": [_ref("Label"), {"type": "array", "items": _ref("Label")}]}
    return {
        "/v1/predict": {"post": _operation("predict", "Answers to one record or many.", content, answers,
                                           [_shares(answerer)])},
        "/v1/labels": {"post": _operation("label", "Keep what came true.", _json(labels), _json(_ref("Kept")))},
        "/v1/schema": {"get": _read("schema", "What a record holds.")},
    }


def _reviews() -> Json:
    """Asked with a token of scope approve; what stands may be read by whoever may ask anything."""
    lost = {"404": {"description": "No answer of this id is here.", "content": _json(_ref("Refusal"))}}
    over = _operation("override", "Decide otherwise than the model did; it is kept in the audit ledger.",
                      _json(_ref("Override")), _json(_ref("Standing")))
    over["responses"] |= lost
    stands = _read("standing", "What stands under a prediction id: the decision, what was served, and overrides.")
    stands["responses"] |= {"200": {"description": "OK", "content": _json(_ref("Standing"))}, **lost,
                            **{code: {"$ref": f"#/components/responses/{code}"} for code in ("401", "403")}}
    stands["parameters"] = [{"name": "prediction_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {"/v1/overrides": {"post": over}, "/v1/predictions/{prediction_id}": {"get": stands}}


def _mlflow(answerer: Answerer) -> Json:
    rows = {"dataframe_records": _many(answerer, _ref("Record")), "instances": _many(answerer, _ref("Record")),
            "inputs": {}, "dataframe_split": _object({"columns": _array("string"), "data": {
                "type": "array", "items": {"type": "array"}}, "index": {}}, ["columns", "data"])}
    params = {"type": ["object", "null"], "additionalProperties": False,
              "properties": {name: {"type": "boolean"} for name in mlflow.PARAMS}}
    forms = [_object({form: rows[form], "params": params}, [form]) for form in mlflow.FORMS]
    content: Json = {kind: {} for kind in DIALECTS["invocations"]}
    content["application/json"] = {"schema": {"oneOf": forms}, "example": {
        "dataframe_records": [example(answerer.model)]}}
    answer = _object({"predictions": {"type": "array"}}, ["predictions"])
    return {"/invocations": {"post": _operation("invocations", "Answers in the scoring format of MLflow.", content,
                                                _json(answer), [_shares(answerer)])}}


def _protocol(answerer: Answerer, about: About) -> Json:
    paths: Json = {"/v2": {"get": _read("serverMetadata", "The server.")},
                   "/v2/health/live": {"get": _read("serverLive", "Whether the server runs.")},
                   "/v2/health/ready": {"get": _read("serverReady", "Whether the server answers.", busy=True)},
                   "/v2/repository/index": {"post": _read("repositoryIndex", "The models that are served.")}}
    base = f"/v2/models/{about.name}"
    for place, more in ((base, ""), (f"{base}/versions/{about.version}", "Version")):
        paths[place] = {"get": _read(f"model{more}Metadata", "The inputs and outputs of the model.")}
        paths[f"{place}/ready"] = {"get": _read(f"model{more}Ready", "Whether the model answers.", busy=True)}
        infer = _operation(f"model{more}Infer", "Answers by the Open Inference Protocol v2.",
                           _json(_ref("InferRequest")) | {RAW: {}}, _json(_ref("InferResponse")) | {RAW: {}},
                           refusal="Text")
        infer["parameters"] = [_shares(answerer)]
        infer["requestBody"]["content"]["application/json"]["example"] = _asking(answerer)
        paths[f"{place}/infer"] = {"post": infer}
    return paths


def _asking(answerer: Answerer) -> Json:
    """An infer request for the example record."""
    row = example(answerer.model)
    kinds = {field.name: oip.KINDS[field.kind] for field in answerer.shape.fields}
    return {"inputs": [{"name": name, "datatype": kinds[name], "shape": [1], "data": [value]}
                       for name, value in row.items()]}


def _health() -> Json:
    return {"/health": {"get": _read("health", "Whether the process runs.")},
            "/ready": {"get": _read("ready", "Whether the server answers.", busy=True)},
            "/ping": {"get": _read("ping", "Whether the server answers.", busy=True)},
            "/version": {"get": _read("version", "The version of the server and of the release.")},
            "/metrics": {"get": {"operationId": "metrics", "summary": "Prometheus text.", "responses": {
                "200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}}}}}


def _operation(name: str, summary: str, asked: Json, answered: Json, parameters: list[Json] | None = None, *,
               refusal: str = "") -> Json:
    responses: Json = {"200": {"description": "OK", "content": answered}}
    responses |= {str(status): {"$ref": f"#/components/responses/{refusal}{status}"} for status in REFUSALS}
    return {"operationId": name, "summary": summary, "parameters": parameters or [],
            "requestBody": {"required": True, "content": asked}, "responses": responses}


def _read(name: str, summary: str, *, busy: bool = False) -> Json:
    content = _json({"type": ["object", "array"]})
    responses: Json = {"200": {"description": "OK", "content": content}}
    if busy:
        responses["503"] = {"description": "Not now; the answer tells the cause.", "content": content}
    return {"operationId": name, "summary": summary, "responses": responses}


def _refusals() -> Json:
    return {f"{form}{status}": {"description": words, "content": _json(_ref(f"{form}Refusal"))}
            for form in ("", "Text") for status, words in REFUSALS.items()}


def _schemas(answerer: Answerer, about: About) -> Json:
    error = _object({name: {"type": "string"} for name in ("field", "problem", "hint")}, ["field", "problem", "hint"])
    label = {"enum": list(about.classes)} if about.classes else {"type": "number"}
    kept = {name: {"type": "integer", "minimum": 0} for name in ("kept", "corrected", "known", "waiting")}
    return {"Record": _record(answerer), "Answer": _answer(about), **_tensors(answerer, about),
            "Label": _label(answerer, label), "Kept": _object(kept, list(kept)), **_overrides(label),
            "Refusal": _object({"error": error}, ["error"]),
            "TextRefusal": _object({"error": {"type": "string"}}, ["error"])}


def _overrides(decision: Json) -> Json:
    text: Json = {"type": "string"}
    asked = {"prediction_id": {"type": "string", "minLength": 36, "maxLength": 36}, "decision": decision,
             "why": {"type": "string", "minLength": 1, "maxLength": review.LONGEST, "pattern": r"\S"}}
    made = {"decision": decision, "before": decision, "by": text, "why": text, "at": text}
    stands = {"prediction_id": text, "release": text, "at": text, "decision": decision, "served": decision,
              "abstain": {"type": "boolean"}, "overrides": {"type": "array", "items": _object(made, list(made))}}
    return {"Override": _object(asked, list(asked)), "Standing": _object(stands, list(stands))}


def _label(answerer: Answerer, label: Json) -> Json:
    """By prediction id, or by whose answer it was and when, where the log keeps that."""
    at: Json = {"type": "string", "format": "date-time"}
    usual: Json = {"label": label, "source": {"type": "string"}, "weight": {"type": "number", "minimum": 0},
                   "observed_at": at | {"description": "when it became known; not in the future"}}
    forms = [_object({"prediction_id": {"type": "string", "minLength": 36, "maxLength": 36}, **usual},
                     ["prediction_id", "label", "observed_at"])]
    if answerer.shape.entity:
        value = {"type": ["string", "number", "boolean"]}
        entity = _object(dict.fromkeys(answerer.shape.entity, value), []) | {"minProperties": 1}
        forms.append(_object({"entity": entity, "at": at, "since": at, **usual},
                             ["entity", "at", "label", "observed_at"]))
    return forms[0] if len(forms) == 1 else {"oneOf": forms}


def _record(answerer: Answerer) -> Json:
    fields = answerer.shape.fields
    properties: Json = {field.name: _property(answerer, field) for field in fields}
    return _object(properties | {name: {} for name in answerer.shape.ignored},
                   [field.name for field in fields if field.required])


def _property(answerer: Answerer, field: Field) -> Json:
    kinds = [TYPES[field.kind]]
    kinds += ["number", "boolean"] if field.words else ["string"] if field.text and field.kind != "timestamp" else []
    found: Json = {"type": [*dict.fromkeys(kinds), "null"], "description": f"{field.kind}: {field.wanted}"}
    if field.kind == "timestamp" and not field.text:
        found["format"] = "date-time"
    if "number" in kinds:
        found |= {"minimum": -sys.float_info.max, "maximum": sys.float_info.max}
    levels = _levels(answerer, field)
    return {**found, "examples": levels} if levels else found


def _answer(about: About) -> Json:
    number, words = {"type": ["number", "null"]}, _array("string")
    found: Json = {"prediction_id": {"type": "string"}, "release": {"type": "string"},
                   "prediction": {"enum": list(about.classes)} if about.classes else number,
                   "abstain": {"type": "boolean"}}
    needed = list(found)
    if about.classes:
        found["probabilities"] = _object(dict.fromkeys(about.classes, number), list(about.classes))
    if about.certain:
        found[about.certain] = words if about.classes else {"type": "array", "items": number}
    needed = list(found)
    return _object(found | dict.fromkeys(NOTES, words) | {
        "contributions": _object(dict.fromkeys(about.inputs, number), list(about.inputs))}, needed)


def _tensors(answerer: Answerer, about: About) -> Json:
    names = [field.name for field in answerer.shape.fields] + list(answerer.shape.ignored)
    free = {"type": ["object", "null"]}
    shape = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2}
    entry = _open({"name": {"enum": names}, "datatype": {"enum": list(tensors.DATATYPES)}, "shape": shape,
                   "data": {"type": "array"}, "parameters": free}, ["name", "datatype", "shape"])
    wanted = _open({"name": {"enum": list(oip.catalogue(about))}, "parameters": free}, ["name"])
    request = {"id": {"type": ["string", "null"]}, "inputs": {"type": "array", "items": entry}, "parameters": free,
               "outputs": {"type": ["array", "null"], "items": wanted}}
    outputs = {"type": "array", "items": _open({}, ["name", "datatype", "shape"])}
    return {"InferRequest": _open(request, ["inputs"]),
            "InferResponse": _open({"model_name": {"const": about.name}, "outputs": outputs},
                                   ["model_name", "outputs"])}


def _shares(answerer: Answerer) -> Json:
    """The switch for contributions; a model without a reference row, or with a network, has none to switch
    on."""
    on = ["1", "true", "yes"] if answerer.model.sheet.reference and closed(answerer.model.program) else []
    return {"name": "contributions", "in": "query", "description": "Whether answers hold the share of each input.",
            "schema": {"enum": ["0", "false", "no", "", *on]}}


def _many(answerer: Answerer, items: Json) -> Json:
    return {"type": "array", "items": items, "maxItems": answerer.serving.max_rows}


def _array(kind: str) -> Json:
    return {"type": "array", "items": {"type": kind}}


def _object(properties: Json, required: list[str]) -> Json:
    return {**_open(properties, required), "additionalProperties": False}


def _open(properties: Json, required: list[str]) -> Json:
    """An object that may hold more than is said of it."""
    return {"type": "object", "properties": properties, "required": required}


def _json(found: Json) -> Json:
    return {"application/json": {"schema": found}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
