"""The product in order: study, judge, release; then promote, watch, renew. Read this first.

Stages meet here and nowhere else: each function takes nouns and returns nouns. What is costly is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shipworthy import watching
from shipworthy.again import PLUGINS, learnt, opened_holdout, people, steps
from shipworthy.again import recheck as recheck
from shipworthy.again import stored as stored
from shipworthy.assurance.law.drilled import read_drills
from shipworthy.assurance.law.packs import chosen
from shipworthy.core.canon import canonical, digest
from shipworthy.core.contributions import shares as shares
from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.found import Ledger
from shipworthy.core.judge import bind, judge, known_metrics, required, run
from shipworthy.core.learned import Learned, Parts, Split
from shipworthy.core.meters import own_meters
from shipworthy.core.named import check_names
from shipworthy.core.packing import pack_learned, pack_ledger, pack_table, unpack_learned, unpack_ledger, unpack_table
from shipworthy.core.packing import whole as _whole
from shipworthy.core.progress import Progress
from shipworthy.core.progress import progress as shown_progress
from shipworthy.core.project import Project
from shipworthy.core.registry import Registry, registry
from shipworthy.core.release import Identity, Release
from shipworthy.core.table import Table
from shipworthy.data.analysis.datasheet import datasheet
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.collect import collect
from shipworthy.data.collection.discovery import discover
from shipworthy.data.collection.read import read
from shipworthy.data.preprocessing.clean import arrived, clean
from shipworthy.data.preprocessing.same import joined
from shipworthy.deployment.integration.erasure.subjects import admitted
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.integration.releases import release as releases
from shipworthy.deployment.integration.releases.card import model_card
from shipworthy.deployment.integration.releases.provenance import environment, provenance
from shipworthy.deployment.integration.releases.shelf import find_release, project_key, unlock
from shipworthy.deployment.integration.releases.sign import public_bytes
from shipworthy.deployment.monitoring.memory import last_said
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.monitoring.seasons import with_seasons
from shipworthy.deployment.monitoring.watch import Watched
from shipworthy.errors import NotFit
from shipworthy.exchange.report.choice import ladder
from shipworthy.learning.privacy.budget import within
from shipworthy.learning.selection.finish import finish
from shipworthy.learning.selection.ladder import encoders, learn, target_of
from shipworthy.learning.training.split import parts, split
from shipworthy.renewal import renew as renewing
from shipworthy.renewal.renew import Renewal as Renewal
from shipworthy.store import keep
from shipworthy.store.workspace import Place, Workspace, code_digest, opened
from shipworthy.verification.formal.declared import certificates

Case = dict[str, Any]
Kept = Callable[[str, Callable[[], Mapping[str, Any]], Mapping[str, str]], Mapping[str, Any]]
Teach = Callable[[Table, Split, Ledger], tuple[Learned, Any]]
CARRIED_ROWS = 50_000
quiet: Progress = lambda name: None  # noqa: E731 - progress that nobody watches


def fresh(step: str, compute: Callable[[], Mapping[str, Any]], inputs: Mapping[str, str]) -> Mapping[str, Any]:
    """Keeping nothing: every step is computed."""
    return compute()


@dataclass(frozen=True)
class Built:
    """A release candidate and what it was made from."""

    release: Release
    case: Case

    @property
    def learned(self) -> Learned:
        learned: Learned = self.case["learned"]
        return learned

    def __repr__(self) -> str:
        return f"Built({self.release!r}, chosen: {self.learned.chosen.learner})"

    def _repr_html_(self) -> str:
        return self.release._repr_html_() + self.release.evidence._repr_html_()


# ── study, judge, release ────────────────────────────────────────────────────────────────────────────────────────


def build(
    place: Place, tables: Mapping[str, Table] | None = None, *, teach: Teach | None = None,
    progress: Progress | None = None,
) -> Built:
    """Raw tables to a release candidate: study, judge, write. Nothing half-made is left behind if it is stopped.

    place: a folder, or its workspace. tables: by source name; read from the project's sources when not given. teach:
    as in `study`. progress: told every step; by default a live line in a terminal or notebook, and nothing elsewhere.
    """
    place = opened(place)
    _must_know(place)
    required(place.project)
    history.must_sign(place.store)
    with shown_progress(progress, plain=False) as step:
        case = prepare(place, admitted(place.store.home, place.project, tables or gather(place)), teach=teach,
                       progress=step)
        return released(place, case, progress=step)


def released(place: Workspace, case: Case, *, progress: Progress = quiet) -> Built:
    """The release candidate of a prepared case: a draft is judged, then it is written with its evidence, on record."""
    with tempfile.TemporaryDirectory() as draft:
        case["release"] = write(place, Path(draft), case, Evidence(()))
        evidence = judged(place, case, progress=progress)
        unlock(Path(draft))
    progress("writing the release")
    release = write(place, place.releases, case, evidence)
    history.record(place.store, actor=place.project.project.trainer, role="trainer", action="train",
                   subject={"release": release.id}, evidence=release.evidence.digest)
    return Built(release, {**case, "release": release})


def prepare(
    place: Workspace, tables: Mapping[str, Table], *, teach: Teach | None = None, progress: Progress = quiet
) -> Case:
    """A case studied in its workspace: costly steps kept, the training table stored, the holdout read on record."""
    case = study(place.located(), tables, known=place.registry, kept=partial(_keep, place), teach=teach,
                 progress=progress)
    asked: Table = case["training"]
    version = place.store.tables.write("training", asked.data, mode="overwrite", migration="a new run")
    history.measuring(place.store, place.project, case["parts"].holdout.digest)
    standing = champion(place)
    return case | {
        "code": place.plugins(), "signer": public_bytes(project_key(place.key)), "history": history.ledger(place.store),
        "seals": history.seals(place.store, standing), "tables": place.store.tables,
        "drills": read_drills(place.store.home),
        "champion": standing.model if standing else None, "learnt": learnt(place, standing),
        **people(place), "packs": chosen(place.project, place.folder),
        "book": opened_holdout(place, case["parts"].holdout, case["model"]),
        "training": {"table": "training", "version": version, "schema": asked.schema, "notes": asked.notes}}


def gather(place: Place, instead: Mapping[str, str] | None = None) -> dict[str, Table]:
    """Every source of the project, read, by name. instead: source → the address that is read in its place."""
    place, other = opened(place), instead or {}
    return {one.called: read(other.get(one.called) or place.resolve(one.address), name=one.called, rows=one.rows,
                             plugins=place.plugins(), signer=one.signer) for one in place.project.source}


def study(
    project: Project, tables: Mapping[str, Table], *, known: Registry | None = None, kept: Kept = fresh,
    teach: Teach | None = None, progress: Progress = quiet,
) -> Case:
    """Everything that checks may judge before there is a release, by subject name: first data, then learning.

    known: the marked functions to use; the installed ones by default. teach: (table, split, ledger) → what was learnt,
    finished already, and its library margin; the ladder by default.
    """
    known = known or registry()
    progress("discovering tables, keys and joins")
    catalogue = discover(list(tables.values()), project)
    progress("collecting one table")
    sources = {name: _whole(table) for name, table in tables.items()}
    raw = unpack_table(kept("collect", lambda: pack_table(collect(tables, project)), sources))
    rows = split(raw, project)
    progress("profiling")
    seen = profile(joined(raw, project).take(rows.learn), target=project.data.target)
    progress("cleaning")
    cleaned = kept("clean", lambda: _cleaned(raw, seen, project, rows.learn), {"raw": _whole(raw)})
    table, ledger = unpack_table(cleaned), unpack_ledger(cleaned)
    check_names(project, raw.schema.names, target_of(table, project)[1])
    whole, rows = arrived(raw, ledger, project), rows.without([row for row, _ in ledger.dropped_rows], raw.rows)
    cut, used = parts(table, rows), np.sort(np.r_[rows.learn, rows.tune, rows.holdout])
    at_hand: Case = {}
    if teach is not None:
        taught: Mapping[str, Any] = _heard(*teach(table, rows, ledger), cut, project, known=known, at_hand=at_hand)
    else:
        taught = kept("learn", lambda: _taught(cut, project, known, progress, at_hand),
                      {"learn": _whole(cut.learn), "tune": _whole(cut.tune), "holdout": _whole(cut.holdout)})
    table, learned = table.take(used), unpack_learned(taught)
    model = learned.chosen.model if teach else finish(learned.chosen, cut, project)
    model = model if teach else model.with_sheet(cleaning=ledger.cleaning.only(model.sheet.schema.names))
    made = steps(project, known)
    rules = made.contract(cut.learn)
    return {
        "project": project, "catalogue": catalogue, "raw": raw, "table": table, "ledger": ledger, "profile": seen,
        "contract": rules, "parts": cut, "rows": rows, "learned": learned, "model": model,
        "recipe": learned.chosen.recipe, "training": whole.take(used), "arrived": whole.take(rows.holdout),
        "grid": with_seasons(reference(model, cut.tune, cut.holdout, learnt=cut.learn), cut.learn, project.watch.zone),
        "steps": made, "metrics": known.metrics,
        "meters": own_meters(known),
        "datasheet": datasheet(catalogue, seen, rules, ledger, project),
        "while learning": msgspec.json.decode(taught["findings"], type=tuple[Finding, ...]), **at_hand,
    }


def judged(place: Workspace, case: Case, *, progress: Progress = quiet) -> Evidence:
    """The evidence about a case: every check whose subjects exist, and what was judged while learning."""
    identity = _identity(place, case)
    about = Judged(identity.code, identity.model, identity.data)
    return judge(case, place.registry.checks, settings=place.project.checks, judged=about,
                 required=required(place.project), progress=progress,
                 waivers=history.waived(place.store, trainer=place.project.project.trainer))


# ── promote, roll back, verify ───────────────────────────────────────────────────────────────────────────────────


def checklist(place: Place, release_id: str = "") -> Evidence:
    """The evidence about a release, the newest if none is named, with the waivers, gate and code as they are today."""
    return current_evidence(opened(place), candidate(place, release_id))


def candidate(place: Place, release_id: str = "") -> Release:
    """A release signed by this project's key or a trusted one: the newest, or by id, start of one, alias, or path.

    Raises Misuse where none or several are meant, BadRelease where another key signed it.
    """
    place = opened(place)
    return find_release(place.releases, history.named(place.store, release_id), key=place.key)


def current_evidence(place: Workspace, release: Release) -> Evidence:
    """A release's evidence, with the waivers, the gate and the code as they are today, and what its watch says."""
    made = release.manifest.identity
    return msgspec.structs.replace(
        release.evidence, waivers=history.waived(place.store, release=release.id), required=required(place.project),
        missing=last_said(place.store, release), current=Judged(
            code_digest(place.registry), made.model, made.data, digest(chosen(place.project, place.folder))))


