"""Clients that others wrote, in an environment of their own: SHIPWORTHY_CLIENTS names it, and .ci/clients makes it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Client = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def client() -> Client:
    """Runs a program of that environment: its name, then its arguments."""
    home = os.environ.get("SHIPWORTHY_CLIENTS", "")
    if not home:
        pytest.skip("no real clients: SHIPWORTHY_CLIENTS names the environment that .ci/clients makes")

    def run(name: str, *args: object) -> subprocess.CompletedProcess[str]:
        command = [str(Path(home) / "bin" / name), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run
