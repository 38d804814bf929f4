"""What people are owed."""

from __future__ import annotations

from typing import Literal

from shipworthy.core.settings.part import Part


class Fairness(Part, frozen=True):
    """[fairness] The criterion, chosen before measuring, and its limit.

    criterion: ratio of selection rates, or gap of error rates, between groups. limit: 0 is the criterion's usual one.
    """

    criterion: Literal["impact-ratio", "equalised-odds", "none"] = "none"
    limit: float = 0.0
