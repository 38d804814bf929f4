"""Everything that carries a mark, found through one entry-point group; built-ins come in by the same door."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from shipworthy.errors import Misuse
from shipworthy.marks import MARK

GROUP = "shipworthy"


@dataclass(frozen=True)
class Marked:
    """A marked function with the facts of its mark."""

    name: str
    function: Callable[..., Any]
    facts: dict[str, Any]
    module: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """The positional parameters: what is judged."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return tuple(p.name for p in inspect.signature(self.function).parameters.values() if p.kind in kinds)

    @property
    def settings(self) -> dict[str, Any]:
        """The keyword-only parameters with their defaults."""
        return {p.name: p.default for p in inspect.signature(self.function).parameters.values()
                if p.kind is inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True)
class Registry:
    """Marked functions by kind and name."""

    kinds: dict[str, dict[str, Marked]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Marked]:
        return self.kinds.get(kind, {})

    @property
    def checks(self) -> dict[str, Marked]:
        return self.of("check")


@cache
def registry(plugins: tuple[str, ...] = ()) -> Registry:
    """All marked functions of the installed entry points and of the plugin files named by a project.

    Raises Misuse when a module cannot be imported or two functions of one kind share a name.
    """
    kinds: dict[str, dict[str, Marked]] = {}
    for module in (*_installed(), *(_file(path) for path in plugins)):
        for marked in _marked(module):
            kind = kinds.setdefault(marked.facts["kind"], {})
            known = kind.get(marked.name)
            if known and known.function is not marked.function:
                raise Misuse(f'two {marked.facts["kind"]}s are named "{marked.name}"',
                             where=f"{known.module} and {marked.module}", hint="rename one of them")
            kind[marked.name] = marked
    return Registry({kind: dict(sorted(found.items())) for kind, found in kinds.items()})


def _installed() -> Iterator[ModuleType]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            module = importlib.import_module(point.value)
        except Exception as error:  # the edge: a stranger's plugin may fail in any way
            raise Misuse(f'the plugin "{point.name}" cannot be imported: {error}', where=point.value,
                         hint="update or uninstall it") from error
        yield module
        for info in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
            yield importlib.import_module(info.name)


def _file(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise Misuse("the plugin file does not exist", where=path, hint="see `plugins` in shipworthy.toml")
    name = f"shipworthy_plugin_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the edge: a stranger's plugin may fail in any way
        raise Misuse(f"the plugin cannot be imported: {error}", where=path,
                     hint="correct the file, or take it out of plugins in shipworthy.toml") from error
    return module


def _marked(module: ModuleType) -> Iterator[Marked]:
    for value in vars(module).values():
        facts = getattr(value, MARK, None)
        if isinstance(facts, dict) and getattr(value, "__module__", None) == module.__name__:
            yield Marked(facts["name"], value, facts, module.__name__)
