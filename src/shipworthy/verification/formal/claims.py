"""What can be claimed of a program for all inputs, over which domain, at what price, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from shipworthy.core.program import Program
from shipworthy.core.table import Floats
from shipworthy.verification.formal.certificate import Certificate

Status = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True)
class Span:
    """What one input may be: a number from low to high, or one of these codes; missing as well, if it may be.

    whole: only whole numbers. codes: of a category; empty for none of them, None for a number.
    """

    low: float = -math.inf
    high: float = math.inf
    missing: bool = True
    whole: bool = False
    codes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Domain:
    """The rows that a claim speaks of: a span for every input, and rules that tie inputs together.

    one_of: groups of inputs of which exactly one is 1 and the others 0. at_least: pairs (a, b) of inputs with a ≥ b in
    every row where neither is missing.
    """

    spans: tuple[Span, ...]
    one_of: tuple[tuple[int, ...], ...] = ()
    at_least: tuple[tuple[int, int], ...] = ()

    def but(self, changes: dict[int, Span]) -> Domain:
        """The same domain with other spans for some inputs."""
        return replace(self, spans=tuple(changes.get(place, span) for place, span in enumerate(self.spans)))


@dataclass(frozen=True)
class Budget:
    """What a search may take before it says unknown."""

    nodes: int = 200_000
    seconds: float = 2.0


@dataclass(frozen=True)
class Verdict:
    """What came of a claim.

    low, high: of the quantity that the claim names, its largest value lies between them: high is proved, low is reached
    by `row`. row, moved: where it was met, the counterexample of a refuted claim; of a claim about a change, before and
    after it. nodes: boxes that were opened. certificate: what `shipworthy-check` accepts; only of a proved claim. why:
    what kept it unknown.
    """

    status: Status
    low: float
    high: float
    row: Floats | None = None
    moved: Floats | None = None
    nodes: int = 0
    seconds: float = 0.0
    certificate: Certificate | None = None
    why: str = ""


@dataclass(frozen=True)
class Below:
    """The margins, times weights, stay below a goal. Names the quantity: weights · margin."""

    goal: float
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Within:
    """P1: a margin stays from low to high; infinite ends are sought. `Verdict.low`, `.high`: proved bounds of it."""

    low: float
    high: float
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Monotone:
    """P2: the margin never falls when this input rises (never rises, if not rising), all others as they are.

    Missing has no place in the order. tolerance: a fall below it is none.
    """

    place: int
    rising: bool = True
    tolerance: float = 1e-9
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Robust:
    """P3: the decision on a row stays, whatever the inputs become within reach of it.

    row: (inputs,). reach: (inputs,) by how much each number may be off within the domain, 0 for none; what is missing
    and categories stay. cut: of one margin, the decision is whether it is at or above the cut; of several, which is the
    largest.
    """

    row: Floats
    reach: Sequence[float]
    cut: float = 0.0


@dataclass(frozen=True)
class Steady:
    """P4: the margin moves by less than a limit when this input alone changes, from any of its values to any other.

    P6 with only_missing: when it alone goes missing. `Verdict.high` bounds the largest move; an infinite limit asks
    for it alone.
    """

    place: int
    limit: float
    only_missing: bool = False
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Near:
    """P9: the margin of another program, of the same inputs, lies nearer than a limit. Bounds the largest gap."""

    other: Program
    limit: float
    weights: tuple[float, ...] = (1.0,)


Claim = Below | Within | Monotone | Robust | Steady | Near


def rivals(margin: Floats, cut: float) -> list[tuple[tuple[float, ...], float]]:
    """The sums of margins that turn a decision where they reach their goals. margin: (outputs,) of the row.

    Of several classes the first of the largest is decided, so a later one must be above it, and an earlier one equal.
    """
    if len(margin) == 1:
        return [((-1.0,), math.nextafter(-cut, math.inf))] if margin[0] >= cut else [((1.0,), cut)]
    own, count = int(margin.argmax()), len(margin)
    return [(tuple(float(n == other) - float(n == own) for n in range(count)),
             0.0 if other < own else math.nextafter(0.0, 1.0)) for other in range(count) if other != own]
