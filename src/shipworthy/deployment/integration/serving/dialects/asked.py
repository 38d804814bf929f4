"""What every dialect has in common: what was asked, what is known of the model, and columns made into records.

A dialect is two functions: `read(body, headers, answerer) -> Question`, `write(question, answers, about) -> Written`.
headers: by their names in lower case. answers: as records are answered, each with its prediction_id and release.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.errors import BadData, nearest

Headers = Mapping[str, str]
Answers = Sequence[dict[str, Any]]
NOTES = ("unseen", "missing", "outside")
MOST_NAMED = 20


class Unreadable(BadData):
    """A body that is not of the form that its content type says."""

    status = 400


class Unsupported(BadData):
    """A content type that this path does not read."""

    status = 415


class Question(NamedTuple):
    """records: decoded, see `Shape`. single: one record, not a list. more: what the answer needs of the request."""

    records: list[Any]
    single: bool = False
    contributions: bool = False
    more: Any = None


class About(NamedTuple):
    """What answers tell of the model. version: the short id of its release. inputs: names of what contributes."""

    name: str
    version: str
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    sure: bool

    @property
    def certain(self) -> str:
        """How the answers say what is credible: by a set, by an interval, or not at all."""
        return "" if not self.sure else "set" if self.classes else "interval"


class Written(NamedTuple):
    """An answer on its way out."""

    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def all(self) -> list[tuple[bytes, bytes]]:
        """Every header as bytes, the content type first."""
        named = (("content-type", self.kind), *self.headers)
        return [(name.encode(), value.encode("latin-1")) for name, value in named]


class Dialect(NamedTuple):
    """One form of asking and answering."""

    read: Callable[[bytes, Headers, Answerer], Question]
    write: Callable[[Question, Answers, About], Written]


def about_of(answerer: Answerer, name: str, version: str) -> About:
    """What answers tell of a model."""
    model = answerer.model
    return About(name, version, model.classes, tuple(entry.name for entry in model.features.inputs),
                 model.sheet.conformal is not None)


def gathered(columns: Mapping[str, list[Any]], answerer: Answerer, what: str = "column") -> list[Any]:
    """The decoded records of columns of equal length; the rules are those of records.

    Columns that are known and not looked at are dropped. Raises BadData naming the first thing that is wrong.
    """
    shape = answerer.shape
    kept = {name: values for name, values in columns.items() if name not in shape.ignored}
    _named(kept, shape, what)
    sizes = {name: len(values) for name, values in kept.items()}
    if len(set(sizes.values())) > 1:
        raise BadData(f"the {what}s differ in length: " + ", ".join(f"{n} {s}" for n, s in list(sizes.items())[:6]),
                      where=f"{what}s", hint="send as many values of every column")
    size = next(iter(sizes.values()), 0)
    typed = _typed([kept.get(name, [None] * size) for name in shape.names], shape)
    if typed is None:
        return shape.convert([dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True)])
    return list(map(shape.type, *typed)) if size else []


def loose_json(body: bytes) -> Any:
    """The value of a JSON text; NaN, which Python's own writer puts for a missing number, is null.

    Raises msgspec.DecodeError or UnicodeDecodeError for malformed JSON.
    """
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        if b"NaN" not in body:
            raise
        try:
            return json.loads(body, parse_constant=_constant)
        except ValueError as error:
            raise msgspec.DecodeError(str(error)) from error


def inflated(body: bytes, headers: Headers, limit: int) -> bytes:
    """The body as it was before its Content-Encoding, gzip or deflate.

    Raises Unsupported for another encoding, Unreadable where it is none or grows beyond limit bytes.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "deflate"):
        raise Unsupported(f"the content encoding {encoding[:40]!r} is not read here", where="Content-Encoding",
                          hint="send gzip or deflate, or no encoding")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    try:
        found = unpack.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unreadable(f"the body is not {encoding}: {error}", where="body", hint="send it as it is") from error
    if len(found) > limit or not unpack.eof:
        raise Unreadable("the body is cut, or larger than allowed when it is unpacked", where="body",
                         hint="send the records in several requests")
    return found


def notes(answer: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fields that an answer flags: unseen, missing, outside."""
    return {name: answer[name] for name in NOTES if name in answer}


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is not JSON")


def _named(columns: Mapping[str, Any], shape: Shape, what: str) -> None:
    unknown = [str(name)[:60] for name in columns if name not in shape.names]
    if unknown:
        listed = ", ".join(f'"{name}"' for name in unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        told, they = (f"{what} {listed} is", "it") if len(unknown) == 1 else (f"{what}s {listed}{more} are", "them")
        raise BadData(f"{told} not known", where=unknown[0],
                      hint=nearest(unknown[0], shape.names) or f"leave {they} out")
    for field in shape.fields:
        if field.required and field.name not in columns:
            raise BadData(f'{what} "{field.name}" is missing', where=field.name, hint=f"send {field.wanted}")


def _typed(columns: Sequence[list[Any]], shape: Shape) -> list[list[Any]] | None:
    """The columns as their fields hold them; None where one holds a value that does not fit."""
    found: list[list[Any]] = []
    for values, field, kind in zip(columns, shape.fields, _kinds(shape.type), strict=False):
        try:
            typed = msgspec.convert(values, kind)
        except msgspec.ValidationError:
            return None
        if field.kind == "number" or field.words:
            total = sum([value for value in typed if isinstance(value, float)])
            if total - total != 0:  # one of them is not finite, or they are very large: look at each
                return None
        found.append(typed)
    return found


@lru_cache(maxsize=64)
def _kinds(record: type[msgspec.Struct]) -> tuple[Any, ...]:
    return tuple(list[field.type] for field in msgspec.structs.fields(record))  # type: ignore[name-defined]
