"""A tiny project, and the command line called as a person would."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.cli import main
from shipworthy.survey import ROWS

PROJECT = """[project]
name = "tiny"
subject = "thing"
trainer = "tom"

[[source]]
address = "t.csv"

[data]
target = "bought"
positive = "yes"

[learning]
seconds = 2
search = false
learners = ["trivial", "linear"]

[gate]
without = [{rows}]
"""


@dataclass(frozen=True)
class Told:
    """What a call left behind: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        return self.err[self.err.index("error: "):].strip()


Call = Callable[..., Told]


def _call(*args: Any) -> Told:
    out, err, before, code = io.StringIO(), io.StringIO(), sys.argv, 0
    sys.argv = ["shipworthy", *map(str, args)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = before
    return Told(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def call() -> Call:
    """The command line in this process."""
    return _call


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """The command line in a child process that can be killed."""

    def begin(*args: Any, **more: Any) -> subprocess.Popen[str]:
        # -B: a child that may write little or is killed must leave no half-written bytecode in the source
        command = [sys.executable, "-B", "-c", "from shipworthy.cli import main; main()", *map(str, args)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    return begin


def rows(count: int = 240) -> list[list[str]]:
    random = np.random.default_rng(0)
    size, noise, colour = random.normal(size=count), random.normal(size=count), random.choice(list("abc"), count)
    bought = np.where(random.random(count) < 1 / (1 + np.exp(-2 * size)), "yes", "no")
    return [[f"{a:.4f}", f"{b:.4f}", c, d] for a, b, c, d in zip(size, noise, colour, bought, strict=True)]


def text(lines: list[list[str]], header: str = "size,noise,colour,bought") -> str:
    return "\n".join([header, *(",".join(line) for line in lines)]) + "\n"


def fill(folder: Path, table: str | bytes | None = None) -> Path:
    """A project folder whose gate requires no row, so that the tiny model may be promoted."""
    folder.mkdir(parents=True, exist_ok=True)
    found = text(rows()) if table is None else table
    (folder / "t.csv").write_bytes(found if isinstance(found, bytes) else found.encode())
    project = PROJECT.format(rows=", ".join(f'"{row.id}"' for row in ROWS if row.required))
    (folder / "shipworthy.toml").write_text(project, encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Makes a project folder, with a table of its own where one is given."""
    return lambda table=None: fill(tmp_path / "project", table)


@pytest.fixture
def lines() -> list[list[str]]:
    """The 240 rows of the tiny table, as words."""
    return rows()


@pytest.fixture
def as_csv() -> Callable[..., str]:
    return text


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A project that was run once, and what was told; not to be changed."""
    folder = fill(tmp_path_factory.mktemp("made") / "project")
    return folder, _call("run", "-p", folder)
