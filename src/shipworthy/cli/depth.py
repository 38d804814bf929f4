"""One row of the checklist in depth: its question, and of each finding all that is behind it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import click
import msgspec

from shipworthy.cli.talk import COLOURS, SIGNS, short
from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.registry import Marked
from shipworthy.survey import BY_ID

MOST = 40
FIRST = ("name", "row", "x", "p", "value", "y", "low", "high", "limit")


def as_lines(evidence: Evidence, row: str, checks: Mapping[str, Marked]) -> list[str]:
    """A row as lines for a person. checks: by name, for what each one says of itself."""
    about, verdict, found = BY_ID[row], evidence.verdict(row), evidence.of(row)
    must = "required for promotion" if row in evidence.required else "not required for promotion"
    lines = [click.style(SIGNS[verdict], fg=COLOURS[verdict]) + f"  {row} · {about.title}, {must}",
             f"  {about.question}"]
    waiver = evidence.waived().get(row)
    lines += [f"  ✎ {waiver}"] if waiver else []
    for finding in found:
        lines += ["", *told(finding, checks, evidence.staleness(finding))]
    return lines if found else [*lines, "", f"  {evidence.missing.get(row, 'no check yet')}"]


def as_data(evidence: Evidence, row: str, checks: Mapping[str, Marked]) -> dict[str, Any]:
    """A row as JSON: as `as_lines`, with each finding as it is kept."""
    findings = [{"judges": judges(finding, checks), "stale": evidence.staleness(finding),
                 **msgspec.to_builtins(finding)} for finding in evidence.of(row)]
    return {"row": row, "question": BY_ID[row].question, "verdict": evidence.verdict(row),
            "required": row in evidence.required, "waiver": evidence.waived().get(row),
            "missing": evidence.missing.get(row, ""), "findings": findings}


def judges(finding: Finding, checks: Mapping[str, Marked]) -> str:
    """The first sentence of what a finding's check says of itself; empty if the check is not installed."""
    marked = checks.get(finding.check)
    text = inspect.getdoc(marked.function) if marked else None
    return " ".join((text or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def told(finding: Finding, checks: Mapping[str, Marked] = MappingProxyType({}), stale: str = "") -> Iterator[str]:
    """A finding as lines: its sentence, what its check judges, settings, figures, counterexample, chart and remedy."""
    yield f"{SIGNS[finding.verdict]}  {finding.check}: {finding.sentence}"
    if judged := judges(finding, checks):
        yield f"    judges: {judged}"
    if finding.settings:
        yield f"    settings: {', '.join(_settings(finding))}"
    figures = {"value": finding.value, "low": finding.low, "high": finding.high, "limit": finding.limit}
    known = [f"{name} {short(value)}" for name, value in figures.items() if value is not None]
    known += [f"n {finding.n:,}"] if finding.n is not None else []
    if known:
        yield f"    figures: {', '.join(known)}"
    if lines := plain(finding.counterexample):
        yield "    counterexample:"
        yield from (f"      {line}" for line in lines)
    if finding.chart:
        yield "    chart:"
        yield from (f"      {line}" for line in plain({k: v for k, v in finding.chart.items() if k != "kind"}))
    if finding.remedy and not finding.fine:
        yield f"    → {finding.remedy}"
    if stale:
        yield f"    → counts no longer: {stale}; judge again: shipworthy run"


def _settings(finding: Finding) -> Iterator[str]:
    for name, value in finding.settings.items():
        default = f" (changed; by default {_word(finding.changed[name])})" if name in finding.changed else ""
        yield f"{name} = {_word(value)}{default}"


def plain(facts: Mapping[str, Any]) -> list[str]:
    """Facts as lines: lists of one length side by side as columns, anything else as `name: value`."""
    lists = {name: list(value) for name, value in facts.items() if isinstance(value, list | tuple) and len(value)}
    longest = max(map(len, lists.values()), default=0)
    alike = [name for name, value in lists.items() if len(value) == longest]
    columns = {name: lists[name] for name in sorted(alike, key=lambda n: FIRST.index(n) if n in FIRST else len(FIRST))}
    lines = [f"{name}: {_word(value)}" for name, value in facts.items()
             if name not in columns and not (isinstance(value, list | tuple) and not value)]
    if not columns:
        return lines
    cells = [list(columns), *([_word(value) for value in row] for row in zip(*columns.values(), strict=True))]
    width = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    lines += ["  ".join(f"{cell:<{size}}" for cell, size in zip(row, width, strict=True)).rstrip()
              for row in cells[:MOST + 1]]
    return lines + ([f"… and {longest - MOST} more"] if longest > MOST else [])


def _word(value: Any) -> str:
    if isinstance(value, float):
        return short(value) if value == value else "–"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_word(one)}" for name, one in value.items())
    return msgspec.json.encode(value, enc_hook=str).decode()
