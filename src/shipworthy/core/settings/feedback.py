"""What is known of the loop from answers back to labels, and what of the answers is left to chance to measure it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part

MOST_HELD = 0.05


class Feedback(Part, frozen=True):
    """[feedback] Which labels depend on the answer, and what is left to chance so that the loop can be measured.

    influenced: the decisions after which the label comes to be, or comes out as it does, because of what was done: a
    list of classes, such as ["accepted"] where only the accepted pay back or not; [] for none, "all" for every one.
    holdback: share of the entities, at most 0.05, that another policy answers instead. policy: which, the previous
    champion, or chance with each class as likely. unit: columns whose values name an entity; if empty, those of
    [rollout] unit. salt: changing it draws other entities. randomise: standard deviation of the noise that is put on
    every score of two classes or of a number, in its units; small, such as 0.01, and below 1/6 for a score between 0
    and 1; 0 puts none. regulated: the law says how these decisions are made, so that none is left to chance: scores get
    no noise, and only the previous champion may answer for a holdback. If not said, they are wherever [law] uses names
    more than "other".
    """

    influenced: Literal["unknown", "all"] | tuple[str, ...] = "unknown"
    holdback: Annotated[float, msgspec.Meta(ge=0, le=MOST_HELD)] = 0.0
    policy: Literal["previous", "random"] = "previous"
    unit: tuple[str, ...] = ()
    salt: str = "holdback"
    randomise: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    regulated: bool | None = None

    def why_not(self, uses: Sequence[str] = ()) -> str:
        """Why these settings may not be; empty if they may. uses: those that [law] names."""
        regulated = any(use != "other" for use in uses) if self.regulated is None else self.regulated
        if regulated and self.randomise:
            return "a decision that is regulated gets no noise"
        if regulated and self.holdback and self.policy == "random":
            return "a decision that is regulated is not made by chance"
        return ""
