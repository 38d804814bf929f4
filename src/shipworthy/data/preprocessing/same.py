"""Values of the target that the project declares to mean another one: two spellings are not two classes."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import Change
from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.errors import BadProject

REASON = "declared to be the same"


def joined(table: Table, project: Project) -> Table:
    """The table with every value of [data.same] in the target replaced by the one it means; itself without any.

    Raises BadProject when the target holds no words, or a value means one that itself means another.
    """
    same, target = project.data.same, project.data.target
    if not same or target not in table.schema:
        return table
    if not pa.types.is_string(table.data[target].type):
        raise BadProject(f'the target "{target}" holds {table.schema[target].kind} values, not words',
                         where="[data.same]", hint="leave it out: it joins spellings of words")
    for value, meant in same.items():
        if same.get(meant, meant) != meant:
            raise BadProject(f'"{value}" means "{meant}", which means "{same[meant]}"', where="[data.same]",
                             hint=f'write "{value}" = "{same[meant]}"')
    return _replaced(table, target, same)


def joined_labels(labels: Table, project: Project) -> Table:
    """Late labels in the spelling that the model learnt: [data.same] holds for what came true as for what was learnt.

    labels: with a column "label". Labels that are no words, and projects without spellings, stay as they are.
    """
    if not project.data.same or "label" not in labels.schema or not pa.types.is_string(labels.data["label"].type):
        return labels
    return _replaced(labels, "label", project.data.same)


def _replaced(table: Table, name: str, same: Mapping[str, str]) -> Table:
    values = table.data[name]
    for value, meant in same.items():
        values = pc.if_else(pc.fill_null(pc.equal(values, value), False), meant, values)
    return table.with_column(name, values)


def changes(raw: Table, project: Project) -> list[Change]:
    """Every cell that `joined` changes, for the ledger."""
    same, target = project.data.same, project.data.target
    if not same or target not in raw.schema:
        return []
    return [Change(row, target, word, same[word], REASON, ("project file",))
            for row, word in enumerate(raw.words(target)) if word in same and same[word] != word]
