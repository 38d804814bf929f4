"""Which country's law applies, and does fresh evidence of this very release answer every clause of it?"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from shipworthy.assurance.law.clauses import Standing, standings, unknown_refs
from shipworthy.assurance.law.purpose import seems, suggested
from shipworthy.assurance.nontechnical import judge_topic, last_day
from shipworthy.core.attested import Attestation
from shipworthy.core.evidence import Evidence, Finding, Judged, say
from shipworthy.core.model import Model
from shipworthy.core.pack import Pack
from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.marks import check

ROW = "law.country"


@check("rule-packs", row=ROW)
def rule_packs(project: Project, packs: tuple[Pack, ...], attestations: tuple[Attestation, ...]) -> Finding:
    """Whether the rule packs chosen are fresh, in force, no drafts, reviewed by a lawyer, and fit the purpose.

    A pack that was not checked against the official text needs an attestation of this row with its id as topic; the
    verdict is then "attested". A pack older than 180 days fails, and so does one that was repealed.
    """
    today = datetime.now(UTC).date()
    if not packs:
        return _nothing_chosen(project)
    stale = [f"{pack.id} was last looked at on {pack.as_of}" for pack in packs if pack.fresh_until < today]
    gone = [f"{pack.id} was repealed on {pack.repealed_on}" for pack in packs
            if pack.repealed_on and pack.repealed_on <= today]
    lost = [f"{name} is no clause of them" for name in unknown_refs(project, packs)]
    overlooked = [f"the purpose speaks of {use} ({words}), and [law] uses does not name it"
                  for use, words in seems(project).items() if project.law.uses and use not in project.law.uses]
    facts = {"value": float(len(stale) + len(gone) + len(lost)), "limit": 0.0, "n": len(packs)}
    if stale or gone or lost:
        return say("fail", f"The rule packs do not hold: {'; '.join([*stale, *gone, *lost])}.",
                   remedy="choose newer packs in [law] packs; repealed laws and unknown clauses come out of [law]",
                   counterexample={"packs": [*stale, *gone, *lost]}, **facts)
    drafts = [f"{pack.id} is a draft" for pack in packs if pack.status == "draft"]
    reviews = {pack.id: judge_topic([one for one in attestations if one.row == ROW and one.topic == pack.id],
                                    project.project.trainer, today)
               for pack in packs if not pack.checked_against_official}
    unread = [name for name, why in reviews.items() if why]
    if drafts or unread or overlooked:
        told = [*drafts, *(f"{name} was not compared with the official text, and no lawyer signed for it"
                           for name in unread), *overlooked]
        helps = (f"shipworthy attest {ROW} --topic {unread[0]} --by NAME --role legal --sentence WHAT --until DAY"
                 if unread else "name the use in [law] uses; a draft is no basis for a verdict")
        return say("unknown", f"{len(packs)} rule packs are chosen, but {'; '.join(told)}.", remedy=helps, **facts)
    named = ", ".join(f"{pack.id} of {pack.as_of}" for pack in packs)
    ends = [pack.fresh_until for pack in packs] + [
        last_day([one for one in attestations if one.row == ROW and one.topic == name]) for name in reviews]
    return say("attested" if reviews else "pass", f"{len(packs)} rule packs are fresh and in force: {named}"
               + (f"; a lawyer signed for {len(reviews)} of them." if reviews else "."), until=min(ends), **facts)


@check("clauses", row="verification.regulation")
def clauses(project: Project, packs: tuple[Pack, ...], evidence: Evidence, model: Model, table: Table) -> Finding:
    """Whether every clause in force that applies is answered by passing evidence of this release, young enough.

    A clause may be open with an owner and a due date, which is unknown and never a pass; overdue, it fails. Evidence of
    another release, evidence too old, and a repealed clause that the project cites fail. A draft pack never passes.
    """
    if not packs:
        return _nothing_chosen(project)
    found = standings(project, packs, evidence, Judged(model=model.digest, data=table.digest))
    count = Counter(one.state for one in found)
    at_stake = count["failed"] + count["unanswered"] + count["open"] + count["attested"] + count["answered"]
    holds = count["answered"] + count["attested"]
    facts = {"value": float(holds), "limit": float(at_stake), "n": len(found)}
    wrong, bare = ([one for one in found if one.state == state] for state in ("failed", "unanswered"))
    late = [one for one in found if one.state == "open"]
    told = f"{holds} of {at_stake} clauses that apply are answered"
    listed = {"clauses": [[one.id, one.state, one.why, one.owner, str(one.due or "")]
                          for one in (*wrong, *bare, *late)]}
    if wrong:
        return say("fail", f"{told}; {_named(wrong)}.", counterexample=listed,
                   remedy="shipworthy law shows what each clause needs", **facts)
    if bare or late:
        said = [_named(bare)] if bare else []
        said += [f"{len(late)} are open, the first due {min(one.due for one in late if one.due)}"] if late else []
        return say("unknown", f"{told}; {'; '.join(said)}.", counterexample=listed,
                   remedy="shipworthy law shows what each clause needs; [[law.open]] names an owner and a day", **facts)
    drafts = [pack.id for pack in packs if pack.status == "draft"]
    if drafts or not at_stake:
        why = f"{', '.join(drafts)} is a draft" if drafts else "no clause applies"
        return say("unknown", f"{told}, but {why}.", remedy="choose packs that are in force for you", **facts)
    until = min([*(one.until for one in found if one.until), *(pack.fresh_until for pack in packs)])
    return say("attested" if count["attested"] else "pass", f"{told}, {count['attested']} of them by a signature.",
               until=until, **facts)


def _nothing_chosen(project: Project) -> Finding:
    found = seems(project)
    reasons = "; ".join(f"{use} ({words})" for use, words in found.items()) or "nothing that a law is known for here"
    if project.law.synthetic:
        return say("not-applicable", "The data is declared synthetic, and no jurisdiction is chosen; the purpose "
                   f"speaks of {reasons}.")
    names = ", ".join(f'"{name}"' for name in suggested(project))
    return say("unknown", f"No rule pack is chosen. The purpose speaks of {reasons}.",
               remedy=f"in [law] write packs = [{names}]; see shipworthy law --packs")


def _named(found: list[Standing]) -> str:
    first = f"{found[0].id} ({found[0].why})"
    return first if len(found) == 1 else f"{first}, and {len(found) - 1} more"
