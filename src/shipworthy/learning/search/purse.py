"""What a run may spend, and what the next gain would cost: declared budgets and the marginal value of more search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shipworthy.core.learned import Gain
from shipworthy.core.project import Learning

WINDOW = 6
STEP = 0.001


@dataclass(frozen=True)
class Purse:
    """The declared budgets of a run. spent: () → CPU seconds so far, and the upper end of kWh."""

    rules: Learning
    spent: Callable[[], tuple[float, float]]

    def empty(self, *, next_cpu_seconds: float = 0.0) -> str:
        """Which declared budget the next CPU seconds would exceed, in words; empty if none."""
        rules = self.rules
        cpu, kwh = self.spent()
        kwh *= 1 + next_cpu_seconds / max(cpu, 1e-9)
        cpu += next_cpu_seconds
        for used, most, name in ((cpu, rules.max_cpu_seconds, "CPU seconds"), (kwh, rules.max_kwh, "kWh"),
                                 (kwh * rules.grams_per_kwh[1], rules.max_grams, "g CO2e")):
            if most and used >= most:
                return f"the budget of {most:g} {name} was used"
        return ""


def poor(rules: Learning, gains: Sequence[Gain]) -> str:
    """Why more search does not pay, in words; empty while it gains as much for a kWh as is declared."""
    least, gain = rules.least_gain_per_kwh, marginal(gains)
    if not least or gain is None or not gain.kwh or gain.metric >= least * gain.kwh:
        return ""
    return f"the last {WINDOW} trials gained {gain.metric / gain.kwh:.3g} for a kWh, under the {least:g} declared"


def unpaid(rules: Learning, gains: Sequence[Gain]) -> int:
    """How many trials a search made after it no longer paid."""
    made = [one for one in gains if one.metric is not None]
    first = next((n for n in range(1, len(made) + 1) if poor(rules, made[:n])), len(made))
    return len(made) - first


@dataclass(frozen=True)
class Marginal:
    """What the last trials gained, and what they took; kwh at the upper end."""

    metric: float
    cpu_seconds: float
    kwh: float
    trials: int

    @property
    def price(self) -> float | None:
        """CPU seconds of the next gain of 0.001 at the price of the last trials; None if they gained nothing."""
        return STEP / self.metric * self.cpu_seconds if self.metric > 0 else None


def marginal(gains: Sequence[Gain], *, window: int = WINDOW) -> Marginal | None:
    """The gain of the last trials of a search; None where fewer were made, or their metric is not known."""
    made = [one for one in gains if one.metric is not None]
    if len(made) <= window or made[-1].metric is None:
        return None
    before, last = made[-1 - window], made[-1]
    assert before.metric is not None
    assert last.metric is not None
    return Marginal(max(0.0, last.metric - before.metric), last.cpu_seconds - before.cpu_seconds,
                    last.kwh - before.kwh, window)
