"""A renewal that the keeper began, in a process of its own, so that counting and rollouts go on meanwhile.

Run as a module, with the project's folder. It ends with the keeper, whose pipe it holds.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from shipworthy import renewals
from shipworthy.errors import ShipworthyError
from shipworthy.store.workspace import open_workspace


def main(folder: str) -> None:
    """Renew a project if that is still wanted, and tell what came of it."""
    threading.Thread(target=_until_orphaned, daemon=True).start()
    try:
        came = renewals.step(open_workspace(Path(folder)))
    except ShipworthyError as error:
        _tell(f"renewal: {error}")
    else:
        if came is not None:
            _tell(f"renewal: {came.sentence}")


def _tell(text: str) -> None:
    print(f"keeper: {text}", file=sys.stderr, flush=True)


def _until_orphaned() -> None:
    sys.stdin.read()
    os._exit(2)


if __name__ == "__main__":
    main(sys.argv[1])
