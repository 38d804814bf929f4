"""Watching a project: what its champion served and what came true, counted, and judged from the counts.

Beside the flow, for it joins the store, the log and the monitor.
"""

from __future__ import annotations

from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.alerts.silence import silences
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.releases import release as releases
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.deployment.monitoring.foreign import fitting
from shipworthy.deployment.monitoring.memory import remembered
from shipworthy.deployment.monitoring.watch import State, Watched, counted, watch
from shipworthy.store.workspace import Workspace


def look(place: Workspace, release: Release, *, log: Table | None = None, labels: Table | None = None) -> Watched:
    """Evidence about what a release served since the last look, on record if it pages.

    log: a table of predictions instead of the project's own; it is judged from its first row, and nothing is kept.
    """
    labels = None if labels is None else joined_labels(labels, place.project)
    grid = releases.stored(release)["grid"]

    def judged(log: Table, labels: Table | None, state: State | None = None) -> Watched:
        seen = counted(release.model, grid, log, labels, place.project)
        quiet = silences(ledger(place.store), release.id) if state is not None else ()
        return watch(grid, seen, place.project, state=state, release=release.id, silences=quiet)

    def own(state: State) -> Watched:
        served, known = drained_log(place.log, place.store.tables, release=release.id)
        return judged(served, joined_labels(known, place.project) if labels is None else labels, state)

    if log is not None:
        return judged(fitting(log, labels, release.model), labels)
    return remembered(place.store, release.id, own, project=place.project)
