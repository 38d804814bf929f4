"""The sums of three parties over Flower's own processes are those of one federation in memory."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from shipworthy.core.features import fit
from shipworthy.learning.privacy.federated.federation import Federation
from shipworthy.learning.privacy.federated.learners import fit_linear
from shipworthy.learning.privacy.federated.party import answering, from_table
from shipworthy.sabotage.world import world

from ..learning.conftest import with_roles
from .conftest import SCRIPTS

SOURCE = Path(__file__).resolve().parents[2] / "src"
CLASSES = ("no", "yes")


@pytest.fixture
def flower() -> Path:
    """The bin folder of the environment with Flower."""
    folder = os.environ.get("SHIPWORTHY_FLOWER")
    if not folder:
        pytest.skip("SHIPWORTHY_FLOWER names no environment with Flower; .ci/flower makes one")
    return Path(folder).resolve() / "bin"


def test_a_line_learnt_over_flower_is_the_one_learnt_in_memory(
    flower: Path, clean: dict[str, Any], tmp_path: Path
) -> None:
    table = with_roles(world(3, rows=900), clean["project"])
    features = fit(table.drop("when", "entity"))
    bounds = [(0.0, 0.0) if kind.categorical else (0.0, 1.0) if kind.name == "flag" else (-5.0, 5.0)
              for kind in features.inputs]
    parts = [table.take(np.arange(n, 900, 3)) for n in range(3)]
    for n, part in enumerate(parts):
        pq.write_table(part.data, tmp_path / f"{n}.parquet")
    inputs = np.nan_to_num(features.matrix(table)[:20])
    (tmp_path / "inputs.json").write_text(json.dumps(inputs.tolist()), encoding="utf-8")
    (tmp_path / "job.msgpack").write_bytes(msgspec.msgpack.encode(
        {"features": msgspec.json.encode(features), "bounds": bounds, "target": "outcome", "classes": CLASSES}))
    done = subprocess.run([flower / "python", SCRIPTS / "flower_training.py", str(tmp_path)], text=True,
                          capture_output=True, timeout=300, check=False,
                          env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(SOURCE)})
    log = (tmp_path / "flower.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, done.stderr[-2000:] + log[-3000:]
    told = json.loads(done.stdout)
    assert "error" not in told, told["error"] + log[-3000:]
    answers = [answering(lambda asked, part=part: from_table(part, asked)) for part in parts]  # type: ignore[misc]
    near = Federation(lambda asked: [one(each) for one, each in zip(answers, asked, strict=True)], 3)
    near.start(features, "outcome", CLASSES)
    plain = fit_linear(near, features, bounds, CLASSES).margin(inputs)[:, 0]
    np.testing.assert_allclose(told["margins"], plain, atol=1e-6)
    assert told["telemetry"] == "0"
    assert {party for party, _, _ in told["messages"]} == {0, 1, 2}
    assert all(values == asked for _, values, asked in told["messages"])
