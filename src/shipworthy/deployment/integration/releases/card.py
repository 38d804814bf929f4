"""The model card: one page of Markdown that a stranger can read, every figure from the evidence.

Source: Mitchell et al. (2019), Model Cards for Model Reporting; front matter as the Hugging Face Hub reads it.
"""

from __future__ import annotations

from html import escape

from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.learned import Learned
from shipworthy.core.model import Model
from shipworthy.core.project import Project


def model_card(model: Model, evidence: Evidence, project: Project, learned: Learned | None = None) -> str:
    """The card as Markdown. What is not proved is said as plainly as what is; values from data are escaped."""
    about = project.project
    parts = [
        _front(model, project),
        f"# {_safe(about.name)}\n\n{_safe(about.purpose) or 'The purpose is not declared.'}\n",
        f"**{_verdict(evidence)}**\n",
        "## What it is\n\n" + _bullets(_what(model, project)),
        "## What it reads\n\n" + _columns(model),
        "## How it was chosen\n\n" + _ladder(learned),
        "## What was measured\n\n" + _findings(evidence, ("pass", "fail")),
        "## What is not known\n\n" + _unknown(evidence),
        "## What a person accepted\n\n" + _waived(evidence),
        "## What the project changed\n\n" + _bullets([_safe(told) for told in evidence.changes]),
        "## When it abstains\n\n" + _abstains(model),
    ]
    return "\n".join(parts) + "\n"


def _front(model: Model, project: Project) -> str:
    licences = sorted({source.licence for source in project.source if source.licence})
    kind = "classification" if model.classes else "regression"
    lines = ["---", "library_name: shipworthy", f"tags: [tabular-{kind}]"]
    if licences:
        lines.append("license: other" if len(licences) > 1 else f"license: {_safe(licences[0]).lower()}")
    return "\n".join([*lines, "---", ""])


def _verdict(evidence: Evidence) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in evidence.counts().items() if count)
    head = "Fit: " if evidence.fit else f"Not fit: {', '.join(evidence.refusals)}; "
    return f"{head}{evidence.standing}. All rows: {counts}."


def _what(model: Model, project: Project) -> list[str]:
    about, program = project.project, model.program
    people = [f"{role} {_safe(name)}" for role, name in
              (("owner", about.owner), ("trainer", about.trainer), ("approver", about.approver)) if name]
    classes = " (" + ", ".join(map(_safe, model.classes)) + ")" if model.classes else ""
    return [
        f"{_safe(program.label)}: {program.complexity:,} leaves, cells and weights over {len(program.inputs)} inputs",
        f"predicts {_safe(model.sheet.target)}{classes}",
        f"decides for {_safe(model.classes[1])} at a probability of {model.sheet.threshold:.4g} or more"
        if model.task == "binary" else f"task: {model.task}",
        f"a row is a {about.subject}" if about.subject != "undeclared" else "what a row is about is not declared",
        "people: " + (", ".join(people) or "none named"),
        f"model digest {model.digest[:16]}",
    ]


def _columns(model: Model) -> str:
    head = "| column | kind | unit | meaning |\n|---|---|---|---|\n"
    return head + "".join(f"| {_cell(c.name)} | {c.kind} | {_cell(c.unit)} | {_cell(c.meaning)} |\n"
                          for c in model.sheet.schema.columns if c.name in model.features.columns)


def _ladder(learned: Learned | None) -> str:
    if learned is None:
        return "Not recorded.\n"
    head = "| learner | glass box | loss on tune | metric on tune | statements |\n|---|---|---|---|---|\n"
    rows = "".join(
        f"| {_cell(c.name)}{' **chosen**' if c is learned.chosen else ''} | {'yes' if c.glass_box else 'no'} "
        f"| {c.figures.loss:.4f} | {c.figures.metric:.4f} | {c.figures.complexity:,} |\n" for c in learned.candidates)
    return f"{_safe(learned.why)}\n\n{head}{rows}"


def _findings(evidence: Evidence, verdicts: tuple[str, ...]) -> str:
    found = [finding for finding in evidence.findings if finding.verdict in verdicts]
    if not found:
        return "Nothing.\n"
    return "| row | check | verdict | what it says | value |\n|---|---|---|---|---|\n" + "".join(
        f"| {f.row} | {_cell(f.check)} | {f.verdict} | {_cell(f.sentence)} | {_figure(f)} |\n" for f in found)


def _unknown(evidence: Evidence) -> str:
    unsure = [f"`{f.row}`: {_safe(f.sentence)}" for f in evidence.findings if f.verdict == "unknown"]
    absent = [f"`{row}`: {_safe(why)}" for row, why in evidence.missing.items()]
    return _bullets([*unsure, *absent])


def _waived(evidence: Evidence) -> str:
    return _bullets([f"`{waiver.row}` by {_safe(waiver.by)} until {_safe(str(waiver.expires))}: "
                     f"{_safe(waiver.reason)} (it is {evidence.verdict(waiver.row)})"
                     for waiver in evidence.waived().values()])


def _abstains(model: Model) -> str:
    if model.sheet.conformal is None:
        return "Only where it has no finite score.\n"
    kind = "interval" if model.task == "regression" else "set of classes"
    return (f"Every answer carries a {kind} that holds the truth for {model.sheet.level:.0%} of rows like those it was "
            "calibrated on. It abstains where a set does not hold exactly one class.\n")


def _figure(finding: Finding) -> str:
    if finding.value is None:
        return ""
    span = "" if finding.low is None or finding.high is None else f" [{finding.low:.4g}, {finding.high:.4g}]"
    return f"{finding.value:.4g}{span}"


def _bullets(lines: list[str]) -> str:
    return "".join(f"- {line}\n" for line in lines) or "Nothing.\n"


def _safe(text: str) -> str:
    return " ".join(escape(str(text), quote=False).replace("`", "'").split())


def _cell(text: str) -> str:
    return _safe(text).replace("|", "\\|")
