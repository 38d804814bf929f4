"""What people are owed."""

from __future__ import annotations

from datetime import date
from typing import Literal

from shipworthy.core.settings.part import Part


class Fairness(Part, frozen=True):
    """[fairness] The criterion, chosen before measuring, and its limit.

    criterion: ratio of selection rates, or gap of error rates, between groups. limit: 0 is the criterion's usual one.
    """

    criterion: Literal["impact-ratio", "equalised-odds", "none"] = "none"
    limit: float = 0.0


class OpenClause(Part, frozen=True):
    """[[law.open]] A clause that evidence does not answer yet: who sees to it, and by when. It is never a pass.

    ref: PACK/CLAUSE, such as gdpr/30. owner: a person, by name or address. due: a date, as 2027-03-31; from the day
    after it the clause fails. why: what is missing.
    """

    ref: str
    owner: str
    due: date
    why: str = ""


Use = Literal["credit", "employment", "insurance", "health", "education", "housing", "benefits", "law-enforcement",
              "other"]


class Law(Part, frozen=True):
    """[law] Which law applies, as somebody who may say so declared it. See docs/guides/law.md; not legal advice.

    packs: rule packs, by id or by the path of your own. uses: what the answers are used for; none is what the purpose
    seems to be for. roles: what you are in law; a clause may concern only some. synthetic: nobody real is in the data,
    so no law need be chosen. also: clauses that you hold yourself to although they do not apply, as PACK/CLAUSE.
    open: clauses that are not answered yet.
    """

    packs: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    roles: tuple[Literal["provider", "deployer", "controller", "processor"], ...] = (
        "provider", "deployer", "controller")
    synthetic: bool = False
    also: tuple[str, ...] = ()
    open: tuple[OpenClause, ...] = ()
