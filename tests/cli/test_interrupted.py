"""A run that is killed, refused by the disk, or doubled leaves nothing half-made, and the next one finishes."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.deployment.integration.releases.release import open_release

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX systems")
CAN_WRITE_ANYWHERE, CAN_READ_ANYWHERE, DROP = 1, 2, 24


def nothing_half_made(folder: Path) -> None:
    assert not list(folder.rglob("*.part"))
    for release in folder.glob("releases/*"):
        open_release(release)


def finishes(call: Any, folder: Path, releases: int = 1) -> None:
    told = call("run", "-p", folder)
    assert told.code == 0, told.err
    nothing_half_made(folder)
    assert len(list(folder.glob("releases/*"))) == releases


def not_above_the_rules() -> None:
    """In the child: root obeys the permissions of files like anybody else."""
    if os.geteuid() == 0:
        for power in (CAN_WRITE_ANYWHERE, CAN_READ_ANYWHERE):
            ctypes.CDLL(None).prctl(DROP, power, 0, 0, 0)


def small_disk(most: int) -> Callable[[], None]:
    """In the child: the operating system refuses to let any file grow beyond so many bytes."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_a_run_killed_while_learning_is_finished_by_the_next(
    call: Any, start: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    child = start("run", "-p", folder)
    for line in child.stderr:
        if line.startswith("  learning"):
            break
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not list(folder.glob("releases/*"))
    finishes(call, folder)


def test_a_run_killed_while_judging_is_finished_by_the_next(
    call: Any, start: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    child = start("run", "-p", folder)
    for line in child.stderr:
        if line.startswith("  judging"):
            break
    child.kill()
    child.communicate()
    assert not list(folder.glob("releases/*"))
    finishes(call, folder)


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said_and_left_as_it_was(start: Any, project: Callable[..., Path]) -> None:
    folder = project()
    before = sorted(path.name for path in folder.iterdir())
    folder.chmod(0o555)
    child = start("run", "-p", folder, preexec_fn=not_above_the_rules)
    _, err = child.communicate()
    folder.chmod(0o755)
    assert child.returncode == 2
    assert "error: the folder may not be written or read\n  at: " in err
    assert "hint: change its permissions, or choose another folder" in err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_full_disk_is_said_and_the_next_run_finishes(
    call: Any, start: Any, project: Callable[..., Path], as_csv: Any, lines: list[list[str]]
) -> None:
    """The index takes 0.2 MB, the numbers, which nothing can squeeze, 1.6 MB: the limit lies far from both."""
    numbers = np.random.default_rng(0).normal(size=(100_000, 2)).tolist()
    many = [[repr(a), repr(b), *lines[n % len(lines)][2:]] for n, (a, b) in enumerate(numbers)]
    folder = project(as_csv(many))
    child = start("run", "-p", folder, preexec_fn=small_disk(600_000))
    _, err = child.communicate()
    assert child.returncode == 2, err
    assert "error: the disk takes no file of this size\n  at: " in err
    assert "hint: free some space" in err and "Traceback" not in err
    nothing_half_made(folder)
    assert not list(folder.glob("releases/*"))
    (folder / "t.csv").write_text(as_csv(lines))
    finishes(call, folder)


def test_an_index_that_the_disk_refuses_is_said(start: Any, project: Callable[..., Path]) -> None:
    child = start("doctor", "-p", project(), preexec_fn=small_disk(100))
    _, err = child.communicate()
    assert child.returncode == 2, err
    assert "error: the index refused: disk I/O error\n  at: " in err
    assert "hint: the disk is full or failing" in err


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_table_that_may_not_be_written_is_said_and_left_as_it_was(
    call: Any, start: Any, made: tuple[Path, Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(made[0], tmp_path / "own"))
    table = folder / ".shipworthy" / "tables" / "training"
    before = sorted(path.name for path in table.rglob("*"))
    table.chmod(0o555)
    child = start("run", "-p", folder, preexec_fn=not_above_the_rules)
    _, err = child.communicate()
    table.chmod(0o755)
    assert child.returncode == 2
    assert f"error: the folder may not be written or read\n  at: {table}\n  hint: change its permissions" in err
    assert sorted(path.name for path in table.rglob("*")) == before
    finishes(call, folder, releases=2)


def test_two_runs_at_once_both_end_well(start: Any, project: Callable[..., Path]) -> None:
    folder = project()
    children = [start("run", "-p", folder) for _ in range(2)]
    told = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], told
    assert {out.strip() for out, _ in told} == {str(path) for path in folder.glob("releases/*")}
    nothing_half_made(folder)
