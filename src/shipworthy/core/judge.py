"""Running checks: each wherever all that it judges exists; nothing is green by absence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shipworthy.core.canon import digest
from shipworthy.core.evidence import Evidence, Finding, Judged, Waiver, say
from shipworthy.core.project import Project
from shipworthy.core.registry import Marked
from shipworthy.errors import BadProject, ShipworthyError, nearest, one_of
from shipworthy.survey import BY_ID, ROWS

Case = Mapping[str, Any]
SAID, EARLIER = "evidence", "while learning"
"""Checks that judge what the others said come last; some findings were made while learning."""
REPORT_IT = "a check must not fail itself: report it to whoever wrote the check"


def bind(checks: Mapping[str, Marked], settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise BadProject when a setting names no check, no parameter of it, or is of another type."""
    for name, given in settings.items():
        if name not in checks:
            raise BadProject(f'there is no check "{name}"', where=f"[checks.{name}]", hint=one_of(name, checks))
        known = checks[name].settings
        for key, value in given.items():
            if key not in known:
                raise BadProject(f'the check "{name}" has no setting "{key}"', where=f"[checks.{name}]",
                                 hint=nearest(key, known) or f"it has {', '.join(known) or 'no settings'}")
            if not _alike(value, known[key]):
                raise BadProject(f"{key} = {value!r} is not of the right type", where=f"[checks.{name}]",
                                 hint=f"it needs {_needed(known[key])}")


def known_metrics(metrics: Collection[str], project: Project) -> None:
    """Raise BadProject when a requirement names no metric."""
    for one in project.requirement:
        if one.metric not in metrics:
            raise BadProject(f'there is no metric "{one.metric}"', where="[[requirement]] metric",
                             hint=one_of(one.metric, metrics))


def _alike(value: Any, default: Any) -> bool:
    """Whether a value from TOML may stand for a default: any number for a number, a list for a tuple, all for None."""
    if isinstance(default, bool) or isinstance(value, bool):
        return default is None or (isinstance(default, bool) and isinstance(value, bool))
    if isinstance(default, int | float):
        return isinstance(value, int | float)
    return default is None or isinstance(value, list | tuple if isinstance(default, tuple) else type(default))


def _needed(default: Any) -> str:
    words = {bool: "true or false", int: "a number", float: "a number", str: "text", tuple: "a list"}
    return f"{words.get(type(default), type(default).__name__)}, such as {json.dumps(default, default=str)}"


def judge(
    case: Case,
    checks: Mapping[str, Marked],
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    judged: Judged | None = None,
    required: Iterable[str] = (),
    waivers: Iterable[Waiver] = (),
    progress: Callable[[str], None] = lambda name: None,
) -> Evidence:
    """Evidence from every check whose subjects are all in the case; the others are listed as missing.

    case: subject name → value; None counts as absent. Checks that judge "evidence" are heard last, on what all others
    said and on what was judged while learning.
    """
    given, about = settings or {}, judged or Judged()
    bind(checks, given)
    findings: list[Finding] = []
    known = {**case, SAID: Evidence(())}
    able = {name: one for name, one in checks.items() if all(known.get(each) is not None for each in one.subjects)}
    for name, marked in sorted(able.items(), key=lambda one: SAID in one[1].subjects):
        progress(f"judging {len(able)} checks: {name}")
        if SAID in marked.subjects:
            known[SAID] = Evidence((*findings, *_earlier(case, findings, about)))
        of_packs = msgspec.structs.replace(about, pack=digest(case["packs"])) if "packs" in marked.subjects else about
        findings.append(run(marked, known, given.get(name, {}), of_packs))
    findings += _earlier(case, findings, about)
    heard = {finding.row for finding in findings}
    return Evidence(tuple(findings), tuple(required), tuple(waivers), _missing(known, checks, heard))


def run(marked: Marked, case: Case, settings: Mapping[str, Any], judged: Judged) -> Finding:
    """The finding of one check, stamped with its name, row, settings, time and what it judged.

    A check that fails itself, in any way, is an "unknown" finding that names the error: nothing passes by crashing,
    and the other checks are still heard.
    """
    started = time.perf_counter()
    finding = _heard(marked, case, settings)
    changed = {key: default for key, default in marked.settings.items()
               if key in settings and _plain(settings[key]) != _plain(default)}
    return msgspec.structs.replace(
        finding, check=marked.name, row=marked.facts["row"], judged=judged,
        settings={**marked.settings, **settings}, changed=changed, at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - started, 4),
    )


def _heard(marked: Marked, case: Case, settings: Mapping[str, Any]) -> Finding:
    try:
        finding = marked.function(*(case[subject] for subject in marked.subjects), **settings)
    except ShipworthyError as error:
        at = f" ({error.where})" if error.where else ""
        return say("unknown", f"The check could not judge: {error.problem}{at}.", remedy=error.hint)
    except Exception as error:  # the edge: a check is a stranger's code and may fail in any way
        return say("unknown", f"The check itself failed: {type(error).__name__}: {_one_line(error)}.", remedy=REPORT_IT)
    if isinstance(finding, Finding):
        return finding
    told = f"The check itself failed: it returned {type(finding).__name__}, not a finding."
    return say("unknown", told, remedy=REPORT_IT)


def _plain(value: Any) -> Any:
    """A list from TOML stands for a tuple."""
    return list(value) if isinstance(value, list | tuple) else value


def _one_line(error: Exception) -> str:
    """What an error says, on one line of at most 200 characters, without the full stop."""
    return " ".join(str(error).split())[:200].rstrip(".") or "without a word"


def _earlier(case: Case, findings: list[Finding], judged: Judged) -> list[Finding]:
    """What was judged while learning and has not been judged since."""
    heard = {finding.check for finding in findings}
    return [msgspec.structs.replace(finding, judged=judged) for finding in case.get(EARLIER, ())
            if finding.check not in heard]


def _missing(case: Case, checks: Mapping[str, Marked], heard: set[str]) -> dict[str, str]:
    found = {}
    for row in ROWS:
        if row.id in heard:
            continue
        waiting = [marked for marked in checks.values() if marked.facts["row"] == row.id]
        lacking = sorted({s for marked in waiting for s in marked.subjects if case.get(s) is None})
        found[row.id] = f"waits for: {', '.join(lacking)}" if waiting else row.absent or "no check yet"
    return found


def required(project: Project) -> tuple[str, ...]:
    """The rows that must hold for promotion: the survey's default, changed by the project's [gate]; and that of proofs,
    where a property or a limit to the champion is declared.

    Raises BadProject for a row that does not exist.
    """
    for row in (*project.gate.also, *project.gate.without):
        if row not in BY_ID:
            raise BadProject(f'there is no row "{row}"', where="[gate]", hint=one_of(row, BY_ID))
    default = {row.id for row in ROWS if row.required}
    declared = {"verification.functional"} if project.property or project.gate.apart else set()
    wanted = (default | declared | set(project.gate.also)) - set(project.gate.without)
    return tuple(row.id for row in ROWS if row.id in wanted)
