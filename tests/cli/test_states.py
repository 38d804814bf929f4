"""What comes before its time is a state that is said, not a crash; and what was altered is named."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipworthy.cli.talk import progress


@pytest.fixture
def own(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the project that was run, to be changed."""
    return Path(shutil.copytree(made[0], tmp_path / "own"))


@pytest.mark.parametrize("verb, more, problem", [
    ("checklist", (), "there is no release yet"),
    ("report", (), "there is no release yet"),
    ("promote", ("--by", "ann", "--why", "try"), "there is no release yet"),
    ("serve", (), "nothing is in production"),
    ("watch", (), "nothing is in production"),
    ("renew", (), "nothing is in production"),
    ("rollback", ("--by", "ann", "--why", "try"), "there is no earlier champion"),
])
def test_a_verb_before_its_time_says_what_comes_first(
    call: Any, project: Callable[..., Path], verb: str, more: tuple[str, ...], problem: str
) -> None:
    told = call(verb, "-p", project(), *more)
    assert told.code == 2
    assert problem in told.problem
    assert "\n  hint: " in told.problem and "Traceback" not in told.err


def test_a_run_prints_its_release_and_no_warning(made: tuple[Path, Any]) -> None:
    folder, told = made
    assert told.code == 0, told.err
    assert told.out.strip() == str(next(folder.glob("releases/*")))
    assert "Warning" not in told.err and "warn(" not in told.err


def test_watching_what_nobody_asked_is_no_data_yet(call: Any, own: Path) -> None:
    assert call("promote", "-p", own, "--by", "ann", "--why", "try").code == 0
    told = call("watch", "-p", own)
    assert told.code == 0
    assert told.out == "no data yet: nothing was served since the promotion; start it with: shipworthy serve\n"


def test_a_champion_cannot_be_promoted_again_or_rolled_back_to_nothing(call: Any, own: Path) -> None:
    assert call("promote", "-p", own, "--by", "ann", "--why", "try").code == 0
    assert "is the champion already" in call("promote", "-p", own, "--by", "ann", "--why", "try").problem
    assert "there is no earlier champion" in call("rollback", "-p", own, "--by", "ann", "--why", "try").problem


def test_serving_where_nobody_can_listen_is_refused_before_anything_starts(call: Any, own: Path) -> None:
    assert call("promote", "-p", own, "--by", "ann", "--why", "try").code == 0
    told = call("serve", "-p", own, "--host", "256.1.1.1")
    assert told.code == 2
    assert told.problem.startswith("error: nothing can listen there: ")
    assert "serving" not in told.err


def test_predictions_go_whole_into_a_folder_that_is_there(call: Any, own: Path) -> None:
    release = next(own.glob("releases/*")).name
    told = call("predict", own / "t.csv", "-o", own / "no" / "out.parquet", "-p", own, "--release", release)
    assert told.code == 2
    assert told.problem.startswith("error: there is no such folder to write into")
    assert call("predict", own / "t.csv", "-o", own / "out.parquet", "-p", own, "--release", release).code == 0
    assert (own / "out.parquet").is_file() and not list(own.glob(".out*"))


def test_a_folder_that_is_no_release_is_not_verified(call: Any, tmp_path: Path) -> None:
    told = call("verify", tmp_path)
    assert told.code == 2
    assert "the folder is not a release" in told.problem and "\n  hint: " in told.problem


@pytest.mark.parametrize("name", ["program.json", "holdout.parquet", "evidence.json"])
def test_one_changed_byte_is_found_and_its_file_named(call: Any, own: Path, name: str) -> None:
    release = next(own.glob("releases/*"))
    path = release / name
    path.chmod(0o644)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    told = call("verify", release)
    assert told.code == 1
    assert name in told.out and "✗" in told.out
    assert call("promote", "-p", own, "--by", "ann", "--why", "try").code == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_live_line_in_a_terminal_and_plain_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress() as step:
            step("profiling")
            step("judging 2 checks: one")
            step("judging 2 checks: two")
            step("learning")
        shown[stream.isatty()] = stream.getvalue()
    with progress(plain=False) as step:
        step("profiling")
    assert stream.getvalue() == shown[False]
    assert shown[False] == "  profiling\n  judging 2 checks\n  learning\n"
    assert "learning" in shown[True] and "\r" in shown[True] and "\n" not in shown[True]
