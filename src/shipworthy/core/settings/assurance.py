"""What people are owed."""

from __future__ import annotations

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
