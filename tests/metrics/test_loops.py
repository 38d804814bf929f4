"""The gain of a loop, effective rows, and inverse weights, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from shipworthy.errors import Misuse
from shipworthy.metrics.loops import effective_rows, inverse_weights, loop_gain, noise_products, simulated


def test_the_gain_is_the_slope_of_what_came_later_on_the_noise() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.1, 5_000)
    later = 0.3 * noise + random.normal(0, 0.2, 5_000)
    gain, variance, rows = loop_gain(noise_products(noise, later).sum(axis=0))
    assert rows == 5_000
    assert gain == pytest.approx((noise @ later) / (noise @ noise), abs=1e-5)
    assert variance == pytest.approx(np.var(noise * later) / np.mean(noise**2) ** 2, rel=0.02)


def test_rows_without_noise_say_nothing() -> None:
    found = noise_products(np.array([0.0, 0.1]), np.array([1.0, 0.1])).sum(axis=0)
    assert loop_gain(found)[0] == pytest.approx(1.0)
    assert found[0] == 1
    assert np.isnan(loop_gain(np.zeros(4, np.int64))[0])


def test_products_add_up_to_the_same_integers_in_any_order_and_cut() -> None:
    random = np.random.default_rng(1)
    noise, later = random.normal(0, 0.05, 999), random.uniform(-1, 1, 999)
    whole = noise_products(noise, later).sum(axis=0)
    order = random.permutation(999)
    parts = [noise_products(noise[some], later[some]).sum(axis=0) for some in np.array_split(order, 8)]
    assert (np.sum(parts, axis=0) == whole).all()


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.5])
def test_the_simulator_has_the_gain_that_it_was_given(gain: float) -> None:
    random = np.random.default_rng(2)
    score = random.uniform(0, 1, 400_000)
    noise, came = simulated(score, random, gain=gain, scale=0.1)
    found, variance, rows = loop_gain(noise_products(noise, came - score).sum(axis=0))
    assert found == pytest.approx(gain, abs=4 * np.sqrt(variance / rows))
    assert (noise[(score < 0.3) | (score > 0.7)] == 0).all()


def test_effective_rows_by_hand() -> None:
    assert effective_rows(np.ones(7)) == pytest.approx(7)
    assert effective_rows(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_rows(np.zeros(3)) == 0


def test_inverse_weights_are_cut_and_refuse_what_could_not_be_seen() -> None:
    assert inverse_weights(np.array([1.0, 0.5, 0.001])).tolist() == [1.0, 2.0, 20.0]
    for wrong in (0.0, -1.0, float("nan"), 1.5):
        with pytest.raises(Misuse, match="above 0 and at most 1"):
            inverse_weights(np.array([wrong]))
