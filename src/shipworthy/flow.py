"""The product in order: study, judge, release; then promote, watch, renew. Read this first.

Stages meet here and nowhere else: each function takes nouns and returns nouns. What is costly is kept, so that a
killed run goes on from its last finished step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shipworthy import __version__
from shipworthy.assurance import ledger as people
from shipworthy.core.canon import digest
from shipworthy.core.case import Steps
from shipworthy.core.contributions import contributions
from shipworthy.core.evidence import Evidence, Finding, Judged, Waiver
from shipworthy.core.features import fit
from shipworthy.core.judge import judge, run
from shipworthy.core.learned import Learned, Parts
from shipworthy.core.model import Model
from shipworthy.core.packing import (
    pack_learned,
    pack_ledger,
    pack_table,
    unpack_learned,
    unpack_ledger,
    unpack_table,
)
from shipworthy.core.project import Project
from shipworthy.core.registry import registry
from shipworthy.core.release import Identity, Release
from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.data.analysis.datasheet import datasheet
from shipworthy.data.analysis.profile import profile
from shipworthy.data.augmentation.label_noise import suspect_labels
from shipworthy.data.collection.collect import collect
from shipworthy.data.collection.discovery import discover
from shipworthy.data.collection.read import read
from shipworthy.data.preprocessing.clean import clean
from shipworthy.deployment.integration import history, release as releases
from shipworthy.deployment.integration.answer import answerer
from shipworthy.deployment.integration.log import read_log
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.monitoring.watch import Watched, watch as watch_log
from shipworthy.deployment.updating import renew as renewing
from shipworthy.errors import BadProject, Misuse, NotFit, nearest
from shipworthy.learning.selection.finish import finish
from shipworthy.learning.selection.ladder import learn, train
from shipworthy.learning.training.split import parts, split
from shipworthy.store import keep
from shipworthy.store.workspace import Workspace, open_workspace
from shipworthy.survey import BY_ID, ROWS

Case = dict[str, Any]
Progress = Callable[[str], None]
Kept = Callable[..., Mapping[str, Any]]


def quiet(name: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Built:
    """A release candidate and what it was made from."""

    release: Release
    case: Case

    @property
    def learned(self) -> Learned:
        learned: Learned = self.case["learned"]
        return learned


@dataclass(frozen=True)
class Renewal:
    """What came of a renewal: whether the challenger won, why, and its release if one was made."""

    won: bool
    sentence: str
    findings: tuple[Finding, ...]
    release: Release | None = None


# ── study, judge, release ────────────────────────────────────────────────────────────────────────────────────────


def build(folder: Path | str, *, progress: Progress = quiet) -> Built:
    """Raw tables to a release candidate: study, judge, write. Nothing half-made is left behind if it is stopped."""
    place = open_workspace(folder)
    tables = {
        source.name or Path(source.address).stem: read(place.resolve(source.address), name=source.name)
        for source in place.project.source
    }
    return build_from(place, tables, progress=progress)


def build_from(place: Workspace, tables: Mapping[str, Table], *, progress: Progress = quiet) -> Built:
    """`build` from tables already read: how the renewal hands in newer rows."""
    case = study(place.project, tables, kept=partial(_keep, place), progress=progress)
    case |= {"code": tuple(map(Path, place.plugins())), "history": people.read(place.people),
             "champion": _model_of(champion(place)), "book": _opened(place, case)}
    evidence = judged(place, case, progress=progress)
    progress("writing the release")
    return Built(_write(place, case, evidence), case)


def study(
    project: Project, tables: Mapping[str, Table], *, kept: Kept | None = None, progress: Progress = quiet
) -> Case:
    """Everything that checks may judge before there is a release: data, then learning, by subject name."""
    kept = kept or (lambda step, compute, inputs: compute())
    progress("discovering tables, keys and joins")
    catalogue = discover(list(tables.values()), project)
    sources = {name: table.digest for name, table in tables.items()}
    progress("collecting one table")
    raw = unpack_table(kept("collect", lambda: pack_table(collect(tables, project)), sources))
    rows = split(raw, project)
    progress("profiling")
    seen = profile(raw.take(rows.learn), target=project.data.target)
    progress("cleaning")
    cleaned = kept("clean", lambda: _cleaned(raw, seen, project, rows.learn), {"raw": raw.digest})
    table, ledger = unpack_table(cleaned), unpack_ledger(cleaned)
    cut = parts(table, rows.without([row for row, _ in ledger.dropped_rows], raw.rows))
    progress("learning under a budget")
    found = kept("learn", lambda: _taught(cut, project, progress), {"table": table.digest})
    learned = unpack_learned(found)
    model = finish(learned.chosen, cut, project)
    rules = contract(cut.learn)
    case: Case = {
        "project": project, "catalogue": catalogue, "raw": raw, "table": table, "ledger": ledger, "profile": seen,
        "contract": rules, "parts": cut, "learned": learned, "model": model, "rows": rows,
        "datasheet": datasheet(catalogue, seen, rules, ledger, project), "grid": reference(model, cut.tune, cut.holdout),
        "steps": steps(project), "kept": tuple(msgspec.json.decode(found["findings"], type=list[Finding])),
    }
    return case


def steps(project: Project) -> Steps:
    """The stages as functions of this project."""
    return Steps(
        profile=partial(profile, target=project.data.target), contract=contract, validate=validate,
        clean=clean, train=partial(train, project=project), contributions=_shares,
        suspect_labels=partial(suspect_labels, target=project.data.target), reference=reference, discover=discover,
        answer=lambda model, record: answerer(model, project).answer([record])[0],
    )


def judged(place: Workspace, case: Case, *, progress: Progress = quiet) -> Evidence:
    """The evidence about a case: every check whose subjects exist, plus what was judged while learning."""
    known = registry(place.plugins())
    evidence = judge(
        case, known.checks, settings=place.project.checks, judged=_about(case), required=required(place.project),
        waivers=place.waivers(), progress=lambda name: progress(f"judging: {name}"),
    )
    heard = {finding.check for finding in evidence.findings}
    more = tuple(finding for finding in case.get("kept", ()) if finding.check not in heard)
    missing = {row: why for row, why in evidence.missing.items() if row not in {finding.row for finding in more}}
    return msgspec.structs.replace(evidence, findings=evidence.findings + more, missing=missing)


def required(project: Project) -> tuple[str, ...]:
    """The rows that must hold for promotion: the survey's default, changed by the project's [gate]."""
    for row in (*project.gate.also, *project.gate.without):
        if row not in BY_ID:
            raise BadProject(f'there is no row "{row}"', where="[gate]", hint=nearest(row, BY_ID))
    default = {row.id for row in ROWS if row.required}
    wanted = (default | set(project.gate.also)) - set(project.gate.without)
    return tuple(row.id for row in ROWS if row.id in wanted)


# ── promote, roll back, verify ───────────────────────────────────────────────────────────────────────────────────


def find_release(place: Workspace, release_id: str = "") -> Release:
    """A release by id, start of an id, or folder; the newest candidate without one. Raises Misuse."""
    if release_id and Path(release_id).is_dir():
        return releases.open_release(Path(release_id))
    folders = [folder for folder in place.releases.glob("*/") if (folder / "release.json").exists()]
    fitting = [folder for folder in folders if folder.name.startswith(release_id[:16])]
    if not fitting:
        raise Misuse("there is no such release" if release_id else "there is no release yet", where=str(place.releases),
                     hint="make one: shipworthy run")
    return releases.open_release(max(fitting, key=lambda folder: (folder / "release.json").stat().st_mtime_ns))


def current_evidence(place: Workspace, release: Release) -> Evidence:
    """A release's evidence, with the waivers and the gate as they are today."""
    return msgspec.structs.replace(
        release.evidence, waivers=place.waivers(), required=required(place.project))


