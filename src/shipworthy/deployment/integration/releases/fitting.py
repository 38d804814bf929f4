"""Whether the settings of a project fit a release: what they name must be there."""

from __future__ import annotations

from shipworthy.core.named import check_names
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.serving.record import Shape


def check_release(project: Project, release: Release, *, served: bool = False) -> None:
    """Raise BadProject for classes and columns that a release does not know.

    served: it is about to answer, so that requests must carry what names an entity.
    """
    model, told = release.model, declared(release, project).columns
    columns = dict.fromkeys([column.name for column in told] + list(model.sheet.schema.names))
    check_names(project, columns, model.classes, asked=Shape(model, told).names if served else ())
