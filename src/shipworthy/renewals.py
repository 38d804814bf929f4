"""Renewals of a project: when one is due, and what becomes of a challenger that won. `step` is one look, by the keeper.

Beside the rollouts, for a challenger may go to one. The trainer promotes nothing: that takes a person, now or by the
standing approval that the project file gives in their name.
"""

from __future__ import annotations

from datetime import datetime

from shipworthy import flow, rollouts, watching
from shipworthy.core.clock import HOUR, micros, now_us
from shipworthy.core.evidence import Finding
from shipworthy.core.progress import Progress
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import history
from shipworthy.store.workspace import Place, Workspace, opened

KEEPER = "keeper"
RENEW = "renew"


def due(place: Place, *, log: Table | None = None, labels: Table | None = None) -> Finding:
    """Whether the champion is due for renewal, by what is on record or by this log. Raises Misuse if there is none."""
    place = opened(place)
    release = flow.in_production(place)
    return watching.due(place, release, watching.since_release(place, release, log=log, labels=labels))


def renew(
    place: Place, *, by: str = "", log: Table | None = None, labels: Table | None = None,
    progress: Progress | None = None,
) -> flow.Renewal:
    """A renewal by hand: as `flow.renew`, but where `[renew] then` says so a challenger that won goes to a rollout.

    by: who answers for it; without a name it stays a candidate.
    """
    place = opened(place)
    if place.project.renew.then != "rollout":
        return flow.renew(place, by=by, log=log, labels=labels, progress=progress)
    came = flow.renew(place, log=log, labels=labels, progress=progress)
    if by and came.won and came.release:
        rollouts.start(place, by=by, why=f"renewal: {came.findings[-1].sentence}", release_id=came.release.id)
    return came


def wanted(place: Place, *, now: int = 0) -> Finding | None:
    """Why the project file wants a renewal now; None where it wants none, or none is due.

    now: microseconds, UTC. None too while a rollout is under way, and within `[renew] pause` hours of the last.
    """
    place, now = opened(place), now or now_us()
    release, rules = flow.champion(place), place.project.renew
    rolling = rollouts.status(place)[0] if rules.mode != "hand" else None
    if rules.mode == "hand" or release is None or (rolling is not None and not rolling.ended):
        return None
    if now - _last(place) < rules.pause * HOUR:
        return None
    found = due(place)
    causes = (found.counterexample or {}).get("causes", ())
    return found if found.verdict == "fail" and (rules.mode != "scheduled" or "age" in causes) else None


def step(place: Place, *, now: int = 0, progress: Progress | None = None) -> flow.Renewal | None:
    """One look: a renewal where it is `wanted`, with what follows from it; else None.

    The ledger says before it begins that it was due, and why. Raises ShipworthyError, with the champion where it was.
    """
    place = opened(place)
    found, release = wanted(place, now=now), flow.champion(place)
    if found is None or release is None:
        return None
    history.record(place.store, actor=KEEPER, role="operator", action=RENEW, subject={"release": release.id},
                   why=f"{place.project.renew.mode}: {found.sentence}")
    came = flow.renew(place, progress=progress or flow.quiet)
    settled(place, came)
    return came


def settled(place: Workspace, came: flow.Renewal) -> None:
    """What follows by the standing approval, if one was given."""
    rules = place.project.renew
    if not (came.won and came.release and rules.approver and rules.then != "candidate"):
        return
    why = f"standing approval in the project file, [renew] approver: {came.findings[-1].sentence}"
    act = rollouts.start if rules.then == "rollout" else flow.promote
    act(place, by=rules.approver, why=why, release_id=came.release.id)


def _last(place: Workspace) -> int:
    """When the keeper last began a renewal, in microseconds; 0 for never."""
    begun = [line["at"] for line in history.ledger(place.store) if line["action"] == RENEW]
    return micros(datetime.fromisoformat(begun[-1])) if begun else 0
