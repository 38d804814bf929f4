"""The server beside its peers: one model, one machine, one run; every peer in an environment of its own.

The table is the census of SHIPWORTHY_DATA (14 columns, 8 of them categories); the model is behind imputation and
ordinal encoding in scikit-learn, 200 trees of 31 leaves. The server has one core, wrk the other. Rounds are
interleaved; a rate is the best of its rounds, since a shared machine only ever slows. Environments are made when they
are missing, in SHIPWORTHY_PEERS (default .peers).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.frame import ROOT, Bar, Broken, run, unmeasured
from benchmarks.load import Asked, Round, free_port, load, running, write_bodies

HERE = Path(__file__).parent / "peers"
CONNECTIONS = (1, 16, 64)
SECONDS, ROUNDS, CHECKED = 3.0, 3, 200
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
