"""What a release was told of its table: columns that its model does not read, limits, spellings of labels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from shipworthy.core.found import Contract
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.core.schema import Column, Schema
from shipworthy.errors import BadRelease


class Declared(msgspec.Struct, frozen=True):
    """columns: of the training table, as it arrived. limits: column → lowest and highest value to be expected: as the
    project declares, else as the contract promises from the training rows.

    same: label → the label that it means.
    """

    columns: tuple[Column, ...] = ()
    limits: Mapping[str, tuple[float, float]] = {}
    same: Mapping[str, str] = {}


class _Training(msgspec.Struct, frozen=True):
    schema: Schema


def declared(release: Release, project: Project | None = None) -> Declared:
    """What the release carries of it; declared limits and labels as the project says today, where it is at hand.

    Raises BadRelease when a file that should say it cannot be read.
    """
    named = release.manifest.files
    try:
        training = (msgspec.json.decode((release.folder / "training.json").read_bytes(), type=_Training)
                    if "training.json" in named else _Training(Schema(())))
        if project is None and "project.json" in named:
            project = msgspec.json.decode((release.folder / "project.json").read_bytes(), type=Project)
        promised = (msgspec.json.decode((release.folder / "contract.json").read_bytes(), type=Contract)
                    if "contract.json" in named else Contract(()))
    except msgspec.MsgspecError as error:
        raise BadRelease(f"a file of the release cannot be read: {error}", where=str(release.folder),
                         hint="restore the release from a copy, or build it again: shipworthy run") from error
    if project is None:
        return Declared(training.schema.columns, _ranges(promised))
    columns = tuple(_unkept(column, project) for column in training.schema.columns)
    return Declared(columns, {**_ranges(promised), **project.data.limits}, project.data.same)


def _ranges(promised: Contract) -> dict[str, tuple[float, float]]:
    """Column → its range by the contract, which leaves room beyond what the training rows held."""
    return {rule.column: (-math.inf if rule.low is None else rule.low, math.inf if rule.high is None else rule.high)
            for rule in promised.rules if rule.kind == "range"}


def _unkept(column: Column, project: Project) -> Column:
    """An identifier that is declared personal is not to be kept in the log."""
    private = column.role == "identifier" and column.name in project.data.personal
    return msgspec.structs.replace(column, role="ignored") if private else column
