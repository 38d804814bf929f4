"""A benchmark that is a folder: each file of it is a group, measured in a child process of its own.

A file holds `BARS`, and `measured()`, which returns a (value, note) for each of them in order; a value of None was not
measured, and the note says why. Files whose names begin with "_" help the others.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module

from benchmarks.frame import ROOT, Bar, Broken, python, run, unmeasured

Groups = Mapping[str, tuple[Bar, ...]]


def in_folder(package: str, folder: Iterable[str]) -> Groups:
    """The bars of every group of a package, by its name. folder: the `__path__` of the package."""
    return {one.name: tuple(import_module(f"{package}.{one.name}").BARS)
            for one in pkgutil.iter_modules(folder) if not one.name.startswith("_")}


def measure(
    package: str, groups: Groups, *, quick: bool, progress: Callable[[str], None], only: Sequence[str] = ()
) -> list[Bar]:
    """Every bar, measured or with the reason why not. quick: each group has two minutes."""
    found: list[Bar] = []
    for name, bars in groups.items():
        if not only or name in only:
            progress(name)
            found += _measured(f"{package}.{name}", bars, 120.0 if quick else 1800.0)
    return found


def _measured(module: str, bars: Sequence[Bar], seconds: float) -> list[Bar]:
    code = f"import json; from {module} import measured; print(json.dumps(measured()))"
    try:
        seen = json.loads(run(python("-c", code), folder=ROOT, at_most_seconds=seconds).fine().out.splitlines()[-1])
    except Broken as error:
        return unmeasured(bars, f"broke: {error}")
    return [Bar(bar.what, value, bar.limit, bar.better, note)
            for bar, (value, note) in zip(bars, seen, strict=True)]
