"""What the first page shows in Python is true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_example_of_the_first_page_runs(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shutil.copytree(made[0], tmp_path / "own"))
    code = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[0]
    assert len(code.split("\n\n")[1].splitlines()) == 5
    exec(compile(code.replace("orders.parquet", "t.csv"), "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("no row is required\n[") and "'yes'" in said


def test_the_first_page_names_setup_and_the_way_onto_the_path() -> None:
    text = README.read_text("utf-8")
    assert "$ make setup\n$ source .venv/bin/activate\n$ shipworthy init" in text
    assert "$ make demo\n$ make test\n" in text
