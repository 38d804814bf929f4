"""What every benchmark speaks in: a bar, the environment it was measured in, and a measured child process."""

from __future__ import annotations

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import IO, Any, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
NAME = "shipworthy"
# One thread for every library that would start more: what a measurement "on one core" runs under.
ONE_CORE = dict.fromkeys(
    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
_until: ContextVar[float] = ContextVar("until", default=float("inf"))


class Broken(RuntimeError):
    """What was to be measured did not run to its end."""


@dataclass(frozen=True)
class Bar:
    """One measured number and what it is held to.

    value: None where nothing was measured; the note says why. better: on which side of the limit the value belongs.
    """

    what: str
    value: float | None
    limit: float
    better: Literal["lower", "higher"]
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value is on the better side of the limit, or on it; None if nothing was measured."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.better == "lower" else self.value >= self.limit

    def facts(self) -> dict[str, Any]:
        """The bar as plain values."""
        return {"what": self.what, "value": self.value, "limit": self.limit, "better": self.better,
                "holds": self.holds, "note": self.note}


def data_folder() -> Path:
    """Where the real tables are: SHIPWORTHY_DATA, or shared/data beside the repository."""
    given = os.environ.get("SHIPWORTHY_DATA", "")
    return Path(given).resolve() if given else ROOT.parent / "shared" / "data"


def real_data(place: str) -> Path | None:
    """A real table or folder by its place in the data folder; None if it is not here."""
    path = data_folder() / place
    return path if path.exists() else None


def no_data(bars: Sequence[Bar]) -> list[tuple[float | None, str]]:
    """No value for any bar, for want of the real tables."""
    return [(None, "not measured: the real tables are not in the folder that SHIPWORTHY_DATA names")] * len(bars)


def oracle() -> Path | None:
    """The python of the environment that has the libraries we are measured beside; None if none is named.

    SHIPWORTHY_ORACLES is its folder, as `python -m venv` makes it.
    """
    given = os.environ.get("SHIPWORTHY_ORACLES", "")
    return Path(given) / "bin" / "python" if given else None


def no_oracle(library: str) -> str:
    """Why a bar beside a library has no value."""
    return f"not measured: SHIPWORTHY_ORACLES names no environment with {library}"


def peer(name: str) -> Path | None:
    """The python of a peer's own environment, the folder of its name in SHIPWORTHY_PEERS; None if there is none."""
    given = os.environ.get("SHIPWORTHY_PEERS", "")
    found = Path(given) / name / "bin" / "python"
    return found if given and found.is_file() else None


def no_peer(name: str) -> str:
    """Why a bar beside a peer has no value."""
    return f"not measured: SHIPWORTHY_PEERS holds no environment {name}"


def unmeasured(bars: Sequence[Bar], why: str) -> list[Bar]:
    """The same bars, without a value, for a stated reason."""
    return [Bar(bar.what, None, bar.limit, bar.better, why) for bar in bars]


@dataclass(frozen=True)
class Ran:
    """A child process that ended. Seconds are of wall clock and of processor time, bytes of resident memory.

    cpu_seconds counts the child and every descendant it waited for. peak_bytes is the peak of the largest single
    process among them, which is what the operating system keeps; peaks of processes that ran side by side do not add.
    """

    code: int
    out: str
    err: str
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int

    def fine(self, *codes: int) -> Ran:
        """This run. Raises Broken, with the end of its stderr, if its exit code is none of `codes` (0 if none)."""
        if self.code in (codes or (0,)):
            return self
        tail = " ".join(self.err.split())[-300:]
        raise Broken(f"exit code {self.code}: {tail or 'it said nothing'}")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """A span of wall clock; a child that would outlive it is stopped, and what it measured is Broken."""
    before = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(before)


def run(
    command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None,
    at_most_seconds: float = 1800.0,
) -> Ran:
    """The command, run to its end in its own process group. Raises Broken if it had to be stopped, descendants too.

    Resources are those of this child alone: `wait4` returns what getrusage(RUSAGE_CHILDREN) would add for it, whereas
    the peak of RUSAGE_CHILDREN never goes down again and would carry one measurement into the next. The parent is
    kept small, because a child's peak cannot be below the memory of the process that forked it.
    """
    seconds = min(at_most_seconds, _until.get() - time.monotonic())
    if seconds <= 0:
        raise Broken("no time was left")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        child = subprocess.Popen(list(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                 env={**os.environ, **(environment or {})}, start_new_session=True)
        late = threading.Event()
        clock = threading.Timer(seconds, _stop, (child.pid, late))
        clock.start()
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            _stop(child.pid, late)
            raise
        finally:
            clock.cancel()
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if late.is_set():
            raise Broken(f"stopped after {seconds:.0f} s")
        said = [_text(stream) for stream in (out, err)]
    unit = 1 if sys.platform == "darwin" else 1024
    return Ran(child.returncode, said[0], said[1], wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def python(*words: str) -> list[str]:
    """A command for a fresh process of this interpreter."""
    return [sys.executable, *words]


def shipworthy(*words: str) -> list[str]:
    """A command for the installed command line, beside this interpreter. Raises Broken if it is not installed."""
    script = Path(sys.executable).parent / NAME
    if not script.is_file():
        raise Broken(f"there is no {NAME} beside this Python: install the package first (make setup)")
    return [str(script), *words]


def median_seconds(commands: Sequence[Sequence[str]], *, times: int, folder: Path) -> list[float]:
    """Median wall seconds of fresh processes of each command, in turn, after one of each that warms the disk cache."""
    taken: list[list[float]] = [[] for _ in commands]
    for turn in range(times + 1):
        for place, command in enumerate(commands):
            ran = run(command, folder=folder).fine()
            if turn:
                taken[place].append(ran.wall_seconds)
    return [statistics.median(each) for each in taken]


def environment() -> dict[str, Any]:
    """What the numbers depend on: interpreter, platform, processors, load before the start, versions, date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in sorted({NAME, *direct(NAME)})},
    }


def direct(name: str) -> set[str]:
    """Canonical names of what a distribution requires itself on this platform, extras left out."""
    needed = map(Requirement, requires(name) or ())
    return {str(canonicalize_name(need.name)) for need in needed
            if need.marker is None or need.marker.evaluate({"extra": ""})}


def closure(name: str) -> set[str]:
    """Every distribution that an install of `name` without extras brings on this platform, `name` left out.

    Read from the metadata of what is installed here; extras that a requirement asks for are followed.
    """
    found: set[str] = set()
    waiting = [(str(canonicalize_name(name)), frozenset[str]())]
    seen = set()
    while waiting:
        one, extras = waiting.pop()
        if (one, extras) in seen:
            continue
        seen.add((one, extras))
        found.add(one)
        try:
            lines = requires(one) or ()
        except PackageNotFoundError as error:
            raise Broken(f"{one} is required but not installed") from error
        for need in map(Requirement, lines):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((str(canonicalize_name(need.name)), frozenset(need.extras)))
    return found - {str(canonicalize_name(name))}


def _stop(group: int, late: threading.Event) -> None:
    late.set()
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
