"""`shipworthy compare`: whose change made it worse, the code's, the model's or the data's."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy import updates
from shipworthy.cli.talk import json_option, project_option, put
from shipworthy.core.evidence import AXES
from shipworthy.data.collection.read import read
from shipworthy.errors import Misuse
from shipworthy.store.workspace import open_workspace


@click.command()
@click.argument("old", default="")
@click.argument("new", default="")
@project_option
@click.option("--traffic", is_flag=True, help="The new data are the labelled rows that were served.")
@click.option("--log", "address", default="", help="Predictions as a Parquet file or folder, as the new data.")
@click.option("--labels", default="", help="Their labels, as a table with prediction_id, label, observed_at.")
@json_option
def command(old: str, new: str, folder: Path, *, traffic: bool, address: str, labels: str, as_json: bool) -> None:
    """Share a change of the loss between OLD and NEW among code, model and data, by replaying the eight mixes.

    OLD and NEW are releases, by default the champion and the newest candidate. Exit 1 where it got worse.
    """
    place = open_workspace(folder)
    if bool(address) != bool(labels):
        raise Misuse("a log and its labels go together", where="--log, --labels", hint="give both, or: --traffic")
    tables = (read(one, plugins=place.plugins()) if one else None for one in (address, labels))
    log, truth = tables
    found = updates.compare(place, old, new, log=log, labels=truth, traffic=traffic)
    if as_json:
        mixes = [{"new": sorted(mix), "loss": loss} for mix, loss in found.shares.losses.items()]
        shares = {axis: share._asdict() for axis, share in found.shares.known.items()}
        put({"old": found.names[0], "new": found.names[1], "finding": found.finding, "mixes": mixes,
             "shares": {**dict.fromkeys(found.shares.shares), **shares}})
    else:
        for line in lines(found):
            click.echo(line)
    sys.exit(1 if found.finding.verdict == "fail" else 0)


def lines(found: updates.Compared) -> list[str]:
    """The eight mixes and the shares, for a person."""
    shares = found.shares
    told = [f"{'code':<6}{'model':<7}{'data':<6}loss"]
    for mix in sorted({*shares.losses, *shares.why}, key=lambda one: (len(one), sorted(one))):
        names = ["new" if axis in mix else "old" for axis in AXES]
        loss = f"{shares.losses[mix]:.4f}" if mix in shares.losses else f"cannot run: {shares.why[mix]}"
        told.append(f"{names[0]:<6}{names[1]:<7}{names[2]:<6}{loss}")
    told.append(f"{found.names[0]} → {found.names[1]}: {found.finding.sentence}")
    return [*told, f"      → {found.finding.remedy}"] if found.finding.remedy else told
