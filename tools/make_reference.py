"""Make docs/reference from the code: commands, checks, settings, rows, errors and public names.

    python tools/make_reference.py            write the pages
    python tools/make_reference.py --check    write nothing; exit 1 and name the pages that are stale
"""

from __future__ import annotations

import fnmatch
import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

import shipworthy
from shipworthy import errors, flow
from shipworthy.cli import VERBS, group
from shipworthy.core import project
from shipworthy.core.case import SUBJECTS
from shipworthy.core.registry import Marked, registry
from shipworthy.metrics import METRICS
from shipworthy.survey import BY_ID, ROWS, STAGES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
MADE = "<!-- Made by tools/make_reference.py; change the code, then make it again. -->"


def pages() -> dict[str, str]:
    """The text of every page by file name."""
    makers = {"commands.md": commands, "checks.md": checks, "settings.md": settings, "rows.md": rows,
              "errors.md": error_tree, "python.md": python}
    return {name: f"{MADE}\n\n" + "\n".join(make()).strip() + "\n" for name, make in makers.items()}


def main(only_check: bool) -> int:
    """Write the pages, or name the stale ones; the exit code."""
    stale = [name for name, text in pages().items()
             if not (FOLDER / name).is_file() or (FOLDER / name).read_text("utf-8") != text]
    if only_check:
        print("\n".join(f"stale: docs/reference/{name}" for name in stale) or "docs/reference is up to date")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print("\n".join(f"written: docs/reference/{name}" for name in stale) or "nothing has changed")
    return 0


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def commands() -> Iterator[str]:
    """Every verb with its arguments and options."""
    yield "# Commands"
    yield ""
    yield "`shipworthy VERB --help` says the same. stdout is data, stderr is talk."
    yield "Exit 0: fit. Exit 1: not fit, the evidence says no. Exit 2: misused or broken."
    yield ""
    yield from (f"- [`{verb}`](#{verb}) {sentence}" for verb, sentence in VERBS.items())
    context = click.Context(group)
    for verb in VERBS:
        command = group.get_command(context, verb)
        assert command
        yield from _command(verb, command)


def _command(verb: str, command: click.Command, level: str = "##") -> Iterator[str]:
    """A verb, and the verbs of its own if it has some."""
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    options = [param for param in command.params if isinstance(param, click.Option)]
    words = [f"{a.human_readable_name}" if a.required else f"[{a.human_readable_name}]" for a in arguments]
    must = [f"{max(option.opts, key=len)} {_value(option)}" for option in options if option.required]
    inner = command.commands if isinstance(command, click.Group) else {}
    yield f"\n{level} {verb}\n"
    if not inner:
        yield f"```console\n$ {' '.join(['shipworthy', verb, *words, *must])}\n```\n"
    yield _flat(command.help)
    if isinstance(command, click.Group):
        yield "".join(f"\n- `{verb} {name}`: {_flat(one.help)}" for name, one in command.commands.items())
    if options:
        yield "\n| option | meaning | default |\n|---|---|---|"
    for option in options:
        names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len))
        value = "" if option.is_flag else f" {_value(option)}"
        yield f"| {names}{value} | {_cell(option.help or '')} | {_option_default(option)} |"
    for name, one in inner.items():
        yield from _command(f"{verb} {name}", one, f"{level}#")


def _value(option: click.Option) -> str:
    return str(option.make_metavar(click.Context(click.Command("x")))).replace("|", "\\|")


