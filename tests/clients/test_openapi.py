from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from shipworthy.deployment.integration.serving.host import Server

CONFIG = Path(__file__).with_name("schemathesis.toml")


def only_json(document: Any) -> Any:
    """The document without other content types: schemathesis can neither write nor read CSV, Arrow or raw tensors."""
    if isinstance(document, dict):
        kept = {key: only_json(value) for key, value in document.items()}
        return {"application/json": kept["application/json"]} if "application/json" in kept else kept
    return [only_json(value) for value in document] if isinstance(document, list) else document


def test_schemathesis_finds_no_answer_that_the_document_does_not_allow(
    clients: Path, server: Server, tmp_path: Path
) -> None:
    with urlopen(f"{server.address}/openapi.json") as answer:
        (tmp_path / "openapi.json").write_text(json.dumps(only_json(json.load(answer))))
    done = subprocess.run(
        [clients / "schemathesis", "--config-file", CONFIG, "run", tmp_path / "openapi.json", f"--url={server.address}",
         "--max-examples=60", "--seed=7", "--generation-database=none", "--no-color",
         "--phases=examples,coverage,fuzzing"],
        text=True, capture_output=True, timeout=170, check=False, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout[-6000:]
    assert server.pid
