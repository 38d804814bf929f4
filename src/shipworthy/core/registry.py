"""Everything that carries a mark, found through one entry-point group; built-ins come in by the same door."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from shipworthy.core.canon import digest, digest_parts
from shipworthy.core.signature import faults
from shipworthy.errors import Misuse, one_of
from shipworthy.marks import MARK
from shipworthy.metrics import METRICS, Metric

GROUP = "shipworthy"
Text = tuple[str, bytes]
"""A plugin file: its path and what was read from it, once."""


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


class Plugin(msgspec.Struct, frozen=True):
    """A plugin file as a release records it. digest: SHA-256 of its bytes. marks: kind and name of what it marks."""

    file: str
    digest: str
    marks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Registry:
    """Marked functions by kind and name, and the plugin files that some of them come from.

    code: SHA-256 over the source of every plugin, file or package, whether it marks a function or helps one.
    """

    kinds: dict[str, dict[str, Marked]] = field(default_factory=dict)
    plugins: tuple[Plugin, ...] = ()
    code: str = ""

    def of(self, kind: str) -> dict[str, Marked]:
        return self.kinds.get(kind, {})

    @property
    def checks(self) -> dict[str, Marked]:
        return self.of("check")

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that a requirement may name: the package's own, and those that plugins mark."""
        more = {name: Metric(name, frozenset(one.facts["tasks"]), one.facts["direction"], one.facts["needs"],
                             one.function) for name, one in self.of("metric").items()}
        return METRICS | more


def registry(plugins: tuple[str, ...] = (), *, trusted: Collection[str] | None = None) -> Registry:
    """All marked functions of the installed entry points and of the plugin files named by a project.

    A file is run when its text is new, and what was read is what is run: no cached bytecode. trusted: SHA-256 digests;
    a file with another one is refused before any is run.
    Raises Misuse when a file or module cannot be imported, a marked function cannot be called as its mark promises,
    a sabotage or twin is of no check, or two functions of one kind share a name.
    """
    texts = tuple(_text(path) for path in plugins)
    for path, raw in texts:
        if trusted is not None and digest(raw) not in trusted:
            raise Misuse("the plugin file is another one than was recorded; it was not run", where=path,
                         hint=f"its SHA-256 begins with {digest(raw)[:16]}; recorded: "
                              f"{', '.join(one[:16] for one in trusted) or 'none'}")
    return _collected(texts)


@cache
def _collected(texts: tuple[Text, ...]) -> Registry:
    kinds: dict[str, dict[str, Marked]] = {}
    files = [(Path(path).name, digest(raw), _file(path, raw)) for path, raw in texts]
    installed = list(_installed())
    for module in (*installed, *(module for *_, module in files)):
        for marked in _marked(module):
            kind = kinds.setdefault(marked.facts["kind"], {})
            known = kind.get(marked.name)
            if known and known.function is not marked.function:
                raise Misuse(f'two {marked.facts["kind"]}s are named "{marked.name}"',
                             where=f"{known.module} and {marked.module}", hint="rename one of them")
            kind[marked.name] = marked
    _of_known_checks(kinds)
    plugins = [Plugin(name, sum_of, tuple((one.facts["kind"], one.name) for one in _marked(module)))
               for name, sum_of, module in files]
    code = digest_parts([*map(_source, installed), *(raw for _, raw in texts)])
    return Registry({kind: dict(sorted(found.items())) for kind, found in kinds.items()}, tuple(plugins), code)


def _of_known_checks(kinds: dict[str, dict[str, Marked]]) -> None:
    checks = kinds.get("check", {})
    for marked in (*kinds.get("sabotage", {}).values(), *kinds.get("twin", {}).values()):
        name = marked.facts["check"]
        if name not in checks:
            raise Misuse(f'a {marked.facts["kind"]} is of the check "{name}", which does not exist',
                         where=_place(marked.function), hint=one_of(name, checks))


def _installed() -> Iterator[ModuleType]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        with _a_strangers(point.value, hint="update or uninstall it"):
            module = importlib.import_module(point.value)
        yield module
        for info in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
            with _a_strangers(info.name, hint="update or uninstall it"):
                found = importlib.import_module(info.name)
            yield found


@contextmanager
def _a_strangers(where: str, *, hint: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the edge: a stranger's plugin may fail in any way, and is to be named
        raise Misuse(f"the plugin cannot be imported: {type(error).__name__}: {error}", where=where,
                     hint=hint) from error


def _source(module: ModuleType) -> bytes:
    """The text of a stranger's module; nothing for the package's own, which are digested by themselves."""
    path = Path(module.__file__ or "")
    own = module.__name__.split(".")[0] == __name__.split(".")[0]
    return b"" if own or not path.is_file() else path.read_bytes()


def _text(path: str) -> Text:
    try:
        return path, Path(path).read_bytes()
    except FileNotFoundError as error:
        raise Misuse("the plugin file does not exist", where=path, hint="see `plugins` in shipworthy.toml") from error
    except OSError as error:
        raise Misuse(f"the plugin file cannot be read: {error.strerror}", where=path,
                     hint="see `plugins` in shipworthy.toml, and the file's permissions") from error


def _file(path: str, raw: bytes) -> ModuleType:
    name = f"shipworthy_plugin_{Path(path).stem}_{digest(raw)[:8]}"
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    with _a_strangers(path, hint="mend it, or take it out of `plugins` in shipworthy.toml"):
        exec(compile(raw, path, "exec", dont_inherit=True), module.__dict__)
    return module


def _marked(module: ModuleType) -> Iterator[Marked]:
    for value in vars(module).values():
        facts = getattr(value, MARK, None)
        if isinstance(facts, dict) and getattr(value, "__module__", None) == module.__name__:
            found = faults(value, facts)
            if found:
                raise Misuse(f'the {facts["kind"]} "{facts["name"]}" {found[0]}', where=_place(value),
                             hint="see: docs/guides/plugins.md")
            yield Marked(facts["name"], value, facts, module.__name__)


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}, line {code.co_firstlineno}" if code else function.__module__
