"""What a serving process needs installed, and nothing that trains: pinned to what is installed here."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from shipworthy.errors import Misuse

SERVES = ("cryptography", "httptools", "msgspec", "numpy", "uvicorn", "uvloop")
TRACES = ("opentelemetry-api", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OLDER = re.compile(r"python(?:_full)?_version\s*<=?\s*[\"']3\.(\d+)")


def requirements(*, traces: bool = False) -> dict[str, str]:
    """Name → version of every distribution that a serving process imports or that one of those needs, sorted.

    traces: with what sending traces needs. Raises Misuse when one of them is not installed here.
    """
    found: dict[str, str] = {}
    waiting = [*SERVES, *(TRACES if traces else ())]
    while waiting:
        name = _plain(waiting.pop())
        if name not in found:
            try:
                found[name] = version(name)
            except PackageNotFoundError as error:
                raise Misuse(f"{name} is not installed, so its version is not known", where="--requirements",
                             hint="pip install 'shipworthy[otel]'" if traces else "install Shipworthy anew") from error
            waiting += [match[0] for need in requires(name) or () if _needed(need) and (match := _NAME.match(need))]
    return dict(sorted(found.items()))


def text(*, traces: bool = False) -> str:
    """The same as lines for pip."""
    lines = [f"{name}=={number}" for name, number in requirements(traces=traces).items()]
    return "\n".join(["# What serving needs; the package itself: pip install --no-deps shipworthy", *lines]) + "\n"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(need: str) -> bool:
    """Whether a line of a distribution's metadata counts here: no extra, and not for a Python older than this."""
    marker = need.partition(";")[2]
    older = _OLDER.search(marker)
    return "extra" not in marker and not (older and sys.version_info >= (3, int(older[1])))
