"""Rollouts of a project: a challenger takes over stage by stage. `step` is one look, for a scheduler or a server.

Beside the flow, for it joins the gate of promotion, the log and the rollout.
"""

from __future__ import annotations

from dataclasses import replace

from shipworthy import flow
from shipworthy.core.clock import DAY, HOUR, MINUTE, now_us
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.log.read import shadows
from shipworthy.deployment.integration.releases import release as releases
from shipworthy.deployment.integration.rollout import rollout
from shipworthy.deployment.integration.rollout.calls import forget_calls, read_calls
from shipworthy.deployment.integration.rollout.rollout import Decision, Rolling
from shipworthy.deployment.integration.rollout.traffic import Traffic
from shipworthy.store.workspace import Place, Workspace, opened


def start(place: Place, *, by: str, why: str, release_id: str = "") -> Rolling:
    """A rollout of a release, the newest candidate by default, in its first stage.

    by: who answers for it and promotes it in the end: not who trained it. Raises what `flow.promote` raises, and
    Misuse while another is under way or nothing is in production.
    """
    place = opened(place)
    release = flow.candidate(place, release_id)
    release = replace(release, evidence=flow.current_evidence(place, release))
    return rollout.start(place.store, release, by=by, why=why, plan=place.project.rollout, now=now_us())


def step(place: Place, *, now: int = 0) -> Decision:
    """One look at the traffic since the rollout began, and what follows from it, done. now: microseconds, UTC.

    Safe to repeat and to kill. Raises StoreError when the log cannot be read; then nothing moves.
    """
    place = opened(place)

    def promote(known: Rolling, why: str) -> object:
        told = f"{known.why}; rollout {known.id[:8]}: {why}"
        return flow.promote(place, by=known.by, why=told, release_id=known.challenger.release)

    return rollout.step(place.store, lambda known: traffic(place, known), promote=promote, now=now or now_us())


def status(place: Place, *, now: int = 0) -> tuple[Rolling | None, Decision | None]:
    """The newest rollout, None before the first, and what a step would come to now if it is under way."""
    place = opened(place)
    known = rollout.rolling(place.store)
    if known is None or known.ended:
        return known, None
    return known, rollout.look(known, lambda each: traffic(place, each), now=now or now_us())


def stop(place: Place, *, by: str, why: str) -> Rolling:
    """The rollout, ended by a person; the champion answers everything. Raises Misuse when none is under way."""
    return rollout.stop(opened(place).store, by=by, why=why, now=now_us())


def forget(place: Place, *, now: int = 0) -> int:
    """Delete the counts of calls that no rollout can ask for any more: older than its hours and a day. How many files.

    now: microseconds, UTC.
    """
    place = opened(place)
    known = rollout.rolling(place.store)
    hours = max(place.project.rollout.hours, known.plan.hours if known else 0.0)
    return forget_calls(place.log, (now or now_us()) - round(hours * HOUR) - DAY)


def traffic(place: Workspace, known: Rolling) -> Traffic:
    """What was served and came true in a project since a rollout began. Raises StoreError."""
    tables = place.store.tables
    served, labels = drained_log(place.log, tables, since=known.started)
    champion = releases.open_release(place.store.folder / known.champion.folder)
    return Traffic(served, shadows(place.log, tables, since=known.started), joined_labels(labels, place.project),
                   read_calls(place.log, since=known.started - MINUTE), releases.stored(champion).get("grid"))