def promote(place: Place, *, by: str, why: str, release_id: str = "") -> Release:
    """The release that is champion from now on.

    Raises NotFit while a required row is neither proved by fresh evidence nor waived, and when `by` trained it;
    BadRelease when it is not what this project made and signed.
    """
    place = opened(place)
    release = candidate(place, release_id)
    release = replace(release, evidence=current_evidence(place, release))
    if not release.evidence.fit:
        old = [release.evidence.staleness(finding) for finding in release.evidence.stale()]
        raise NotFit(
            f"{release.short} is not fit for production: {', '.join(release.evidence.refusals)}",
            where=str(release.folder),
            hint=f"{len(old)} findings count no longer ({old[0]}); judge again: shipworthy run" if old else
            "see: shipworthy checklist; or accept a row: shipworthy waive ROW --by … --reason … --until …")
    history.promote(place.store, release, by=by, why=why)
    return release


def rollback(place: Place, *, by: str, why: str) -> Release:
    """The previous champion, verified and champion again. Raises Misuse when there is none."""
    return history.rollback(opened(place).store, by=by, why=why)


def champion(place: Place) -> Release | None:
    """The release in production now, or None."""
    return history.champion(opened(place).store)


def in_production(place: Place, *, instead: str = "") -> Release:
    """The release in production now. Raises Misuse where there is none; instead: what could be done but to promote."""
    return history.in_production(opened(place).store, instead=instead)


