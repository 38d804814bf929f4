"""The predict API as a bare ASGI application: records, Open Inference Protocol v2, late labels, health, metrics.

Nothing of a web framework lies on the request path. Every refusal is JSON: {"error": {"field", "problem", "hint"}}.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from shipworthy import __version__
from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.core.table import word
from shipworthy.deployment.integration.log.log import Heading, Label, Log, Served, new_ids, now_us
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.releases.release import open_release
from shipworthy.deployment.integration.serving import openapi
from shipworthy.deployment.integration.serving.answerer import Answerer, Batch, Contributions, answerer
from shipworthy.deployment.integration.serving.counters import Counters
from shipworthy.deployment.integration.serving.dialects import oip
from shipworthy.deployment.integration.serving.dialects.asked import (
    Unreadable,
    Unsupported,
    Written,
    about_of,
    inflated,
)
from shipworthy.deployment.integration.serving.dialects.table import dialect
from shipworthy.errors import BadData, Misuse, ShipworthyError, StoreError, nearest

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Act = Callable[[bytes, Scope], Awaitable[Written]]
READ_SECONDS = 10.0
APART = 256
LARGE = 2**18
T = TypeVar("T")
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_encode = msgspec.json.Encoder().encode
_labels = msgspec.json.Decoder(Label | list[Label])


class Refused(ShipworthyError):
    """A request that is answered with a status other than 200."""

    def __init__(self, status: int, problem: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(problem, where=field, hint=hint)
        self.status = status


class App:
    """The ASGI callable of one release. Made by `app`."""

    def __init__(
        self, release: Release, log: Log, serving: Serving, answers: Answerer, *, same: Mapping[str, str] | None = None
    ) -> None:
        self.release, self.log, self.serving, self.answers, self.same = release, log, serving, answers, same or {}
        self.counters = Counters(release.id)
        self.draining = False
        self.cause = ""
        self._limit = int(serving.max_megabytes * 2**20)
        self._id, self._name = release.id[:16], release.manifest.name
        base = f"/v2/models/{self._name}"
        self.about = about_of(answers, self._name, self._id)
        self._posts: dict[str, tuple[str, Act]] = {
            "/v1/predict": ("predict", partial(self._ask, "predict")), "/v1/labels": ("labels", self._label),
            "/invocations": ("predict", partial(self._ask, "invocations")),
            "/v2/repository/index": ("infer", self._index),
        }
        self._gets: dict[str, Callable[[], tuple[int, Any]]] = {
            "/health": lambda: (200, {"live": True}), "/ready": self._ready, "/ping": self._ready,
            "/version": lambda: (200, {"version": __version__, "release": release.id}),
            "/v2": lambda: (200, oip.server_metadata(__version__)),
            "/v1/schema": lambda: (200, openapi.schema(release, answers)),
            "/openapi.json": lambda: (200, openapi.document(release, answers)),
            "/v2/health/live": lambda: (200, {"live": True}), "/v2/health/ready": self._ready,
        }
        for place in (base, f"{base}/versions/{self._id}"):
            self._gets[place] = lambda: (200, oip.model_metadata(answers, self.about))
            self._gets[f"{place}/ready"] = lambda: (self._ready()[0], {"name": self._name, "ready": not self.draining})
            self._posts[f"{place}/infer"] = "infer", partial(self._ask, "infer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        started = time.perf_counter()
        path, method = scope["path"], scope["method"]
        name, act = self._posts.get(path, ("other", None))
        if act is None or method != "POST":
            await self._get(path, method, send)
            return
        status, answer = await self._answer(act, scope, receive)
        kind, body, extra = JSON, answer, [(b"retry-after", b"1")] if status in (429, 503) else []
        if isinstance(answer, Written):
            kind, body = (b"content-type", answer.kind.encode()), answer.body
            extra = [(key.encode(), value.encode()) for key, value in answer.headers]
        elif name == "infer":
            body = _plain(answer)
        self.counters.done(name, status, time.perf_counter() - started)
        await _send(send, status, body, kind, extra)

    async def _answer(self, act: Act, scope: Scope, receive: Receive) -> tuple[int, Any]:
        counters = self.counters
        if counters.in_flight >= self.serving.max_concurrent:
            counters.refused += 1
            return _refusal(Refused(429, "the server is busy", hint="try again in a second"))
        counters.in_flight += 1
        try:
            return 200, await act(await self._body(scope, receive), scope)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal(Refused(400, f"the body is not JSON: {error}", field="body"))
        except RecursionError:
            return _refusal(Refused(400, "the body is nested too deeply", field="body"))
        except ShipworthyError as error:
            return _refusal(error)
        except TimeoutError:
            return _refusal(Refused(408, f"the body did not arrive within {READ_SECONDS:g} seconds", field="body"))
        except Exception as error:  # the edge: one request must not take the others with it
            self.cause = f"{type(error).__name__}: {error}"
            return _refusal(Refused(500, "the server failed at this request", hint=type(error).__name__))
        finally:
            counters.in_flight -= 1

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        for key, value in scope["headers"]:
            if key == b"content-length" and int(value) > self._limit:
                raise self._too_large()
        async with asyncio.timeout(READ_SECONDS):
            message = await receive()
            body: bytes = message.get("body", b"")
            parts, size = [body], len(body)
            while message.get("more_body"):
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > self._limit:
                    raise self._too_large()
        return body if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self.serving.max_megabytes:g} MB", field="body",
                       hint="send the records in several requests")

    async def _ask(self, path: str, body: bytes, scope: Scope) -> Written:
        """Answer rows in the dialect they came in. path: "predict", "infer" or "invocations"."""
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        spoken, query = dialect(path, headers), scope["query_string"]
        asked = await _apart(len(body) > LARGE, lambda: spoken.read(
            inflated(body, headers, self._limit), headers, self.answers))
        if query and _asks(query, "contributions"):
            asked = asked._replace(contributions=True)
        many = len(asked.records) > APART
        batch = await _apart(many, lambda: self.answers.batch(asked.records, contributions=asked.contributions))
        ids = self._keep(batch)
        return await _apart(many, lambda: spoken.write(asked, batch.answers, ids, self.about))

    def _keep(self, batch: Batch) -> list[str]:
        at = now_us()
        ids = new_ids(len(batch.answers), at)
        abstain = [answer["abstain"] for answer in batch.answers]
        if ids:
            self.log.served(Served(ids, at, "champion", 1.0, batch.score, [a["prediction"] for a in batch.answers],
                                   abstain, list(batch.columns.values())))
        self.counters.rows += len(ids)
        self.counters.unseen += batch.unseen
        self.counters.outside += batch.outside
        self.counters.abstained += sum(abstain)
        return ids

    async def _index(self, body: bytes, scope: Scope) -> Written:
        return Written("application/json", _encode(oip.repository_index(self.about, not self.draining)))

    async def _label(self, body: bytes, scope: Scope) -> Written:
        try:
            found = _labels.decode(body)
        except msgspec.ValidationError as error:
            raise BadData(f"the label cannot be read: {error}", where="labels",
                          hint="send prediction_id, label, observed_at, and source, or a list of them") from error
        labels = found if isinstance(found, list) else [found]
        for label in labels:
            self._check_label(label)
        new, corrected, known = self.log.labelled(labels)
        self.counters.labels += new + corrected
        return Written("application/json", _encode({"kept": new, "corrected": corrected, "known": known}))

    def _check_label(self, label: Label) -> None:
        classes = self.answers.model.classes
        if label.observed_at.tzinfo is None:
            raise BadData(f"observed_at {label.observed_at.isoformat()} has no zone", where="observed_at",
                          hint="add Z for UTC")
        if len(label.prediction_id) != 36:
            raise BadData(f"{label.prediction_id[:60]!r} is no prediction id", where="prediction_id",
                          hint="send the prediction_id of the answer")
        said = word(label.label) or ""
        wrong = self.same.get(said, said) not in classes if classes else not isinstance(label.label, float)
        if wrong:
            raise BadData(f"{said[:60]!r} is no label of this model", where="label",
                          hint=nearest(said, classes) or f"send {' or '.join(classes) or 'a number'}")

    async def _get(self, path: str, method: str, send: Send) -> None:
        if path == "/metrics" and method == "GET":
            await _send(send, 200, self.counters.text().encode(), TEXT)
            return
        known = path in self._gets or path == "/metrics"
        if known and method in ("GET", "HEAD"):
            status, value = self._gets[path]() if path in self._gets else (200, {})
            body = _encode(value)
            await _send(send, status, b"" if method == "HEAD" else body, JSON)
            return
        allowed = "GET" if known else "POST" if path in self._posts else ""
        if allowed:
            status, body = _refusal(Refused(405, f"{path} takes {allowed}", field="method",
                                            hint=f"send {allowed} {path}"))
            body = _plain(body) if path.startswith("/v2") else body
            await _send(send, status, body, JSON, [(b"allow", allowed.encode())])
            return
        status, body = _refusal(Refused(404, "there is nothing here", field=path[:200],
                                        hint=nearest(path, [*self._gets, *self._posts]) or "POST /v1/predict"))
        await _send(send, status, _plain(body) if path.startswith("/v2") else body, JSON)

    def _ready(self) -> tuple[int, dict[str, Any]]:
        ready = not self.draining
        return (200 if ready else 503), {"live": True, "ready": ready, "release": self.release.id,
                                         "model": self._name, **({"cause": self.cause} if self.cause else {})}

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.draining = True
                self.log.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def app(
    release: Release | Path, log: Path, project: Project | Serving, *, contributions: Contributions | None = None
) -> App:
    """The ASGI application that answers for a release and keeps its log in a folder.

    Opens the log, cuts half-written blocks of earlier processes, and answers a first row, so that it is warm.
    Raises BadRelease or StoreError.
    """
    opened = release if isinstance(release, Release) else open_release(release)
    serving = project.serve if isinstance(project, Project) else project
    told = declared(opened, project if isinstance(project, Project) else None)
    answers = answerer(opened.model, serving, contributions=contributions, told=told)
    _warm(answers)
    heading = Heading(opened.id, opened.model.classes, answers.shape.fields)
    return App(opened, Log(Path(log), heading, mode=serving.log), serving, answers, same=told.same)


async def _apart(far: bool, act: Callable[[], T]) -> T:
    """What a function returns; run in a thread if it may take long, so that it holds up nobody else."""
    return await asyncio.to_thread(act) if far else act()


def _warm(answers: Answerer) -> None:
    """Answer one row and a few, so that a release that cannot answer never becomes ready."""
    nothing = {field.name: None for field in answers.shape.fields}
    answers.answer([nothing])
    answers.answer([nothing] * 8)


def _asks(query: bytes, name: str) -> bool:
    """Whether a query turns something on. Raises BadData for a word that is neither yes nor no."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(name, ["0"])[-1].lower()
    if given not in SWITCH:
        raise BadData(f'"{given[:40]}" is neither yes nor no', where=name, hint=f"ask with ?{name}=1, or leave it out")
    return SWITCH[given]


def _refusal(error: ShipworthyError) -> tuple[int, bytes]:
    status = 422 if isinstance(error, BadData | Misuse) else 503 if isinstance(error, StoreError) else 500
    status = error.status if isinstance(error, Refused | Unreadable | Unsupported) else status
    return status, _encode({"error": {"field": error.where, "problem": error.problem, "hint": error.hint}})


def _plain(body: bytes) -> bytes:
    """A refusal in the form of Open Inference Protocol v2: one text."""
    error = msgspec.json.decode(body)["error"]
    return _encode({"error": "; ".join(part for part in (error["problem"], error["field"], error["hint"]) if part)})


async def _send(
    send: Send, status: int, body: bytes, kind: tuple[bytes, bytes], extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [kind, (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
