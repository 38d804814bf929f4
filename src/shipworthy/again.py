"""Judging again: the stages as functions that make a noun once more, and a release's evidence re-executed offline."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shipworthy.assurance.attest import read_attestations
from shipworthy.core.case import Book, Steps
from shipworthy.core.contributions import shares
from shipworthy.core.evidence import Finding
from shipworthy.core.found import Contract
from shipworthy.core.judge import judge
from shipworthy.core.learned import Parts
from shipworthy.core.ledger import trained_here
from shipworthy.core.meters import own_meters
from shipworthy.core.model import Model
from shipworthy.core.project import RENEWED, Project
from shipworthy.core.recourse import recourse
from shipworthy.core.registry import Plugin, Registry, registry
from shipworthy.core.release import Release
from shipworthy.core.rows import also_in
from shipworthy.core.schema import Schema
from shipworthy.core.table import Table
from shipworthy.core.tickets import read_tickets
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.data.analysis.profile import profile
from shipworthy.data.augmentation.label_noise import suspect_labels
from shipworthy.data.collection.discovery import discover
from shipworthy.data.preprocessing.clean import clean
from shipworthy.deployment.integration.access.tokens import askers
from shipworthy.deployment.integration.releases import release as releases
from shipworthy.deployment.integration.releases.book import ledger
from shipworthy.deployment.integration.serving.answerer import Answerer, answerer
from shipworthy.deployment.integration.serving.loopback import loopback
from shipworthy.deployment.integration.serving.reviewed import reviewed
from shipworthy.deployment.monitoring.drill import first_alarm
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.monitoring.watch import counted
from shipworthy.errors import BadRelease, Misuse, ShipworthyError
from shipworthy.learning.privacy.encrypted import Client
from shipworthy.learning.privacy.noise import SystemNoise
from shipworthy.learning.selection.finish import finish
from shipworthy.learning.selection.ladder import encoders, learn, train
from shipworthy.metrics.losses import row_losses
from shipworthy.store.records import HoldoutRead
from shipworthy.store.workspace import Workspace

PLUGINS = "plugins.json"
LOOKED_AT = 20
Case = dict[str, Any]


def steps(project: Project, known: Registry) -> Steps:
    """The stages as functions of this project, for checks that must make a noun again."""
    return Steps(
        profile=partial(profile, target=project.data.target), validate=validate,
        contract=partial(_contract, project),
        clean=partial(_clean, project), train=partial(train, project=project, learners=known.of("learner")),
        contributions=shares, suspect_labels=partial(suspect_labels, target=project.data.target),
        reference=reference, discover=discover, answer=partial(_answer, {}, project),
        learn=partial(_learn, known), noise=SystemNoise, client=Client,
        serve=partial(loopback, project), alarm=partial(first_alarm, project),
        recourse=recourse, review=reviewed, tally=partial(counted, project=project),
    )


def stored(release: Release, known: Registry | None = None) -> Case:
    """The case that a release carries: what can be judged again without its project, offline."""
    case, known = releases.stored(release), known or registry()
    project = msgspec.json.decode((release.folder / "project.json").read_bytes(), type=Project)
    cut = Parts(case["learn"], case["tune"], case["holdout"])
    return {**case, "project": project, "parts": cut, "steps": steps(project, known), "metrics": known.metrics,
            "meters": own_meters(known)}


def recheck(folder: Path, *, plugins: tuple[str, ...] = ()) -> list[releases.Result]:
    """What was verified of a release folder, whether it held, and a sentence: digests, signature, evidence again.

    plugins: files of the checks that are not installed. No code of a release is ever run: a release holds only the
    digests of its plugins, and a file with another digest is refused unrun. A finding whose check is not at hand does
    not hold, and its sentence says what is lacking. Raises Misuse for a plugin that the release does not name.
    """
    found = releases.verify(folder)
    if not all(ok for _, ok, _ in found):
        return found
    release = releases.open_release(folder)
    recorded = _recorded(release)
    known = registry(plugins, trusted=[one.digest for one in recorded])
    case = stored(release, known)
    if {one.digest for one in known.plugins} == {one.digest for one in recorded}:
        case["code"] = plugins
    settings = {name: given for name, given in case["project"].checks.items() if name in known.checks}
    for finding in judge(case, known.checks, settings=settings).findings:
        before = release.evidence.find(finding.check)
        if before is not None:
            same = before.verdict == finding.verdict
            told = f"{finding.verdict} again" if same else f"was {before.verdict}, is {finding.verdict}"
            found.append((finding.id, same, f"{told}: {finding.sentence}"))
    return found + [_not_run(finding, recorded) for finding in release.evidence.findings
                    if finding.check not in known.checks]


def learnt(place: Workspace, release: Release | None) -> Table | None:
    """The rows that a release learnt from or was tuned on, as they arrived: all it was made from but its holdout.

    None where they are not here: without a release, or of one that was imported.
    """
    if release is None or not trained_here(ledger(place.store), release.id):
        return None
    known = training(place, release)
    return known.take(~also_in(known, stored(release)["arrived"]))


def opened_holdout(place: Workspace, holdout: Table, model: Model) -> Book:
    """What the holdout book says once it is on record that this holdout judges this model."""
    book, subject = place.store.metadata, model.digest[:16]
    models = book.read_holdout(holdout.digest, subject=subject, reader="build")
    earlier = {one.subject for one in book.find(HoldoutRead, holdout=holdout.digest)} - {subject}
    return Book(models, book.holdouts(), _best(place, earlier, holdout) if earlier else None)


def _best(place: Workspace, subjects: set[str], holdout: Table) -> Model | None:
    """Of the models named, the one with the lowest loss on a holdout, among the newest releases that are still here."""
    found: list[tuple[float, Model]] = []
    for folder in sorted(place.releases.glob("*/release.json"), key=lambda one: -one.stat().st_mtime)[:LOOKED_AT]:
        try:
            model = releases.open_release(folder.parent).model
            if model.digest[:16] in subjects:
                loss = row_losses(model.score(holdout), model.truth(holdout), model.task)
                found.append((float(loss.mean()), model))
        except ShipworthyError:  # a release that was altered, or that reads other columns, cannot be compared with
            continue
    return min(found, key=lambda one: one[0])[1] if found else None


def people(place: Workspace) -> Case:
    """What people signed, what they posted to the server, who may ask, and for how many rows a day."""
    return {"attestations": read_attestations(place.folder), "tickets": read_tickets(place.log),
            **askers(place.store.home, place.project.serve)}


def training(place: Workspace, release: Release) -> Table:
    """The rows that a release was made from, at the version that it names. Raises Misuse for an imported release."""
    if not trained_here(ledger(place.store), release.id):
        raise Misuse(f"the rows that {release.short} was made from are not here: it was imported",
                     where=str(release.folder), hint="renew it where it was made, or make one here: shipworthy run")
    about = msgspec.json.decode((release.folder / "training.json").read_bytes())
    data = place.store.tables.read(about["table"], about["version"])
    return Table(data, msgspec.convert(about["schema"], Schema), "training", f"training, version {about['version']}",
                 about["notes"])


def _recorded(release: Release) -> tuple[Plugin, ...]:
    path = release.folder / PLUGINS
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Plugin, ...]) if path.exists() else ()
    except msgspec.MsgspecError as error:
        raise BadRelease(f"a file of the release cannot be read: {error}", where=PLUGINS,
                         hint="the file was altered; take the release again from where it was made") from error


def _not_run(finding: Finding, recorded: tuple[Plugin, ...]) -> releases.Result:
    home = next((one for one in recorded if ("check", finding.check) in one.marks), None)
    lacks = (f"it is code of the project's, run only if you name its file: --plugin {home.file} "
             f"(SHA-256 {home.digest[:16]}…)" if home else "no installed package has this check")
    return finding.id, False, f"was {finding.verdict}, not judged again: {lacks}"


def _learn(known: Registry, parts: Parts, project: Project) -> Any:
    """The ladder as that project file asks for it, and its choice finished: for drills, not for releases."""
    found = learn(parts, encoders(parts.learn, project), project, learners=known.of("learner"))[0]
    return found, finish(found.chosen, parts, project)


def _contract(project: Project, table: Table) -> Contract:
    """What these rows promise. Of a renewal nothing is promised for what is set aside: newer rows may lack it.

    Nor is it promised that the older rows come again: a split in time allows for how the newer ones differ from them,
    any other takes the newer ones alone.
    """
    aside = project.data.set_aside if project.data.table == RENEWED else ()
    rule, in_time = project.split, project.split.kind == "time"
    older = (1 - rule.newest) / (1 - rule.tune - rule.holdout)
    if not in_time and older > 0:
        table = table.take(np.arange(round(older * table.rows), table.rows))
    return contract(table.drop(*aside), in_time=in_time, limits=project.data.limits, changed=older if in_time else 0.0)


def _clean(project: Project, raw: Table) -> Any:
    """A whole table cleaned by what it says of itself, (table, ledger): for drills, not for training."""
    return clean(raw, profile(raw, target=project.data.target), project, np.arange(raw.rows))


def _answer(known: dict[str, Answerer], project: Project, model: Model, record: Mapping[str, Any]) -> dict[str, Any]:
    """One record answered as the server would; a model is compiled once."""
    if model.digest not in known:
        known[model.digest] = answerer(model, project)
    return known[model.digest].answer([record])[0]