def promote(place: Workspace, *, by: str, why: str, release_id: str = "") -> Release:
    """The release that is champion from now on. Raises NotFit while a required row is neither proved nor waived."""
    release = find_release(place, release_id)
    evidence = current_evidence(place, release)
    if not evidence.fit:
        raise NotFit(
            f"{release.short} is not fit for production: {', '.join(evidence.refusals)}", where=str(release.folder),
            hint="see: shipworthy checklist; or accept a row by name: shipworthy waive ROW --by … --reason … --until …")
    if by == place.project.project.trainer:
        raise NotFit(f"{by} trained this model and may not approve it", hint="someone else promotes: --by NAME")
    history.promote(place.store, release, who=by, why=why, evidence=evidence.digest)
    people.append(place.people, actor=by, role="approver", action="promote", subject=release.id, why=why)
    return release


def rollback(place: Workspace, *, by: str, why: str) -> Release:
    """The previous champion, verified and champion again. Raises Misuse when there is none."""
    release = history.rollback(place.store, place.releases, who=by, why=why)
    people.append(place.people, actor=by, role="operator", action="rollback", subject=release.id, why=why)
    return release


def champion(place: Workspace) -> Release | None:
    """The release in production now, or None."""
    return history.champion(place.store, place.releases)


def waive(place: Workspace, *, row: str, by: str, reason: str, until: str) -> None:
    """Accept a row by name until a day at most a year ahead. Raises Misuse."""
    if row not in BY_ID:
        raise Misuse(f'there is no row "{row}"', hint=nearest(row, BY_ID))
    try:
        last = date.fromisoformat(until)
    except ValueError as error:
        raise Misuse(f"{until!r} is not a day", hint="write it as 2027-01-31") from error
    if not date.today() <= last <= date.today() + timedelta(days=366):
        raise Misuse("a waiver ends between today and a year from now", where=until)
    place.add_waiver(Waiver(row, by, reason, until))
    people.append(place.people, actor=by, role="accepter", action="waive", subject=row, why=reason)


