"""The server beside its peers: one model, one machine, one run; every peer in an environment of its own.

The table is the census of SHIPWORTHY_DATA (14 columns, 8 of them categories); the model is behind imputation and
ordinal encoding in scikit-learn, 200 trees of 31 leaves. The server has one core, wrk the other. Rounds are
interleaved; a rate is the best of its rounds, since a shared machine only ever slows. Environments are made when they
are missing, in SHIPWORTHY_PEERS (default .peers).
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.frame import ONE_CORE, ROOT, Bar, Broken, data_folder, python, run, unmeasured
from benchmarks.load import Asked, Round, Running, free_port, load, running, write_bodies

HERE = Path(__file__).parent / "peers"
CONNECTIONS = (1, 16, 64)
SECONDS, ROUNDS, CHECKED = 3, 2, 200
COMMON = ("pandas", "scikit-learn", "lightgbm")
OURS, ECHO, FASTAPI = "shipworthy", "uvicorn echo", "FastAPI"


def _v2(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": [1, 1], "datatype": "FP64" if isinstance(value, float) else "BYTES",
                        "data": [value]} for name, value in record.items()]}


@dataclass(frozen=True)
class Peer:
    """Another server: what its environment holds, the script that starts it, how it is asked."""

    name: str
    packages: tuple[str, ...]
    script: str
    asked: Asked


def _plain(path: str) -> Asked:
    return Asked(path, lambda record: record, lambda answer: float(answer["probability"]))


PEERS = (
    Peer(FASTAPI, ("fastapi", "uvicorn[standard]"), "serve_fastapi.py", _plain("/predict")),
    Peer("LitServe", ("litserve",), "serve_litserve.py", _plain("/predict")),
    Peer("BentoML", ("bentoml",), "serve_bentoml.py",
         Asked("/predict", lambda record: {"record": record}, lambda answer: float(answer["probability"]))),
    Peer("MLServer", ("mlserver", "uvloop<0.22"), "serve_mlserver.py",
         Asked("/v2/models/adult/infer", _v2, lambda answer: float(answer["outputs"][0]["data"][0]))),
    Peer("MLflow", ("mlflow",), "serve_mlflow.py",
         Asked("/invocations", lambda record: {"dataframe_records": [record]},
               lambda answer: float(answer["predictions"][0]))),
    Peer("Ray Serve", ("ray[serve]",), "serve_ray.py", _plain("/")),
)


@dataclass
class Seen:
    """What was measured of one server. rounds: connections → loads."""

    name: str
    versions: str = ""
    cold: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    apart: float = 0.0
    rounds: dict[int, list[Round]] = field(default_factory=dict)
    why: str = ""

    @property
    def null(self) -> bool:
        """Whether it answers with nothing at all."""
        return self.name.endswith("no model")

    def rate(self, connections: int) -> float:
        """The best rate, requests a second."""
        return max(each.rate for each in self.rounds[connections])

    def cpu(self, connections: int) -> float:
        """The least processor time, µs a request."""
        return min(each.cpu_us for each in self.rounds[connections])

    def p99(self, connections: int) -> float:
        """The least 99th percentile, seconds."""
        return min(each.p99 for each in self.rounds[connections])

    def line(self) -> list[str]:
        """Cells of the table of servers."""
        if self.why:
            return [self.name, self.why, "", "", "", ""]
        rates = " / ".join(f"{self.rate(n):,.0f}" for n in CONNECTIONS)
        late = " / ".join(f"{self.p99(n) * 1e3:.1f}" for n in CONNECTIONS)
        return [f"{self.name} {self.versions}".strip(), rates, f"{self.cpu(16):,.0f}", late, f"{min(self.memory):,.0f}",
                f"{min(self.cold):.2f}"]


HEAD = ["server", "requests a second at 1 / 16 / 64 connections", "processor µs a request at 16",
        "99th percentile, ms, at 1 / 16 / 64", "memory (PSS), MB", "cold start, s"]


RATE = (Bar("one row, 16 connections: rate over that of a bare uvicorn echo", None, 0.65, "higher"),
        Bar("one row, 16 connections: rate over that of FastAPI, pandas and scikit-learn", None, 100, "higher"),
        Bar("one row, 16 connections: rate over that of FastAPI with a model that does nothing", None, 5, "higher"),
        Bar("one row, 16 connections: rate over that of an echo on httptools alone", None, 0.3, "higher"),
        Bar("memory of the server under load, all its processes (PSS), MB", None, 60, "lower"),
        Bar("cold start to the first answer, s", None, 0.5, "lower"),
        Bar("largest difference from scikit-learn's probability, asked under load", None, 1e-12, "lower"))
PATHS = (Bar("a request refused with 422: processor time over that of an answer", None, 1.0, "lower"),
         Bar("a request refused with 429: processor time over that of an answer", None, 1.0, "lower"),
         Bar("batch of 1,000 rows over HTTP: time over that of decoding and kernel alone", None, 1.5, "lower"))
SWAP = (Bar("champion changed under 64 connections: requests dropped", None, 0, "lower"),
        Bar("champion changed under 64 connections: 99th percentile over that without", None, 2.0, "lower"))
STEADY = (Bar("memory of the server (of no file) after 5 million requests over that after 100,000", None, 1.05,
              "lower"),)
tables: list[dict[str, Any]] = []


def measure(*, quick: bool, progress: Callable[[str], None], only: Sequence[str] = ()) -> list[Bar]:
    """Every bar, measured or with the reason why not; `tables` then holds the servers side by side.

    quick: one round, and a twentieth of the requests.
    """
    source = data_folder() / "fairness/adult/adult.parquet"
    chosen = [name for name in GROUPS if not only or name in only]
    if not source.is_file():
        return [bar for name in chosen for bar in unmeasured(GROUPS[name].bars, f"there is no {source.name} to serve")]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            bench = Bench(Path(folder), source, progress, quick)
        except Broken as error:
            return [bar for name in chosen for bar in unmeasured(GROUPS[name].bars, f"broke: {error}")]
        for name in chosen:
            progress(name)
            try:
                values = GROUPS[name].measure(bench)
                found += [Bar(bar.what, value, bar.limit, bar.better, note)
                          for bar, (value, note) in zip(GROUPS[name].bars, values, strict=True)]
            except Broken as error:
                found += unmeasured(GROUPS[name].bars, f"broke: {error}")
    return found


class Bench:
    """The table, the releases and the records that every group asks with."""

    def __init__(self, folder: Path, source: Path, progress: Callable[[str], None], quick: bool) -> None:
        self.folder, self.progress, self.quick = folder, progress, quick
        run([sys.executable, "-m", "benchmarks.served", str(source), str(folder)], folder=ROOT).fine()
        told = json.loads((folder / "made.json").read_text())
        self.table = folder / "adult.csv"
        self.records, self.expected, self.token = told["records"], told["expected"], told["token"]
        self.job, self.releases, self.home = told["job"], told["releases"], Path(told["home"])
        self.asked = Asked("/v1/predict", lambda record: record,
                           lambda answer: float(answer["probabilities"][told["positive"]]),
                           {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"})

    def bodies(self, name: str, asked: Asked) -> Path:
        """The file of bodies for a way to ask."""
        return write_bodies(self.folder / f"{name.replace(' ', '-')}.bodies", asked, self.records)

    def own(self, **changes: Any) -> tuple[list[str], int]:
        """The command that starts our server, and its port. changes: of [serve]."""
        port = free_port()
        job = json.loads(json.dumps(self.job))
        for serving in (job["serving"], job["project"].setdefault("serve", {})):
            serving |= {"port": port, **changes}
        path = self.folder / f"job-{port}.json"
        path.write_text(json.dumps(job))
        return [sys.executable, "-m", "shipworthy.deployment.integration.serving.host", str(path)], port


def _rates(bench: Bench) -> list[tuple[float, str]]:
    own = Seen(OURS)
    echo, floor = Seen(ECHO), Seen("echo on httptools alone")
    fast, null = Seen(FASTAPI), Seen(f"{FASTAPI}, no model")
    rows = [own, echo, floor, fast, null]
    peers = [(peer, Seen(peer.name), Seen(f"{peer.name}, no model")) for peer in PEERS[1:]]
    for turn in range(1 if bench.quick else ROUNDS):
        _one(bench, own, bench.asked, bench.own, turn)
        for seen, script in ((echo, "serve_echo.py"), (floor, "serve_floor.py")):
            _one(bench, seen, Asked("/", lambda record: record, lambda answer: 0.0),
                 lambda script=script: _command(Path(sys.executable), script), turn, right=False)
        for peer, real, idle in ((PEERS[0], fast, null), *peers):
            _peer(bench, peer, (real, idle), turn)
    rows += [seen for _, real, idle in peers for seen in (real, idle)]
    tables[:] = [{"title": title, "head": HEAD, "rows": [seen.line() for seen in rows if seen.null == none],
                  "rates": {seen.name: seen.rate(16) for seen in rows if seen.null == none and not seen.why}}
                 for title, none in (("Servers with the same model", False), ("The same servers with no model", True))]
    for seen in (own, echo, floor, fast, null):
        if seen.why:
            raise Broken(f"{seen.name}: {seen.why}")
    mine, low = own.rate(16), floor.rate(16)
    return [(mine / other.rate(16), f"{mine:,.0f} against {other.rate(16):,.0f} a second; processor time "
             f"{own.cpu(16):.0f} against {other.cpu(16):,.0f} µs") for other in (echo, fast, null)] + [
        (mine / low, f"{mine:,.0f} against {low:,.0f} a second; the same HTTP parser and loop, and nothing else"),
        (min(own.memory), "one worker and the process above it, with log, counters, token and budgets on"),
        (min(own.cold), "from the start of the process"), (own.apart, f"{CHECKED} answers while wrk asked too")]


def _peer(bench: Bench, peer: Peer, both: tuple[Seen, Seen], turn: int) -> None:
    try:
        interpreter = _environment(peer)
    except Broken as error:
        for seen in both:
            seen.why = str(error)
        return
    for seen, words in zip(both, ((), ("null",)), strict=True):
        seen.versions = _version(interpreter, peer)
        _one(bench, seen, peer.asked, lambda words=words: _command(interpreter, peer.script, str(bench.table), *words),
             turn, right=not words)


def _one(
    bench: Bench, seen: Seen, asked: Asked, start: Callable[[], tuple[list[str], int]], turn: int, *, right: bool = True
) -> None:
    """One round of one server. right: its answers are held to scikit-learn's."""
    if seen.why:
        return
    bench.progress(f"round {turn + 1}: {seen.name}")
    bodies = bench.bodies(seen.name, asked)
    try:
        command, port = start()
        with running(command, asked, bench.records[0], port=port) as server:
            seen.cold.append(server.cold)
            for connections in CONNECTIONS:
                load(server, asked, bodies, connections=connections, seconds=1)
                found = load(server, asked, bodies, connections=connections, seconds=SECONDS)
                if found.refused:
                    raise Broken(f"{found.refused} requests were refused")
                seen.rounds.setdefault(connections, []).append(found)
            seen.memory.append(server.pss_mb)
            if right and turn == 0:
                seen.apart = _apart(bench, server, asked, bodies)
    except Broken as error:
        seen.why = str(error)[:160]


