"""The accountant and its re-computation agree with closed forms, with published figures and with each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from shipworthy.core.private import Step
from shipworthy.errors import BadProject
from shipworthy.learning.privacy.accountant import epsilon_of, sigma_for
from shipworthy.learning.privacy.convolution import epsilon_again
from shipworthy.learning.privacy.descent import Descent
from shipworthy.learning.privacy.noise import SystemNoise

DELTA = 1e-5
SAMPLED = [(20.489, 0.0896, 0.1000), (4.7477, 0.4534, 0.5000), (2.61984, 0.9089, 1.0000), (0.76695, 7.0357, 7.9944)]


def sampled(sigma: float, part: str = "learn") -> Step:
    return Step("a sum", part, sigma, 0.03, 400)  # type: ignore[arg-type]


def exact(sigma: float, times: int) -> float:
    """The epsilon of so many sums over all rows. Source: Balle and Wang (2018), theorem 8."""
    mu = np.sqrt(times) / sigma

    def excess(epsilon: float) -> float:
        return float(norm.cdf(mu / 2 - epsilon / mu) - np.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)) - DELTA

    return float(brentq(excess, 0, 100))


@pytest.mark.parametrize(("sigma", "by_losses", "by_renyi"), SAMPLED)
def test_both_agree_with_dp_accounting(sigma: float, by_losses: float, by_renyi: float) -> None:
    """Figures of dp-accounting 0.6.0: PLDAccountant and RdpAccountant; ours has whole orders only."""
    assert epsilon_of([sampled(sigma)], DELTA) == pytest.approx(by_renyi, rel=2e-3)
    assert epsilon_again([sampled(sigma)], DELTA) == pytest.approx(by_losses, rel=0.02)


@pytest.mark.parametrize(("sigma", "times"), [(3.7, 1), (30.0, 100), (70.0, 294), (5.0, 1), (1.5, 2)])
def test_sums_over_all_rows_are_bounded_closely_from_above(sigma: float, times: int) -> None:
    steps = [Step("a sum", "learn", sigma, 1.0, times)]
    truth = exact(sigma, times)
    assert truth - 1e-6 <= epsilon_again(steps, DELTA) <= truth * 1.02 + 1e-3
    assert truth <= epsilon_of(steps, DELTA) <= truth * 1.3


def test_unlike_steps_compose() -> None:
    steps = [Step("counts", "learn", 40.0, 1.0, 14), Step("residuals", "learn", 40.0, 1.0, 86)]
    assert epsilon_again(steps, DELTA) == pytest.approx(exact(40.0, 100), rel=0.02)
    assert epsilon_again([*steps, sampled(4.0)], DELTA) > epsilon_again(steps, DELTA)


def test_rows_of_other_parts_are_reckoned_by_themselves() -> None:
    both = [sampled(4.7477), sampled(2.61984, "tune")]
    assert epsilon_of(both, DELTA) == epsilon_of(both[1:], DELTA)
    assert epsilon_again(both, DELTA) == epsilon_again(both[1:], DELTA)


@pytest.mark.parametrize("reckon", [epsilon_of, epsilon_again])
def test_without_noise_nothing_is_bounded_and_without_steps_nothing_is_spent(reckon: object) -> None:
    assert reckon([sampled(0.0)], DELTA) == float("inf")  # type: ignore[operator]
    assert reckon([], DELTA) == 0.0  # type: ignore[operator]


def test_the_noise_found_is_the_least_that_keeps_to_the_budget() -> None:
    sigma = sigma_for(lambda each: Descent(400, 0.03, sigma=each).log, 1.0, DELTA)
    assert sigma == pytest.approx(2.62, abs=0.01)
    assert epsilon_of(Descent(400, 0.03, sigma=sigma).log, DELTA) <= 1.0
    assert epsilon_of(Descent(400, 0.03, sigma=0.99 * sigma).log, DELTA) > 1.0


def test_a_budget_that_no_noise_keeps_is_refused() -> None:
    with pytest.raises(BadProject, match="no noise keeps this to epsilon 1e-09"):
        sigma_for(lambda each: [Step("a sum", "learn", each, 1.0, 10**6)], 1e-9, DELTA)


def test_noise_of_the_system_is_uniform_normal_and_never_the_same() -> None:
    noise = SystemNoise()
    uniform, normal = noise.random((200, 100)), noise.normal(1.0, 2.0, 20_000)
    assert uniform.shape == (200, 100) and uniform.min() > 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.02 and abs(normal.mean() - 1) < 0.1 and abs(normal.std() - 2) < 0.1
    assert not np.array_equal(noise.random(4), noise.random(4))
