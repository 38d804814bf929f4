"""What a section of the project file is, and the section of a rollout, which a rollout also keeps as its plan."""

from __future__ import annotations

from typing import Annotated

import msgspec


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A section of the project file."""


class Rollout(Part, frozen=True):
    """[rollout] How a challenger takes over, stage by stage, and what takes it back.

    stages: rising shares of the traffic that it answers, the last 1. shadow: before them it is asked too, and its
    answers are kept, not sent. minutes: least of every stage. rows: least that it answers in every stage. hours: after
    so many the champion is kept. unit: columns whose values name an entity, all of whose requests one arm answers.
    alpha: chance of a wrong rollback by all tests together. margin: rise of the mean loss, in [0, 1], that is borne.
    labels: labelled differences without which it is not promoted. slower: by what share its slowest answers may be
    slower. scores: largest gap that is borne between the two distributions of scores. differ: share of its decisions
    that may differ from the champion's. abstain: share of abstentions that is borne beyond the champion's. segments:
    columns by each of whose values the loss is held to its margin. segment_rows: least of each value before promotion.
    """

    stages: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5, 1.0)
    shadow: bool = True
    minutes: float = 60.0
    rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    hours: float = 336.0
    unit: tuple[str, ...] = ()
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    margin: float = 0.02
    labels: int = 0
    slower: float = 0.25
    scores: float = 0.3
    differ: float = 0.3
    abstain: float = 0.2
    segments: tuple[str, ...] = ()
    segment_rows: int = 100
