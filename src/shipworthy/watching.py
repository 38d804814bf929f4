"""Watching a project: what its champion served and what came true, counted, and judged from the counts.

Beside the flow, for it joins the store, the log and the monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from shipworthy.comparing import why_worse
from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.judge import run
from shipworthy.core.meters import OwnMeter, own_meters
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.core.tallies import FULL, Tallies
from shipworthy.data.collection.read import read
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.alerts.silence import silences
from shipworthy.deployment.integration.log.counts import COUNTS, held_counts
from shipworthy.deployment.integration.log.drain import drain, drained_log
from shipworthy.deployment.integration.log.read import labels as labels_of
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.log.tables import HELD
from shipworthy.deployment.integration.log.tally import Counter, Tallied, counter, tally
from shipworthy.deployment.integration.releases.fitting import check_release
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.deployment.integration.releases.release import stored
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.deployment.monitoring import counting
from shipworthy.deployment.monitoring.foreign import answering, fitting
from shipworthy.deployment.monitoring.incident import Replay
from shipworthy.deployment.monitoring.memory import remembered
from shipworthy.deployment.monitoring.watch import State, Watched, counted, watch
from shipworthy.errors import BadProject, ShipworthyError, nearest
from shipworthy.store.workspace import Workspace

WIDTH = {"hour": HOUR, "day": DAY, "week": DAY}
JUDGED = {"hour": 14 * DAY, "day": 56 * DAY, "week": 364 * DAY}
"""How much traffic the findings of a look are about, and up to half as much more: it begins anew only every half, so
that intervals that hold at every look do so from one beginning. Windows and labels are judged since the release."""


def look(place: Workspace, release: Release, *, log: Table | None = None, labels: Table | None = None) -> Watched:
    """Evidence about what a release served since the last look, on record if it pages.

    log: a table of predictions instead of the project's own; it is judged from its first row, and nothing is kept.
    labels: instead of those of the log; the log is then read whole.
    """
    grid, mine = stored(release)["grid"], _limited(place)
    check_release(place.project, release)
    named = place.project.watch.confirmed
    confirmed = read(place.resolve(named), plugins=place.plugins()) if named else None

    def judged(seen: Tallies, state: State | None, beside: Tallies | None = None) -> Watched:
        quiet = silences(ledger(place.store), release.id) if state is not None else ()
        found = watch(grid, seen, place.project, state=state, release=release.id, beside=beside, silences=quiet,
                      own=mine, confirmed=confirmed)
        return replace(found, findings=(due(place, release, seen), *found.findings))

    def given(log: Table, state: State | None = None) -> Watched:
        known = None if labels is None else _of(labels, log, release, place)
        return judged(counted(release.model, grid, log, known, place.project, own=mine), state)

    def own(state: State) -> Watched:
        how = counting.counting(grid, segments=counting.segments_of(place.project), own=mine)
        count(place)
        level = place.project.watch.window
        with held_counts(place.store.home / COUNTS) as counts:
            half = JUDGED[level] // 2
            since = min([counts.book.until - JUDGED[level], *state.until.values()]) // half * half
            seen = counts.tallies(release.id, counting.nothing(how), since=max(since, -FULL), width=WIDTH[level])
            anew = counts.told_anew(release.id)
        beside = held_back(place, release, since=max(since, 0, int(seen.rows.at.min(initial=FULL))))
        return replace(judged(seen, state, beside), note=anew)

    def told(state: State) -> Watched:
        return given(drained_log(place.log, place.store.tables, release=release.id)[0], state)

    if log is not None:
        return given(fitting(log, labels, release.model))
    why = partial(_why, place, release, labels) if place.project.watch.replay else None
    return remembered(place.store, release.id, own if labels is None else told, project=place.project, why=why)


def _of(labels: Table, log: Table, release: Release, place: Workspace) -> Table:
    """Labels that were handed over, in the model's spelling. Raises BadData where they do not belong to the log."""
    return answering(joined_labels(labels, place.project), log, release.model)


def _why(place: Workspace, release: Release, labels: Table | None, watched: Watched) -> Replay:
    """Whose change the harm of a release is."""
    if watched.tallies is None:
        return Replay("not replayed: nothing was served.")
    return why_worse(place, release, watched.tallies, labels=labels)


def _limited(place: Workspace) -> tuple[OwnMeter, ...]:
    """The user's meters. Raises BadProject where [[meter]] sets limits of one that no plugin marks."""
    mine = own_meters(place.registry)
    names = [one.name for one in mine]
    for limit in place.project.meter:
        if limit.name not in names:
            raise BadProject(f'no plugin counts a meter "{limit.name}"', where="[[meter]]",
                             hint=nearest(limit.name, names) or "mark it with @meter in a file named in plugins")
    return mine


def since_release(
    place: Workspace, release: Release, *, log: Table | None = None, labels: Table | None = None
) -> Tallies:
    """All that came true of a release, or what this log and these labels hold; by the hour or day that is watched."""
    grid, mine = stored(release)["grid"], own_meters(place.registry)
    if log is not None:
        known = None if labels is None else _of(labels, log, release, place)
        return counted(release.model, grid, log, known, place.project, own=mine)
    count(place)
    how = counting.counting(grid, segments=counting.segments_of(place.project), own=mine)
    with held_counts(place.store.home / COUNTS) as counts:
        return counts.tallies(release.id, counting.nothing(how), since=FULL, width=WIDTH[place.project.watch.window])


def due(place: Workspace, release: Release, seen: Tallies) -> Finding:
    """Whether a release is due for renewal, by what was seen since it was made."""
    known = stored(release)
    case = {"project": place.project, "release": release, "tallies": seen, "profile": known["profile"],
            "grid": known["grid"]}
    marked = place.registry.checks["renewal-due"]
    return run(marked, case, place.project.checks.get(marked.name, {}), Judged())


def held_back(place: Workspace, release: Release, *, since: int) -> Tallies | None:
    """What the champion before a release answered of its traffic, counted over the grid of that release.

    The log is read for it, but only the few rows that were held back. None where that champion answers nothing, and
    what chance answers is counted with the rest.
    """
    rules = place.project.feedback
    if not rules.holdback or rules.policy != "previous" or since >= FULL:
        return None
    log = predictions(place.log, place.store.tables, since=since, arm=HELD)
    if not log.rows:
        return None
    known = labels_of(place.log, place.store.tables, served=log, since=since)
    return counted(release.model, stored(release)["grid"], log, joined_labels(known, place.project), place.project)


def count(place: Workspace, known: Callable[[str], Counter | None] | None = None) -> Tallied:
    """Move what is sealed of the log into the store, and count what was served and came true since the last time."""
    store = place.store
    drain(place.log, store.tables)
    return tally(place.log, store.home / COUNTS, known or counters(place), store.tables,
                 spelled=partial(joined_labels, project=place.project))


def counters(place: Workspace, tell: Callable[[str], None] = lambda text: None) -> Callable[[str], Counter | None]:
    """How to count a release, by its id; one that is not there is looked for again whenever it is asked for.

    tell: once of each that is not here, or cannot be read.
    """
    mine, told = own_meters(place.registry), set[str]()

    @lru_cache(maxsize=64)
    def found(release_id: str) -> Counter | None:
        return counter(find_release(place.releases, release_id), place.project, mine)

    def known(release_id: str) -> Counter | None:
        try:
            return found(release_id)
        except ShipworthyError as error:
            if release_id not in told:
                tell(f"answers of {release_id[:12]} are not counted: {error}")
            told.add(release_id)
            return None

    return known
