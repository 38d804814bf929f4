"""`shipworthy verify RELEASE`: digests, signature and evidence again, offline."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import flow
from shipworthy.cli.talk import json_option, put
from shipworthy.deployment.integration.releases.use import MANIFEST
from shipworthy.errors import BadRelease


@click.command()
@click.argument("release", type=click.Path(path_type=Path))
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path),
              help="File of checks of the project's own, to be run if the release was judged by it; may be repeated.")
@json_option
def command(release: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Re-check the digests of the folder RELEASE and re-execute its evidence.

    Exit 1 if anything differs, or could not be judged again because its code was not named.
    """
    if not (release / MANIFEST).is_file():
        raise BadRelease("the folder is not a release", where=str(release),
                         hint=f"name a folder that holds {MANIFEST}, such as releases/ID of a project")
    results = flow.recheck(release, plugins=tuple(str(path.absolute()) for path in plugins))
    if as_json:
        put([{"what": what, "ok": ok, "sentence": sentence} for what, ok, sentence in results])
    else:
        for what, ok, sentence in results:
            click.echo(f"{'✓' if ok else '✗'} {what}: {sentence}")
    sys.exit(0 if all(ok for _, ok, _ in results) else 1)
