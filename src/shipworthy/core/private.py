"""What private learning spent, step by step: the log from which anyone can work the bound out again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from shipworthy.core.features import Features
from shipworthy.core.settings.learning import Federated, Privacy
from shipworthy.core.table import Floats

Part = Literal["learn", "tune"]


class Noise(Protocol):
    """Where draws come from: the operating system in earnest, a `numpy.random.Generator` in tests."""

    def random(self, size: Any) -> Floats: ...

    def normal(self, loc: float, scale: float, size: Any) -> Floats: ...


class Step(msgspec.Struct, frozen=True):
    """Noisy sums that were looked at.

    what: in words. part: whose rows were summed. sigma: standard deviation of the noise over the most that one row can
    change the sum. share: probability with which each row was in it. times: how often.
    """

    what: str
    part: Part
    sigma: float
    share: float = 1.0
    times: int = 1


class Spent(msgspec.Struct, frozen=True):
    """What one training spent, and what it may be known by.

    steps: every look at rows. epsilon, delta: what is claimed of them. recipe: the settings of the learner. rows: how
    many were learnt from; the number is public. tune: noisy counts of tune rows by score (equal cells of [0, 1]) and
    class, (cells, 2).
    """

    steps: tuple[Step, ...]
    epsilon: float
    delta: float
    recipe: dict[str, float]
    rows: int
    tune: tuple[tuple[float, float], ...] = ()


def of_part(steps: Iterable[Step], part: Part) -> tuple[Step, ...]:
    """The steps that looked at the rows of one part; parts have no row in common, so each is reckoned by itself."""
    return tuple(step for step in steps if step.part == part)


@dataclass(frozen=True)
class Private:
    """What a private learner is told beside its job, none of it from the rows.

    bounds: lowest and highest value of every input; (0, 0) of a category. heavy: whether an input is on a logarithmic
    scale. noise: the operating system's if None.
    """

    rules: Privacy
    bounds: tuple[tuple[float, float], ...]
    heavy: tuple[bool, ...]
    noise: Noise | None = None


@dataclass(frozen=True)
class Others:
    """The other parties of a federated training, and what they are told to make inputs of their rows.

    rules: whose paths are absolute. bounds: lowest and highest value of every input; (0, 0) of a category.
    """

    rules: Federated
    features: Features
    target: str
    bounds: tuple[tuple[float, float], ...]


class Message(msgspec.Struct, frozen=True):
    """One message that a party of a federated training sent, without its numbers.

    values: how many it held. asked: how many the sum has that was asked for, which no row decides.
    """

    party: int
    turn: int
    about: str
    values: int
    asked: int
