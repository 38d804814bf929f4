"""The accountant: what noisy sums of randomly drawn rows add up to, by Rényi differential privacy.

Source: Mironov, Talwar and Zhang (2019), "Rényi Differential Privacy of the Sampled Gaussian Mechanism", section 3.3;
Canonne, Kamath and Steinke (2020), proposition 12, for the way from there to (epsilon, delta).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import gammaln, logsumexp

from shipworthy.core.private import Part, Step, of_part
from shipworthy.core.table import Floats
from shipworthy.errors import BadProject

ORDERS = np.array([*range(2, 65), *range(68, 257, 4), *range(272, 1025, 16)])
LEAST, MOST, BISECTIONS = 0.3, 20_000.0, 40
PARTS: tuple[Part, ...] = ("learn", "tune")


def epsilon_of(steps: Sequence[Step], delta: float) -> float:
    """The epsilon of these steps at this delta: the larger of what they spend on the learn and on the tune rows.

    No row is in both parts, so what one spends is nothing to the rows of the other (parallel composition).
    """
    return max(_epsilon(of_part(steps, part), delta) for part in PARTS)


def sigma_for(steps: Callable[[float], Sequence[Step]], epsilon: float, delta: float) -> float:
    """The least noise with which the steps keep to epsilon, by 40 bisections of its logarithm.

    steps: sigma → the steps taken with it. Raises BadProject where even the most noise spends more.
    """
    low, high = LEAST, MOST
    if epsilon_of(steps(high), delta) > epsilon:
        raise BadProject(f"no noise keeps this to epsilon {epsilon:g} at delta {delta:g}", where="[privacy]",
                         hint="allow a larger epsilon or fewer releases")
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if epsilon_of(steps(middle), delta) <= epsilon else (middle, high)
    return high


def _epsilon(steps: Sequence[Step], delta: float) -> float:
    if not steps:
        return 0.0
    if any(step.sigma <= 0 for step in steps):
        return float("inf")
    total = np.sum([step.times * renyi(step.sigma, step.share) for step in steps], axis=0)
    found = total + np.log1p(-1 / ORDERS) - (np.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return float(max(0.0, found.min()))


def renyi(sigma: float, share: float) -> Floats:
    """The Rényi divergence at every order of `ORDERS` of one noisy sum over rows drawn with this probability."""
    orders = ORDERS.astype(np.float64)
    if share >= 1:
        return np.asarray(orders / (2 * sigma**2), np.float64)
    found = np.empty(len(ORDERS))
    for place, order in enumerate(ORDERS):
        k = np.arange(order + 1)
        ways = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        drawn = k * np.log(share) + (order - k) * np.log1p(-share)
        found[place] = logsumexp(ways + drawn + k * (k - 1) / (2 * sigma**2)) / (order - 1)
    return found
