"""What is done about a release between two renewals: adapt it to shifted traffic, and say whose change made it worse.

Beside the flow, for both join stored releases, the log and a case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shipworthy import flow
from shipworthy.again import opened_holdout, stored, training
from shipworthy.comparing import side
from shipworthy.core.evidence import Finding
from shipworthy.core.learned import Parts, Split
from shipworthy.core.model import Model
from shipworthy.core.progress import Progress
from shipworthy.core.progress import progress as shown_progress
from shipworthy.core.project import RENEWED
from shipworthy.core.release import Release
from shipworthy.core.table import Mask, Table
from shipworthy.data.preprocessing.same import joined_labels
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.releases import history
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.deployment.monitoring.seasons import with_seasons
from shipworthy.deployment.updating.adapt import Shift, adapted
from shipworthy.deployment.updating.attribution import AxisShares, judged, replayed
from shipworthy.deployment.updating.renew import next_rows
from shipworthy.errors import Misuse
from shipworthy.store.workspace import Place, Workspace, opened


@dataclass(frozen=True)
class Adaptation:
    """What came of adapting the champion: what was found, in a sentence, and the release candidate if one was made."""

    sentence: str
    findings: tuple[Finding, ...]
    release: Release | None = None


@dataclass(frozen=True)
class Compared:
    """Whose change made it worse: the finding, and the shares and eight mixes behind it. names: old and new."""

    names: tuple[str, str]
    finding: Finding
    shares: AxisShares


def adapt(
    place: Place, *, log: Table | None = None, shift: Shift = "auto", progress: Progress | None = None
) -> Adaptation:
    """A release candidate that is the champion, corrected for shifted traffic without new labels, judged by the same
    checklist on holdout rows that look like that traffic; or why nothing is corrected.

    log: predictions of the champion; by default what it served. shift: labels (classes come more or less often) or
    rows (other rows come); auto takes the first where it explains the scores. Raises Misuse where nothing is in
    production, or the project no longer makes the champion's model.
    """
    place = opened(place)
    champion = flow.in_production(place)
    known = stored(champion)
    if log is None:
        log, _ = drained_log(place.log, place.store.tables, release=champion.id)
    with shown_progress(progress, plain=False) as step:
        step("weighing the traffic")
        found = adapted(champion.model, known["grid"], known["parts"], log, shift=shift,
                        paid=place.project.value is not None)
        history.measuring(place.store, place.project, known["parts"].holdout.digest)
        if found.model is None or found.kept is None:
            return Adaptation(found.sentence, found.findings)
        place, tables = _as_before(place, champion)
        case = flow.prepare(place, tables, progress=step)
        if case["model"].digest != champion.model.digest:
            raise Misuse("the project no longer makes the champion's model: its rows, settings or code changed",
                         where=champion.short, hint="make a release of the project as it is: shipworthy run")
        built = flow.released(place, _thinned(place, case, found.model, found.kept), progress=step)
    history.record(place.store, actor=place.project.project.trainer, role="trainer", action="adapt",
                   subject={"release": built.release.id, "champion": champion.id}, why=found.sentence)
    return Adaptation(found.sentence, found.findings, built.release)


def compare(
    place: Place, old: str = "", new: str = "", *, log: Table | None = None, labels: Table | None = None,
    traffic: bool = False,
) -> Compared:
    """Whose change made the loss another between two releases: that of code, model or data, by eight replayed mixes.

    old, new: releases by id or name; by default the champion and the newest candidate. The data of each are its
    holdout, as it arrived. traffic: the new data are labelled rows that were served, from log and labels if given;
    then the new release is the old one, if none is named.
    """
    place = opened(place)
    first = flow.candidate(place, old or flow.in_production(place, instead="name two releases").id)
    traffic = traffic or log is not None
    second = first if traffic and not new else flow.candidate(place, new)
    before, after = side(place, first), side(place, second)
    if traffic:
        if log is None or labels is None:
            served, came = drained_log(place.log, place.store.tables)
            log, labels = served if log is None else log, came if labels is None else labels
        rows = next_rows(log, joined_labels(labels, place.project), second.model, before.rows)
        after = after._replace(rows=rows.select(before.rows.schema.names))
    shares = replayed(before, after)
    return Compared((first.short, second.short), judged(shares), shares)


def _as_before(place: Workspace, release: Release) -> tuple[Workspace, dict[str, Table]]:
    """The project and the tables that a release was made from: the sources, or the one table of a renewal."""
    project = stored(release)["project"]
    if project.data.table == RENEWED:
        return replace(place, project=project), {RENEWED: replace(training(place, release), name=RENEWED)}
    return place, flow.gather(place)


def _thinned(place: Workspace, case: flow.Case, model: Model, looks: tuple[Mask, Mask, Mask]) -> flow.Case:
    """The case about the adapted model: tuned, judged and promised on the rows that look like the traffic.

    It has learnt from what the champion learnt from. looks: which rows of each part look like the traffic.
    """
    cut: Parts = case["parts"]
    rows: Split = case["rows"]
    learn, tune, holdout = looks
    left = replace(rows, tune=rows.tune[tune], holdout=rows.holdout[holdout])
    used, kept = (np.sort(np.r_[each.learn, each.tune, each.holdout]) for each in (rows, left))
    parts = Parts(cut.learn, cut.tune.take(tune), cut.holdout.take(holdout))
    return case | {
        "model": model, "parts": parts, "rows": left, "table": case["table"].take(np.searchsorted(used, kept)),
        "arrived": case["arrived"].take(holdout), "contract": case["steps"].contract(cut.learn.take(learn)),
        "grid": with_seasons(reference(model, parts.tune, parts.holdout, learnt=parts.learn), parts.learn,
                             place.project.watch.zone),
        "book": opened_holdout(place, parts.holdout, model)}
