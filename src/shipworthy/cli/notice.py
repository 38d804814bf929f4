"""`shipworthy notice TABLE --row N`: why somebody was refused, by code, and what they can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from shipworthy.assurance.groups import wished
from shipworthy.cli.talk import json_option, project_option, put
from shipworthy.core.contributions import shares
from shipworthy.core.explained import in_words
from shipworthy.core.model import Model
from shipworthy.core.notices import just_accepted, notices
from shipworthy.core.recourse import changes, recourse
from shipworthy.core.table import Floats
from shipworthy.data.collection.read import read
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases import release as releases
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.errors import Misuse
from shipworthy.store.workspace import Place, opened


class Told(msgspec.Struct, frozen=True):
    """One cited column or one change. value: of the row. other: of a row just accepted, or what to change it to."""

    column: str
    value: str
    other: str
    code: str = ""
    text: str = ""


class Notice(msgspec.Struct, frozen=True):
    """The decision about one row; the principal reasons against it, the weightiest first; and the cheapest change.

    way: found, none (proved that there is none), unknown, or undeclared where the project names nothing to change.
    """

    decision: str
    refused: bool
    reasons: tuple[Told, ...] = ()
    way: str = "undeclared"
    change: tuple[Told, ...] = ()

    def __str__(self) -> str:
        if not self.refused:
            return f"answer: {self.decision}, which is not a refusal: there is nothing to explain away"
        lines = [f"answer: {self.decision}", "principal reasons, against somebody just accepted:"]
        lines += [f"  {one.code + '  ' if one.code else ''}{one.text or one.column}: {one.value} ({one.other} there)"
                  for one in self.reasons]
        ways = {"none": "no change of what a person can change would turn it (proved)",
                "unknown": "whether a change would turn it was not decided in the time allowed",
                "undeclared": "what a person can change is not declared: [recourse.change]"}
        lines += ["the least change that turns it:" if self.change else ways[self.way]]
        return "\n".join(lines + [f"  {one.column}: {one.value} → {one.other}" for one in self.change])


@click.command()
@click.argument("address", metavar="TABLE")
@click.option("--row", default=0, show_default=True, help="Position of the row, from 0.")
@project_option
@click.option("--release", "release_id", default="", help="Release id or folder; the newest candidate by default.")
@json_option
def command(address: str, row: int, folder: Path, release_id: str, as_json: bool) -> None:
    """Up to four reasons why one row of TABLE is refused, with the codes of `[reasons]`, and the least change of what
    `[recourse.change]` names that would turn the decision.
    """
    found = notice(folder, address, row, release_id=release_id)
    if as_json:
        put(found)
    else:
        click.echo(str(found))


def notice(place: Place, table: Any, row: int = 0, *, release_id: str = "") -> Notice:
    """Why a release, the newest if none is named, refuses one row of a table as it arrived, and what would change it.

    Raises Misuse when there is no such row, or the model is not of two classes; BadData when the row cannot be read.
    """
    place = opened(place)
    release = find_release(place.releases, history.named(place.store, release_id))
    model, asked = release.model, read(table, plugins=place.plugins())
    if model.task != "binary":
        raise Misuse(f"the release answers a {model.task} and refuses nobody", where="shipworthy notice",
                     hint="see: shipworthy explain")
    if not 0 <= row < asked.rows:
        raise Misuse(f"there is no row {row}", where=asked.origin or asked.name, hint=f"rows are 0 to {asked.rows - 1}")
    inputs, wish = model.inputs(asked.take([row])), wished(place.project, model)
    code = int(model.decide(model.program.score(inputs))[0])
    if code == wish:
        return Notice(model.classes[code], False)
    learn = releases.stored(release)["learn"]
    usual = just_accepted(model, learn, wish)
    [cited] = notices(model, inputs, usual, wish=wish, shares=shares, codes=place.project.reasons)
    reasons = tuple(Told(one.column, _word(model, one.column, inputs[0]), _word(model, one.column, usual), one.code,
                         one.text) for one in cited)
    if not place.project.recourse.change:
        return Notice(model.classes[code], True, reasons)
    found = recourse(model, inputs[0], changes(model, learn, place.project.recourse.change), wish=wish)
    moved = [name for name in place.project.recourse.change
             if found.verdict == "found" and _word(model, name, inputs[0]) != _word(model, name, found.row)]
    change = tuple(Told(name, _word(model, name, inputs[0]), _word(model, name, found.row)) for name in moved)
    return Notice(model.classes[code], True, reasons, found.verdict, change)


def _word(model: Model, column: str, row: Floats) -> str:
    """The value of a column in words; of a time, its parts."""
    return ", ".join(in_words(encoder, float(row[place])) for place, encoder in enumerate(model.features.encoders)
                     if encoder.column == column)
