"""Who owns it, did someone else approve, and does the record of that hold?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.core.evidence import Finding, say
from shipworthy.core.ledger import Seal, broken, released, same, trainings, unsealed
from shipworthy.core.project import Project
from shipworthy.marks import check

APPROVES = frozenset({"approve", "approved", "promote"})
Lines = Sequence[Mapping[str, Any]]


@check("approver", row="deployment.teams")
def approver(project: Project, history: Lines) -> Finding:
    """Whether an owner, a trainer and an approver are named, and nobody approves what they trained.

    Before anything was promoted the names of the project file are all there is: "attested". Afterwards the ledger
    shows who approved: "pass".
    """
    about = project.project
    named = {"owner": about.owner, "trainer": about.trainer, "approver": about.approver}
    lacking = [role for role, who in named.items() if not who.strip()]
    if lacking:
        settings = ", ".join(f'{role} = "…"' for role in lacking)
        return say("fail", f"No {' and no '.join(lacking)} is named.", value=float(len(lacking)), limit=0.0, n=3,
                   remedy=f"name them in shipworthy.toml: [project] {settings}")
    if same(about.trainer, about.approver):
        return say("fail", f"{about.approver} is both trainer and approver.", value=1.0, limit=0.0, n=3,
                   remedy="let somebody else approve: [project] approver")
    acts = [line for line in history if line.get("action") in APPROVES]
    own = [line for line in acts if any(same(str(line.get("actor", "")), who)
                                        for who in _trainers(history, line) or [about.trainer])]
    if own:
        return say("fail", f"{own[0].get('actor')} approved a release that they trained (line {own[0].get('n')} "
                   "of the ledger).", value=float(len(own)), limit=0.0, n=len(acts), counterexample=dict(own[0]),
                   remedy="roll back and let somebody else approve: shipworthy rollback")
    if not acts:
        return say("attested", f"{about.owner} owns it, {about.trainer} trains, {about.approver} is to approve; "
                   "nothing has been promoted yet.", value=0.0, limit=0.0, n=3)
    return say("pass", f"All {len(acts)} approvals in the ledger were given by somebody other than the trainer; "
               f"{about.owner} owns it.", value=0.0, limit=0.0, n=len(acts))


@check("ledger", row="deployment.teams")
def ledger_holds(history: Lines, seals: Sequence[Seal]) -> Finding:
    """Whether every line of the audit ledger is in its place, as it was written, and none that was signed is gone."""
    if not history and not seals:
        return say("not-applicable", "No line has been written to the ledger yet, so there is nothing to verify.")
    lines = [dict(line) for line in history]
    wrong = broken(lines) + unsealed(lines, seals)
    if wrong:
        return say("fail", f"The ledger of {len(history)} lines does not verify: {'; '.join(wrong[:3])}.",
                   value=float(len(wrong)), limit=0.0, n=len(history),
                   remedy="restore it from its copy, and find out who could write to it")
    told = f"All {len(history)} lines of the ledger are in their place and as they were written"
    if not seals:
        return say("unknown", f"{told}, but no signed head shows whether later ones were cut off.", n=len(history),
                   remedy="the next act on record signs it, such as: shipworthy run")
    return say("pass", f"{told}; the head of {max(one.lines for one in seals)} is signed by the key "
                       f"{seals[0].public[:16]}.", value=0.0, limit=0.0, n=len(history))


def _trainers(history: Lines, act: Mapping[str, Any]) -> list[str]:
    """Who trained the release that an approval is about; empty if the ledger does not say."""
    return [str(line.get("actor", "")) for line in trainings(history, released(act))]
