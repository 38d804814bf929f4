"""What others read in exported evidence: the messages of in-toto and the schema of CycloneDX hold."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from ..exchange.test_attestations import written
from .conftest import SCRIPTS


def test_in_toto_and_cyclonedx_read_exported_evidence(
    client: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    written(tmp_path)
    done = client("python", SCRIPTS / "read_evidence.py", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {}


def test_a_document_that_is_wrong_is_refused(
    client: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    written(tmp_path)
    path = tmp_path / "declarations.cdx.json"
    path.write_text(path.read_text("utf-8").replace('"predicate"', '"predicament"'), encoding="utf-8")
    done = client("python", SCRIPTS / "read_evidence.py", tmp_path)
    assert list(json.loads(done.stdout)) == ["declarations.cdx.json"]
