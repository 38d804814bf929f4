"""The control API as an OpenAPI document, made from its routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from shipworthy import __version__
from shipworthy.server.tables import SUFFIXES
from shipworthy.server.web import JSON, Route

REFERENCE = "#/components/schemas/{name}"
ANSWERS = {"200": "Done.", "202": "Begun.", "204": "There is nothing more to come."}
REFUSALS = {
    "400": "The request cannot be read.", "401": "A token is needed.", "403": "The token lacks the scope.",
    "404": "There is nothing here.", "409": "It cannot be done as things stand.", "413": "The body is too large.",
    "415": "The body is of a kind that is not read.", "422": "The request means nothing that can be done.",
    "429": "Too much is asked.", "503": "The store refused, or the server is stopping.",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document: every route with its scopes, its query, and its body.

    Source: OpenAPI Specification 3.1.0.
    """
    structs = [route.body for route in routes if route.body]
    _, components = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    paths: dict[str, Any] = {"/health": {"get": {
        "summary": "Whether the process lives.", "operationId": "get_health", "security": [],
        "responses": {"200": _answer("It does.")}}}}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    error = {"type": "object", "required": ["error"], "properties": {"error": {
        "type": "object", "required": ["field", "problem", "hint"],
        "properties": {key: {"type": "string"} for key in ("field", "problem", "hint")}}}}
    return {
        "openapi": "3.1.0", "info": {"title": "Shipworthy control", "version": __version__},
        "security": [{"token": []}], "paths": paths,
        "components": {"schemas": {**components, "Error": error},
                       "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route) -> dict[str, Any]:
    first, _, rest = route.says.partition("\n")
    scopes = " or ".join(route.scopes)
    named = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
             for name in re.findall(r"\{(\w+)\}", route.path)]
    made: dict[str, Any] = {
        "summary": first, "description": f"{' '.join(rest.split())} Needs a token with the scope {scopes}.".strip(),
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "parameters": named + _query(route),
        "responses": {code: _answer(says, route.kinds) for code, says in ANSWERS.items()} | {
            code: {"description": says, "content": {JSON: {"schema": {"$ref": REFERENCE.format(name="Error")}}}}
            for code, says in REFUSALS.items()},
    }
    if route.body:
        content: dict[str, Any] = {JSON: {"schema": {"$ref": REFERENCE.format(name=route.body.__name__)}}}
        if route.query:  # a table may be sent instead
            content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in SUFFIXES}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _query(route: Route) -> list[dict[str, Any]]:
    if not route.query:
        return []
    (_,), parts = msgspec.json.schema_components([route.query])
    fields = parts[route.query.__name__]["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()]


def _answer(says: str, kinds: tuple[str, ...] = (JSON,)) -> dict[str, Any]:
    return {"description": says, "content": {kind: {"schema": {}} for kind in kinds}}
