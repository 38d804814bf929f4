"""The datasheet: what can be filled from the profile, the contract and the ledger; people answer the rest.

Questions after Gebru et al. (2021), "Datasheets for datasets".
"""

from __future__ import annotations

from collections import Counter

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Catalogue, Contract, Ledger, Listed, Profile
from shipworthy.core.project import Project
from shipworthy.marks import check

LEGAL = {
    "purpose": "For what purpose was the data collected and is it used?",
    "licence": "Under which licence may it be used?",
    "personal data": "Does it hold personal data, and which?",
    "contact": "Who answers for it?",
    "consent": "On what legal basis was it collected?",
    "retention": "How long may it be kept?",
}
OWN = ("purpose", "licence", "personal data", "contact")
CHECK = "datasheet-filled"


def datasheet(
    catalogue: Catalogue, profile: Profile, contract: Contract, ledger: Ledger, project: Project
) -> dict[str, str]:
    """Question → answer, "" where only a person can answer; what people answered is read from the project file.

    [checks.datasheet-filled] consent and retention are the two answers that nothing else in the project holds.
    """
    sources = [listed for listed in catalogue.tables if listed.name in set(catalogue.trace.values())] or list(
        catalogue.tables
    )
    return {
        **_legal(sources, profile, project), "What does a row stand for?": {
            "person": "a person", "thing": "a thing or event"}.get(project.project.subject, ""),
        "How many rows are there?": f"{profile.rows:,}", "Which columns are there, and what do they hold?": "; ".join(
            f"{column.name} ({column.kind}, {column.distinct:,} distinct)" for column in profile.columns),
        "What is the label?": _label(profile, project), "Is information missing?": _missing(profile),
        "Are there errors, noise or redundancies?": _errors(profile, ledger),
        "Which columns may give the answer away?": "; ".join(
            f"{each.column}: {each.proof}" for each in profile.suspects) or "none was found",
        "Which subpopulations does it identify?": ", ".join(project.data.protected) or "none is declared",
        "Where does it come from?": "; ".join(
            f"{each.name}: {each.address} ({each.rows:,} rows, SHA-256 {each.digest[:12]}, owner "
            f"{each.owner or 'unknown'})" for each in sources), "What preprocessing was done?": _cleaning(ledger),
        "What is promised of every further batch?": f"{len(contract.rules)} rules: "
        + ", ".join(f"{count} {kind}" for kind, count in Counter(rule.kind for rule in contract.rules).most_common()),
        "How was it divided?": f"{project.split.kind}, {project.split.tune:.0%} to tune on, "
        f"{project.split.holdout:.0%} held out", "How was the data collected?": "",
        "Has it been used for anything else?": "", "For what should it not be used?": "",
    }


@check(CHECK, row="solutions.datasheets")
def datasheet_filled(datasheet: dict[str, str], *, consent: str = "", retention: str = "") -> Finding:
    """The six answers without which data may not be used are given; consent and retention are answered here."""
    given = {
        **datasheet,
        LEGAL["consent"]: datasheet.get(LEGAL["consent"]) or consent,
        LEGAL["retention"]: datasheet.get(LEGAL["retention"]) or retention,
    }
    empty = [short for short, question in LEGAL.items() if not given.get(question, "").strip()]
    where = "; ".join(map(_where, empty))
    filled = sum(bool(answer.strip()) for answer in given.values())
    facts = {"value": filled, "limit": len(LEGAL), "n": len(given)}
    if any(short in OWN for short in empty):
        return say("fail", f"The datasheet lacks {', '.join(empty)}; {filled} of {len(given)} questions are answered.",
                   remedy=where, counterexample={"empty": [LEGAL[short] for short in empty]}, **facts)
    if empty:
        return say("unknown", f"The datasheet lacks {' and '.join(empty)}, which only a person can answer; {filled} of "
                   f"{len(given)} questions are answered.", remedy=where, **facts)
    return say("pass", f"All six answers that data needs are given; {filled} of {len(given)} questions are answered.",
               **facts)


def _legal(sources: list[Listed], profile: Profile, project: Project) -> dict[str, str]:
    told = project.checks.get(CHECK, {})
    nobody = project.project.subject == "thing" and not any(column.personal for column in profile.columns)
    licences = [] if any(not each.licence for each in sources) else [f"{each.name}: {each.licence}" for each in sources]
    return {
        LEGAL["purpose"]: project.project.purpose,
        LEGAL["licence"]: "; ".join(licences),
        LEGAL["personal data"]: _personal(profile, project),
        LEGAL["contact"]: project.project.owner,
        LEGAL["consent"]: "no person is concerned" if nobody else str(told.get("consent", "")),
        LEGAL["retention"]: "no person is concerned" if nobody else str(told.get("retention", "")),
    }


def _where(short: str) -> str:
    return {
        "purpose": 'in [project] write purpose = "…"',
        "contact": 'in [project] write owner = "…"',
        "licence": 'in [[source]] write licence = "…"',
        "personal data": "in [data] declare personal",
    }.get(short, f'in [checks.{CHECK}] write {short} = "…"')


def _personal(profile: Profile, project: Project) -> str:
    found = {column.name: column.personal for column in profile.columns if column.personal}
    listed = [f"{name} ({found.get(name, 'declared')})" for name in dict.fromkeys((*project.data.personal, *found))]
    if listed:
        return "yes: " + ", ".join(listed)
    return {
        "thing": "no: the scanner finds none, and rows are not about persons",
        "person": "rows are about persons; the scanner finds no direct identifier",
    }.get(project.project.subject, "the scanner finds none")


def _label(profile: Profile, project: Project) -> str:
    found = next((column for column in profile.columns if column.name == project.data.target), None)
    if found is None:
        return project.data.target
    shares = ", ".join(f"{value} {share:.1%}" for value, share in found.frequent[:5])
    return f"{found.name}" + (f": {shares}" if found.kind != "number" and shares else "")


def _missing(profile: Profile) -> str:
    gaps = sorted((column for column in profile.columns if column.nulls), key=lambda column: -column.missing_share)
    return ", ".join(f"{column.name} {column.missing_share:.1%}" for column in gaps) or "no"


def _errors(profile: Profile, ledger: Ledger) -> str:
    said = [f"{profile.duplicates:,} duplicate rows"] if profile.duplicates else []
    said += [f"{column.name}: {reason}" for column in profile.columns for reason in column.impossible]
    said += [f"{left} says the same as {right}" for left, right in profile.copies]
    return "; ".join(said) or "none was found"


def _cleaning(ledger: Ledger) -> str:
    reasons = Counter(change.reason for change in ledger.changes)
    said = [f"{count:,} cells: {reason}" for reason, count in reasons.most_common()]
    said += [f"{count:,} rows dropped: {reason}"
             for reason, count in Counter(r for _, r in ledger.dropped_rows).most_common()]
    said += [f"{name} set aside: {reason}" for name, reason in ledger.dropped_columns]
    return "; ".join(said) or "nothing was changed"
