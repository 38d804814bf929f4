"""The documentation is true: made from the code where it can be, run where it cannot, and without dead links."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import msgspec
import pytest

import shipworthy
from shipworthy.assurance.tooling import conformity
from shipworthy.cli import VERBS, group
from shipworthy.core import project
from shipworthy.core.registry import registry
from shipworthy.survey import BY_ID, ROWS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"])
REFERENCE = DOCS / "reference"
SOURCES = sorted((ROOT / "src" / "shipworthy").rglob("*.py"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text("utf-8")) if kind == language]


@cache
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "tools" / "make_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def made() -> dict[str, str]:
    pages: dict[str, str] = maker().pages()
    return pages


# ── the reference ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["commands.md", "checks.md", "settings.md", "rows.md", "errors.md", "python.md"])
def test_the_reference_is_as_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text("utf-8") == made()[name], "make it again: python tools/make_reference.py"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every verb, and every verb under a verb."""
    for verb in VERBS:
        command = group.get_command(click.Context(group), verb)
        assert command
        yield verb, command
        if isinstance(command, click.Group):
            yield from ((f"{verb} {name}", one) for name, one in command.commands.items())


def test_every_command_is_documented_with_every_option() -> None:
    text, missing = made()["commands.md"], []
    for verb, command in commands():
        heading = f"\n{'###' if ' ' in verb else '##'} {verb}\n"
        assert text.count(heading) == 1, heading
        section = text.partition(heading)[2].partition("\n## ")[0].partition("\n### ")[0]
        options = [param for param in command.params if isinstance(param, click.Option)]
        missing += [f"{verb} {name}" for option in options for name in option.opts if f"`{name}`" not in section]
        missing += [f"{verb} {option.name} has no help" for option in options if not option.help]
    assert missing == []
    assert len(titles := re.findall(r"^#+ (.+)$", text, re.M)) == len(set(titles))


def params(command: click.Command) -> list[click.Parameter]:
    """The parameters of a command, and of the verbs of its own if it has some."""
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return [*command.params, *(param for one in inner for param in params(one))]


def test_every_check_is_documented_with_every_setting() -> None:
    text, missing = made()["checks.md"], []
    for name, marked in registry().checks.items():
        section = text.partition(f"\n### {name}\n")[2].partition("\n##")[0]
        missing += [] if section.strip() else [name]
        missing += [f"{name} {key}" for key in marked.settings if f"`{key} = " not in section]
    assert missing == []


def test_every_setting_says_what_it_means() -> None:
    told = {struct: maker().meanings(struct)[1] for struct in sections()}
    assert [f"{s.__name__}.{key}" for s in sections() for key in s.__struct_fields__ if not told[s].get(key)] == []


def sections() -> list[type[msgspec.Struct]]:
    found = [value for value in vars(project).values() if isinstance(value, type) and issubclass(value, project.Part)]
    return [struct for struct in found if struct not in (project.Part, project.Project)]


def test_every_section_of_the_project_file_is_documented() -> None:
    assert [name for name in project.Project.__struct_fields__ if f"\n## {name}\n" not in made()["settings.md"]] == []


def test_every_row_and_every_public_name_is_documented() -> None:
    assert [row.id for row in ROWS if f"`{row.id}`" not in made()["rows.md"]] == []
    assert [name for name in shipworthy._PLACES if f"### shipworthy.{name}\n" not in made()["python.md"]] == []


# ── links, names, paths ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [f"{target}#{anchor}" for target, anchor in links(page) if not leads(page, target, anchor)] == []


def links(page: Path) -> Iterator[tuple[str, str]]:
    prose = re.sub(r"`[^`\n]*`", "`", FENCE.sub("", page.read_text("utf-8")))
    for address in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in address:
            target, _, anchor = address.partition("#")
            yield target, anchor


