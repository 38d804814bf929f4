"""`shipworthy deploy` writes what was asked for, and nothing over what somebody changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_files_are_written_into_the_project_and_named(call: Any, project: Callable[..., Path]) -> None:
    folder = project()
    told = call("deploy", "-p", folder, "--dockerfile", "--kubernetes", "--kserve", "--systemd", "--requirements")
    assert told.code == 0, told.err
    written = sorted(path.relative_to(folder / "deploy").as_posix() for path in (folder / "deploy").rglob("*")
                     if path.is_file())
    assert written == [".dockerignore", "Dockerfile", "kserve.yaml", "kubernetes.yaml", "packages/README",
                       "requirements-serve.txt", "tiny.service"]
    assert sorted(told.out.split()) == sorted(str(folder / "deploy" / name) for name in written)
    assert "try: docker build --tag shipworthy-tiny:" in told.err


def test_a_file_that_was_changed_is_replaced_only_when_told(call: Any, project: Callable[..., Path]) -> None:
    folder = project()
    assert call("deploy", "-p", folder, "--systemd").code == 0
    assert call("deploy", "-p", folder, "--systemd").code == 0
    unit = folder / "deploy" / "tiny.service"
    made = unit.read_text()
    unit.write_text("mine")
    told = call("deploy", "-p", folder, "--systemd", "--requirements")
    assert (told.code, unit.read_text()) == (2, "mine")
    assert "tiny.service is there already, and says something else" in told.problem
    assert not (folder / "deploy" / "requirements-serve.txt").exists()
    assert call("deploy", "-p", folder, "--systemd", "--force").code == 0
    assert unit.read_text() == made


def test_nothing_is_written_for_nobody(call: Any, project: Callable[..., Path]) -> None:
    told = call("deploy", "-p", project())
    assert told.code == 2
    assert told.problem.endswith("hint: say which: --dockerfile --kubernetes --kserve --systemd --requirements")
