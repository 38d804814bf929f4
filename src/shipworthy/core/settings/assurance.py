"""What people are owed."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Fairness(Part, frozen=True):
    """[fairness] The criterion, chosen before measuring, its limit, and what is done about a gap.

    criterion: ratio of selection rates, or gap of error rates, between groups; it goes on record before any group is
    measured. limit: 0 is the criterion's usual one. favourable: the class that people wish for; the positive one if
    empty. mitigation: reweighing gives every group and label the weight that makes them independent, in learning; see
    its price first: shipworthy mitigate. explore, unseen_outcome: how you decide and retrain, by which retraining is
    simulated: the share of the refused that is accepted at random all the same, so that their outcomes are learnt, and
    what your records take the outcome of a refused row for that nobody saw.
    """

    criterion: Literal["impact-ratio", "equalised-odds", "none"] = "none"
    limit: float = 0.0
    favourable: str = ""
    mitigation: Literal["none", "reweighing"] = "none"
    explore: Share = 0.0
    unseen_outcome: Literal["dropped", "unfavourable"] = "dropped"


class Reason(Part, frozen=True):
    """[reasons.COLUMN] How a notice names a column that told against somebody.

    code: of the notice's form. text: in the reader's words.
    """

    code: str
    text: str


class Recourse(Part, frozen=True):
    """[recourse] What somebody who was refused can change.

    change: column → which way: up, down or either; for a category either. Whatever is not listed stays as it is.
    """

    change: dict[str, Literal["up", "down", "either"]] = {}


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
