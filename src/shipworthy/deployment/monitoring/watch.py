"""Watching a release: its log and late labels in windows, the alarms they raise, and one page for each incident."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

import msgspec
import numpy as np

from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.grid import Reference
from shipworthy.core.judge import run
from shipworthy.core.meters import OwnMeter
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.registry import Marked
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.alerts.details import detailed
from shipworthy.deployment.alerts.silence import Silence, muted
from shipworthy.deployment.integration.log.tables import OWN
from shipworthy.deployment.monitoring import alarm as alarms_
from shipworthy.deployment.monitoring.audit import audited_performance
from shipworthy.deployment.monitoring.bias import paths, prediction_bias
from shipworthy.deployment.monitoring.cause import concept_drift
from shipworthy.deployment.monitoring.columns import ColumnTests, column_drift, judge_stream
from shipworthy.deployment.monitoring.confirmed import confirmed_outliers
from shipworthy.deployment.monitoring.counting import counting, segments_of, tally
from shipworthy.deployment.monitoring.eprocess import follow, fresh
from shipworthy.deployment.monitoring.estimate import estimated_performance
from shipworthy.deployment.monitoring.fairness import fairness_over_time
from shipworthy.deployment.monitoring.feedback import feedback
from shipworthy.deployment.monitoring.fourier import joint_e
from shipworthy.deployment.monitoring.harm import buckets, harm, harm_growth, risk_limit
from shipworthy.deployment.monitoring.incident import (
    QUIET_WINDOWS,
    Alarm,
    Incident,
    joined_by,
    opened,
    resting,
    route,
)
from shipworthy.deployment.monitoring.joined import LEVELS, start_of
from shipworthy.deployment.monitoring.joint import joint_drift
from shipworthy.deployment.monitoring.late import Cohort, cohorts, late_labels
from shipworthy.deployment.monitoring.look import Look, harm_status, money_lost
from shipworthy.deployment.monitoring.loops import apart, holdback, loop_gain
from shipworthy.deployment.monitoring.outliers import limits_of, outlier_rate, strange_m
from shipworthy.deployment.monitoring.own import Figure, figure, judged_all
from shipworthy.deployment.monitoring.seasons import Past, season, usual
from shipworthy.deployment.monitoring.windows import EVER, Cut, summed
from shipworthy.deployment.monitoring.windows import cut as cut_windows
from shipworthy.errors import Misuse
from shipworthy.marks import MARK

CHECKS = (column_drift, joint_drift, estimated_performance, harm, late_labels, prediction_bias, outlier_rate,
          confirmed_outliers, concept_drift, feedback, loop_gain, holdback, audited_performance, fairness_over_time)
BY_COLUMN = ("broken", "drift")


class Window(msgspec.Struct, frozen=True):
    """One tested window. e: e-value of the window by family; m: the alarm statistic after it, against `bar`.

    done: "nothing", "silenced", "log" or "page". columns: those that e-BH names. full: no row will join it any more;
    one that is not full is tested again, and until then held to a higher bar.
    """

    level: str
    start: int
    end: int
    rows: int
    e: dict[str, float]
    m: dict[str, float]
    bar: float
    columns: tuple[str, ...] = ()
    done: str = "nothing"
    full: bool = True


class State(msgspec.Struct, frozen=True):
    """What a later look starts from; JSON. It holds full windows only, so that no row is ever counted twice.

    until: first time not yet counted, by level. m: statistic by family/level. harm: evidence of harm, four
    integers. strange: the same of strange rows, for each p-value. early: the window that is filling, how often it
    was tested, and how many rows it had then, by level. history: effects of the columns in past windows, by season.
    told: row of the survey → what the last look said of it. height: family/level → the statistic of its last full
    window as a share of its bar.
    """

    until: dict[str, int] = {}
    m: dict[str, float] = {}
    harm: tuple[int, ...] = ()
    labels_until: int = EVER
    strange: tuple[tuple[int, ...], ...] = ()
    early: dict[str, tuple[int, int, int]] = {}
    history: Past = {}
    bias_paged: bool = False
    incident: Incident | None = None
    quiet: int = 0
    told: dict[str, str] = {}
    height: dict[str, float] = {}


@dataclass(frozen=True)
class Watched:
    """What watching found. incidents: those opened in this look, each to be sent once. rows: of the log.

    silenced: whether all alarms of the open incident are silenced now. figures: of the user's meters. note: what to
    know of the counts, empty for nothing. grid, tallies: what was judged.
    """

    findings: tuple[Finding, ...]
    incidents: tuple[Incident, ...]
    windows: tuple[Window, ...]
    state: State
    rows: int = 0
    silenced: bool = False
    figures: tuple[Figure, ...] = ()
    note: str = ""
    grid: Reference | None = field(default=None, repr=False, compare=False)
    tallies: Tallies | None = field(default=None, repr=False, compare=False)

    @property
    def cohorts(self) -> tuple[Cohort, ...]:
        """What has come of every prediction day."""
        return cohorts(self.tallies) if self.tallies is not None else ()

    @property
    def pages(self) -> int:
        return len(self.incidents)

    @property
    def incident(self) -> Incident | None:
        """The incident that is open, whenever it was opened."""
        return self.state.incident

    def _repr_html_(self) -> str:
        lines = "".join(f"<tr><td>{escape(f.check)}</td><td>{escape(f.verdict)}</td><td>{escape(f.sentence)}</td></tr>"
                        for f in self.findings)
        known = self.incident
        head = "no incident is open" if known is None else f"{known.severity}: {known.sentence} {known.action}"
        return f"<table><caption>{escape(head)}</caption>{lines}</table>"


def watch(
    reference: Reference, tallies: Tallies, project: Project, *, state: State | None = None, release: str = "",
    beside: Tallies | None = None, silences: tuple[Silence, ...] = (), own: tuple[OwnMeter, ...] = (),
    confirmed: Table | None = None,
) -> Watched:
    """Findings, incidents and windows of a release's traffic since `state`, or since its first row.

    Windows are cut by arrival; the last one is tested now and again once it is full. Looking often finds no more by
    chance than looking once. beside: what another release answered of that traffic, counted over this reference.
    silences: what pages nobody, and until when. own: meters of the user that were counted.
    confirmed: prediction_id and verdict of rows that people called strange or fine.
    """
    tallies, held = apart(tallies)
    beside = held if beside is None else beside
    case = {"grid": reference, "project": project, "tallies": tallies, "beside": beside}
    case |= {} if confirmed is None else {"confirmed": confirmed}
    findings = _findings(project, case)
    known, rows = state or State(), int(tallies.rows.whole.total("rows")[0])
    if not rows:
        return Watched(findings, (), (), known, grid=reference, tallies=tallies)
    look = Look(reference, tallies, project, release, silences, own)
    windows, raised, after = [], [], known
    for level in LEVELS[project.watch.window]:
        found, alarms, after = _inputs(look, level, after)
        windows += found
        raised += alarms
    late, alarms, after = _labels(look, after)
    mine, beyond, after = _own(look, after)
    done, incidents, after = _incidents(look, (*windows, *late, *mine), (*raised, *alarms, *beyond), after)
    incidents = tuple(detailed(look, one) for one in incidents)
    if after.incident is not None and after.incident != known.incident:
        after = msgspec.structs.replace(after, incident=detailed(look, after.incident))
    told = tuple(figure(one, look, look.limits(one.name)) for one in own)
    return Watched(findings, incidents, done, after, rows, figures=told, grid=reference, tallies=tallies)


def counted(
    model: Model, reference: Reference, log: Table, labels: Table | None, project: Project,
    *, own: tuple[OwnMeter, ...] = (),
) -> Tallies:
    """A log and its labels as tallies, by the hour or day that the project watches.

    log: prediction_id, at (UTC), score, decision and the model's columns as they were asked: they are cleaned as the
    model cleans them, which is what the reference counted. labels: prediction_id, label, observed_at (UTC), source,
    and received_at where the sender was late. Raises BadData for times without a zone, Misuse when the reference is
    of another model.
    """
    if reference.facts.model and reference.facts.model != model.digest:
        raise Misuse("the reference grid describes another model", where="reference",
                     hint="use the grid of the release that served")
    width = HOUR if project.watch.window == "hour" else DAY
    how = counting(reference, segments=segments_of(project), width=width, own=own)
    return tally(how, model.cleaned(log, but=OWN), labels)


def _findings(project: Project, case: dict[str, object]) -> tuple[Finding, ...]:
    found = []
    for function in CHECKS:
        facts = getattr(function, MARK)
        marked = Marked(facts["name"], function, facts, function.__module__)
        if set(marked.subjects) <= set(case):
            found.append(run(marked, case, project.checks.get(marked.name, {}), Judged()))
    return tuple(found)


def _inputs(look: Look, level: str, state: State) -> tuple[list[Window], list[Alarm], State]:
    rows, until = look.tallies.rows.whole, look.tallies.until
    cut = cut_windows(rows, level, since=state.until.get(level, EVER), until=until)
    if not len(cut):
        return [], [], state
    reference, base = look.reference, level == look.project.watch.window
    bar = look.bar(level, levels=len(LEVELS[look.project.watch.window]))
    counts = {name: summed(rows.of(f"column {name}"), cut) for name in reference.plan.names}
    e, state = _evidence(look, cut, counts, state)
    joint = joint_e(look.before, summed(rows.of("fourier"), cut), look.project.watch.effect)
    hits, limits = summed(rows.of("strange"), cut), limits_of(reference)
    m = {family: state.m.get(f"{family}/{level}", 0.0) for family in ("broken", "drift", "joint")}
    windows, alarms, strange = [], [], state.strange
    for k in range(len(cut)):
        full, number, size = bool(cut.full[k]), int(cut.first[k]), int(cut.rows[k])
        if not full:
            state = _filling(state, level, number, size)
        start = dict(m)
        e_now = {"broken": float(e.broken[k]), "drift": float(e.drift[k])}
        e_now |= {"joint": float(joint[k])} if np.isfinite(joint[k]) else {}
        m |= {family: alarms_.step(m[family], e_now[family]) for family in e_now}
        if base and limits:  # any start is as good as another, so one level is enough
            strange, m["outliers"] = strange_m(strange, hits[k], size, limits)
        names = tuple(reference.plan.names[c] for c in alarms_.named(np.maximum(e.column[k], e.column_broken[k])))
        held = bar if full else bar * alarms_.early(state.early[level][1])
        crossed = [family for family in m if m[family] >= (bar if family == "outliers" else held)]
        end = min(cut.end(k), until)
        windows.append(Window(level, start_of(number, level), end, size, e_now, dict(m), held, names, full=full))
        alarms += [Alarm(family, level, end, m[family], names if family in BY_COLUMN else ()) for family in crossed]
        if not full:
            return windows, alarms, _counted(state, level, start_of(number, level), start)
        m |= dict.fromkeys(crossed, 0.0)
        strange = () if "outliers" in crossed else strange
        state = msgspec.structs.replace(state, strange=strange) if base else state
    return windows, alarms, _counted(state, level, start_of(int(cut.last[-1]) + 1, level), m)


def _counted(state: State, level: str, until: int, m: dict[str, float]) -> State:
    """The state after all full windows of a level."""
    kept = {f"{family}/{level}": value for family, value in m.items() if family != "outliers"}
    return msgspec.structs.replace(state, until={**state.until, level: until}, m={**state.m, **kept})


def _filling(state: State, level: str, number: int, rows: int) -> State:
    """The state that knows how often the window being filled was tested; the same rows again are no new test."""
    window, tests, before = state.early.get(level, (number, 0, 0))
    tests = tests if window == number else 0
    tests += window != number or rows != before
    return msgspec.structs.replace(state, early={**state.early, level: (number, tests, rows)})


@dataclass(frozen=True)
class Evidences:
    """e-values of windows. drift, broken: (w,) over columns. column, column_broken: (w, columns)."""

    drift: Floats
    broken: Floats
    column: Floats
    column_broken: Floats


def _evidence(look: Look, cut: Cut, counts: dict[str, Ints], state: State) -> tuple[Evidences, State]:
    """The e-values of windows, each held to what is usual in its season; and the state with the full ones."""
    tests = column_tests(look.reference, counts, look.project)
    seasons = [season(start_of(int(first), cut.level), cut.level, look.project.watch.zone) for first in cut.first]
    known, past = usual(tests.effect, seasons, state.history, look.reference.facts.seasons)
    if not cut.full.all():  # only the last is not: it is judged by the past, and not yet part of it
        _, past = usual(tests.effect[:-1], seasons[:-1], state.history, {})
    tests = column_tests(look.reference, counts, look.project, known=known) if known.any() else tests
    return column_evidence(look.reference, tests), msgspec.structs.replace(state, history=past)


def column_tests(
    reference: Reference, counts: dict[str, Ints], project: Project, *, known: Floats | None = None
) -> ColumnTests:
    """Every column of windows against the reference, by the effects that a project sets. known: what is usual."""
    return judge_stream(reference, counts, effect=project.watch.effect, own=project.watch.effects, usual=known)


def column_evidence(reference: Reference, tests: ColumnTests) -> Evidences:
    """The e-values of windows: drift weighted by importance, broken input by importance with a floor for all."""
    weights = np.array(reference.facts.weights)
    floored = 0.5 * weights + 0.5 / len(weights)
    changed, broken = tests.log_e(tests.p), tests.log_e(tests.broken)
    each = (np.exp(np.nan_to_num(changed, nan=0.0)), np.exp(broken))
    return Evidences(alarms_.combined(changed, weights), alarms_.combined(broken, floored), *each)


def _labels(look: Look, state: State) -> tuple[list[Window], list[Alarm], State]:
    labels, level, until = look.tallies.labels.whole, look.project.watch.window, look.tallies.told
    cut, losses = buckets(labels, level, until=until, since=state.labels_until)
    bar, limit = look.bar(level), risk_limit(look.reference, look.project.watch.tolerance)
    grown, known = harm_growth(losses, limit), state.harm or tuple(fresh().tolist())
    windows: list[Window] = []
    alarms: list[Alarm] = []
    after = state
    for k in range(len(cut)):
        end = min(cut.end(k), until)
        now, reached = follow(np.array(known), grown[k : k + 1])
        m = float(reached[0])
        windows.append(Window(level, start_of(int(cut.first[k]), level), end, int(cut.rows[k]), {}, {"harm": m}, bar,
                              full=bool(cut.full[k])))
        alarms += [Alarm("harm", level, end, m)] if m >= bar else []
        known = tuple((fresh() if m >= bar else now).tolist())
        if cut.full[k]:
            after = msgspec.structs.replace(after, harm=known, labels_until=start_of(int(cut.last[k]) + 1, level))
    out = [one for one in paths(look.reference, look.tallies, level, look.project.watch.tolerance) if one.outside.size]
    if out and not state.bias_paged:
        first = min(out, key=lambda one: int(one.end[one.outside[0]]))
        place = int(first.outside[0])
        names = tuple(one.name for one in out if one.name and one.end[one.outside[0]] <= first.end[place])
        alarms.append(Alarm("bias", level, min(int(first.end[place]), until), abs(float(first.mean[place])), names))
        after = msgspec.structs.replace(after, bias_paged=True)
    return windows, alarms, after


def _own(look: Look, state: State) -> tuple[list[Window], list[Alarm], State]:
    """The user's figures against their limits."""
    found = judged_all(look, state.m, state.until)
    windows = [Window(one.level, start, end, rows, {one.family: e}, {one.family: m},
                      look.bar(one.level, levels=len(LEVELS[look.project.watch.window])))
               for one in found for start, end, rows, e, m in one.windows]
    names = {f"{one.family}/{one.level}": one for one in found}
    return windows, [alarm for one in found for alarm in one.alarms], msgspec.structs.replace(
        state, m={**state.m, **{name: one.m for name, one in names.items()}},
        until={**state.until, **{name: one.until for name, one in names.items() if one.until > EVER}})


