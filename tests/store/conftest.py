"""A store of its own for every test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shipworthy.store import Store, open_store

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new project folder's store."""
    return open_store(tmp_path)


@pytest.fixture
def spawn() -> Spawn:
    """Start a Python of its own that runs a script with arguments, and imports what this one imports.

    -B: one that may write little or is killed must leave no half-written bytecode in the source.
    """
    paths = "\n".join(sys.path)

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        code = f"import sys; sys.path[:] = {paths!r}.split(chr(10))\n{script}"
        return subprocess.Popen(
            [sys.executable, "-B", "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