def _option_default(option: click.Option) -> str:
    if option.required:
        return "required"
    default = option.default
    plain = default is None or default is False or default in ("", ()) or "UNSET" in repr(default).upper()
    return "" if plain else f"`{default}`"


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def checks() -> Iterator[str]:
    """Every check with its row, what it judges, its settings and its planted faults, in the survey's order."""
    known = registry()
    yield f"# Checks\n\n{len(known.checks)} checks. Each runs wherever all that it judges exists."
    yield "Change a setting in `shipworthy.toml` under the check's name; the change is shown in the evidence:\n"
    yield "```toml\n[checks.label-noise]\nlimit = 0.05\n```\n"
    planted: dict[str, list[str]] = {}
    for marked in known.of("sabotage").values():
        planted.setdefault(marked.facts["check"], []).append(marked.name)
    for row in ROWS:
        mine = [marked for marked in known.checks.values() if marked.facts["row"] == row.id]
        if mine:
            yield f"\n## {row.id}\n\n[{row.title}](rows.md): {row.question}"
        for marked in mine:
            yield from _check(marked, sorted(planted.get(marked.name, [])))
    yield "\n## What a check can judge\n\nThe names that its positional parameters may have.\n"
    yield "| subject | is |\n|---|---|"
    yield from (f"| `{name}` | {_cell(what)} |" for name, what in SUBJECTS.items())


def _check(marked: Marked, faults: list[str]) -> Iterator[str]:
    yield f"\n### {marked.name}\n\n{_first(marked.function)}\n"
    yield f"- Judges: {', '.join(f'`{subject}`' for subject in marked.subjects)}."
    if marked.settings:
        told = ", ".join(f"`{name} = {_toml(default)}`" for name, default in marked.settings.items())
        yield f"- Settings: {told}."
    yield f"- Planted faults: {'; '.join(faults).replace('_', ' ')}." if faults else "- Planted faults: none yet."


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def settings() -> Iterator[str]:
    """Every section and key of the project file, with type, default and meaning."""
    yield "# Settings\n\nEverything that `shipworthy.toml` may hold. An unknown key or a wrong type is an error that"
    yield "names the nearest key."
    hints = get_type_hints(project.Project)
    for name in project.Project.__struct_fields__:
        struct = _struct(hints[name])
        if struct:
            many = get_origin(hints[name]) is tuple
            yield from _section(f"[[{name}]]" if many else f"[{name}]", name, struct)
    yield "\n## checks\n\n`[checks.NAME]`: settings of one check, by its name; see [the checks](checks.md).\n"
    yield "Type: table of tables. Default: empty."
    yield "\n## Metrics\n\nWhat `[[requirement]] metric` may name.\n"
    yield "| metric | tasks | better | means |\n|---|---|---|---|"
    for name, metric in METRICS.items():
        yield f"| `{name}` | {', '.join(sorted(metric.task))} | {metric.direction} | {_cell(_first(metric.function))} |"


