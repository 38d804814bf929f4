"""When the champion is renewed, by what, and what becomes of a challenger that won."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from shipworthy.core.settings.part import Part

CheapCandidate = Literal["recalibrate", "label-shift", "window", "warm", "online"]
CHEAP: tuple[CheapCandidate, ...] = ("recalibrate", "label-shift", "window", "warm", "online")


class Renewing(Part, frozen=True):
    """[renew] When the champion is renewed, by what, and what becomes of a challenger that won.

    mode: by hand, when somebody says so; scheduled, by the keeper once the champion is as old as `days`; automatic, by
    the keeper whenever it is due. days: greatest age of the champion; 0 is without limit. growth: it is due too when so
    many times the rows that it learnt from are known; 0 is never. It is always due while it does harm. candidates: what
    is tried before a full search, in rising order of cost: `recalibrate` refits calibration, threshold and intervals;
    `label-shift` moves the shares of the classes to those of today; `window` trains again on the rows since the last
    change; `warm` grows trees on top of the champion; `online` learns row by row. search: whether a full search is
    made: if nothing cheaper won, never, or always, where the others do not compete. alpha: chance that a candidate no
    better than the champion wins, over all candidates. continual: labels come within minutes, so that `online` is
    judged as it learns on, `rows` labels at a time, and a champion of its kind is due with every `rows` new ones. rows:
    see continual; what is served stands still for so long. then: what becomes of a challenger that won and is fit: it
    stays a candidate, or goes to a rollout, or is promoted. approver: who gave standing approval to the last two, which
    need it, and is not the trainer. pause: hours between two renewals by the keeper.
    """

    mode: Literal["hand", "scheduled", "automatic"] = "hand"
    days: Annotated[float, msgspec.Meta(ge=0)] = 365.0
    growth: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    candidates: tuple[CheapCandidate, ...] = CHEAP
    search: Literal["needed", "never", "always"] = "needed"
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    continual: bool = False
    rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    then: Literal["candidate", "rollout", "promote"] = "candidate"
    approver: str = ""
    pause: Annotated[float, msgspec.Meta(gt=0)] = 24.0