def _apart(bench: Bench, server: Running, asked: Asked, bodies: Path) -> float:
    """The largest difference from what scikit-learn says, while wrk asks too."""
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(load, server, asked, bodies, connections=16, seconds=SECONDS)
        answers = server.ask(asked, bench.records[:CHECKED])
        loading.result()
    return max(abs(asked.probability(answer) - right)
               for answer, right in zip(answers, bench.expected, strict=False))


def _paths(bench: Bench) -> list[tuple[float, str]]:
    wrong = replace(bench.asked, body=lambda record: {**record, next(iter(record)): True})
    usual = bench.bodies("usual", bench.asked)
    seconds = 1 if bench.quick else SECONDS
    best: dict[str, float] = {}
    command, port = bench.own()
    with running(command, bench.asked, bench.records[0], port=port) as server:
        bad = bench.bodies("wrong", wrong)
        for _ in range(1 if bench.quick else ROUNDS):
            for name, asked, bodies in (("200", bench.asked, usual), ("422", wrong, bad)):
                found = load(server, asked, bodies, connections=16, seconds=seconds)
                best[name] = min(best.get(name, 1e9), found.cpu_us)
        batch, alone = _batch(bench, server)
    command, port = bench.own(max_concurrent=0)
    with running(command, replace(bench.asked, refused=True), bench.records[0], port=port) as server:
        best["429"] = min(load(server, bench.asked, usual, connections=16, seconds=seconds).cpu_us
                          for _ in range(1 if bench.quick else ROUNDS))
    return [(best[name] / best["200"], f"{best[name]:.0f} against {best['200']:.0f} µs a request")
            for name in ("422", "429")] + [(batch / alone, f"{batch * 1e3:.2f} against {alone * 1e3:.2f} ms")]


