"""The predict API as a bare ASGI application: records, Open Inference Protocol v2, late labels, health, metrics.

Nothing of a web framework lies on the request path. One record is the hot route: decoded into the compiled type,
scored, logged and answered between two looks at the network, without a wait and without a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.core.table import word
from shipworthy.deployment.integration.access.gate import Caller, Gate
from shipworthy.deployment.integration.access.journal import journal, request_id
from shipworthy.deployment.integration.log.ids import new_id, new_ids, now_us
from shipworthy.deployment.integration.log.log import Label, ServedRow
from shipworthy.deployment.integration.releases.release import open_release
from shipworthy.deployment.integration.serving import counters as count
from shipworthy.deployment.integration.serving import protocol
from shipworthy.deployment.integration.serving.answerer import Batch, Contributions
from shipworthy.deployment.integration.serving.arms import APART, Arm, Arms
from shipworthy.deployment.integration.serving.counters import Board, Counters, timed
from shipworthy.deployment.integration.serving.reading import Reading
from shipworthy.deployment.integration.serving.refusals import Headers, Refused, advice, plain, refusal
from shipworthy.deployment.integration.serving.routes import Routes
from shipworthy.errors import BadData, ShipworthyError, nearest

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Answer = Callable[["Asked"], Awaitable[bytes]]
LOOK_SECONDS = 0.2
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
JSON = (b"content-type", b"application/json")
ANYONE = Caller("anonymous", frozenset({"predict", "label"}))
_encode = msgspec.json.Encoder().encode
_labels = msgspec.json.Decoder(Label | list[Label])


class Asked(msgspec.Struct, gc=False):
    """One request on its way. began: by `time.perf_counter`. arm: the release that answers it. rows: asked about."""

    path: str
    query: bytes
    headers: dict[bytes, bytes]
    began: float
    body: bytes = b""
    caller: Caller = ANYONE
    arm: Arm | None = None
    rows: int = 0

    def spend(self, rows: int) -> None:
        """Count rows against the budget of whoever asks. Raises Denied (429)."""
        self.rows = rows
        self.caller.spend(rows)


class App:
    """The ASGI callable of a server process. Made by `app`."""

    def __init__(self, arms: Arms, serving: Serving, counters: Counters, gate: Gate | None = None) -> None:
        self.arms, self.serving, self.counters, self.gate = arms, serving, counters, gate
        self.log = arms.champion.log
        self.draining = False
        self.cause = ""
        self._reading = Reading(serving.max_megabytes)
        self._busy, self._durable = serving.max_concurrent, serving.log == "durable"
        self.routes = Routes(self)
        self._posts: dict[str, tuple[str, str, Answer]] = {
            "/v1/predict": ("predict", "predict", self._predict), "/v1/labels": ("labels", "label", self._label),
            "/invocations": ("invocations", "predict", self._invocations)}
        self._journal = journal(serving, count.ROUTES)
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        began = time.perf_counter()
        path = scope["path"]
        found = self._posts.get(path) or self._infers(path)
        if found is None or scope["method"] != "POST":
            self.counters.done("other", await self._other(scope, send))
            return
        route, right, act = found
        asked = Asked(path, scope["query_string"], dict(scope["headers"]), began)
        headers = [JSON]
        try:
            status, body = 200, await self._answer(right, act, asked, receive)
        except ShipworthyError as error:
            status, body = refusal(error)
            headers += advice(status, error)
            body = plain(body) if route == "infer" else body
        self.counters.done(route, status)
        given = asked.headers.get(b"x-request-id")
        name = "" if given is None and self._journal is None else request_id(given)
        if name:
            headers.append((b"x-request-id", name.encode()))
        await _send(send, status, body, headers)
        taken = time.perf_counter() - began
        if asked.arm is not None:
            timed(asked.arm.cells, taken)
        if self._journal is not None:
            self._journal.tell(route, status, taken, request=name, rows=asked.rows, token=asked.caller.token,
                               release=asked.arm.id if asked.arm else "")

    async def _answer(self, right: str, act: Answer, asked: Asked, receive: Receive) -> bytes:
        general = self.counters.general
        if general[count.IN_PROGRESS] >= self._busy:
            general[count.REFUSED] += 1
            raise Refused(429, "the server is busy", hint="try again in a second")
        general[count.IN_PROGRESS] += 1
        try:
            if self.gate is not None:
                asked.caller = self.gate.allows(asked.headers.get(b"authorization"), right)
            asked.body = await self._reading.body(asked.headers, receive, asked.began)
            body = await act(asked)
            if self._durable:
                await self._settled(asked.arm)
            return body
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"the body is not JSON: {error}", field="body",
                          hint="send one JSON object, or a list of them") from error
        except RecursionError as error:
            raise Refused(400, "the body is nested too deeply", field="body",
                          hint="send flat records: field and value") from error
        except ShipworthyError:
            raise
        except Exception as error:  # the edge: one request must not take the others with it
            self.cause = f"{type(error).__name__}: {error}"
            if asked.arm is not None:
                asked.arm.cells[count.FAILED] += 1
            raise Refused(500, "the server failed at this request", hint=type(error).__name__) from error
        finally:
            general[count.IN_PROGRESS] -= 1

    async def _settled(self, arm: Arm | None) -> None:
        """Wait until the disk has what this request has written, together with all others who wait."""
        for each in {arm or self.arms.champion, *self.arms.all}:
            await each.durable()
        await self.log.durable()

    async def _predict(self, asked: Asked) -> bytes:
        records, single = self.arms.champion.answers.shape.decode(asked.body)
        asked.spend(len(records))
        if single and not asked.query:
            return self._one(asked, records[0])
        wanted = bool(asked.query) and _asks(asked.query, "contributions")
        answers = await self._many(asked, records, contributions=wanted)
        return _encode(answers[0] if single else answers)

    def _one(self, asked: Asked, record: Any) -> bytes:
        """The hot route: one record, answered and logged."""
        arms = self.arms
        at = now_us()
        own = new_id(at)
        arm, name, chance = arms.draw(record, own)
        asked.arm = arm
        if arm is not arms.champion:
            record = arms.adapted(arm, (record,))[0]
        found = arm.answers.one(record)
        answer = found.answer
        abstain = answer["abstain"]
        arm.kept.served(ServedRow(own, at, name, chance, found.score, answer["prediction"], abstain, found.values))
        cells = arm.cells
        cells[count.ROWS] += 1
        if abstain:
            cells[count.ABSTAINED] += 1
            cells[count.UNUSABLE] += found.score - found.score != 0
        if found.unseen or found.outside:
            cells[count.UNSEEN] += found.unseen
            cells[count.OUTSIDE] += found.outside
        if arms.shadowed:
            arms.shadow([record], [own], at)
        return _encode({"prediction_id": own, "release": arm.id, **answer})

    async def _many(self, asked: Asked, records: list[Any], *, contributions: bool = False) -> list[dict[str, Any]]:
        """The answers to several records, each by the release that its entity has drawn."""
        at = now_us()
        ids = new_ids(len(records), at)
        found: list[dict[str, Any]] = [{}] * len(records)
        for (arm, name, chance), places in self.arms.parts(records, ids):
            asked.arm = arm
            own = self.arms.adapted(arm, [records[place] for place in places])
            batch = await _batch(arm, own, contributions=contributions)
            arm.keep(batch, [ids[place] for place in places], at, name, chance)
            for place, answer in zip(places, batch.answers, strict=True):
                found[place] = {"prediction_id": ids[place], "release": arm.id, **answer}
        if self.arms.shadowed:
            self.arms.shadow(records, ids, at)
        return found

    async def _whole(self, asked: Asked, arm: Arm, records: list[Any]) -> tuple[Batch, list[str]]:
        """The answers of one release to several records, logged, with their ids."""
        asked.arm = arm
        at = now_us()
        ids = new_ids(len(records), at)
        batch = await _batch(arm, records)
        arm.keep(batch, ids, at, "champion" if arm is self.arms.champion else "challenger", 1.0)
        return batch, ids

    def _infers(self, path: str) -> tuple[str, str, Answer] | None:
        if not path.startswith("/v2/models/") or not path.endswith("/infer"):
            return None
        return ("infer", "predict", self._infer) if self.routes.model(path[: -len("/infer")]) else None

    async def _infer(self, asked: Asked) -> bytes:
        arm = self.routes.model(asked.path[: -len("/infer")]) or self.arms.champion
        request = msgspec.json.decode(asked.body)
        records = arm.answers.shape.convert(protocol.records_of(request, arm.answers))
        asked.spend(len(records))
        batch, ids = await self._whole(asked, arm, records)
        return _encode(protocol.response(request, batch, ids, name=arm.name, version=arm.id,
                                         classes=arm.answers.model.classes))

    async def _invocations(self, asked: Asked) -> bytes:
        """MLflow's dialect, for the two forms that name their columns."""
        request = msgspec.json.decode(asked.body)
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
        records = self.arms.champion.answers.shape.convert(given)
        asked.spend(len(records))
        return _encode({"predictions": [answer["prediction"] for answer in await self._many(asked, records)]})

    async def _label(self, asked: Asked) -> bytes:
        try:
            found = _labels.decode(asked.body)
        except msgspec.ValidationError as error:
            raise BadData(f"the label cannot be read: {error}", where="labels",
                          hint="send prediction_id, label, observed_at, and source, or a list of them") from error
        labels = found if isinstance(found, list) else [found]
        for label in labels:
            self._check_label(label)
        new, corrected, known = self.log.labelled(labels)
        self.counters.general[count.LABELS] += new + corrected
        return _encode({"kept": new, "corrected": corrected, "known": known})

    def _check_label(self, label: Label) -> None:
        champion = self.arms.champion
        classes = champion.answers.model.classes
        if label.observed_at.tzinfo is None:
            raise BadData(f"observed_at {label.observed_at.isoformat()} has no zone", where="observed_at",
                          hint="add Z for UTC")
        if len(label.prediction_id) != 36:
            raise BadData(f"{label.prediction_id[:60]!r} is no prediction id", where="prediction_id",
                          hint="send the prediction_id of the answer")
        said = word(label.label) or ""
        wrong = champion.same.get(said, said) not in classes if classes else not isinstance(label.label, float)
        if wrong:
            raise BadData(f"{said[:60]!r} is no label of this model", where="label",
                          hint=nearest(said, classes) or f"send {' or '.join(classes) or 'a number'}")

    async def _other(self, scope: Scope, send: Send) -> int:
        """Everything that is no request for answers; its status."""
        path, method = scope["path"], scope["method"]
        known = [*self._posts, *(f"{place}/infer" for place in self.routes.models)]
        status, kind, body, extra = self.routes.answer(path, method, known)
        await _send(send, status, b"" if method == "HEAD" else body, [kind, *extra])
        return status

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._looking = asyncio.create_task(self._look())
                await send({"type": "lifespan.startup.complete"})
            else:
                self.draining = True
                if self._looking:
                    self._looking.cancel()
                self.arms.close()
                self.log.close()
                if self.gate is not None:
                    self.gate.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _look(self) -> None:
        """Several times a second: has somebody been told to answer, and is a body overdue?"""
        while True:
            await self.arms.follow()
            self._reading.overdue()
            await asyncio.sleep(LOOK_SECONDS)


