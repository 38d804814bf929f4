"""One job, done in a process of its own: a verb of the command line, told line by line to the worker that started it.

The job comes as one line of JSON. What is told goes out as lines of JSON; what libraries print goes to stderr. When the
pipe from the worker ends the worker is gone, and so is this process with all it started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from shipworthy import flow
from shipworthy.core.evidence import Evidence
from shipworthy.core.progress import Progress
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.errors import FAULTS, ShipworthyError
from shipworthy.server.tables import FOLDER
from shipworthy.store.workspace import Workspace, open_workspace

Outcome = tuple[str, dict[str, Any]]


def done(place: Workspace, verb: str, settings: Mapping[str, Any], by: str, progress: Progress) -> Outcome:
    """How a job ended (done, or refused where the evidence says no), and its result.

    by: who asked: the trainer of what is made, so that they cannot promote it. Raises ShipworthyError.
    """
    return VERBS[verb](_asked(place, settings, by), settings, progress)


def _run(place: Workspace, settings: Mapping[str, Any], progress: Progress) -> Outcome:
    tables = flow.gather(place, _instead(place, settings))
    built = flow.build(place, tables, progress=progress)
    evidence, cost = built.release.evidence, built.learned.cost
    return _state(evidence.fit), {"release": built.release.id, **_verdict(evidence), "chosen": built.learned.why,
                                  "cost": cost}


def _renew(place: Workspace, settings: Mapping[str, Any], progress: Progress) -> Outcome:
    renewal = flow.renew(place, progress=progress)
    made = {"release": renewal.release.id, **_verdict(renewal.release.evidence)} if renewal.release else {}
    return _state(renewal.won), {**made, "won": renewal.won, "sentence": renewal.sentence,
                                 "findings": renewal.findings}


def _watch(place: Workspace, settings: Mapping[str, Any], progress: Progress) -> Outcome:
    progress("looking at what was served")
    watched = flow.watch(place)
    return "done", {"rows": watched.rows, "findings": watched.findings,
                    "incidents": watched.incidents, "open": watched.incident}


def _verify(place: Workspace, settings: Mapping[str, Any], progress: Progress) -> Outcome:
    progress("judging again")
    release = find_release(place.releases, settings["release"], key=place.key)
    results = flow.recheck(release.folder, plugins=place.plugins())
    return _state(all(ok for _, ok, _ in results)), {
        "release": release.id, "results": [{"what": what, "ok": ok, "sentence": told} for what, ok, told in results]}


VERBS: dict[str, Callable[[Workspace, Mapping[str, Any], Progress], Outcome]] = {
    "run": _run, "renew": _renew, "watch": _watch, "verify": _verify}


def _state(fit: bool) -> str:
    return "done" if fit else "refused"


def _verdict(evidence: Evidence) -> dict[str, Any]:
    return {"fit": evidence.fit, "verdict": evidence.standing, "refusals": list(evidence.refusals),
            "counts": evidence.counts()}


def _asked(place: Workspace, settings: Mapping[str, Any], by: str) -> Workspace:
    """The project as the job wants it, trained by whoever asked."""
    budget = {name: settings[name] for name in ("seconds", "trials") if settings.get(name) is not None}
    project = place.project
    return replace(place, project=msgspec.structs.replace(
        project, project=msgspec.structs.replace(project.project, trainer=by),
        learning=msgspec.structs.replace(project.learning, **budget)))


def _instead(place: Workspace, settings: Mapping[str, Any]) -> dict[str, str]:
    """Source → the address that is read in its place."""
    if upload := settings.get("upload"):
        return {settings["table"]: str(place.store.home / FOLDER / upload)}
    if source := settings.get("source"):
        known = {one.called: one.address for one in place.project.source}
        return {settings["table"]: place.resolve(known.get(source, source))}
    return {}


def _main() -> None:
    """The child. It ends with 0 once it told a result; anything else is a crash."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no part of what is told
    job = json.loads(_line())
    threading.Thread(target=_until_orphaned, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))

    def tell(**told: Any) -> None:
        out.write(msgspec.json.encode(told, enc_hook=str).decode() + "\n")

    try:
        place = open_workspace(Path(job["folder"]))
        state, result = done(place, job["verb"], job["settings"], job["by"], lambda step: tell(step=step))
    except ShipworthyError as error:
        state, result = "failed", _failed(error.problem, error.where, error.hint)
    except (OSError, MemoryError, *FAULTS) as error:
        traceback.print_exception(error)
        state, result = "failed", _failed(f"the program failed: {type(error).__name__}: {error}", "", "see its log")
    tell(state=state, result=result)


def _failed(problem: str, field: str, hint: str) -> dict[str, Any]:
    return {"error": {"field": field, "problem": problem, "hint": hint}}


def _line() -> bytes:
    """One line of stdin, unbuffered: a buffer that a thread waits in cannot be closed at the end."""
    found = b""
    while not found.endswith(b"\n"):
        piece = os.read(0, 65_536)
        if not piece:
            sys.exit(2)
        found += piece
    return found


def _until_orphaned() -> None:
    while os.read(0, 65_536):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(2)


if __name__ == "__main__":
    _main()
