"""What a deployment needs to know, drawn from the project file; every generated file is filled from it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from shipworthy import __version__
from shipworthy.core.project import Project
from shipworthy.deployment.integration.serving.job import DRAIN_SECONDS
from shipworthy.errors import Misuse

MODULES = "shipworthy.deployment.integration.serving"
PROJECT = "/srv/project"
USER = 10_001
LEAVE_SECONDS = 5
SPARE_SECONDS = 15  # for sealing the log, on a disk that is slow
BASE_MEGABYTES, WORKER_MEGABYTES, KEEPER_MEGABYTES = 64, 96, 2_048
LOCAL = ("127.0.0.1", "::1", "localhost")
HOMES = ("/home", "/root", "/run/user")


@dataclass(frozen=True)
class Plan:
    """A server of a project elsewhere. folder: that of the project here. image: of the container, with its tag."""

    project: Project
    folder: Path
    image: str = ""
    replicas: int = 2

    @property
    def label(self) -> str:
        """The project's name as a DNS label, by which everything is called. Raises Misuse where nothing is left."""
        found = re.sub(r"[^a-z0-9]+", "-", self.project.project.name.lower()).strip("-")[:40].rstrip("-")
        if not found:
            raise Misuse("the project's name has no letter or digit that a host name may have",
                         where="[project] name", hint="give it one of a–z and 0–9")
        return found if found[0].isalpha() else f"model-{found}"

    @property
    def grace(self) -> int:
        """Seconds until a server that was told to stop may be killed."""
        return LEAVE_SECONDS + DRAIN_SECONDS + SPARE_SECONDS

    @property
    def values(self) -> dict[str, Any]:
        """What templates may name."""
        serve = self.project.serve
        inner = serve.port if serve.port >= 1024 else 8000
        megabytes = BASE_MEGABYTES + WORKER_MEGABYTES * serve.workers
        scheme = "https" if serve.certificate else "http"
        traces = urlsplit(serve.traces)
        return {
            "name": _line(self.project.project.name), "label": self.label,
            "model": quote(self.project.project.name), "version": __version__,
            "image": _line(self.image) or f"shipworthy-{self.label}:{__version__}",
            "python": f"{sys.version_info.major}.{sys.version_info.minor}", "modules": MODULES, "user": USER,
            "project_folder": PROJECT, "port": serve.port, "inner_port": inner, "scheme": scheme,
            "port_name": scheme, "workers": serve.workers, "replicas": self.replicas, "cpu": str(serve.workers),
            "memory_request": f"{megabytes}Mi", "memory_limit": f"{2 * megabytes}Mi",
            "memory_bytes": (2 * megabytes + KEEPER_MEGABYTES) * 2**20, "certificates": self._certificates(),
            "leave": LEAVE_SECONDS, "drain": DRAIN_SECONDS, "grace": self.grace,
            "grace_kept": self.grace + DRAIN_SECONDS,
            "traces_port": (traces.port or {"https": 443}.get(traces.scheme, 4318)) if serve.traces else 0,
            "folder": str(self.folder), "home": str(self.folder / ".shipworthy"), "executable": sys.executable,
            "protect_home": "read-only" if self._in_home() else "yes",
            "alone": serve.host in LOCAL and not serve.traces,
        }

    def _certificates(self) -> list[tuple[str, str]]:
        """The files of a secret of kind tls, and where the project file looks for them."""
        serve = self.project.serve
        if not serve.certificate:
            return []
        return [(name, str(Path(PROJECT) / path)) for name, path in (("tls.crt", serve.certificate),
                                                                     ("tls.key", serve.key))]

    def _in_home(self) -> bool:
        """Whether anything that the server reads lies in somebody's home."""
        places = (self.folder, Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix))
        return any(place.is_relative_to(home) for place in places for home in HOMES)


def _line(text: str) -> str:
    """Text that stays in its line, for comments."""
    return " ".join(text.split())
