"""`shipworthy init TABLE --target COLUMN`: a project file with every guess and its reason."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from shipworthy.cli.talk import rows_option, say
from shipworthy.core.address import divide, table_name
from shipworthy.core.project import FILE, parse
from shipworthy.data.analysis.guess import Guess, guess
from shipworthy.data.collection.read import read
from shipworthy.errors import Misuse
from shipworthy.exchange.project_file import project_text
from shipworthy.store.files import write_bytes


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("--target", required=True, help="The column to predict.")
@click.option("--project", "-p", "folder", default=".", type=click.Path(path_type=Path),
              help="Where to write the file.")
@rows_option
@click.option("--force", is_flag=True, help="Overwrite an existing project file.")
def command(address: str, target: str, folder: Path, rows: int, force: bool) -> None:
    """Guess task, roles, time, groups and protected columns of TABLE, and write shipworthy.toml with each reason."""
    path, found = _written(address, target=target, folder=folder, rows=rows, force=force)
    for setting, value, reason in found.reasons:
        say(f"  {setting} = {value}  ({reason})")
    click.echo(str(path))
    say("read it, correct what is wrong, then: shipworthy run")


def init(address: str, target: str, *, folder: Path | str = ".", rows: int = 0, force: bool = False) -> Path:
    """The project file written for a table: every guess with its reason; read it and correct what is wrong.

    address: of the table. target: the column to predict. rows: read at most so many; 0 is all. force: overwrite.
    Raises Misuse when there is a project file already, BadData when the table cannot be read.
    """
    return _written(address, target=target, folder=Path(folder), rows=rows, force=force)[0]


def _written(address: str, *, target: str, folder: Path, rows: int, force: bool) -> tuple[Path, Guess]:
    path = folder / FILE
    if path.exists() and not force:
        raise Misuse("there is a project file already", where=str(path), hint="use --force to overwrite it")
    found = guess(read(address, rows=rows), target)
    local = address if "://" in address else os.path.relpath(address, folder)
    text = project_text(msgspec.structs.asdict(found), name=table_name(*divide(address)), address=local,
                        rows=rows)
    parse(text, where=str(path))
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path.absolute(), text.encode())
    return path, found