# ── watch and renew ──────────────────────────────────────────────────────────────────────────────────────────────


def watch(place: Place, *, log: Table | None = None, labels: Table | None = None) -> Watched:
    """Evidence about what the champion served since the last look, on record if it pages.

    log: a table of predictions instead of the project's own; it is judged from its first row, and nothing is kept.
    """
    place = opened(place)
    _must_know(place)
    return watching.look(place, in_production(place), log=log, labels=labels)


def renew(
    place: Place, *, by: str = "", log: Table | None = None, labels: Table | None = None,
    progress: Progress | None = None,
) -> Renewal:
    """A challenger from newer labelled rows, judged by the same checklist; champion only if it is better.

    by: who promotes it if it wins; without a name it stays a candidate. A poisoned batch never reaches training.
    """
    place = opened(place)
    _must_know(place)
    release = in_production(place)
    seen = renewing.newer(place, release, log, labels)
    came = renewing.renewal(place, release, seen, build=build, actor=by or "renewal", progress=progress or quiet)
    if by and came.won and came.release:
        promote(place, by=by, why=f"renewal: {came.findings[-1].sentence}", release_id=came.release.id)
    return came


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _keep(place: Workspace, step: str, compute: Callable[[], Mapping[str, Any]], inputs: Mapping[str, str]) -> Any:
    project = place.project
    what = [project.data, project.source, project.join, project.split, project.learning, project.value, project.checks,
            project.fairness.mitigation, project.privacy, project.federated]
    if step == "learn":
        compute = within(project, history.ledger(place.store), compute, partial(history.record, place.store))
    return keep(place.store, step, compute, code=code_digest(place.registry), inputs=inputs,
                settings={"settings": digest(what), "environment": digest(environment())}).outputs


