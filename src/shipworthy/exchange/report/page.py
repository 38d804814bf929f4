"""The page: verdict first, then what is wrong, then every row in the survey's order, then the numbers behind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from shipworthy.core.evidence import Evidence, Finding, Verdict
from shipworthy.core.release import Manifest
from shipworthy.exchange.report.charts import draw
from shipworthy.exchange.report.gauge import gauge
from shipworthy.survey import BY_ID, STAGES, Row

WORDS: dict[Verdict, str] = {"pass": "pass", "fail": "fail", "unknown": "unknown", "attested": "attested",
                             "not-applicable": "not applicable"}
SIGNS: dict[Verdict, str] = {"pass": "✓", "fail": "✗", "unknown": "?", "attested": "✎", "not-applicable": "–"}


def page(evidence: Evidence, manifest: Manifest, *, facts: Mapping[str, Any] | None = None) -> str:
    """HTML text of the report, complete in itself.

    facts: optional extras: purpose, owner, chosen (a sentence), cost (a list of (name, value)), candidates
    (dicts with learner, metric, loss, complexity, bytes, row_microseconds, chosen), story (list of
    (time, title, text) shown as what happened), earlier (evidence of a refused first run).
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=number, chart=_chart, gauge=lambda finding: Markup(gauge(finding)))
    template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text("utf-8"))
    return template.render(
        evidence=evidence, manifest=manifest, facts=facts or {}, stages=_stages(evidence), words=WORDS, signs=SIGNS,
        counts=evidence.counts(), waived=evidence.waived(), rows=BY_ID,
        refusals=[BY_ID[row] for row in evidence.refusals if row in BY_ID],
        style=Markup(files(__package__).joinpath("report.css").read_text("utf-8")),
    )


def number(value: float | None) -> str:
    """A number as people read it: three significant digits, thousands separated."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _chart(finding: Finding) -> Markup:
    return Markup(draw(finding.chart)) if finding.chart else Markup("")


def _stages(evidence: Evidence) -> list[tuple[str, list[tuple[Row, Verdict, tuple[Finding, ...]]]]]:
    found = evidence.rows()
    return [(title, [entry for entry in found if entry[0].stage == stage]) for stage, title in STAGES.items()]