def _section(title: str, anchor: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    hints = get_type_hints(struct)
    about, told = meanings(struct)
    yield f"\n## {anchor}\n\n`{title}`: {about}\n\n| key | type | default | meaning |\n|---|---|---|---|"
    nested = []
    for field in msgspec.structs.fields(struct):
        default = "required" if field.required else f"`{_toml(_default(field))}`"
        yield f"| `{field.name}` | {_type(hints[field.name])} | {default} | {_cell(told.get(field.name, ''))} |"
        inner = _struct(hints[field.name])
        nested += [(f"{anchor}.{field.name}", inner)] if inner else []
    for name, inner in nested:
        yield from _section(f"[{name}]", name, inner)


def meanings(struct: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """What a section is for, and the meaning of each key, as its docstring says: `key, other: meaning.`"""
    first, _, rest = _flat(struct.__doc__).partition("\n\n")
    cut = re.split(r"(?:(?<=[.;] )|^)((?:[a-z_]+\*?, )*[a-z_]+\*?): ", rest)
    told: dict[str, str] = {}
    for names, meaning in zip(cut[1::2], cut[2::2], strict=True):
        for pattern in names.split(", "):
            told |= dict.fromkeys(fnmatch.filter(struct.__struct_fields__, pattern), meaning.strip())
    return re.sub(r"^\[+[\w.]+\]+ ", "", first), told


def _default(field: Any) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _struct(hint: Any) -> type[msgspec.Struct] | None:
    parts = [hint, *get_args(hint)]
    return next((part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)), None)


def _type(hint: Any) -> str:
    """A Python type in the words of TOML."""
    words = {str: "text", float: "number", int: "whole number", bool: "true or false"}
    if hint in words:
        return words[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return _type(next(part for part in inner if part is not type(None)))
    if origin is tuple:
        return f"list of {_type(inner[0])}" if inner[-1] is ... else "pair of " + _type(inner[0])
    if origin is dict:
        return f"table of {_type(inner[1])}"
    return "table"


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return "{}" if isinstance(value, dict) else str(value)


# ── rows, errors, names ──────────────────────────────────────────────────────────────────────────────────────────


def rows() -> Iterator[str]:
    """The survey's rows by stage, with their checks or the reason why there is none."""
    must = sum(row.required for row in ROWS)
    yield f"# Rows\n\nEvery known place where deploying machine learning fails: {len(ROWS)} rows, {must} of them"
    yield "required for promotion unless the project file's `[gate]` says otherwise."
    yield "A row without a check says so and stays *unknown*; unknown never passes."
    yield "\n" + " ".join((shipworthy.survey.__doc__ or "").split("\n\n")[1].split())
    judged: dict[str, list[str]] = {}
    for name, marked in registry().checks.items():
        judged.setdefault(marked.facts["row"], []).append(f"[`{name}`](checks.md#{name})")
    for stage, title in STAGES.items():
        yield f"\n## {title}\n\n| row | question | required | checks |\n|---|---|---|---|"
        for row in (row for row in BY_ID.values() if row.stage == stage):
            told = ", ".join(judged.get(row.id, [])) or f"none: {row.absent or 'not yet'}"
            yield f"| `{row.id}` {row.title} | {row.question} | {'yes' if row.required else ''} | {told} |"


def error_tree() -> Iterator[str]:
    """The tree of errors and what ends with which exit code."""
    yield "# Errors\n\nEvery error says the problem, where it is, and a hint. All are caught by one class,"
    yield "`shipworthy.ShipworthyError`.\n"
    yield "```text\nerror: column \"age\" is missing\n  at: patients.csv\n  hint: did you mean \"Age\"?\n```\n"
    tree = (errors.__doc__ or "").split("\n\n", 1)[1].strip()
    yield f"```text\n{tree}\n```\n"
    yield "| error | means | exit code |\n|---|---|---|"
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.ShipworthyError):
            yield f"| `{value.__name__}` | {_first(value)} | {value.exit_code} |"


def python() -> Iterator[str]:
    """The public names, and the verbs of the flow."""
    yield "# Python\n\nThe command line is a thin face on these. Names outside this page may change without notice.\n"
    yield "## shipworthy\n\nLoaded when first used, so that `import shipworthy` is quick."
    for name in sorted(shipworthy._PLACES):
        value = getattr(shipworthy, name)
        if not inspect.ismodule(value):
            yield from _name("shipworthy", name, value)
    yield "\n## shipworthy.flow\n\nThe product in order."
    yield "A `Workspace` comes from `shipworthy.store.workspace.open_workspace`."
    for name, value in vars(flow).items():
        if getattr(value, "__module__", "") == flow.__name__ and not name.startswith("_") and callable(value):
            yield from _name("flow", name, value)


def _name(place: str, name: str, value: Any) -> Iterator[str]:
    signature = "" if isinstance(value, type) else _signature(value)
    yield f"\n### {place}.{name}\n\n```python\n{name}{signature}\n```\n\n{_flat(inspect.getdoc(value))}"


def _signature(function: Any) -> str:
    """A signature with its types as they are written, and functions by name."""
    signature = inspect.signature(function)
    words, bare = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not bare:
            words, bare = [*words, "*"], True
        default = parameter.default
        value = getattr(default, "__name__", None) or repr(default)
        given = "" if default is parameter.empty else f" = {value}"
        words.append(f"{parameter.name}: {parameter.annotation}{given}")
    return f"({', '.join(words)}) -> {signature.return_annotation}"


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _first(thing: Any) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = _flat((inspect.getdoc(thing) or "").split("\n\n")[0])
    return re.split(r"(?<=[.?!]) (?=[A-Z])", paragraph)[0]


def _flat(text: str | None) -> str:
    """A docstring's paragraphs, one line each; examples are left out."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in paragraphs if not part.startswith(">>>"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