def _cleaned(raw: Table, seen: Any, project: Project, rows: Any) -> dict[str, Any]:
    table, ledger = clean(raw, seen, project, rows[:0] if project.privacy else rows)
    return {**pack_table(table), **pack_ledger(ledger)}


def _taught(cut: Parts, project: Project, known: Registry, progress: Progress, at_hand: Case) -> dict[str, Any]:
    """What was learnt, and what only the library models can show, judged while they are at hand."""
    ready = encoders(cut.learn, project)
    learned, margins = learn(cut, ready, project, learners=known.of("learner"), progress=progress)
    return _heard(learned, margins[learned.chosen.learner], cut, project, known=known, at_hand=at_hand)


def _heard(
    learned: Learned, margin: Any, cut: Parts, project: Project, *, known: Registry, at_hand: Case
) -> dict[str, Any]:
    at_hand["library"] = margin
    case: Case = {"model": learned.chosen.model, "parts": cut, **at_hand}
    able = [m for m in known.checks.values() if "library" in m.subjects and all(s in case for s in m.subjects)]
    findings = [run(marked, case, project.checks.get(marked.name, {}), Judged()) for marked in able]
    return {**pack_learned(learned), "findings": canonical(findings)}


def _identity(place: Workspace, case: Case) -> Identity:
    return Identity(code_digest(place.registry), case["model"].digest, case["table"].digest)


def write(place: Workspace, folder: Path, case: Case, evidence: Evidence) -> Release:
    """The release folder of a case, with all that proves it and all that is needed to judge it again."""
    cut: Parts = case["parts"]
    identity = _identity(place, case)
    extras = {
        "profile.json": canonical(case["profile"]), "contract.json": canonical(case["contract"]),
        "datasheet.json": canonical(case["datasheet"]), "project.json": canonical(place.portable(case["project"])),
        "card.md": model_card(case["model"], evidence, case["project"], case["learned"]).encode(),
        "training.json": canonical(case["training"]), "ledger.json": canonical(case["ledger"]),
        "ladder.json": canonical(ladder(case["learned"])), "tickets.json": canonical(case["tickets"]),
        "recipe.json": canonical(case["recipe"]), PLUGINS: canonical(place.registry.plugins),
        "provenance.json": canonical(provenance(
            case["project"], subject={"model": identity.model, "data": identity.data}, catalogue=case["catalogue"],
            code=identity.code)),
        **history.carried(case["seals"]), **case["grid"].files(), **certificates(case["project"], case["model"], cut),
        "learn.parquet": releases.packed(cut.learn.spread(CARRIED_ROWS)),
        "tune.parquet": releases.packed(cut.tune),
        "holdout.parquet": releases.packed(cut.holdout),
        "arrived.parquet": releases.packed(case["arrived"]),
    }
    return releases.write_release(folder, name=place.project.project.name, model=case["model"], evidence=evidence,
                                  identity=identity, extras=extras, key=project_key(place.key))


def _must_know(place: Workspace) -> None:
    """Raise BadProject for a check, a setting of one or a metric that nothing installed brings."""
    bind(place.registry.checks, place.project.checks)
    known_metrics(place.registry.metrics, place.project)
