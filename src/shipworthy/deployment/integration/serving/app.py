"""The predict API as a bare ASGI application: records, Open Inference Protocol v2, late labels, health, metrics.

Nothing of a web framework lies on the request path. Every refusal is JSON: {"error": {"field", "problem", "hint"}}.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from shipworthy import __version__
from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.answers import Heading, Served
from shipworthy.deployment.integration.log.ids import new_ids, now_us
from shipworthy.deployment.integration.log.log import Log
from shipworthy.deployment.integration.log.recent import Recent
from shipworthy.deployment.integration.log.told import Rules, read_body
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.releases.release import open_release
from shipworthy.deployment.integration.serving import protocol
from shipworthy.deployment.integration.serving.answerer import Answerer, Batch, Contributions, answerer
from shipworthy.deployment.integration.serving.counters import Counters
from shipworthy.errors import BadData, Misuse, ShipworthyError, StoreError, nearest

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
READ_SECONDS = 10.0
APART = 256
LARGE = 65_536
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_encode = msgspec.json.Encoder().encode


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
        self.release, self.log, self.serving, self.answers = release, log, serving, answers
        self.rules = Rules(answers.model.classes, same or {}, answers.shape.entity, serving.label_days,
                           serving.max_rows)
        self.recent = Recent(log.folder, self.rules.entity)
        self.counters = Counters(release.id)
        self.draining = False
        self.cause = ""
        self._limit = int(serving.max_megabytes * 2**20)
        self._id, self._name = release.id[:16], release.manifest.name
        base = f"/v2/models/{self._name}"
        self._gets: dict[str, Callable[[], tuple[int, Any]]] = {
            "/health": lambda: (200, {"live": True}), "/ready": self._ready, "/ping": self._ready,
            "/version": lambda: (200, {"version": __version__, "release": release.id}),
            "/v2": lambda: (200, protocol.server_metadata(__version__)),
            "/v2/health/live": lambda: (200, {"live": True}), "/v2/health/ready": self._ready,
        }
        for place in (base, f"{base}/versions/{self._id}"):
            self._gets[place] = lambda: (200, protocol.model_metadata(answers, self._name, self._id))
            self._gets[f"{place}/ready"] = lambda: (self._ready()[0], {"name": self._name, "ready": not self.draining})
        self._posts = {"/v1/predict": ("predict", self._predict), "/v1/labels": ("labels", self._label),
                       "/invocations": ("predict", self._invocations), f"{base}/infer": ("infer", self._infer),
                       f"{base}/versions/{self._id}/infer": ("infer", self._infer)}

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
        status, body = await self._answer(act, scope, receive)
        if status >= 400 and name == "infer":
            body = _plain(body)
        self.counters.done(name, status, time.perf_counter() - started)
        extra = [(b"retry-after", b"1")] if status in (429, 503) else []
        await _send(send, status, body, JSON, extra)

    async def _answer(self, act: Callable[..., Awaitable[bytes]], scope: Scope, receive: Receive) -> tuple[int, bytes]:
        counters = self.counters
        if counters.in_flight >= self.serving.max_concurrent:
            counters.refused += 1
            return _refusal(Refused(429, "the server is busy", hint="try again in a second"))
        counters.in_flight += 1
        try:
            found = await act(await self._body(scope, receive), scope["query_string"])
            await self.log.durable()
            return 200, found
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

    async def _predict(self, body: bytes, query: bytes) -> bytes:
        records, single = self.answers.shape.decode(body)
        batch = await self._batch(records, contributions=bool(query) and _asks(query, "contributions"))
        ids = self._keep(batch)
        answers = [{"prediction_id": place, "release": self._id, **answer}
                   for place, answer in zip(ids, batch.answers, strict=True)]
        return _encode(answers[0] if single else answers)

    async def _infer(self, body: bytes, query: bytes) -> bytes:
        request = msgspec.json.decode(body)
        records = self.answers.shape.convert(protocol.records_of(request, self.answers))
        batch = await self._batch(records)
        classes = self.answers.model.classes
        return _encode(protocol.response(request, batch, self._keep(batch), name=self._name, version=self._id,
                                         classes=classes))

    async def _invocations(self, body: bytes, query: bytes) -> bytes:
        """MLflow's dialect, for the two forms that name their columns."""
        request = msgspec.json.decode(body)
        given = request.get("dataframe_records") if isinstance(request, dict) else None
        split = request.get("dataframe_split") if isinstance(request, dict) else None
        if isinstance(split, dict) and given is None:
            try:
                given = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
            except (KeyError, TypeError, ValueError) as error:
                raise BadData("dataframe_split needs columns, and data with as many values a row",
                              where="dataframe_split", hint="send {'columns': [...], 'data': [[...], ...]}") from error
        if not isinstance(given, list):
            raise BadData("the body has neither dataframe_records nor dataframe_split", where="body",
                          hint='send {"dataframe_records": [{…}]}')
        batch = await self._batch(self.answers.shape.convert(given))
        self._keep(batch)
        return _encode({"predictions": [answer["prediction"] for answer in batch.answers]})

    async def _batch(self, records: list[Any], *, contributions: bool = False) -> Batch:
        if len(records) > APART:  # so that a large batch does not hold up health checks and single rows
            return await asyncio.to_thread(self.answers.batch, records, contributions=contributions)
        return self.answers.batch(records, contributions=contributions)

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

    async def _label(self, body: bytes, query: bytes) -> bytes:
        large = len(body) > LARGE  # then, as with rows, others shall not wait
        labels = await asyncio.to_thread(read_body, body, self.rules) if large else read_body(body, self.rules)
        new, corrected, known = self.log.labelled(labels)
        self.counters.labels += new + corrected
        waiting = await asyncio.to_thread(self.recent.waiting, labels) if any(one.entity for one in labels) else 0
        return _encode({"kept": new, "corrected": corrected, "known": known, "waiting": waiting})

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
            await _send(send, status, body, JSON, [(b"allow", allowed.encode())])
            return
        status, body = _refusal(Refused(404, "there is nothing here", field=path[:200],
                                        hint=nearest(path, [*self._gets, *self._posts]) or "POST /v1/predict"))
        await _send(send, status, body, JSON)

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
    status = error.status if isinstance(error, Refused) else status
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