async def _batch(arm: Arm, records: Sequence[Any], *, contributions: bool = False) -> Batch:
    if len(records) > APART:  # so that a large batch does not hold up health checks and single rows
        return await asyncio.to_thread(arm.answers.batch, records, contributions=contributions)
    return arm.answers.batch(records, contributions=contributions)


def app(
    release: Release | Path, log: Path, project: Project | Serving, *, contributions: Contributions | None = None,
    home: Path | None = None, counters: Counters | None = None, gate: Gate | None = None,
) -> App:
    """The ASGI application that answers for a release and keeps its log in a folder.

    home: the `.shipworthy` folder of a project whose champion and challenger it follows; without one the release
    answers for ever. counters: its cells of a board. gate: who may ask; without one everybody. Opens the log, cuts
    half-written blocks of earlier processes, and answers a first row, so that it is warm.

    Raises BadRelease, StoreError.
    """
    opened = release if isinstance(release, Release) else open_release(release)
    serving = project.serve if isinstance(project, Project) else project
    own = counters or Board().counters()

    def make(release: Release) -> Arm:
        return Arm(release, Path(log), project, own, contributions)

    return App(Arms(make(opened), make, own, home), serving, own, gate)


def _asks(query: bytes, name: str) -> bool:
    """Whether a query turns something on. Raises BadData for a word that is neither yes nor no."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(name, ["0"])[-1].lower()
    if given not in SWITCH:
        raise BadData(f'"{given[:40]}" is neither yes nor no', where=name, hint=f"ask with ?{name}=1, or leave it out")
    return SWITCH[given]


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
