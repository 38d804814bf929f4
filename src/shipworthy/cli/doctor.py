"""`shipworthy doctor`: what this installation can do."""

from __future__ import annotations

import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import click

from shipworthy import __version__
from shipworthy.cli.talk import project_option
from shipworthy.core.project import FILE
from shipworthy.core.registry import registry
from shipworthy.kernels import native
from shipworthy.store.workspace import open_workspace

LIBRARIES = (
    "numpy", "pyarrow", "polars", "duckdb", "deltalake", "scikit-learn", "lightgbm", "interpret-core", "optuna",
)
EXTRAS = {"excel": "python_calamine", "postgres": "pg8000"}


@click.command()
@project_option
@click.option("--rebuild", is_flag=True, help="Make the metadata index again from the files.")
def command(folder: Path, rebuild: bool) -> None:
    """Versions, kernel, extras, marks and store; with --rebuild, the SQLite index is made again from the files."""
    click.echo(f"shipworthy {__version__} on Python {platform.python_version()}, {platform.system()} "
               f"{platform.machine()}")
    click.echo("libraries: " + ", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    click.echo(f"kernel: {native.told()}")
    click.echo("extras: " + ", ".join(f"{name} {'present' if find_spec(module) else 'absent'}"
                                      for name, module in EXTRAS.items()))
    place = open_workspace(folder) if (folder / FILE).is_file() else None
    for kind, found in sorted((place.registry if place else registry()).kinds.items()):
        click.echo(f"{kind}s: {len(found)}")
    if place:
        if rebuild:
            counts = place.store.metadata.rebuild()
            click.echo("index made again: "
                       + (", ".join(f"{count} {kind}" for kind, count in counts.items()) or "empty"))
        click.echo(f"project {place.project.project.name}: tables {', '.join(place.store.tables.names()) or 'none'}")
