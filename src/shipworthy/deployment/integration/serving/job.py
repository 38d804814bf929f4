"""What a worker is told and what it says: all that the process above it needs, without what a worker imports."""

from __future__ import annotations

import msgspec

from shipworthy.core.project import Project, Serving

DRAIN_SECONDS = 10


class Job(msgspec.Struct, frozen=True):
    """What a worker is to do. project: or only the settings of serving. home: of the project, whose tokens let in.

    follow: answer with the project's champion, whoever that becomes; else with the release for ever.
    handle, board: the listening socket and the shared counters, inherited; −1 for own ones. beside: a module and its
    words, run in a process of its own as long as the server runs; for the server, not its workers.
    """

    release: str
    log: str
    project: Project | None
    serving: Serving
    home: str = ""
    follow: bool = True
    worker: int = 0
    workers: int = 1
    handle: int = -1
    board: int = -1
    beside: tuple[str, ...] = ()


class Saying(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says on standard output: the port once it answers, or why it cannot go on."""

    port: int = 0
    failed: str = ""
