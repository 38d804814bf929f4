"""Watching a project: what its champion served and what came true, counted, and judged from the counts.

Beside the flow, for it joins the store, the log and the monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.core.tallies import FULL
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.integration.log.counts import COUNTS, read_counts
from shipworthy.deployment.integration.log.drain import drain, drained_log
from shipworthy.deployment.integration.log.tally import Counter, Tallied, counter, tally
from shipworthy.deployment.integration.releases.release import stored
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.deployment.monitoring import counting
from shipworthy.deployment.monitoring.memory import remembered
from shipworthy.deployment.monitoring.watch import State, Watched, counted, watch
from shipworthy.errors import ShipworthyError
from shipworthy.store.workspace import Workspace

WIDTH = {"hour": HOUR, "day": DAY, "week": DAY}
JUDGED = {"hour": 14 * DAY, "day": 56 * DAY, "week": 364 * DAY}
"""How much traffic the findings of a look are about; windows and labels are judged since the release."""


def look(place: Workspace, release: Release, *, log: Table | None = None, labels: Table | None = None) -> Watched:
    """Evidence about what a release served since the last look, on record if it pages.

    log: a table of predictions instead of the project's own; it is judged from its first row, and nothing is kept.
    labels: instead of those of the log; the log is then read whole.
    """
    grid = stored(release)["grid"]

    def given(log: Table, state: State | None = None) -> Watched:
        known = None if labels is None else joined_labels(labels, place.project)
        seen = counted(release.model, grid, log, known, place.project)
        return watch(grid, seen, place.project, state=state, release=release.id)

    def own(state: State) -> Watched:
        how = counting.counting(grid, segments=counting.segments_of(place.project))
        count(place)
        counts, level = read_counts(place.store.home / COUNTS), place.project.watch.window
        since = min([counts.book.until - JUDGED[level], *state.until.values()]) // DAY * DAY
        seen = counts.tallies(release.id, counting.nothing(how), since=max(since, -FULL), width=WIDTH[level])
        return watch(grid, seen, place.project, state=state, release=release.id)

    def told(state: State) -> Watched:
        return given(drained_log(place.log, place.store.tables, release=release.id)[0], state)

    if log is not None:
        return given(log)
    return remembered(place.store, release.id, own if labels is None else told)


def count(place: Workspace, known: Callable[[str], Counter | None] | None = None) -> Tallied:
    """Move what is sealed of the log into the store, and count what was served and came true since the last time."""
    store = place.store
    drain(place.log, store.tables)
    return tally(place.log, store.home / COUNTS, known or counters(place), store.tables,
                 spelled=partial(joined_labels, project=place.project))


def counters(place: Workspace, tell: Callable[[str], None] = lambda text: None) -> Callable[[str], Counter | None]:
    """How to count a release, by its id; found once each. tell: of a release that is not here, or cannot be read."""

    @lru_cache(maxsize=64)
    def known(release_id: str) -> Counter | None:
        try:
            return counter(find_release(place.releases, release_id), place.project)
        except ShipworthyError as error:
            tell(f"answers of {release_id[:12]} are not counted: {error}")
            return None

    return known
