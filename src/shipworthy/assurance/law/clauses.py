"""Where every clause of the chosen packs stands: answered by evidence of this very release, open or failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import msgspec

from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.pack import Clause, Pack
from shipworthy.core.project import Project

State = Literal["failed", "unanswered", "open", "attested", "answered", "repealed", "not yet in force",
                "does not apply"]
WORST: tuple[State, ...] = ("failed", "unanswered", "open", "attested", "answered")


class Standing(msgspec.Struct, frozen=True):
    """One clause today. cited: whether the project holds itself to it. why: what is lacking, or what answers it.

    until: the last day on which the answer can be relied on, where it is answered.
    """

    pack: str
    ref: str
    text: str
    state: State
    why: str
    evidence: tuple[str, ...] = ()
    cited: bool = False
    owner: str = ""
    due: date | None = None
    until: date | None = None

    @property
    def id(self) -> str:
        return f"{self.pack}/{self.ref}"


def standings(
    project: Project, packs: Sequence[Pack], evidence: Evidence, about: Judged, *, day: date | None = None
) -> list[Standing]:
    """Every clause of the packs in their order. about: what the release is made of; other evidence answers nothing."""
    day = day or datetime.now(UTC).date()
    return [_stands(project, pack, clause, (evidence, about, day)) for pack in packs for clause in pack.clauses]


def unknown_refs(project: Project, packs: Sequence[Pack]) -> list[str]:
    """What [law] also and [[law.open]] name that is no clause of the chosen packs."""
    known = {f"{pack.id}/{clause.ref}" for pack in packs for clause in pack.clauses}
    named = [*project.law.also, *(one.ref for one in project.law.open)]
    return [name for name in named if name not in known]


def _stands(project: Project, pack: Pack, clause: Clause, how: tuple[Evidence, Judged, date]) -> Standing:
    evidence, about, day = how
    name = f"{pack.id}/{clause.ref}"
    excuse = next((one for one in project.law.open if one.ref == name), None)
    cited = name in project.law.also or excuse is not None
    blank = Standing(pack.id, clause.ref, clause.text, "does not apply", "its condition does not hold of this project",
                     clause.evidence, cited)
    where = pack.state(clause, day)
    if where == "repealed":
        ends = min(end for end in (clause.repealed_on, pack.repealed_on) if end)
        told = f"repealed on {ends}" + (", and yet the project cites it" if cited else "")
        return msgspec.structs.replace(blank, state="failed" if cited else "repealed", why=told)
    if where == "not yet in force" and not cited:
        begins = clause.effective_from or pack.effective_from
        return msgspec.structs.replace(blank, state=where, why=f"in force from {begins}")
    if not cited and not clause.applies_if.holds(project):
        return blank
    state, why, until = answered(clause, evidence, about, day)
    foreign = state == "failed" and why.endswith(FOREIGN)
    if excuse is None or state in ("answered", "attested") or foreign:
        return msgspec.structs.replace(blank, state=state, why=why, until=until)
    late = excuse.due < day
    told = f"{excuse.owner} was to see to it by {excuse.due}: {why}" if late else f"{excuse.why or why}"
    return msgspec.structs.replace(blank, state="failed" if late else "open", why=told, owner=excuse.owner,
                                   due=excuse.due)


FOREIGN = "was made of another release"


def answered(clause: Clause, evidence: Evidence, about: Judged, day: date) -> tuple[State, str, date | None]:
    """Whether every id that a clause asks for holds, of this release and young enough: state, why, last day."""
    told: list[tuple[State, str]] = []
    ends: list[date] = []
    for name in clause.evidence:
        found = evidence.of(name) if "." in name else tuple(f for f in evidence.findings if f.check == name)
        if not found:
            told.append(("unanswered", f"nothing has judged {name}"))
        for finding in found:
            told.append(_counts(finding, clause, about, day))
            made = _made(finding)
            ends += [made + timedelta(days=clause.max_age_days)] if made else []
            ends += [finding.until] if finding.until else []
    state = next(state for state in WORST if state in {one for one, _ in told})
    return state, "; ".join(dict.fromkeys(why for one, why in told if one == state)), min(ends, default=None)


def _counts(finding: Finding, clause: Clause, about: Judged, day: date) -> tuple[State, str]:
    made = _made(finding)
    if (finding.judged.model, finding.judged.data) != (about.model, about.data):
        return "failed", f"{finding.check} {FOREIGN}"
    if made is None or (day - made).days > clause.max_age_days:
        return "failed", f"{finding.check} is older than {clause.max_age_days} days"
    if finding.until is not None and day > finding.until:
        return "failed", f"{finding.check} held until {finding.until}"
    if finding.verdict == "fail":
        return "failed", f"{finding.check} fails"
    if finding.verdict == "unknown":
        return "unanswered", f"{finding.check} is unknown"
    return ("attested" if finding.verdict == "attested" else "answered"), f"{finding.check}: {finding.verdict}"


def _made(finding: Finding) -> date | None:
    try:
        return datetime.fromisoformat(finding.at).date()
    except ValueError:
        return None
