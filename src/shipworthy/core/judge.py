"""Running checks: each wherever all that it judges exists; nothing is green by absence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shipworthy.core.evidence import Evidence, Finding, Judged, Waiver
from shipworthy.core.registry import Marked
from shipworthy.errors import BadProject, nearest
from shipworthy.survey import ROWS

Case = Mapping[str, Any]


def bind(checks: Mapping[str, Marked], settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise BadProject when a setting names no check, no parameter of it, or is of another type."""
    for name, given in settings.items():
        if name not in checks:
            raise BadProject(f'there is no check "{name}"', where=f"[checks.{name}]", hint=nearest(name, checks))
        known = checks[name].settings
        for key, value in given.items():
            if key not in known:
                raise BadProject(f'the check "{name}" has no setting "{key}"', where=f"[checks.{name}]",
                                 hint=nearest(key, known) or f"it has {', '.join(known) or 'no settings'}")
            number = isinstance(known[key], int | float) and not isinstance(known[key], bool)
            alike = isinstance(value, int | float) and not isinstance(value, bool) if number else (
                known[key] is None or isinstance(value, type(known[key])))
            if not alike:
                raise BadProject(f"{key} = {value!r} is not of the right type", where=f"[checks.{name}]",
                                 hint=f"it needs a {type(known[key]).__name__}, such as {known[key]!r}")


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

    case: subject name → value; None counts as absent.
    """
    given = settings or {}
    bind(checks, given)
    findings = []
    for name, marked in checks.items():
        if all(case.get(subject) is not None for subject in marked.subjects):
            progress(name)
            findings.append(run(marked, case, given.get(name, {}), judged or Judged()))
    heard = {finding.row for finding in findings}
    return Evidence(tuple(findings), tuple(required), tuple(waivers), _missing(case, checks, heard))


def run(marked: Marked, case: Case, settings: Mapping[str, Any], judged: Judged) -> Finding:
    """The finding of one check, stamped with its name, row, settings, time and what it judged."""
    started = time.perf_counter()
    finding: Finding = marked.function(*(case[subject] for subject in marked.subjects), **settings)
    return msgspec.structs.replace(
        finding, check=marked.name, row=marked.facts["row"], judged=judged,
        settings={**marked.settings, **settings}, at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - started, 4),
    )


def _missing(case: Case, checks: Mapping[str, Marked], heard: set[str]) -> dict[str, str]:
    found = {}
    for row in ROWS:
        if row.id in heard:
            continue
        waiting = [marked for marked in checks.values() if marked.facts["row"] == row.id]
        lacking = sorted({s for marked in waiting for s in marked.subjects if case.get(s) is None})
        found[row.id] = f"waits for: {', '.join(lacking)}" if waiting else row.absent or "no check yet"
    return found
