"""Load on a server of this machine: started on one core, asked from another by wrk, its processes looked at."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.frame import ONE_CORE, Broken

START_SECONDS = 120.0
TICK = os.sysconf("SC_CLK_TCK")
LUA = """
local bodies, at = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
wrk.method = "POST"
for name, value in pairs(%s) do wrk.headers[name] = value end
request = function()
  at = at %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
"""
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Asked:
    """How a server is asked. body: of one record. probability: of the second class, from the decoded answer.

    refused: a refusal is what is expected, and as good as an answer.
    """

    path: str
    body: Callable[[Mapping[str, Any]], Any]
    probability: Callable[[Any], float]
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    refused: bool = False


@dataclass(frozen=True)
class Round:
    """One load: requests a second, seconds of the 99th percentile, processor µs a request, answers that were no 2xx."""

    rate: float
    p99: float
    cpu_us: float
    refused: int


class Running:
    """A server that answers. cold: seconds from its start to its first answer."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, cold: float) -> None:
        self.process, self.port, self.cold = process, port, cold

    @property
    def tree(self) -> list[int]:
        """The ids of its processes: its session, and whatever descends from it."""
        return _tree(self.process.pid)

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all of them so far."""
        return sum(_cpu(pid) for pid in self.tree)

    @property
    def pss_mb(self) -> float:
        """Proportional memory of all of them, MB."""
        return sum(pss_mb(pid) for pid in self.tree)

    @property
    def own_mb(self) -> float:
        """Memory of all of them that is of no file, MB: what would grow if something were never let go."""
        return sum(pss_mb(pid, "Pss_Anon:") for pid in self.tree)

    def ask(self, asked: Asked, records: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Decoded answers to records, one after another over one connection. Raises Broken for a refusal."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        found = []
        for record in records:
            link.request("POST", asked.path, json.dumps(asked.body(record)), dict(asked.headers))
            answer = link.getresponse()
            text = answer.read()
            if answer.status != 200 and not asked.refused:
                raise Broken(f"status {answer.status}: {text[:200].decode(errors='replace')}")
            found.append(json.loads(text))
        link.close()
        return found


@contextmanager
def running(
    command: Sequence[str], asked: Asked, record: Mapping[str, Any], *, port: int,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A server on the first core, from its first answer on; stopped with all its processes. Raises Broken."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
    pinned = ["taskset", "-c", "0", *command] if shutil.which("taskset") else list(command)
    began = time.perf_counter()
    process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                               env={**os.environ, **ONE_CORE, **(environment or {})})
    try:
        found = Running(process, port, 0.0)
        while True:
            try:
                found.ask(asked, [record])
                break
            except (OSError, http.client.HTTPException, Broken, ValueError):
                if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                    said.seek(0)
                    tail = " ".join(said.read().decode(errors="replace").split())[-300:]
                    raise Broken(f"it did not answer: {tail or 'it said nothing'}") from None
                time.sleep(0.02)
        found.cold = time.perf_counter() - began
        yield found
    finally:
        own = _tree(process.pid)
        for pid in own:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        for pid in {*own, *_tree(process.pid)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        said.close()


def load(server: Running, asked: Asked, bodies: Path, *, connections: int, seconds: int) -> Round:
    """One load by wrk, one thread on the second core, over connections that are kept. Raises Broken without wrk."""
    wrk = shutil.which("wrk")
    if not wrk:
        raise Broken("wrk is not installed; on Debian: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in asked.headers.items())
        script.write(LUA % (bodies, "{" + headers + "}"))
        script.flush()
        before = server.cpu_seconds
        told = subprocess.run(
            [*(["taskset", "-c", "1"] if shutil.which("taskset") else []), wrk, "-t1", f"-c{connections}",
             f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", script.name,
             f"http://127.0.0.1:{server.port}{asked.path}"], capture_output=True, text=True, check=False)
        used = server.cpu_seconds - before
    return read(told.stdout, used)


def read(said: str, cpu_seconds: float) -> Round:
    """What wrk printed. Raises Broken when it printed no rate."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    total = re.search(r"(\d+) requests in", said)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", said)
    if not (rate and total and late):
        raise Broken(f"wrk printed no rate: {' '.join(said.split())[-60:] or 'nothing at all'}")
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    for errors in re.findall(r"Socket errors: (.*)", said):
        refused += sum(map(int, re.findall(r"\d+", errors)))
    return Round(float(rate[1]), float(late[1]) * UNITS[late[2]], cpu_seconds / max(1, int(total[1])) * 1e6, refused)


def write_bodies(path: Path, asked: Asked, records: Sequence[Mapping[str, Any]]) -> Path:
    """One body a line."""
    path.write_text("".join(json.dumps(asked.body(record)) + "\n" for record in records))
    return path


def free_port() -> int:
    """A port that nobody listens on; the two after it are free as well."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 60_000 and all(_free(port + more) for more in (1, 2)):
            return port


def pss_mb(pid: int, what: str = "Pss:") -> float:
    """Proportional memory of a process, MB; 0 when it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
    return 0.0


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _tree(root: int) -> list[int]:
    found, session = {root}, {}
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                rest = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(entry.name)], session[int(entry.name)] = int(rest[1]), int(rest[3])
    found |= {pid for pid, own in session.items() if own == root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(pid for pid in found if pid in parents)


def _cpu(pid: int) -> float:
    with suppress(OSError, IndexError):
        rest = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(rest[11]) + int(rest[12])) / TICK
    return 0.0
