"""The predict API as a bare ASGI application: records, Open Inference Protocol v2, late labels, health, metrics.

Nothing of a web framework lies on the request path. One record is the hot route: decoded into the compiled type,
scored, logged and answered between two looks at the network, without a wait and without a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shipworthy.core.clock import MINUTE, now_us
from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.core.tickets import heard
from shipworthy.deployment.integration.access.gate import Caller, Gate
from shipworthy.deployment.integration.access.journal import Teller, journal, request_id
from shipworthy.deployment.integration.log.answers import ServedRow
from shipworthy.deployment.integration.log.ids import new_id, new_ids
from shipworthy.deployment.integration.log.told import read_body
from shipworthy.deployment.integration.releases.release import open_release
from shipworthy.deployment.integration.serving import counters as count
from shipworthy.deployment.integration.serving.answerer import Batch, Contributions
from shipworthy.deployment.integration.serving.arms import APART, Arm, Arms
from shipworthy.deployment.integration.serving.asked import ANYONE, OPEN, Asked
from shipworthy.deployment.integration.serving.counters import Board, Counters, timed
from shipworthy.deployment.integration.serving.dialects import oip
from shipworthy.deployment.integration.serving.dialects.asked import Written, about_of, inflated
from shipworthy.deployment.integration.serving.dialects.table import dialect, plainly_json
from shipworthy.deployment.integration.serving.exploring import chances
from shipworthy.deployment.integration.serving.faults import JSON, Faults, refused
from shipworthy.deployment.integration.serving.reading import Reading
from shipworthy.deployment.integration.serving.refusals import Headers, Refused
from shipworthy.deployment.integration.serving.review import PREDICTIONS, Reviews
from shipworthy.deployment.integration.serving.routes import Routes
from shipworthy.errors import ShipworthyError

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Answer = Callable[["Asked"], Awaitable[bytes | Written]]
LOOK_SECONDS = 0.2
LARGE = 2**18
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class App:
    """The ASGI callable of a server process. Made by `app`."""

    def __init__(self, arms: Arms, serving: Serving, counters: Counters, gate: Gate | None = None) -> None:
        self.arms, self.serving, self.counters, self.gate = arms, serving, counters, gate
        self.log = arms.champion.log
        self.reviews = Reviews(self.log.folder, gate.home if gate else None)
        self.draining = False
        self._faults = Faults()
        self._reading = Reading(serving.max_megabytes)
        self._busy, self._durable = serving.max_concurrent, serving.log == "durable"
        self.routes = Routes(self)
        self._posts: dict[str, tuple[str, str, Answer]] = {
            "/v1/predict": ("predict", "predict", self._predict), "/v1/labels": ("labels", "label", self._label),
            "/v1/overrides": ("overrides", "approve", self._override),
            "/invocations": ("invocations", "predict", partial(self._spoken, "invocations")),
            "/v2/repository/index": ("infer", "predict", self._index),
            **({"/v1/feedback": ("other", "predict", self._feedback)} if serving.feedback else {})}
        self.journal: Teller | None = journal(serving, count.ROUTES)
        self._looking: asyncio.Task[None] | None = None

    @property
    def paths(self) -> list[str]:
        """Every path that can be asked and names no model."""
        return [*self._posts, *self.routes.gets]

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
        try:
            status, answer = 200, await self._answer(right, act, asked, receive)
            body, headers = (answer, [JSON]) if isinstance(answer, bytes) else (answer.body, answer.all)
        except ShipworthyError as error:
            status, body, headers = refused(error, route)
        self._told(asked, route, status, headers)
        await _send(send, status, body, headers)

    def at_once(
        self, given: Mapping[bytes, bytes], body: bytes, began: float, *, look: bool = True
    ) -> tuple[int, bytes, Headers] | None:
        """Status, body and headers for one record in plain JSON to /v1/predict; None where that takes a wait.

        given: the request's headers, their names in lower case. began: by `time.perf_counter`. look: whether the tokens
        may have changed since the last request.
        """
        if self._durable or self.draining:
            return None
        asked = Asked("/v1/predict", b"", given, began, body)
        general = self.counters.general
        general[count.IN_PROGRESS] += 1
        try:
            self._admitted(asked, "predict", look=look)
            records, _ = self.arms.champion.answers.shape.decode(body)
            asked.spend(1, 1)
            status, answer, headers = 200, self._one(asked, records[0]), [JSON]
        except Exception as error:  # the edge: one request must not take the others with it
            status, answer, headers = refused(self._faults.meant(error, asked.arm, asked.path), "predict")
        finally:
            general[count.IN_PROGRESS] -= 1
        self._told(asked, "predict", status, headers)
        return status, answer, headers

    async def _answer(self, right: str, act: Answer, asked: Asked, receive: Receive) -> bytes | Written:
        general = self.counters.general
        general[count.IN_PROGRESS] += 1
        try:
            self._admitted(asked, right)
            asked.body = await self._reading.body(asked.headers, receive, asked.began)
            body = await act(asked)
            if self._durable:
                await self._settled(asked)
            return body
        except Exception as error:  # the edge: one request must not take the others with it
            raise self._faults.meant(error, asked.arm, asked.path) from error
        finally:
            general[count.IN_PROGRESS] -= 1

    def _admitted(self, asked: Asked, right: str, *, look: bool = True) -> None:
        """Let a request in, or raise: 429 while the server is busy, 401 or 403 for whoever may not ask."""
        general = self.counters.general
        if general[count.IN_PROGRESS] > self._busy:
            general[count.REFUSED] += 1
            raise Refused(429, "the server is busy", hint="try again in a second")
        if self.gate is not None:
            asked.caller = self._let_in(asked.headers, right, look=look)

    def _let_in(self, headers: Mapping[bytes, bytes], right: str = "", *, look: bool = True) -> Caller:
        """Who asks, if they have a right, or any. Raises Denied, 401 or 403; Refused for a page without a token."""
        if self.gate is None:
            return ANYONE
        given = headers.get(b"authorization")
        caller = self.gate.allows(given, right, look=look) if right else self.gate.caller(given)
        if not caller.token and b"origin" in headers:
            raise Refused(403, "a web page asks without a token", field="origin",
                              hint="a page that somebody happens to look at must not reach what is open to this "
                                   "machine; send a token: shipworthy token create")
        return caller

    @property
    def cause(self) -> str:
        """What went wrong lately, or stands in the way of following; empty if nothing does."""
        return self._faults.recent or self.arms.cause

    def _told(self, asked: Asked, route: str, status: int, headers: Headers) -> None:
        """Count a request that was answered, and say its id where that was asked for."""
        self.counters.done(route, status)
        taken = time.perf_counter() - asked.began
        arm, given = asked.arm, asked.headers.get(b"x-request-id")
        for each in set(asked.wrote) if asked.wrote else () if arm is None else (arm,):
            timed(each.cells, taken)
        if given is None and self.journal is None:
            return
        name = request_id(given)
        headers.append((b"x-request-id", name.encode()))
        if self.journal is not None:
            self.journal.tell(route, status, taken, request=name, rows=asked.rows, token=asked.caller.token,
                               release=arm.id if arm else "")

    async def _settled(self, asked: Asked) -> None:
        """Wait until the disk has what this request has written, together with all others who wait."""
        for arm in asked.wrote:
            await arm.durable()
        await self.log.durable()

    async def _predict(self, asked: Asked) -> bytes | Written:
        if not plainly_json(asked.headers):
            return await self._spoken("predict", asked)
        records, single = self.arms.champion.answers.shape.decode(asked.body)
        asked.spend(len(records), self.serving.max_rows)
        if single and not asked.query:
            return self._one(asked, records[0])
        wanted = asked.wants("contributions")
        answers = await self._many(asked, records, contributions=wanted)
        return _encode(answers[0] if single else answers)

    def _one(self, asked: Asked, record: Any) -> bytes:
        """The hot route: one record, answered and logged."""
        arms = self.arms
        at = now_us()
        own = new_id(at)
        arm, name, chance, by = drawn = arms.draw(record, own)
        asked.arm, given = arm, record
        if arm is not arms.champion:
            record = arm.answers.shape.adapted((record,), arms.champion.answers.shape)[0]
        found = arm.answers.one(record)
        answer = found.answer
        row = by.row((own, at), drawn, found, given) if by else None  # before the rest, for it may change the answer
        abstain = answer["abstain"]
        arm.kept.served(row or ServedRow(own, at, name, chance, found.score, answer["prediction"], abstain,
                                         found.values))
        cells = arm.cells
        if self._durable:
            asked.wrote.append(arm)
        cells[count.ROWS] += 1
        if abstain:
            cells[count.ABSTAINED] += 1
            cells[count.UNUSABLE] += found.score - found.score != 0
        if found.unseen or found.outside:
            cells[count.UNSEEN] += found.unseen
            cells[count.OUTSIDE] += found.outside
        if arms.shadowed:
            arms.shadow([given], [own], at, arms.champion.answers.shape)
        return _encode({"prediction_id": own, "release": arm.id, **answer})

    async def _many(self, asked: Asked, records: list[Any], *, contributions: bool = False) -> list[dict[str, Any]]:
        """The answers to several records, each by the release that its entity has drawn."""
        at = now_us()
        ids = new_ids(len(records), at)
        shape, shadowed, answered = self.arms.champion.answers.shape, self.arms.shadowed, []
        for drawn, places in self.arms.parts(records, ids):
            asked.arm = drawn.arm
            own = drawn.arm.answers.shape.adapted([records[place] for place in places], shape)
            answered.append((drawn, places, await _batch(drawn.arm, own, contributions=contributions)))
        found: dict[int, dict[str, Any]] = {}
        for drawn, places, batch in answered:  # only now: all of them, or none
            named = [ids[place] for place in places]
            drawn.keep(batch, (named, at), [records[place] for place in places])
            asked.wrote.append(drawn.arm)
            found |= zip(places, _named(drawn.arm, named, batch), strict=True)
        if shadowed:
            self.arms.shadow(records, ids, at, shape)
        return [found[place] for place in range(len(records))]

    async def _whole(self, asked: Asked, arm: Arm, records: list[Any], *, contributions: bool) -> list[dict[str, Any]]:
        """The answers of one release to several records, logged."""
        asked.arm = arm
        at = now_us()
        ids = new_ids(len(records), at)
        batch = await _batch(arm, records, contributions=contributions)
        arm.keep(batch, ids, at, "champion" if arm is self.arms.champion else "challenger", 1.0)
        asked.wrote.append(arm)
        return _named(arm, ids, batch)

    def _infers(self, path: str) -> tuple[str, str, Answer] | None:
        if not path.startswith("/v2/models/") or not path.endswith("/infer"):
            return None
        known = self.routes.model(path[: -len("/infer")])
        return ("infer", "predict", partial(self._spoken, "infer")) if known else None

    async def _spoken(self, path: str, asked: Asked) -> Written:
        """Rows are asked, and answered, in the dialect they came in. path: "predict", "invocations" or "infer".

        A version that is named answers by itself; any other question takes part in a rollout.
        """
        arm = self.routes.model(asked.path[: -len("/infer")]) if "/versions/" in asked.path else None
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in asked.headers.items()}
        spoken, one = dialect(path, headers), arm or self.arms.champion
        question = await _apart(len(asked.body) > LARGE, lambda: spoken.read(
            inflated(asked.body, headers, self._reading.limit), headers, one.answers))
        asked.spend(len(question.records), self.serving.max_rows)
        if asked.wants("contributions"):
            question = question._replace(contributions=True)
        records, shares = question.records, question.contributions
        drawn = arm is None and one is self.arms.champion  # else the release that read them answers, asked for or not
        answers = await (self._many(asked, records, contributions=shares) if drawn else
                         self._whole(asked, one, records, contributions=shares))
        about = about_of(one.answers, one.name, one.id)
        return await _apart(len(answers) > APART, lambda: spoken.write(question, answers, about))

    async def _index(self, asked: Asked) -> bytes:
        return _encode(oip.repository_index([(arm.name, arm.id) for arm in self.arms.all], not self.draining))

    async def _label(self, asked: Asked) -> bytes:
        champion, body = self.arms.champion, asked.body
        large = len(body) > LARGE  # then, as with rows, others shall not wait
        rules = champion.rules
        labels = await asyncio.to_thread(read_body, body, rules) if large else read_body(body, rules)
        asked.rows = len(labels)
        new, corrected, known = self.log.labelled(labels)
        self.counters.general[count.LABELS] += new + corrected
        named = any(label.entity for label in labels)
        waiting = await asyncio.to_thread(champion.recent.waiting, labels) if named else 0
        return _encode({"kept": new, "corrected": corrected, "known": known, "waiting": waiting})

    async def _override(self, asked: Asked) -> bytes:
        return _encode(await asyncio.to_thread(self.reviews.overrule, asked.body, asked.caller))

    async def _feedback(self, asked: Asked) -> bytes:
        release, caller = self.arms.champion.id, asked.caller.name
        return _encode(await asyncio.to_thread(heard, self.log.folder, asked.body, release=release, caller=caller))

    async def _other(self, scope: Scope, send: Send) -> int:
        """Everything that is no request for answers; its status."""
        path, method = scope["path"], scope["method"]
        known = [*self._posts, *(f"{place}/infer" for place in self.routes.models)]
        try:
            if path not in OPEN:
                self._let_in(dict(scope["headers"]))
            if path.startswith(PREDICTIONS) and method in ("GET", "HEAD"):
                found = await asyncio.to_thread(self.reviews.standing, path[len(PREDICTIONS) :])
                status, kind, body, extra = 200, JSON, _encode(found), list[tuple[bytes, bytes]]()
            else:
                status, kind, body, extra = self.routes.answer(path, method, known)
        except ShipworthyError as error:
            status, body, (kind, *extra) = refused(error, "infer" if path.startswith("/v2") else "other")
        await _send(send, status, b"" if method == "HEAD" else body, [kind, *extra])
        return status

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.arms.follow()
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
        """Several times a second: is somebody else to answer, is a body overdue, and is a minute over?"""
        minute = now_us() // MINUTE
        self.arms.counted(minute * MINUTE)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self._reading.overdue()
                at = now_us()
                if at // MINUTE != minute:
                    minute = at // MINUTE
                    self.arms.counted(at)
                await self.arms.follow()
            except Exception as error:  # the edge: else no later look would follow a rollback
                self._faults.tell(error, "looking around")


def _named(arm: Arm, ids: list[str], batch: Batch) -> list[dict[str, Any]]:
    """Answers with the ids under which they are logged."""
    release = arm.id
    return [{"prediction_id": own, "release": release, **answer}
            for own, answer in zip(ids, batch.answers, strict=True)]


async def _apart(far: bool, act: Callable[[], T]) -> T:
    """What a function returns; run in a thread if it may take long, so that it holds up nobody else."""
    return await asyncio.to_thread(act) if far else act()


async def _batch(arm: Arm, records: Sequence[Any], *, contributions: bool = False) -> Batch:
    return await _apart(len(records) > APART, lambda: arm.answers.batch(records, contributions=contributions))


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

    first = Arm(opened, Path(log), project, own, contributions)

    def make(release: Release) -> Arm:
        return Arm(release, first.log, project, own, contributions)

    return App(Arms(first, make, own, home, chances(project)), serving, own, gate)


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
