"""Scoring on encrypted inputs with the real library, the server in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from shipworthy.core.program import Program
from shipworthy.learning.training.linear import linear

from ..learning.conftest import job, sample
from .conftest import SCRIPTS

SOURCE = Path(__file__).resolve().parents[2] / "src"
ROWS = 60


def test_a_server_scores_what_it_cannot_read(clients: Path, tmp_path: Path) -> None:
    program: Program = linear(*sample("binary"), job("binary")).program
    inputs = np.nan_to_num(sample("binary", rows=ROWS)[0])
    for name, raw in program.files().items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "inputs.json").write_text(json.dumps(inputs.tolist()), encoding="utf-8")
    done = subprocess.run([clients / "python", SCRIPTS / "score_encrypted.py", str(tmp_path)], text=True,
                          capture_output=True, timeout=300, check=False,
                          env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)})
    assert done.returncode == 0, done.stderr[-3000:]
    told, plain = json.loads(done.stdout), program.margin(inputs)[:, 0]
    found = np.array(told["scores"])
    assert np.abs(found - plain).max() <= 1e-3
    assert np.array_equal(found >= 0, plain >= 0)
    assert "doesn't hold a secret_key" in told["refused"]
    assert told["secret seen"] == [False, True]
    assert told["with the key"] == "the context carries the client's secret key"
