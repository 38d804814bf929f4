"""The watch bars: alarms, estimates without labels, renewal and rollout, beside the peers, each in its environment.

Each file of this folder is a group: `BARS`, and `measured()`, which returns a (value, note) for each of them in order;
a value of None was not measured, and the note says why. A group runs in a child process of its own.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Sequence
from importlib import import_module

from benchmarks.frame import ROOT, Bar, Broken, python, run, unmeasured

GROUPS = {one.name: tuple(import_module(f"{__name__}.{one.name}").BARS)
          for one in pkgutil.iter_modules(__path__) if not one.name.startswith("_")}


def measure(*, quick: bool, progress: Callable[[str], None], only: Sequence[str] = ()) -> list[Bar]:
    """Every bar, measured or with the reason why not. quick: each group has two minutes."""
    found: list[Bar] = []
    for name in (name for name in GROUPS if not only or name in only):
        progress(name)
        found += _group(name, 120.0 if quick else 1800.0)
    return found


def _group(name: str, seconds: float) -> list[Bar]:
    bars = GROUPS[name]
    code = f"import json; from benchmarks.watch.{name} import measured; print(json.dumps(measured()))"
    try:
        seen = json.loads(run(python("-c", code), folder=ROOT, at_most_seconds=seconds).fine().out.splitlines()[-1])
    except Broken as error:
        return unmeasured(bars, f"broke: {error}")
    return [Bar(bar.what, value, bar.limit, bar.better, note)
            for bar, (value, note) in zip(bars, seen, strict=True)]
