"""Runs over HTTP: asked for with a table or a source, looked at, followed, and cancelled. A worker does them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import msgspec

from shipworthy.core.canon import digest
from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import Misuse, ShipworthyError
from shipworthy.server.gate import allowed
from shipworthy.server.projects import READ, Hosted, NoId, Projects, known_id
from shipworthy.server.tables import forget, media_type, permitted, received, table_meant
from shipworthy.server.web import JSON, STREAM, TEXT, Answer, Gone, Request, encode
from shipworthy.store.jobs import OPEN, Event, Job
from shipworthy.store.records import new_id

PLENTY = 100
KEY_LENGTH = 200
BEATS_SECONDS = 15.0
LOOK_SECONDS = 0.1
PAGE = 1_000
UNSAID = "application/x-www-form-urlencoded"  # what curl says of a body when it is not told
Verb = Literal["run", "renew", "watch", "verify"]
TAKES: dict[str, tuple[str, ...]] = {
    "run": ("seconds", "trials"), "renew": ("seconds", "trials"), "watch": (), "verify": ("release",)}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a run differs from the project file. seconds, trials: of [learning]. release: what verify judges again."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    trials: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    release: NoId = ""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be done. source: instead of the declared one, a declared source or a file in the project's folder.

    table: the source whose place it takes; the one that is learnt from if it is left out.
    """

    verb: Verb = "run"
    source: str = ""
    table: str = ""
    settings: Settings = Settings()


class AskedBeside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the query beside a table that is sent."""

    table: str = ""
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    trials: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs. before: only older ones than this one. state: only those in it."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    before: str = ""
    state: Literal["", "queued", "running", "done", "refused", "failed", "cancelled"] = ""


class After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: those after this number, as JSON at once; without it they are streamed as they happen."""

    after: Annotated[int, msgspec.Meta(ge=0)] | None = None