def leads(page: Path, target: str, anchor: str) -> bool:
    found = (page.parent / target).resolve() if target else page
    return found.is_file() and (not anchor or anchor in anchors(found))


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as a forge makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def texts() -> Iterator[tuple[str, str]]:
    """Every text file that is or would be committed."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout, so nothing is committed from here")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix not in (".parquet", ".npz", ".db") and path.is_file():
            yield name, path.read_text("utf-8", errors="replace")


def test_no_committed_file_names_a_machine_or_a_registry() -> None:
    hosts = "|".join(("pypi", "pythonhosted", "piwheels", "conda", "jfrog", "artifactory"))
    registries = rf"[\w.-]*\b(?:{hosts})\.(?:org|io|com|net)\b|--?(?:extra-)?index-url\s*\S"
    places = r"""(?<![\w.~/:-])/(?:work|root|Users|home/(?!ann/)\w+|tmp|mnt|opt)/\w+|\b[A-Z]:\\\\?Users\b"""
    pattern = re.compile(f"{registries}|{places}")
    found = [
        f"{name}: {match.group(0)}"
        for name, text in texts()
        if name != "tests/test_docs.py"
        for match in pattern.finditer(text)
    ]
    assert found == []


# ── commands that are named anywhere ─────────────────────────────────────────────────────────────────────────────

NAMED = re.compile(r"(?:[`$\"'(:·] ?|→ |: )shipworthy ([a-z]+)\b([^`\"'\n;·#|]*)")


def named() -> Iterator[tuple[str, str, list[str]]]:
    """Every command named in the documentation or by the product itself, with its options."""
    paths = [*PAGES, *SOURCES]
    for path in paths:
        for verb, rest in NAMED.findall(path.read_text("utf-8")):
            yield path.relative_to(ROOT).as_posix(), verb, re.findall(r"(?<!\w)--?[a-z][a-z-]*", rest)


def test_every_command_that_is_named_exists_with_its_options() -> None:
    wrong = []
    for place, verb, options in named():
        command = group.get_command(click.Context(group), verb)
        if command is None:
            wrong.append(f"{place}: shipworthy {verb}")
            continue
        known = {"--help", "-h", *(name for param in params(command) for name in param.opts)}
        wrong += [f"{place}: shipworthy {verb} {option}" for option in options if option not in known]
    assert wrong == []


def test_every_row_that_a_command_names_exists() -> None:
    wrong = [f"{place}: {verb} {row}" for place, verb, row in rows_named() if row not in BY_ID]
    wrong += [f"{place}: {verb} explains answers, not rows" for place, verb, _ in rows_named() if verb == "explain"]
    assert wrong == []


def rows_named() -> Iterator[tuple[str, str, str]]:
    pattern = re.compile(r"shipworthy (checklist|explain|waive|attest) ([a-z]+\.[a-z-]+)\b(?!\.)")
    for path in [*PAGES, *SOURCES]:
        for verb, row in pattern.findall(path.read_text("utf-8")):
            if not row.endswith((".parquet", ".csv")):
                yield path.relative_to(ROOT).as_posix(), verb, row


# ── examples that are run ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_toml_example_fits_the_project_file(page: Path) -> None:
    for text in blocks(page, "toml"):
        given = tomllib.loads(text)
        if any("entry-points" in part for part in given.get("project", {})):
            continue
        for section, value in given.items():
            if section in project.Project.__struct_fields__:
                whole = {"project": {"name": "x"}, "data": {"target": "x"}, section: filled(section, value)}
                msgspec.convert(whole, project.Project)
            else:  # a key shown alone is of some section
                assert any(section in struct.__struct_fields__ for struct in sections()), section


def filled(section: str, value: Any) -> Any:
    """An excerpt of a section with what it must have besides."""
    must = {"project": {"name": "x"}, "data": {"target": "x"}}.get(section, {})
    return {**must, **value} if isinstance(value, dict) else value


def run(command: str) -> int:
    """The exit code of one line of a console example, run in this process."""
    words = shlex.split(command)
    assert words[0] == "shipworthy"
    try:
        group.main(words[1:], standalone_mode=False)
    except SystemExit as stop:
        return int(stop.code or 0)
    except shipworthy.ShipworthyError as error:
        return error.exit_code
    return 0


def lines(page: Path) -> list[str]:
    return [line[2:] for text in blocks(page, "console") for line in text.splitlines() if line.startswith("$ ")]


def test_the_tutorial_makes_its_table_and_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, monkeypatch)
    told = capsys.readouterr().out
    assert "suspect: refund (near-copy)" in told
    text = (tmp_path / "shipworthy.toml").read_text("utf-8")
    assert '# set_aside = ["refund"]' in text
    assert 'identifiers = ["order"]' in text


def begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tutorial up to its first verdict."""
    monkeypatch.chdir(folder)
    exec(compile(blocks(DOCS / "tutorial.md", "python")[0], "make_orders.py", "exec"), {})
    commands = lines(DOCS / "tutorial.md")
    assert commands[0] == "python make_orders.py"
    assert [run(command) for command in commands[1:3]] == [0, 0]
    edit(folder, "seconds = 60.0", "seconds = 5.0")
    edit(folder, 'kind = "time"', 'kind = "stratified"')


