"""Best practices as rules: each is judged by what the checks say, or attested where no machine can judge it.

Source: Zinkevich (2017), "Rules of machine learning"; Breck et al. (2017), "The ML test score: a rubric for ML
production readiness"; VDI 3714, big data in manufacturing. The rules lie in guidelines.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from shipworthy.core.attested import Attestation, genuine
from shipworthy.core.evidence import Evidence, Finding, Verdict, say
from shipworthy.core.ledger import same
from shipworthy.core.project import Project
from shipworthy.marks import check

SETS = ("zinkevich", "vdi")
SCORE = "ml-test-score"
ROW, SCORE_ROW = "solutions.guidelines", "deployment.anti-patterns"
State = Literal["kept", "attested", "broken", "open"]


class Rule(msgspec.Struct, frozen=True):
    """One rule. set: which guideline. says: what it asks. checks: those that judge it; none where only people can."""

    set: str
    section: str
    id: str
    says: str
    checks: tuple[str, ...] = ()


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule of guidelines.toml, in its order."""

    class Book(msgspec.Struct):
        rule: tuple[Rule, ...]

    return msgspec.toml.decode(files("shipworthy.assurance").joinpath("guidelines.toml").read_bytes(), type=Book).rule


@check("guidelines", row=ROW)
def guidelines(
    project: Project, evidence: Evidence, attestations: tuple[Attestation, ...], *,
    sets: tuple[str, ...] = SETS
) -> Finding:
    """Whether every rule of the guidelines is kept, by the checks that judge it or by somebody who signed for it.

    Fails where a check of a rule fails; unknown where a rule has neither evidence nor a fresh signature, its id or
    its set as the topic, of somebody other than the trainer. Attested where people signed for some.
    """
    chosen = [rule for rule in rules() if rule.set in sets]
    signed, findings = topics(attestations, ROW, project.project.trainer), evidence.findings
    states = {rule.id: state(rule, findings, {*signed, *(rule.id for rule in chosen if rule.set in signed)})
              for rule in chosen}
    by = {name: [rule for rule in chosen if states[rule.id] == name] for name in ("kept", "attested", "broken", "open")}
    verdict: Verdict = "fail" if by["broken"] else "unknown" if by["open"] else "attested" if by["attested"] else "pass"
    first = (by["broken"] or by["open"] or chosen)[0]
    told = f"{len(by['kept'])} of {len(chosen)} rules are kept by what was measured, {len(by['attested'])} are attested"
    rest = f"; {len(by['open'])} have no evidence" if by["open"] else ""
    broken = "".join(f"; {rule.id} is not kept: {rule.says}" for rule in by["broken"][:3])
    return say(verdict, f"{told}{rest}{broken}.", value=float(len(by["broken"])), limit=0.0, n=len(chosen),
               counterexample={"broken": [rule.id for rule in by["broken"]], "open": [rule.id for rule in by["open"]]},
               remedy="" if verdict in ("pass", "attested") else f"mend what {_failing(first, findings)} asks for"
               if by["broken"] else f"sign for those that no check judges: shipworthy attest {ROW} --topic {first.id} "
               "--by NAME --role ROLE --sentence WHAT --until DAY")


@check("ml-test-score", row=SCORE_ROW)
def ml_test_score(
    project: Project, evidence: Evidence, attestations: tuple[Attestation, ...], *, limit: float = 3.0
) -> Finding:
    """Whether the ML test score is at least the limit: the smallest of the sums of its four sections of seven tests.

    A test counts 1 where all checks that judge it ran and are fine, 0.5 where somebody signed for it, else 0. Three to
    five points are called reasonably tested, more than five strong.
    """
    signed = topics(attestations, SCORE_ROW, project.project.trainer)
    points = {"kept": 1.0, "attested": 0.5, "broken": 0.0, "open": 0.0}
    sums: dict[str, float] = {}
    lacking: dict[str, list[Rule]] = {}
    for rule in rules():
        if rule.set == SCORE:
            found = points[state(rule, evidence.findings, signed)]
            sums[rule.section] = sums.get(rule.section, 0.0) + found
            lacking.setdefault(rule.section, []).extend([rule] if found < 1 else [])
    least = min(sums, key=lambda section: sums[section])
    told = ", ".join(f"{section} {total:g}" for section, total in sums.items())
    fine = sums[least] >= limit
    open_ones = "; ".join(f"{rule.id} {rule.says[0].lower()}{rule.says[1:]}" for rule in lacking[least][:3])
    return say("pass" if fine else "fail", f"The ML test score is {sums[least]:g} of 7, the least of {told} "
               f"({limit:g} is asked).", value=sums[least], limit=limit, n=28,
               counterexample={section: [rule.id for rule in some] for section, some in lacking.items()},
               remedy="" if fine else f"make {least} better: {open_ones}; or sign for one: shipworthy attest "
               f"{SCORE_ROW} --topic {lacking[least][0].id} --by NAME --role ROLE --sentence WHAT --until DAY")


def state(rule: Rule, findings: Sequence[Finding], signed: set[str]) -> State:
    """How a rule stands: broken by a check that fails, kept where all of its ran and are fine, attested, or open."""
    verdicts = {finding.check: finding.verdict for finding in findings if finding.check in rule.checks}
    if "fail" in verdicts.values():
        return "broken"
    if rule.checks and len(verdicts) == len(rule.checks) and "unknown" not in verdicts.values():
        return "kept"
    return "attested" if rule.id in signed else "open"


def topics(attestations: Sequence[Attestation], row: str, trainer: str) -> set[str]:
    """The topics of a row for which somebody other than the trainer signed, genuinely, and not for a day gone by."""
    today = datetime.now(UTC).date()
    return {one.topic for one in attestations
            if one.row == row and genuine(one) and not same(one.by, trainer) and _until(one) >= today}


def _until(one: Attestation) -> date:
    try:
        return date.fromisoformat(one.expires)
    except ValueError:
        return date.min


def _failing(rule: Rule, findings: Sequence[Finding]) -> str:
    return next((finding.check for finding in findings if finding.check in rule.checks and finding.verdict == "fail"),
                rule.id)
