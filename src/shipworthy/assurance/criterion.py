"""Was the fairness criterion chosen before anybody saw a figure of a group?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.assurance.groups import not_people
from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Profile
from shipworthy.core.learned import Parts
from shipworthy.core.ledger import CHOOSE, MEASURE, broken, criterion_of
from shipworthy.core.project import Project
from shipworthy.marks import check

Lines = Sequence[Mapping[str, Any]]


@check("criterion-first", row="ethics.fairness")
def criterion_first(project: Project, profile: Profile, parts: Parts, history: Lines) -> Finding:
    """Whether the ledger has the criterion, with its limit and columns, before the first measuring of groups on these
    holdout rows.

    The order is that of the hash chain, and the times must agree with it. A criterion or limit that was changed after
    these rows were measured fails, whatever it was changed to.
    """
    absent = not_people(project, profile)
    if absent:
        return say("not-applicable", f"No criterion is needed between groups of people: {absent}.")
    declared = criterion_of(project)
    if not declared:
        lacks = "chosen" if project.data.protected else "of use without a protected column"
        return say("unknown", f"No fairness criterion is {lacks}, so none can come first.",
                   remedy='[data] protected names the columns, [fairness] criterion = "impact-ratio" or '
                   '"equalised-odds" the criterion')
    lines = [dict(line) for line in history]
    chosen = _first(lines, CHOOSE, declared)
    measured = _first(lines, MEASURE, {"rows": parts.holdout.digest})
    what = f"{declared['criterion']} by {declared['protected']}"
    if measured is None:
        return say("unknown", "The ledger does not say when groups of these holdout rows were first measured.",
                   n=len(lines), remedy="judge them on record: shipworthy run")
    if chosen is None:
        return say("fail", f"The criterion, {what}, is not in the ledger, but line {measured['n']} says that groups "
                   "were measured.", value=1.0, limit=0.0, n=len(lines), counterexample=measured,
                   remedy=_remedy(lines))
    wrong = broken(lines)
    if wrong:
        return say("fail", f"The ledger does not hold, so it shows no order: {wrong[0]}.", value=float(len(wrong)),
                   limit=0.0, n=len(lines), remedy="restore it from its copy, and find out who could write to it")
    late = chosen["n"] > measured["n"] or chosen["at"] > measured["at"]
    told = (f"The criterion, {what}, was put on record at {chosen['at']} (line {chosen['n']}), groups of these rows "
            f"were first measured at {measured['at']} (line {measured['n']})")
    if late:
        return say("fail", f"{told}: it was chosen, or changed, with the figures known.", value=1.0, limit=0.0,
                   n=len(lines), counterexample=chosen, remedy=_remedy(lines))
    return say("pass", f"{told}.", value=0.0, limit=0.0, n=len(lines))


def _first(lines: list[dict[str, Any]], action: str, subject: Mapping[str, str]) -> dict[str, Any] | None:
    return next((line for line in lines if line.get("action") == action and line.get("subject") == subject), None)


def _remedy(lines: list[dict[str, Any]]) -> str:
    before = next((line["subject"] for line in lines if line.get("action") == CHOOSE), None)
    back = (f"go back to the one that was chosen first ({before['criterion']}, limit {before['limit']}), "
            if before else "")
    return (f"{back}judge rows that nobody has measured, or accept it for a time: shipworthy waive ethics.fairness "
            "--by WHO --reason WHY --until DAY")
