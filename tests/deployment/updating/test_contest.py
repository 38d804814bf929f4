from __future__ import annotations

import numpy as np

from shipworthy.deployment.updating.contest import batches, contest

RANDOM = np.random.default_rng(0)
BASE = RANDOM.random(1_000)
POOR = np.full(999, 5.0)


def better(by: float, *, seed: int = 1) -> np.ndarray:
    return BASE - by + np.random.default_rng(seed).normal(0, 0.1, len(BASE))


def test_the_cheapest_candidate_with_a_proved_gain_wins() -> None:
    found = contest(BASE, {"recalibrate": better(0.1), "window": better(0.1, seed=2)}, POOR)
    assert found.winner == "recalibrate"
    assert found.finding.verdict == "pass"
    assert found.finding.sentence.startswith("recalibrate is taken (1,000 newest labelled rows): recalibrate beats "
                                             "no update: ")


def test_a_dearer_candidate_that_proves_a_further_gain_wins() -> None:
    found = contest(BASE, {"recalibrate": better(0.1), "window": better(0.3)}, POOR)
    assert found.winner == "window"
    assert [one.against for one in found.rivals] == ["no update", "recalibrate"]


def test_no_update_stays_where_no_gain_is_proved() -> None:
    found = contest(BASE, {"recalibrate": better(0.0)}, POOR)
    assert found.winner == ""
    assert found.finding.verdict == "unknown"
    assert found.finding.sentence.startswith("No candidate is shown to be better than no update (1,000 newest")


def test_a_winner_must_beat_as_last_time_too() -> None:
    found = contest(BASE, {"recalibrate": better(0.1)}, np.zeros(999))
    assert found.winner == ""
    assert found.naive
    assert found.finding.verdict == "fail"
    assert found.finding.sentence.startswith('"As last time" beats the champion and every candidate (1,000 newest')


def test_few_rows_say_nothing() -> None:
    found = contest(BASE[:99], {"recalibrate": BASE[:99] - 1}, POOR[:98])
    assert (found.finding.verdict, found.winner) == ("unknown", "")
    assert found.finding.sentence == "99 newest labelled rows are too few to compare models; 100 are needed."


def test_the_level_is_shared_by_all_candidates() -> None:
    one, many = (contest(BASE, {"recalibrate": better(0.01)}, POOR, of=of).rivals[0] for of in (1, 20))
    assert many.high - many.low > 1.2 * (one.high - one.low)


def test_chance_wins_no_more_often_than_alpha() -> None:
    won = 0
    for seed in range(200):
        random = np.random.default_rng([3, seed])
        base = random.random(600)
        noise = {str(k): base + np.repeat(random.normal(0, 0.2, 60), 10) for k in range(5)}
        won += contest(base, noise, np.full(599, 5.0)).winner != ""
    assert won <= 10


def test_batches_are_consecutive_and_as_many_as_rows_allow() -> None:
    assert batches(100).max() + 1 == 5
    assert batches(100_000).max() + 1 == 50
    assert (np.diff(batches(777)) >= 0).all()
