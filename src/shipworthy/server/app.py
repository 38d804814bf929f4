"""The control API as a bare ASGI application. Every route but /health needs a token.

It stands in a process of its own, so that nothing it does slows the predict API.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shipworthy import __version__
from shipworthy.deployment.integration.access.journal import Journal, journal, request_id
from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.server import projects as about
from shipworthy.server.gate import Gate
from shipworthy.server.openapi import document
from shipworthy.server.patience import HEAD_BYTES
from shipworthy.server.projects import READ, Projects, projects_of
from shipworthy.server.runs import After, Asked, AskedBeside, Page, Runs
from shipworthy.server.web import (
    JSON,
    STREAM,
    TEXT,
    Answer,
    Gone,
    Receive,
    Request,
    Route,
    Routes,
    Scope,
    Send,
    refusal,
    sent,
)
from shipworthy.store.workspace import Workspace

MOST_BYTES = 2**30
MOST_REQUESTS = 256
GONE = 499  # in the journal, of a client that did not wait for its answer
HEALTH = "GET /health"
TRAIN, STOP, APPROVE, BACK = ("train",), ("train", "admin"), ("approve",), ("approve", "admin")
ONE = "/v1/projects/{name}"


class App:
    """The ASGI callable. Made by `app`."""

    def __init__(self, projects: Projects, most_bytes: int) -> None:
        self.projects, self.draining = projects, False
        self.runs = Runs(projects, most_bytes, lambda: self.draining)
        self.routes = Routes(self._routes())
        names = [HEALTH, *(route.name for route in self.routes.routes)]
        asked = (journal(one.workspace.project.serve, names) for one in projects.hosted.values())
        self.journal: Journal | None = next(filter(None, asked), None)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request, began, status = Request(scope, receive), time.perf_counter(), GONE
        given = request.header(b"x-request-id")
        name = request_id(given) if given is not None or self.journal else ""
        self._under_way += 1
        try:
            answer = await self._answered(request)
            status = answer.status
            await sent(send, answer, head=request.method == "HEAD", name=name)
        except Gone:
            return
        finally:
            self._under_way -= 1
            if self.journal:
                self.journal.tell(request.route, status, time.perf_counter() - began, request=name,
                                  token=request.caller.token if request.caller else "")

    async def _answered(self, request: Request) -> Answer:
        """The answer, or why there is none. Raises Gone."""
        try:
            return await self._answer(request)
        except ShipworthyError as error:
            return refusal(error)
        except (*FAULTS, OSError) as error:
            traceback.print_exception(error, file=sys.stderr)
            return refusal(Refused(500, "the server failed at this request", hint=type(error).__name__))

    async def _answer(self, request: Request) -> Answer:
        """A stranger learns nothing: whoever has no token is told so before anything else is looked at."""
        if request.size > HEAD_BYTES:
            raise Refused(431, f"the head of the request is larger than {HEAD_BYTES // 1024} KB", field="head")
        if request.path == "/health":
            return _health(request)
        if self._under_way > MOST_REQUESTS:
            raise Refused(503, f"{MOST_REQUESTS} requests are under way", hint="try again in a second")
        try:
            route, request.args = self.routes.chosen(request.method, request.path)
            request.route = route.name
        except Refused:
            self.projects.entered(request, READ)
            raise
        request.caller, _ = self.projects.entered(request, route.scopes)
        return await route.act(request)

    async def _ready(self, request: Request) -> Answer:
        """Whether every project can be asked."""
        for one in self.projects.hosted.values():
            await asyncio.to_thread(one.jobs.open)
        return Answer({"live": True, "ready": not self.draining, "version": __version__}, 503 if self.draining else 200)

    async def _document(self, request: Request) -> Answer:
        """This document."""
        return Answer(document(self.routes.routes))

    def _routes(self) -> list[Route]:
        runs, them = self.runs, self.projects
        return [
            _route("GET", "/ready", READ, self._ready),
            _route("GET", "/openapi.json", READ, self._document),
            _route("GET", "/v1/projects", READ, about.list_projects, them),
            _route("POST", f"{ONE}/runs", TRAIN, runs.post, body=Asked, query=AskedBeside),
            _route("GET", f"{ONE}/runs", READ, runs.list, query=Page),
            _route("GET", f"{ONE}/runs/{{id}}", READ, runs.get),
            _route("DELETE", f"{ONE}/runs/{{id}}", STOP, runs.cancel),
            _route("POST", f"{ONE}/runs/{{id}}/cancel", STOP, runs.cancel),
            _route("GET", f"{ONE}/runs/{{id}}/events", READ, runs.events, query=After, kinds=(STREAM, JSON)),
            _route("GET", f"{ONE}/runs/{{id}}/log", READ, runs.log, kinds=(TEXT,)),
            _route("GET", f"{ONE}/releases", READ, about.list_releases, them),
            _route("GET", f"{ONE}/checklist", READ, about.checklist, them, query=about.Which),
            _route("GET", f"{ONE}/champion", READ, about.champion, them),
            _route("POST", f"{ONE}/promote", APPROVE, about.promote, them, body=about.Promotion),
            _route("POST", f"{ONE}/rollback", BACK, about.rollback, them, body=about.Why),
        ]

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.draining = True
                await send({"type": "lifespan.shutdown.complete"})
                return


def app(places: Sequence[Workspace], gate: Callable[[Workspace], Gate], *, most_bytes: int = MOST_BYTES) -> App:
    """The ASGI application that stands for some projects. gate: who may come in, for each. Raises Misuse.

    most_bytes: of a table that is sent.
    """
    return App(projects_of(places, gate), most_bytes)


def _health(request: Request) -> Answer:
    if request.method not in ("GET", "HEAD"):
        raise Refused(405, "/health takes GET", field="method", hint="send GET", headers=[(b"allow", b"GET")])
    request.route = HEALTH
    return Answer({"live": True})


def _route(
    method: str, path: str, scopes: tuple[str, ...], act: Any, *given: Any, body: Any = None, query: Any = None,
    kinds: tuple[str, ...] = (JSON,),
) -> Route:
    """A route whose docstring is what the document says of it."""
    return Route(method, path, scopes, partial(act, *given), inspect.cleandoc(act.__doc__), body, query, kinds)
