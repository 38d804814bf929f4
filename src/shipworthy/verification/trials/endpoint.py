"""Asking the served endpoint, and judging what it says: a flagged prediction, or an error that names field and fix."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np

from shipworthy.errors import ShipworthyError

PATH = "/v1/predict"
ARROW = "application/vnd.apache.arrow.stream"
FLAGS = ("unseen", "missing", "outside")


class Endpoint(Protocol):
    """A connection to a server: `core.case.Steps.serve` makes one."""

    def post(self, path: str, body: bytes, kind: str = ...) -> tuple[int, bytes]: ...


class Answer(NamedTuple):
    """What came back. status: 0 if the server went away. body: decoded JSON, or None."""

    status: int
    body: Any

    @property
    def error(self) -> dict[str, str]:
        told = self.body.get("error") if isinstance(self.body, dict) else None
        return told if isinstance(told, dict) else {}


def ask(endpoint: Endpoint, body: Any, kind: str = "application/json") -> Answer:
    """The answer to a record, a list of them, or bytes of another kind. NaN and infinity are sent as Python does."""
    raw = body if isinstance(body, bytes) else json.dumps(body, default=_plain).encode()
    try:
        status, told = endpoint.post(PATH, raw, kind)
    except ShipworthyError:
        return Answer(0, None)
    try:
        return Answer(status, json.loads(told))
    except ValueError:
        return Answer(status, None)


def crash(answer: Answer) -> str:
    """What is wrong if the server broke, rather than answered or refused; else empty."""
    if answer.status == 0:
        return "the server went away"
    return f"the server failed with {answer.status}" if answer.status >= 500 else ""


def refusal_lacks(answer: Answer, field: str) -> str:
    """What a refusal does not say: the field, or what to do; empty if it says both."""
    told = answer.error
    if field and field not in (told.get("field"), *_quoted(told.get("problem", ""))):
        return f"the error does not name the field ({told.get('problem', 'no words')})"
    return "" if told.get("hint") else f"the error does not say what to do ({told.get('problem', 'no words')})"


def flagged(answer: dict[str, Any]) -> bool:
    """Whether one answer says that something about its row is unusual: it abstains, or names a field."""
    return bool(answer.get("abstain")) or any(answer.get(flag) for flag in FLAGS)


def finite(answer: dict[str, Any]) -> bool:
    """Whether every figure of one answer is a finite number."""
    given = answer.get("probabilities")
    numbers = list(given.values()) if isinstance(given, dict) else [answer.get("prediction")]
    return all(isinstance(value, int | float) and np.isfinite(value) for value in numbers)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _quoted(text: str) -> list[str]:
    return text.split('"')[1::2]
