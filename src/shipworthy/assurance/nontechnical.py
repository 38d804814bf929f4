"""Which duties only a person can sign for, and are the signatures fresh?"""

from __future__ import annotations

from datetime import UTC, date, datetime

from shipworthy.core.attested import Attestation, genuine
from shipworthy.core.evidence import Finding, say
from shipworthy.core.ledger import same
from shipworthy.core.project import Project
from shipworthy.marks import check

ROW = "law.non-technical"
TOPICS = ("impact-assessment", "legal-basis", "appeal-contact", "training-record")


@check("attestations", row=ROW)
def attested(project: Project, attestations: tuple[Attestation, ...], *, topics: tuple[str, ...] = TOPICS) -> Finding:
    """Whether every duty is attested: signed, not expired, and by somebody other than the trainer.

    The verdict is "attested", never "pass": a person said so, nothing was measured. Missing ones are unknown; a broken
    signature, an expired statement without a fresh one, or one by the trainer is a fail.
    """
    mine = [one for one in attestations if one.row == ROW]
    today = datetime.now(UTC).date()
    judged = {topic: judge_topic([one for one in mine if one.topic == topic], project.project.trainer, today)
              for topic in topics}
    wrong = {topic: why for topic, why in judged.items() if why not in ("", "missing")}
    missing = [topic for topic, why in judged.items() if why == "missing"]
    open_ones = [*wrong, *missing]
    remedy = (f"sign each of {', '.join(open_ones)}: shipworthy attest {ROW} --topic {open_ones[0]} --by NAME "
              "--role ROLE --sentence WHAT --until DAY" if open_ones else "")
    if wrong:
        return say("fail", f"{len(wrong)} of {len(topics)} duties are not validly attested: "
                   f"{'; '.join(f'{topic} {why}' for topic, why in wrong.items())}.", value=float(len(wrong)),
                   limit=0.0, n=len(topics), counterexample=dict(wrong), remedy=remedy)
    if missing:
        return say("unknown", f"{len(missing)} of {len(topics)} duties are not attested: {', '.join(missing)}.",
                   value=float(len(missing)), limit=0.0, n=len(topics), remedy=remedy)
    by = sorted({one.by for one in mine})
    until = min(max(_day(one) for one in mine if one.topic == topic) for topic in topics)
    return say("attested", f"All {len(topics)} duties are signed by {', '.join(by)} and fresh until {until}.",
               value=0.0, limit=0.0, n=len(topics), until=until)


def judge_topic(found: list[Attestation], trainer: str, today: date) -> str:
    """Why no statement of a topic counts; empty if one does. The best of several decides."""
    if not found:
        return "missing"
    reasons = []
    for one in found:
        if not genuine(one):
            reasons.append("has a signature that does not fit")
        elif _day(one) < today:
            reasons.append(f"expired on {one.expires}")
        elif same(one.by, trainer):
            reasons.append("is signed by the trainer")
        else:
            return ""
    return reasons[-1]


def last_day(found: list[Attestation]) -> date:
    """The last day of the best of several statements."""
    return max(map(_day, found))


def _day(statement: Attestation) -> date:
    """The last day of a statement; long ago if it names none."""
    try:
        return date.fromisoformat(statement.expires)
    except ValueError:
        return date.min
