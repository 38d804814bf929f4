"""Talking to a person: progress on stderr, verdicts readable without colour, data on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.progress import progress as progress

SIGNS = {
    "pass": "✓ pass",
    "fail": "✗ FAIL",
    "unknown": "? unknown",
    "attested": "✎ attested",
    "not-applicable": "· n/a",
}
COLOURS = {"pass": "green", "fail": "red", "unknown": "yellow", "attested": "cyan", "not-applicable": "bright_black"}

project_option = click.option("--project", "-p", "folder", default=".", type=click.Path(path_type=Path),
                              show_default=True, help="Folder that holds shipworthy.toml.")
rows_option = click.option("--rows", default=0, type=click.IntRange(min=0),
                           help="Read at most so many rows, drawn at random; 0 is all.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON to stdout.")


def say(text: str = "") -> None:
    """A line for a person, on stderr."""
    click.echo(text, err=True)


def put(value: Any) -> None:
    """A value as JSON on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def figure(finding: Finding) -> str:
    """The number of a finding with its interval and limit, as short text; empty where it has no interval."""
    if not finding.measured:
        return ""
    limit = f" limit {short(finding.limit)}" if finding.limit is not None else ""
    return f"{short(finding.value)} [{short(finding.low)}, {short(finding.high)}]{limit}"


def short(value: float | None) -> str:
    """A number in at most about six characters."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def checklist(evidence: Evidence, *, everything: bool = True, unjudged: bool = False) -> list[str]:
    """The checklist as lines: verdict, row, figures, sentence, and the one thing that helps.

    everything: False leaves out what is fine or merely unknown. unjudged: True gives every row that nothing has judged,
    that is not required and that nobody accepted, lines of its own; else the last line names them.
    """
    silent: list[str] = []
    lines, refused, waived = [], evidence.refusals, evidence.waived()
    for row, verdict, findings in evidence.rows():
        if not everything and verdict in ("pass", "not-applicable", "unknown") and row.id not in (*refused, *waived):
            continue
        if not (unjudged or findings or row.id in (*evidence.required, *waived)):
            silent.append(row.id)
            continue
        must = "*" if row.id in evidence.required else " "
        sign = click.style(f"{SIGNS[verdict]:<11}", fg=COLOURS[verdict])
        lines.append(f"{sign}{must} {row.id}")
        shown = sorted(findings,
                       key=lambda f: ("fail", "unknown", "attested", "pass", "not-applicable").index(f.verdict))
        for finding in shown:
            mark = SIGNS[finding.verdict][0]
            lines.append(f"            {mark} {finding.check}: {finding.sentence}  {figure(finding)}".rstrip())
            if finding.remedy and not finding.fine:
                lines.append(f"              → {finding.remedy}")
            if stale := evidence.staleness(finding):
                lines.append(f"              → counts no longer: {stale}; judge again: shipworthy run")
        if row.id in waived:
            lines.append(f"              ✎ {waived[row.id]}")
        if not findings:
            lines.append(f"              {evidence.missing.get(row.id, 'no check yet')}")
    if silent:
        sign = click.style(f"{SIGNS['unknown']:<11}", fg=COLOURS["unknown"])
        lines.append(f"{sign}  {len(silent)} rows that nothing has judged, none of them required: {', '.join(silent)}; "
                     "why: shipworthy checklist --all")
    return lines


def changes(evidence: Evidence) -> list[str]:
    """What the project changed of the gate and of the checks' defaults, as lines; none if it changed nothing."""
    return ["changed by the project:", *(f"  {told}" for told in evidence.changes)] if evidence.changes else []


def conclusion(evidence: Evidence) -> str:
    """The verdict in one sentence."""
    tally = "All rows: " + ", ".join(f"{count} {verdict}" for verdict, count in evidence.counts().items() if count)
    if evidence.fit:
        colour = "yellow" if evidence.accepted else "green"
        return click.style("FIT", fg=colour, bold=True) + f": {evidence.standing}. {tally}."
    return (click.style("NOT FIT", fg="red", bold=True) + f": {', '.join(evidence.refusals)}; {evidence.standing}. "
            f"{tally}.")
