"""The provable profile: trees of which the declared properties can be proved, because they cannot be broken."""

from __future__ import annotations

from shipworthy.core.features import Features, Moment
from shipworthy.core.learned import Shape
from shipworthy.core.project import Project
from shipworthy.core.schema import Schema
from shipworthy.errors import BadProject

LEARNERS = ("trivial", "boosted")
ROUNDS, LEAVES, LEVELS = 100, 31, 8


def shape(project: Project, features: Features, schema: Schema) -> Shape:
    """What limits boosted trees in a project; without limit but in the provable profile.

    Raises BadProject where two properties ask for an answer that neither rises nor falls.
    """
    if project.learning.profile != "provable":
        return Shape()
    wanted = {claim.column: claim.sign for claim in project.claims if claim.kind == "monotone"}
    for claim in project.claims:
        if claim.kind == "monotone" and wanted[claim.column] != claim.sign:
            raise BadProject(f'the answer may neither rise nor fall when "{claim.column}" rises', where="[[property]]",
                             hint=f"set it aside: [data] set_aside = [\"{claim.column}\"]")
    names = [{encoder.name} if isinstance(encoder, Moment) else {encoder.name, encoder.column}
             for encoder in features.encoders]
    signs = tuple(next((sign for column, sign in wanted.items() if column in known and not one.categorical), 0)
                  for known, one in zip(names, features.inputs, strict=True))
    protected = {column.name for column in schema.protected}
    alone = tuple(place for place, encoder in enumerate(features.encoders) if encoder.column in protected)
    return Shape(ROUNDS, LEAVES, signs, alone, LEVELS)
