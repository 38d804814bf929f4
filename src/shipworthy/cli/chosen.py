"""Which release a command means: the one that is named, or the champion."""

from __future__ import annotations

from shipworthy import flow
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.store.workspace import Workspace


def chosen(place: Workspace, release_id: str) -> Release:
    """The release of an id, a start of one, an alias or a folder; the champion if nothing is named. Raises Misuse."""
    name = history.named(place.store, release_id)
    if name:
        return find_release(place.releases, name)
    return flow.in_production(place, instead="name a release: --release ID, in Python release_id")
