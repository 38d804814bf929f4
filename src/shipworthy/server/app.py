"""The control API as a bare ASGI application. Every route but /health needs a token.

It stands in a process of its own, so that nothing it does slows the predict API.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shipworthy import __version__
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.server import projects as about
from shipworthy.server.gate import Gate, Refused
from shipworthy.server.openapi import document
from shipworthy.server.projects import READ, Projects, projects_of
from shipworthy.server.runs import After, Asked, AskedBeside, Page, Runs
from shipworthy.server.web import Answer, Gone, Receive, Request, Route, Routes, Scope, Send, refusal, sent
from shipworthy.store.workspace import Workspace

MOST_BYTES = 2**30
TRAIN, APPROVE = ("train",), ("approve",)
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
        return await route.act(self, request)

    async def _ready(self, request: Request) -> Answer:
        for one in self.projects.hosted.values():
            await asyncio.to_thread(one.jobs.open)
        return Answer({"live": True, "ready": not self.draining, "version": __version__}, 503 if self.draining else 200)

    async def _document(self, request: Request) -> Answer:
        return Answer(document(self.routes.routes))

    def _routes(self) -> list[Route]:
        def own(act: Any) -> Any:
            return lambda app, request: act(request)

        def told(act: Any) -> Any:
            return lambda app, request: act(self.projects, request)

        runs, route = self.runs, partial(_route)
        return [
            route("GET", "/ready", READ, own(self._ready), "Whether every project can be asked."),
            route("GET", "/openapi.json", READ, own(self._document), "This document."),
            route("GET", "/v1/projects", READ, told(about.list_projects), about.list_projects.__doc__),
            route("POST", f"{ONE}/runs", TRAIN, own(runs.post), runs.post.__doc__, body=Asked, query=AskedBeside),
            route("GET", f"{ONE}/runs", READ, own(runs.list), runs.list.__doc__, query=Page),
            route("GET", f"{ONE}/runs/{{id}}", READ, own(runs.get), runs.get.__doc__),
            route("DELETE", f"{ONE}/runs/{{id}}", TRAIN, own(runs.cancel), runs.cancel.__doc__),
            route("POST", f"{ONE}/runs/{{id}}/cancel", TRAIN, own(runs.cancel), runs.cancel.__doc__),
            route("GET", f"{ONE}/runs/{{id}}/events", READ, own(runs.events), runs.events.__doc__, query=After),
            route("GET", f"{ONE}/runs/{{id}}/log", READ, own(runs.log), runs.log.__doc__),
            route("GET", f"{ONE}/releases", READ, told(about.list_releases), about.list_releases.__doc__),
            route("GET", f"{ONE}/checklist", READ, told(about.checklist), about.checklist.__doc__, query=about.Which),
            route("GET", f"{ONE}/champion", READ, told(about.champion), about.champion.__doc__),
            route("POST", f"{ONE}/promote", APPROVE, told(about.promote), about.promote.__doc__, body=about.Promotion),
            route("POST", f"{ONE}/rollback", APPROVE, told(about.rollback), about.rollback.__doc__, body=about.Why),
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
    method: str, path: str, scopes: tuple[str, ...], act: Any, says: str | None, *, body: Any = None, query: Any = None
) -> Route:
    return Route(method, path, scopes, act, (says or "").strip(), body, query)