def edit(folder: Path, before: str, after: str) -> None:
    path = folder / "shipworthy.toml"
    text = path.read_text("utf-8")
    assert text.count(before) == 1, before
    path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.skipif("SHIPWORTHY_SLOW" not in os.environ, reason="takes a minute; set SHIPWORTHY_SLOW=1 to run it")
def test_the_tutorial_is_refused_mended_promoted_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, monkeypatch)
    commands = lines(DOCS / "tutorial.md")[3:]
    assert [run(command) for command in commands[:2]] == [1, 1]
    told = next(text for text in blocks(DOCS / "tutorial.md", "text") if text.startswith("NOT FIT"))
    refused = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("NOT FIT"))
    assert [row for row in re.findall(r"[a-z]+\.[a-z]+", told) if row not in refused] == []
    for before, after in (
        ('purpose = ""', 'purpose = "tell at ordering time which orders will come back"'),
        ('owner = ""       # who answers', 'owner = "shop@example.org"  #'),
        ('trainer = ""', 'trainer = "ann@example.org"'),
        ('approver = ""', 'approver = "ben@example.org"'),
        ('# set_aside = ["refund"]', 'set_aside = ["refund"]'),
        ('owner = ""       # who may', 'owner = "shop@example.org"  #'),
        ('licence = ""', 'licence = "CC0-1.0"'),
        ('kind = "stratified"', 'seed = 1\nkind = "stratified"'),
    ):
        edit(tmp_path, before, after)
    assert [run(command) for command in commands[2:8]] == [0, 0, 1, 0, 0, 0]
    assert "FIT: all" in capsys.readouterr().err
    newest = max((tmp_path / "releases").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    assert run(f"shipworthy verify {newest}") == 0


def test_the_guide_s_check_catches_its_fault_and_is_quiet_on_its_twin(clean: dict[str, Any]) -> None:
    code = blocks(DOCS / "guides" / "write-a-check.md", "python")
    space: dict[str, Any] = {"__name__": "checks"}
    exec(compile("\n".join(code), "checks.py", "exec", dont_inherit=True), space)
    assert conformity("\n".join(code[:-1])) == ([], 3)
    space["test_the_fault_is_caught_and_the_twin_is_quiet"](clean)


def test_the_sample_of_contributing_passes_its_own_tests(clean: dict[str, Any]) -> None:
    code = blocks(ROOT / "CONTRIBUTING.md", "python")
    space: dict[str, Any] = {"__name__": "sample"}
    for text in code:
        exec(compile(text, "CONTRIBUTING.md", "exec", dont_inherit=True), space)
    assert conformity("\n".join(text.replace("from __future__ import annotations", "") for text in code)) == ([], 3)
    tests = [name for name in space if name.startswith("test_")]
    assert len(tests) == 4
    for name in tests:
        space[name](clean)


WITH_EXAMPLES = [path for path in SOURCES if ">>> " in path.read_text("utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_docstrings_are_true(path: Path) -> None:
    name = ".".join(("shipworthy", *path.relative_to(ROOT / "src" / "shipworthy").with_suffix("").parts))
    assert doctest.testmod(importlib.import_module(name.removesuffix(".__init__"))).failed == 0


def test_the_checks_that_gate_on_a_value_are_the_same_in_the_concept_and_in_the_report() -> None:
    page = (DOCS / "concepts" / "evidence-and-verdicts.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.M)
    template = ROOT / "src" / "shipworthy" / "exchange" / "report" / "report.html.j2"
    told = re.search(r"but for (.+), which gate on the value itself", template.read_text("utf-8"))
    assert told
    assert re.split(r", | and ", told[1]) == listed
    assert set(listed) <= set(registry().checks)
