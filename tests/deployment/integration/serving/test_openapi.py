from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.app import App

from ..conftest import ask


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        yield from [document["$ref"]] if "$ref" in document else []
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def found(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_the_document_describes_every_path_and_points_nowhere_in_vain(served: App, release: Release) -> None:
    status, document = ask(served, "GET", "/openapi.json")
    assert (status, document["openapi"], document["info"]["version"]) == (200, "3.1.0", release.id[:16])
    assert all(found(document, reference) for reference in references(document))
    for path, methods in document["paths"].items():
        status = ask(served, "GET" if "get" in methods else "POST", path, b"")[0]
        assert status in ((404,) if "{" in path else (200, 400)), path


def test_the_record_s_type_is_that_of_the_release(served: App) -> None:
    record = ask(served, "GET", "/openapi.json")[1]["components"]["schemas"]["Record"]
    assert record["required"] == ["age", "dose", "ward", "smoker", "seen", "grade"]
    assert record["additionalProperties"] is False
    kinds = {name: value["type"] for name, value in record["properties"].items()}
    assert kinds == {"age": ["number", "null"], "dose": ["number", "null"], "ward": ["string", "null"],
                     "smoker": ["boolean", "null"], "seen": ["string", "null"],
                     "grade": ["string", "number", "boolean", "null"]}
    assert record["properties"]["seen"]["format"] == "date-time"
    assert record["properties"]["ward"]["examples"] == ["east", "north", "west"]


def test_limits_and_levels_are_told(served: App, release: Release) -> None:
    status, told = ask(served, "GET", "/v1/schema")
    assert (status, told["release"], told["target"], told["classes"]) == (200, release.id, "ill", ["no", "yes"])
    assert told["limits"] == {"rows": 50, "megabytes": 0.1, "concurrent": 2, "unseen": "accept"}
    assert told["fields"][2] == {"name": "ward", "kind": "category", "required": True, "takes": "text, or null",
                                 "levels": ["east", "north", "west"]}
    rows = ask(served, "GET", "/openapi.json")[1]["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert rows["application/json"]["schema"]["oneOf"][1]["maxItems"] == 50
    assert ask(served, "POST", "/v1/predict", msgspec.json.encode(told["example"]))[0] == 200