def recheck(folder: Path) -> list[tuple[str, bool, str]]:
    """What was verified of a release folder, whether it held, and a sentence: digests, signature, evidence again."""
    found = releases.verify(folder)
    if not all(ok for _, ok, _ in found):
        return found
    release = releases.open_release(folder)
    case = _stored(release)
    again = judge(case, registry().checks, settings=case["project"].checks)
    for finding in again.findings:
        before = release.evidence.find(finding.check)
        if before is not None and "release" not in registry().checks[finding.check].subjects:
            same = before.verdict == finding.verdict
            found.append((finding.id, same, f"{finding.verdict} again" if same else f"was {before.verdict}, is {finding.verdict}"))
    return found


# ── watch and renew ──────────────────────────────────────────────────────────────────────────────────────────────


def watch(place: Workspace, *, log: Table | None = None, labels: Table | None = None) -> Watched:
    """Evidence about what the champion served, from its own log or from a table of predictions."""
    release = champion(place)
    if release is None:
        raise Misuse("nothing is in production", hint="shipworthy promote --by YOU --why REASON")
    if log is None:
        log, labels = read_log(place.log)
    return watch_log(release.model, _stored(release)["grid"], log, labels, place.project)


def renew(
    place: Workspace, *, by: str = "", log: Table | None = None, labels: Table | None = None, progress: Progress = quiet
) -> Renewal:
    """A challenger from newer labelled rows, judged by the same checklist; champion only if it is better.

    by: who promotes it if it wins; without a name it stays a candidate. A poisoned batch never reaches training.
    """
    release = champion(place)
    if release is None:
        raise Misuse("there is no champion to renew", hint="shipworthy run, then shipworthy promote")
    if log is None or labels is None:
        log, labels = read_log(place.log)
    stored = _stored(release)
    progress("admitting the new rows")
    fresh = renewing.next_rows(log, labels, release.model, stored["table"])
    admitted = renewing.admit(release.model, stored["contract"], fresh, validate=validate)
    if admitted.verdict == "fail":
        people.append(place.people, actor=by or "renewal", role="operator", action="refuse batch", subject=fresh.digest,
                      why=admitted.sentence)
        return Renewal(False, f"refused before training: {admitted.sentence}", (admitted,))
    history_rows, tail = renewing.next_training(stored["table"], fresh)
    challenger = build_from(_renewed(place), {place.project.data.table or "renewed": history_rows}, progress=progress)
    better = renewing.compare(release.model, challenger.release.model, tail)
    findings = (admitted, better)
    if better.verdict != "pass" or not challenger.release.evidence.fit:
        why = better.sentence if better.verdict != "pass" else "its checklist does not hold: " + ", ".join(
            challenger.release.evidence.refusals)
        return Renewal(False, f"the champion stays: {why}", findings, challenger.release)
    if by:
        promote(place, by=by, why=f"renewal: {better.sentence}", release_id=challenger.release.id)
    return Renewal(True, f"the challenger won: {better.sentence}", findings, challenger.release)
