"""One renewal: newer rows are admitted, candidates compete on the newest of them, and the winner becomes a release.

Beside the flow, for it joins the store, learning and updating; the flow hands it the way from a table to a release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shipworthy.again import learnt, stored, training
from shipworthy.core.evidence import Finding, say
from shipworthy.core.progress import Progress
from shipworthy.core.project import RENEWED
from shipworthy.core.release import Release
from shipworthy.core.rows import also_in
from shipworthy.core.shown import WORDS, shown
from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import validate
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.updating import contest as contests
from shipworthy.deployment.updating import renew as updating
from shipworthy.renewal.candidates import Ground, Made, fifth
from shipworthy.renewal.trying import newest_share, scored, taught, tried
from shipworthy.store.workspace import Workspace

Build = Callable[..., Any]


@dataclass(frozen=True)
class Renewal:
    """What came of a renewal: whether the challenger won, why, and its release if one was made."""

    won: bool
    sentence: str
    findings: tuple[Finding, ...]
    release: Release | None = None

    def __repr__(self) -> str:
        return f"Renewal({'won' if self.won else 'lost'}: {self.sentence})"

    def _repr_html_(self) -> str:
        lines = [(one.verdict, one.check, one.sentence) for one in self.findings]
        return shown(self.sentence, lines, letters=WORDS)


@dataclass(frozen=True)
class Newer:
    """The rows that came since the champion learnt. case: of the champion. known: rows that it was made from. fresh:
    labelled rows served since, oldest first. lag: how many rows are served while one label is on its way.
    """

    case: dict[str, Any]
    known: Table
    fresh: Table
    lag: int


def newer(place: Workspace, release: Release, log: Table | None, labels: Table | None) -> Newer:
    """What a release has not learnt from. log, labels: instead of the project's own."""
    if log is None or labels is None:
        served, told = drained_log(place.log, place.store.tables)
        log, labels = served if log is None else log, told if labels is None else labels
    labels = joined_labels(labels, place.project)
    known = training(place, release)
    case, fresh = stored(release), updating.next_rows(log, labels, release.model, known)
    if case["project"].data.table == RENEWED:  # it learnt from rows of the log already
        fresh = fresh.take(~also_in(fresh.select(list(known.schema.names)), known))
    return Newer(case, known, fresh, contests.lag(log, labels))


def renewal(
    place: Workspace, release: Release, seen: Newer, *, build: Build, actor: str, progress: Progress
) -> Renewal:
    """A challenger of a release from newer rows, judged by the same checklist, and whether it won; on record.

    build: (place, tables, teach=, progress=) → Built. Rows that are refused reach no candidate.
    """
    if not seen.fresh.rows:
        told = say("unknown", "No labelled row has come since the champion learnt.", n=0, remedy="wait for labels")
        return _lost(place, actor, release, Renewal(False, f"the champion stays: {told.sentence}", (told,)))
    progress("admitting the new rows")
    admitted = updating.admit(release.model, seen.case["contract"], seen.fresh, validate=validate,
                              grid=seen.case["grid"], **place.project.checks.get("no-poison", {}))
    if admitted.verdict == "fail":
        _record(place, actor, "refuse rows", {"rows": seen.fresh.digest}, admitted.sentence)
        return Renewal(False, f"refused before training: {admitted.sentence}", (admitted,))
    rows, tail = updating.next_training(seen.known, seen.fresh, tail=newest_share(release.model, seen.fresh),
                                        weight=place.project.data.weight)
    ground, before = _ground(place, release, seen, seen.fresh.rows - tail.rows), rows
    found = tried(ground, tail, before=before, lag=seen.lag, progress=progress)
    winner, search = found.contest.winner, place.project.renew.search
    heard = (admitted, found.contest.finding) if found.made or search == "never" else (admitted,)
    if not winner and (search == "never" or tail.rows < contests.FEWEST_TAIL):
        return _lost(place, actor, release, Renewal(False, f"the champion stays: {heard[-1].sentence}", heard))
    teach, made = taught(winner, ground, seen.known.rows) if winner else (None, [])
    project = updating.renewed(place.project, share=(seen.fresh.rows - tail.rows) / max(1, rows.rows))
    built = build(replace(place, project=project), {"renewed": replace(rows, name="renewed")}, teach=teach,
                  progress=progress)
    better = _better(ground, built.release, (tail, before, seen.lag), made)
    return _judged(place, actor, built.release, (*heard, better))


def _ground(place: Workspace, release: Release, seen: Newer, rows: int) -> Ground:
    """What candidates are made from for the contest: all but the newest rows."""
    model = release.model
    recent = model.cleaned(seen.fresh.head(rows).drop("label_source", "label_week"))
    old = model.cleaned(learnt(place, release) or seen.known)
    return Ground(model, seen.case["recipe"], old, recent, fifth(recent.rows), seen.case["holdout"], place.project,
                  place.registry.of("learner"))


def _better(ground: Ground, challenger: Release, newest: tuple[Table, Table, int], made: list[Made]) -> Finding:
    """Whether what was built beats the champion on rows that neither has seen, as it will be used."""
    tail, before, lag = newest
    champion = ground.champion
    if not made or not ground.project.renew.continual or tail.rows < contests.FEWEST_TAIL:
        return contests.compare(champion, challenger.model, tail, before=before, lag=lag, apart=ground.apart)
    score = scored(made[0], tail, continual=True)
    return contests.judged(contests.losses(champion, tail), contests.losses(challenger.model, tail, score),
                           contests.last_losses(champion, before, tail, lag), task=champion.task, apart=ground.apart)


def _judged(place: Workspace, actor: str, built: Release, findings: tuple[Finding, ...]) -> Renewal:
    better = findings[-1]
    if better.verdict != "pass":
        return _lost(place, actor, built, Renewal(False, f"the champion stays: {better.sentence}", findings, built))
    if not built.evidence.fit:
        told = f"the champion stays: the challenger is not fit ({', '.join(built.evidence.refusals)})"
        return _lost(place, actor, built, Renewal(False, told, findings, built))
    history.challenge(place.store, built, by=actor, why=f"renewal: {better.sentence}")
    return Renewal(True, f"the challenger won: {better.sentence}", findings, built)


def _lost(place: Workspace, actor: str, about: Release, came: Renewal) -> Renewal:
    """A renewal that changed nothing, on record."""
    _record(place, actor, "keep champion", {"release": about.id}, came.sentence)
    return came


def _record(place: Workspace, actor: str, action: str, subject: dict[str, str], why: str) -> None:
    history.record(place.store, actor=actor, role="operator", action=action, subject=subject, why=why)
