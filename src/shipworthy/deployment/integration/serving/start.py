"""A server started from a project's folder by what serving needs alone: for containers that hold no training library.

    python -m shipworthy.deployment.integration.serving.start /srv/project --host 0.0.0.0

`shipworthy serve` starts the same server, and looks at more before: it needs the whole installation.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shipworthy.core.project import Serving, read_project
from shipworthy.deployment.integration.access.tls import tls
from shipworthy.deployment.integration.releases.history import no_champion, told
from shipworthy.deployment.integration.serving.host import serve
from shipworthy.deployment.integration.serving.job import Job
from shipworthy.errors import ShipworthyError


@dataclass(frozen=True)
class _Place:
    """A project's folder and its `.shipworthy`, without the store that lies there."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / ".shipworthy"


KEEPER = "shipworthy.server.keeper"


def job(folder: Path, *, host: str = "", port: int = 0, workers: int = 0, keep: bool = False) -> Job:
    """What a server of a project's champion is to do. host, port, workers: instead of those of [serve].

    keep: with the keeper beside it, which needs the whole installation.
    Raises BadProject; Misuse when nothing is in production, or the certificate of [serve] cannot be used; StoreError.
    """
    place = _Place(folder.resolve())
    project = read_project(place.folder)
    settings = project.serve
    serving: Serving = msgspec.structs.replace(settings, host=host or settings.host, port=port or settings.port,
                                               workers=workers or settings.workers)
    tls(serving, place.folder)
    standing = told(place)
    if standing is None:
        raise no_champion(place)
    return Job(str(place.folder / standing.champion.folder), str(place.home / "log"),
               msgspec.structs.replace(project, serve=serving), serving, str(place.home), workers=serving.workers,
               beside=(KEEPER, str(place.folder)) if keep else ())


def main(arguments: list[str]) -> None:
    """Serve until told to stop; exit 2 with the cause where that cannot be."""
    parser = argparse.ArgumentParser(prog="shipworthy-serve", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder that holds shipworthy.toml")
    parser.add_argument("--host", default="", help="address to listen on; from [serve] by default")
    parser.add_argument("--port", default=0, type=int, help="port; from [serve] by default")
    parser.add_argument("--workers", default=0, type=int, help="processes; from [serve] by default")
    parser.add_argument("--keep", action="store_true", help="run the keeper beside it; needs the whole installation")
    asked = parser.parse_args(arguments)
    try:
        serve(job(asked.folder, host=asked.host, port=asked.port, workers=asked.workers, keep=asked.keep),
              say=lambda text: print(text, file=sys.stderr, flush=True))
    except ShipworthyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