@dataclass(frozen=True)
class Runs:
    """What runs need of their server. most_bytes: of a table that is sent. ending: whether the server is to stop.

    beats: seconds after which a stream says that it is still there, and looks whether its token still holds.
    """

    projects: Projects
    most_bytes: int
    ending: Callable[[], bool]
    beats: float = BEATS_SECONDS

    async def post(self, request: Request) -> Answer:
        """Queue a run: 202 with its address. The same idempotency key again is the same run."""
        one, id = self.projects.of(request), new_id()
        key = (request.header(b"idempotency-key") or b"").decode("latin-1")
        if len(key) > KEY_LENGTH:
            raise Misuse("the key is too long", where="idempotency-key", hint=f"at most {KEY_LENGTH} characters")
        if await asyncio.to_thread(one.jobs.open) >= PLENTY:
            raise Refused(429, f"{PLENTY} runs are open already", field="runs", hint="wait for one to end")
        verb, settings, said = await (self._named(request) if media_type(request) in (JSON, "", UNSAID)
                                      else self._sent(request, id))
        job = Job(id=id, verb=verb, by=request.by, settings=settings, asked=digest([verb, said]),
                  key=digest([request.by, key]) if key else None)
        try:
            kept = await asyncio.to_thread(one.jobs.put, job)
        except ShipworthyError:
            forget(one.workspace.store.home, settings.get("upload", ""))
            raise
        if kept.id != id:
            forget(one.workspace.store.home, settings.get("upload", ""))
        place = f"/v1/projects/{quote(request.args['name'], safe='')}/runs/{kept.id}"
        return Answer(shown(kept), 202, headers=((b"location", place.encode()),))

    async def list(self, request: Request) -> Answer:
        """Runs, newest first."""
        page = request.query(Page)
        found = await asyncio.to_thread(lambda: self.projects.of(request).jobs.find(
            state=page.state, before=page.before, limit=page.limit))
        return Answer({"runs": [shown(job) for job in found]})

    async def get(self, request: Request) -> Answer:
        """One run: its state, what it last told, and its result once it has ended."""
        one, job = await self._meant(request)
        last = await asyncio.to_thread(one.jobs.last, job.id, "progress")
        return Answer({**shown(job), "progress": last.body.get("step", "") if last else ""})

    async def cancel(self, request: Request) -> Answer:
        """End a run: at once if it waits (200), soon if it is at work (202); 409 if it has ended."""
        one, job = await self._meant(request)
        if not job.open:
            raise Refused(409, f"the run has ended: {job.state}", field="run", hint="there is nothing to cancel")
        after = await asyncio.to_thread(one.jobs.cancel, job.id, request.by)
        assert after
        if after.state == "cancelled":
            forget(one.workspace.store.home, after.settings.get("upload", ""))
        return Answer(shown(after), 202 if after.state == "running" else 200)

    async def log(self, request: Request) -> Answer:
        """What the run said, as lines of text."""
        one, job = await self._meant(request)

        async def lines() -> AsyncIterator[bytes]:
            last = 0
            while found := await asyncio.to_thread(one.jobs.events, job.id, after=last, limit=PAGE):
                last = found[-1].number
                yield "".join(map(as_line, found)).encode()

        return Answer(lines(), kind=TEXT)

    async def events(self, request: Request) -> Answer:
        """What is told of a run: with ?after=N what there is, else a stream that goes on until the run has ended.

        A client that comes back with Last-Event-ID misses nothing.
        """
        one, job = await self._meant(request)
        asked = request.query(After).after
        if asked is not None:
            found = await asyncio.to_thread(one.jobs.events, job.id, after=asked, limit=PAGE)
            return Answer({"events": found, "after": found[-1].number if found else asked})
        seen = (request.header(b"last-event-id") or b"0").decode("latin-1")
        if not seen.isascii() or not seen.isdigit() or len(seen) > 15:
            raise Refused(400, "Last-Event-ID is no number", field="last-event-id", hint="send the id of an event")
        if not job.open and int(seen) >= job.told:
            return Answer(b"", 204, kind=STREAM)  # which tells an EventSource not to come back
        return Answer(self._stream(request, one, job.id, int(seen)), kind=STREAM,
                      headers=((b"x-accel-buffering", b"no"),))

    async def _stream(self, request: Request, one: Hosted, id: str, last: int) -> AsyncIterator[bytes]:
        """Server-sent events, and a comment now and then so that nobody between takes the silence for an end.

        Source: WHATWG HTML, 9.2, server-sent events.
        """
        gone, clock = asyncio.ensure_future(_gone(request)), asyncio.get_running_loop().time
        beat = clock()
        try:
            yield b"retry: 1000\n\n"
            while not gone.done() and not self.ending():
                found = await asyncio.to_thread(one.jobs.events, id, after=last, limit=PAGE)
                if found:
                    last = found[-1].number
                    yield b"".join(map(as_event, found))
                    if found[-1].body.get("state", "queued") not in OPEN:
                        return
                if clock() - beat >= self.beats:
                    beat = clock()
                    if not _may(one, request, READ):  # the token may have been revoked meanwhile
                        return
                    yield b": still here\n\n"
                await asyncio.wait([gone], timeout=LOOK_SECONDS)
        finally:
            gone.cancel()

    async def _meant(self, request: Request) -> tuple[Hosted, Job]:
        one = self.projects.of(request)
        job = await asyncio.to_thread(one.jobs.get, request.args["id"])
        if job is None:
            raise Refused(404, "there is no such run", field="id", hint="GET …/runs lists them")
        return one, job

    async def _named(self, request: Request) -> tuple[str, dict[str, Any], Any]:
        """A run of the declared sources, or of another one that the caller may name."""
        one, asked = self.projects.of(request), await _asked(request)
        if request.scope["query_string"]:
            raise Misuse("a run that is asked for as JSON, or without a body, takes no query", where="query",
                         hint='say it in the body: {"settings": {"seconds": 8}}; the query is for a table that is sent')
        settings = msgspec.to_builtins(asked.settings)
        for name in settings:
            if name not in TAKES[asked.verb]:
                raise Misuse(f"{asked.verb} takes no {name}", where=f"settings, {name}",
                             hint=f"it takes: {', '.join(TAKES[asked.verb]) or 'none'}")
        known_id(asked.settings.release, needed=asked.verb == "verify")
        if asked.verb != "run" and (asked.source or asked.table):
            raise Misuse(f"{asked.verb} reads no source", where="source", hint='leave it out, or ask for "verb": "run"')
        if asked.source:
            place = one.place
            if "://" in asked.source and urlsplit(asked.source).password:
                raise Misuse("the address holds a password, and runs are shown", where="source",
                             hint="take it out; for PostgreSQL, set PGPASSWORD where the worker runs")
            try:
                permitted(place, asked.source)
            except Refused as error:
                if error.status != 403 or not _may(one, request, ("admin",)):
                    raise
            settings |= {"source": asked.source, "table": table_meant(place.project, asked.table)}
        return asked.verb, settings, settings

    async def _sent(self, request: Request, id: str) -> tuple[str, dict[str, Any], Any]:
        """A run of the table in the body."""
        one, asked = self.projects.of(request), request.query(AskedBeside)
        table = table_meant(one.place.project, asked.table)
        sent = await received(request, one.workspace.store.home, id, self.most_bytes)
        beside = msgspec.to_builtins(Settings(asked.seconds, asked.trials)) | {"table": table}
        return "run", beside | {"upload": sent.path.name}, beside | {"digest": sent.digest}


async def _asked(request: Request) -> Asked:
    """The body as JSON. Raises BadData, Refused: 415 where curl's content type may hide a table."""
    try:
        return await request.json(Asked)
    except Refused as error:
        if media_type(request) != UNSAID or error.status not in (400, 413):
            raise
        raise Refused(415, "the body is not JSON, and not said to be a table", field="content-type",
                      hint="send a table with its content-type, such as text/csv") from error


def shown(job: Job) -> dict[str, Any]:
    """A run as the API tells it."""
    names = ("id", "verb", "state", "by", "created", "started", "ended", "attempts", "worker", "stopped_by", "result")
    settings = {key: value for key, value in job.settings.items() if key != "upload"}
    return {**{name: getattr(job, name) for name in names}, "settings": settings, "events": job.told}


def as_event(event: Event) -> bytes:
    """A server-sent event; JSON has no bare line ends, so it is one line of data."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.number, event.kind.encode(),
                                               encode({"at": event.at, **event.body}))


def as_line(event: Event) -> str:
    """An event as a line of text, or as several."""
    body = event.body
    text = body.get("text") or body.get("step") or " ".join(f"{key} {body[key]}" for key in body if key != "result")
    return f"{event.at:%Y-%m-%dT%H:%M:%S.%f}Z {event.kind:<8} {text}\n"


async def _gone(request: Request) -> None:
    """Ends when the client does."""
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    except Gone:
        return


def _may(one: Hosted, request: Request, scopes: tuple[str, ...]) -> bool:
    try:
        return bool(allowed(one.gate, request.header(b"authorization"), scopes))
    except ShipworthyError:
        return False
