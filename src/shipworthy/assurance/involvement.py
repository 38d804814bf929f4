"""Did the people concerned shape it? Reviews with users, on record, each of a requirement that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shipworthy.core.evidence import Finding, say
from shipworthy.core.ledger import same
from shipworthy.core.project import Project, Requirement
from shipworthy.errors import Misuse, one_of
from shipworthy.marks import check

ACTION = "review"
OUTCOMES = ("confirmed", "changed", "noted")
Lines = Sequence[Mapping[str, Any]]


def called(requirement: Requirement) -> str:
    """What a requirement is called: its metric, and its segment where it has one, such as `auc` or `auc:sex=female`."""
    return ":".join([requirement.metric, *(f"{column}={value}" for column, value in requirement.segment.items())])


def subject(project: Project, requirement: str, participant: str, outcome: str, ticket: str = "") -> dict[str, str]:
    """What a line of the ledger says of a review. Raises Misuse for a requirement or an outcome that does not exist."""
    names = [called(one) for one in project.requirement]
    if requirement not in names:
        raise Misuse(f'there is no requirement "{requirement}"', where="--requirement",
                     hint=one_of(requirement, names) if names else "write one first: [[requirement]] metric")
    if outcome not in OUTCOMES:
        raise Misuse(f'"{outcome}" is no outcome of a review', where="--outcome", hint=one_of(outcome, OUTCOMES))
    if not participant.strip():
        raise Misuse("a review is with somebody", where="--with", hint="name a person or a group of users")
    return {"requirement": requirement, "with": participant, "outcome": outcome,
            **({"ticket": ticket} if ticket else {})}


@check("reviews", row="trust.involvement")
def reviews(project: Project, history: Lines, *, limit: int = 5) -> Finding:
    """Whether so many reviews with users are on record, each linked to a requirement of the project, and at least one
    of them confirmed or changed it.

    "attested", never "pass": people said so. Too few are unknown; a link to no requirement, or a review in which the
    trainer talked to themselves, is a fail.
    """
    held = [line for line in history if line.get("action") == ACTION]
    names = {called(one) for one in project.requirement}
    loose = [line for line in held if _of(line, "requirement") not in names]
    alone = [line for line in held if any(same(_of(line, "with"), one) for one in (
        project.project.trainer, str(line.get("actor", ""))))]
    if loose or alone:
        first = (loose or alone)[0]
        told = "were held by somebody with themselves or with the trainer"
        if loose:
            told = f'are of no requirement of the project, such as "{_of(first, "requirement")}"'
        return say("fail", f"{len(loose or alone)} of {len(held)} reviews {told}.",
                   value=float(len(loose or alone)), limit=0.0, n=len(held),
                   counterexample={"lines": [line.get("n") for line in loose or alone]},
                   remedy="hold one with a user, of a requirement that exists: shipworthy review record --requirement "
                   f"{next(iter(sorted(names)), 'METRIC')} --with WHO --outcome confirmed --by NAME --words WHAT")
    moved = sum(_of(line, "outcome") in ("confirmed", "changed") for line in held)
    if len(held) < limit or not moved:
        lacking = f"{len(held)} reviews with users are on record, {limit} are asked" if len(held) < limit else \
            f"None of {len(held)} reviews confirmed or changed a requirement"
        return say("unknown", f"{lacking}.", value=float(len(held)), limit=float(limit), n=len(held),
                   remedy="shipworthy review record --requirement METRIC --with WHO --outcome confirmed --by NAME "
                   "--words WHAT")
    people = sorted(set(_each(held, "with")))
    return say("attested", f"{len(held)} reviews with {len(people)} users or groups are on record, {moved} of which "
               f"confirmed or changed a requirement ({', '.join(sorted(set(_each(held, 'requirement'))))}).",
               value=float(len(held)), limit=float(limit), n=len(held))


def _of(line: Mapping[str, Any], name: str) -> str:
    found = line.get("subject")
    return str(found.get(name, "")) if isinstance(found, Mapping) else ""


def _each(lines: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return [_of(line, name) for line in lines]
