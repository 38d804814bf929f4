"""`shipworthy sabotage`: plant every fault and see whether its check catches it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from shipworthy import flow
from shipworthy.cli.talk import json_option, progress, put
from shipworthy.core.case import BankResult
from shipworthy.core.evidence import Evidence
from shipworthy.core.project import FILE, Learning, Project, read_project
from shipworthy.core.registry import registry
from shipworthy.core.table import Table
from shipworthy.data.collection.read import read
from shipworthy.errors import Misuse, nearest
from shipworthy.sabotage.bank import TWINS, run_bank
from shipworthy.sabotage.world import PROJECT, world, world_project
from shipworthy.store.workspace import Workspace, open_workspace

SHARE = 0.8
MOST_ROWS = 6_000


@click.command()
@click.argument("address", default="", metavar="[TABLE]")
@click.option("--project", "-p", "folder", default=".", type=click.Path(path_type=Path),
              help="Folder with the shipworthy.toml of TABLE; its plugins are in the bank.")
@click.option("--all", "every", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="After the clean world, the table of every project in this folder.")
@click.option("--twins", default=TWINS, show_default=True, type=click.IntRange(1, 200), help="Clean twins per check.")
@click.option("--check", "only", multiple=True, help="Only this check; may be repeated.")
@json_option
def command(
    *, address: str, folder: Path, every: Path | None, twins: int, only: tuple[str, ...], as_json: bool
) -> None:
    """Run the bank on the clean world, or on TABLE: caught or missed, and what was said of the clean twins.

    A clean twin is a false alarm if the check said fail, and unknown if it did not judge. On a real table, what a check
    says before anything is planted is the truth: where that is a failure, nothing can be learnt there.
    """
    grounds = [(address, folder), *_projects(every)]
    with progress() as step:
        results = [one for each, place in grounds
                   for one in bank(each, folder=place, twins=twins, only=only, progress=step)]
    caught, missed = (sum(result.outcome == word for result in results) for word in ("caught", "missed"))
    if as_json:
        put({"checks": [asdict(result) | {"outcome": result.outcome} for result in results], "caught": caught,
             "missed": missed, "planted": len(results)})
    else:
        _print(results, caught)
    sys.exit(1 if missed else 0)


def _print(results: list[BankResult], caught: int) -> None:
    signs = {"caught": "✓ caught", "missed": "✗ MISSED", "not judged": "–       "}
    for result in results:
        click.echo(f"{signs[result.outcome]}  {result.table:<20}{' ' * bool(result.table)}{result.row:<32} "
                   f"{result.check:<26} {result.sabotage:<44} false alarms {result.false_alarms}/{result.twins}  "
                   f"unknown {result.unknown}/{result.twins}")
    judged = sum(result.outcome != "not judged" for result in results)
    once = {(result.table, result.check): result for result in results}.values()
    click.echo(f"caught {caught} of {judged} ({caught / max(1, judged):.1%}), {len(results) - judged} not judged; "
               f"quiet and judged on {sum(one.quiet for one in once)} of {sum(one.twins for one in once)} clean twins")


def _projects(every: Path | None) -> list[tuple[str, Path]]:
    """The first source and the folder of every project that lies in a folder. Raises Misuse where none does."""
    if every is None:
        return []
    found = sorted(path.parent for path in every.glob(f"*/{FILE}"))
    if not found:
        raise Misuse("no project lies in that folder", where=f"--all {every}",
                     hint="make one for each table: shipworthy init TABLE --target COLUMN --project FOLDER/NAME")
    return [(_placed(path, read_project(path).source[0].address), path) for path in found]


def _placed(folder: Path, address: str) -> str:
    return address if "://" in address else str(folder / address)


def bank(
    address: str = "", *, folder: Path = Path("."), twins: int = TWINS, only: tuple[str, ...] = (),
    progress: Callable[[str], None] = flow.quiet,
) -> list[BankResult]:
    """The bank's results, on the clean world or on a table of one source with its project.

    The checks and faults of the project in the folder belong to the bank, if there is one. On a table the twins are
    draws of four fifths of its rows, at most 6,000. Raises Misuse for a project with joins.
    """
    place = open_workspace(folder) if address or (folder / FILE).is_file() else None
    known = place.registry if place else registry()
    for name in only:
        if name not in known.checks:
            raise Misuse(f'there is no check "{name}"', where="--check",
                         hint=nearest(name, known.checks) or "shipworthy checklist names the checks")
    with tempfile.TemporaryDirectory() as home:
        make = _drawn(Path(home), address, place) if address and place else partial(_world_case, Path(home), place)
        table = place.project.project.name if address and place else ""
        told = partial(_said, progress, table)
        results = run_bank(make, known, table=table, twins=twins, only=only, progress=told)
        for path in Path(home).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    return results


def _said(progress: Callable[[str], None], table: str, name: str) -> None:
    progress(f"{table}: {name}" if table else name)


def _world_case(home: Path, place: Workspace | None, seed: int) -> dict[str, Any]:
    return _case(home / f"world-{seed}", with_plugins(world_project(), place), world(seed), PROJECT)


def with_plugins(project: Project, place: Workspace | None) -> Project:
    """The project with the plugins of a workspace, named so that they are found from any folder."""
    about = msgspec.structs.replace(project.project, plugins=place.plugins() if place else ())
    return msgspec.structs.replace(project, project=about)


def _drawn(home: Path, address: str, place: Workspace) -> Callable[[int], dict[str, Any]]:
    if place.project.join:
        raise Misuse("the bank runs on one table; this project joins several", where="[[join]]",
                     hint="run it without a TABLE")
    table = read(address, plugins=place.plugins())

    def make(seed: int) -> dict[str, Any]:
        rows = min(int(table.rows * SHARE), MOST_ROWS)
        drawn = table.take(np.sort(np.random.default_rng(seed).choice(table.rows, rows, replace=False)))
        learning = Learning(seconds=6.0, search=False, learners=("trivial", "linear", "tree", "boosted"))
        project = msgspec.structs.replace(with_plugins(place.project, place), learning=learning)
        return _case(home / f"drawn-{seed}", project, drawn, (place.folder / FILE).read_text("utf-8"))

    return make


def _case(folder: Path, project: Project, table: Table, text: str) -> dict[str, Any]:
    """A whole case, released and promoted once, in a project folder of its own."""
    folder.mkdir(parents=True)
    (folder / FILE).write_text(text, encoding="utf-8")
    place = Workspace(folder, project, open_workspace(folder).store)
    case = flow.prepare(place, {project.source[0].called: table})
    return {**case, "release": flow.write(place, place.releases, case, Evidence(()))}