def _batch(bench: Bench, server: Running) -> tuple[float, float]:
    """Seconds of 1,000 rows over HTTP, and of decoding and kernel alone; each the best of many."""
    body = json.dumps([bench.records[n % len(bench.records)] for n in range(1_000)]).encode()
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    best = float("inf")
    for _ in range(40):
        began = time.perf_counter()
        link.request("POST", bench.asked.path, body, dict(bench.asked.headers))
        answer = link.getresponse()
        answer.read()
        best = min(best, time.perf_counter() - began)
        if answer.status != 200:
            raise Broken(f"a batch was answered with {answer.status}")
    link.close()
    (bench.folder / "batch.json").write_bytes(body)
    command = python("-m", "benchmarks.served", "alone", bench.releases[0], str(bench.folder / "batch.json"))
    told = run(command, folder=ROOT, environment=ONE_CORE).fine()
    return best, float(told.out)


def _swap(bench: Bench) -> list[tuple[float, str]]:
    seconds, turns = (3, 4) if bench.quick else (10, 10)
    bodies = bench.bodies("swap", bench.asked)
    command, port = bench.own()
    with running(command, bench.asked, bench.records[0], port=port) as server, ThreadPoolExecutor(1) as beside:
        load(server, bench.asked, bodies, connections=64, seconds=2)
        still = load(server, bench.asked, bodies, connections=64, seconds=seconds)
        loading = beside.submit(load, server, bench.asked, bodies, connections=64, seconds=seconds)
        for turn in range(turns):
            time.sleep(seconds / (turns + 1))
            run([sys.executable, "-m", "benchmarks.served", "tell", str(bench.home), bench.releases[(turn + 1) % 2],
                 str(turn + 1)], folder=ROOT).fine()
        moved = loading.result()
    rate = moved.rate * seconds
    return [(moved.refused, f"{turns} changes in {rate:,.0f} requests"),
            (moved.p99 / still.p99, f"{moved.p99 * 1e3:.1f} against {still.p99 * 1e3:.1f} ms")]