def _incidents(
    look: Look, windows: tuple[Window, ...], alarms: tuple[Alarm, ...], state: State
) -> tuple[tuple[Window, ...], tuple[Incident, ...], State]:
    order = sorted({window.end for window in windows} | {alarm.at for alarm in alarms})
    known, quiet, pages, done, height = state.incident, state.quiet, [], {}, dict(state.height)
    full = {window.end for window in windows if window.full}
    base = {window.end for window in windows if window.e and window.level == look.project.watch.window} & full
    for at in order:
        now = tuple(alarm for alarm in alarms if alarm.at == at)
        height |= _heights(window for window in windows if window.end == at and window.full)
        heard = tuple(alarm for alarm in now if not muted(look.silences, alarm.family, at))
        verdict, why = harm_status(look, heard, at) if heard else ("unknown", "")
        done[at] = route(heard, verdict) if heard or not now else "silenced"
        if done[at] != "page":
            quiet += at in base and (done[at] == "log" or (known is not None and resting(known, height)))
            known = None if quiet >= QUIET_WINDOWS[look.project.watch.window] else known
        elif known is None:
            known, quiet = opened(heard, verdict, look.release, why, money_lost(look, at)), 0
            pages.append(known)
        else:
            known, quiet = joined_by(known, heard, verdict, windows=int(at in full)), 0
            pages = [known if page.id == known.id else page for page in pages]
    marked = tuple(msgspec.structs.replace(window, done=done[window.end]) for window in windows)
    return marked, tuple(pages), msgspec.structs.replace(state, incident=known, quiet=quiet, height=height)


def _heights(windows: Iterable[Window]) -> dict[str, float]:
    return {f"{family}/{window.level}": min(1e9, m / window.bar) for window in windows for family, m in
            window.m.items()}
