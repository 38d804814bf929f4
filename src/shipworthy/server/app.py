"""The control API as a bare ASGI application. Every route but /health needs a token.

It stands in a process of its own, so that nothing it does slows the predict API.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shipworthy import __version__
from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.server import projects as about
from shipworthy.server.gate import Gate
from shipworthy.server.openapi import document
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
TRAIN, STOP, APPROVE, BACK = ("train",), ("train", "admin"), ("approve",), ("approve", "admin")
ONE = "/v1/projects/{name}"


class App:
    """The ASGI callable. Made by `app`."""

    def __init__(self, projects: Projects, most_bytes: int) -> None:
        self.projects, self.draining = projects, False
        self.runs = Runs(projects, most_bytes, lambda: self.draining)
        self.routes = Routes(self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Gone:
            return
        except ShipworthyError as error:
            answer = refusal(error)
        except (*FAULTS, OSError) as error:
            traceback.print_exception(error, file=sys.stderr)
            answer = refusal(Refused(500, "the server failed at this request", hint=type(error).__name__))
        await sent(send, answer, head=request.method == "HEAD")

    async def _answer(self, request: Request) -> Answer:
        """A stranger learns nothing: whoever has no token is told so before anything else is looked at."""
        if request.path == "/health" and request.method in ("GET", "HEAD"):
            return Answer({"live": True})
        try:
            route, request.args = self.routes.chosen(request.method, request.path)
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


def _route(
    method: str, path: str, scopes: tuple[str, ...], act: Any, *given: Any, body: Any = None, query: Any = None,
    kinds: tuple[str, ...] = (JSON,),
) -> Route:
    """A route whose docstring is what the document says of it."""
    return Route(method, path, scopes, partial(act, *given), inspect.cleandoc(act.__doc__), body, query, kinds)