def _steady(bench: Bench) -> list[tuple[float, str]]:
    wanted = 250_000 if bench.quick else 5_000_000
    bodies = bench.bodies("steady", bench.asked)
    command, port = bench.own()
    with running(command, bench.asked, bench.records[0], port=port) as server:
        done, seconds = 0.0, 5
        while done < 100_000:
            done += load(server, bench.asked, bodies, connections=16, seconds=seconds).rate * seconds
        before, done, seconds = server.own_mb, 0.0, 2 if bench.quick else 30
        while done < wanted:
            done += load(server, bench.asked, bodies, connections=64, seconds=seconds).rate * seconds
        after = server.own_mb
    return [(after / before, f"{before:.1f} MB, and {after:.1f} MB {done:,.0f} requests later")]


@dataclass(frozen=True)
class Group:
    """Bars that one measurement answers."""

    bars: tuple[Bar, ...]
    measure: Callable[[Bench], list[tuple[float, str]]]


GROUPS = {"rate": Group(RATE, _rates), "paths": Group(PATHS, _paths), "swap": Group(SWAP, _swap),
          "steady": Group(STEADY, _steady)}


def _environment(peer: Peer) -> Path:
    """The interpreter of a peer's environment, made if it is missing. Raises Broken."""
    home = Path(os.environ.get("SHIPWORTHY_PEERS", ROOT / ".peers")) / Path(peer.script).stem.removeprefix("serve_")
    interpreter = home / "bin" / "python"
    if not interpreter.is_file():
        run([sys.executable, "-m", "venv", str(home)]).fine()
        run([str(interpreter), "-m", "pip", "install", "-q", *peer.packages, *COMMON]).fine()
    return interpreter


def _version(interpreter: Path, peer: Peer) -> str:
    name = peer.packages[0].split("[")[0].split("<")[0]
    told = subprocess.run([str(interpreter), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"],
                          capture_output=True, text=True, check=False)
    return told.stdout.strip()


def _command(interpreter: Path, script: str, *words: str) -> tuple[list[str], int]:
    port = free_port()
    return [str(interpreter), str(HERE / script), str(port), *words], port
