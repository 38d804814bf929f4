"""Loops from answers back to labels, as the checks tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.clock import DAY
from shipworthy.core.project import Feedback
from shipworthy.core.tallies import add
from shipworthy.deployment.monitoring import counting
from shipworthy.deployment.monitoring.feedback import feedback
from shipworthy.deployment.monitoring.loops import apart, gain_interval, holdback, loop_gain
from shipworthy.sabotage.feedback import held_back, many, noisy, parted

Case = Mapping[str, Any]


def declared(case: Case, **rules: Any) -> Any:
    return msgspec.structs.replace(case["project"], feedback=Feedback(**rules))


@pytest.fixture(scope="module")
def looped(case: Case) -> Case:
    return noisy(case, 0, gain=0.5)


def test_a_loop_is_told_with_its_gain_and_what_to_do(looped: Case) -> None:
    found = loop_gain(looped["project"], looped["tallies"])
    gain, low, high, n = gain_interval(looped["tallies"].labels.whole.total("gain"))
    assert low < 0.5 < high
    assert (found.verdict, found.value, found.n) == ("fail", gain, n)
    assert found.sentence == (
        f"{gain:+.0%} of a change of the score comes back in the label ({low:+.0%} to {high:+.0%} at every look, {n:,} "
        "labelled rows with noise; at most 20% is allowed): a loop is shown.")
    assert found.remedy.startswith("train on a holdback")


def test_a_small_loop_is_within_the_limit(looped: Case) -> None:
    assert loop_gain(looped["project"], looped["tallies"], limit=0.9).verdict == "pass"


def test_too_few_rows_with_noise_are_unknown(case: Case, serve: Callable[..., Any]) -> None:
    log, labels = serve(count=60)
    log = log.with_column("noise", pa.array(np.full(60, 0.01)))
    found = loop_gain(case["project"], tally(case, log, labels))
    assert (found.verdict, found.n) == ("unknown", 60)


def test_without_noise_the_gain_is_not_measured_unless_noise_was_asked_for(
    case: Case, serve: Callable[..., Any]
) -> None:
    seen = tally(case, *serve(count=200))
    assert loop_gain(case["project"], seen).verdict == "not-applicable"
    assert loop_gain(declared(case, randomise=0.01, regulated=False), seen).verdict == "unknown"


def tally(case: Case, log: Any, labels: Any) -> Any:
    return counting.tally(counting.counting(case["grid"], width=DAY), log, labels)


def test_the_sums_of_parts_are_those_of_the_whole(looped: Case, case: Case) -> None:
    log, labels = looped["log"], looped["labels"]
    cut = [np.arange(k, log.rows, 3) for k in range(3)]
    parts = [tally(case, log.take(rows), labels) for rows in cut]
    whole = tally(case, log, labels).labels.whole.total("gain")
    assert (add(add(parts[2], parts[0]), parts[1]).labels.whole.total("gain") == whole).all()


@pytest.fixture(scope="module")
def alarmed(case: Case) -> Case:
    return held_back(case, 0, gain=0.5)


def test_what_a_holdback_lacks_is_told_share_by_share(alarmed: Case) -> None:
    found = holdback(alarmed["project"], alarmed["grid"], alarmed["tallies"], alarmed["beside"])
    assert found.verdict == "fail"
    assert found.sentence.startswith(f"Of {found.n:,} rows held back and {96_000 - (found.n or 0):,} others: 100.0% "
                                     "and 100.0% have a label (")
    assert 'have the label "yes" (-' in found.sentence
    assert found.sentence.endswith("at most 5% apart is allowed; no column differs.")
    assert found.value is not None
    assert found.value < -0.05


def test_a_column_that_differs_in_the_holdback_is_named(case: Case) -> None:
    found = many(case, 0)
    log = found["log"]
    held = np.random.default_rng(0).random(log.rows) < 0.05
    log = log.with_column("arm", pa.array(np.where(held, "holdback", "champion").tolist()))
    log = log.with_column("num1", log.numbers("num1") + 0.5 * held)
    moved = parted(found, log, found["labels"])
    told = holdback(case["project"], case["grid"], moved["tallies"], moved["beside"])
    assert told.verdict == "fail"
    assert told.sentence.endswith("these columns differ: num1.")


def test_nothing_held_back_is_not_judged_and_few_labels_are_unknown(case: Case, serve: Callable[..., Any]) -> None:
    log, labels = serve(count=300)
    rest, held = apart(tally(case, log, labels))
    assert holdback(case["project"], case["grid"], rest, held).verdict == "not-applicable"
    assert holdback(declared(case, holdback=0.01), case["grid"], rest, held).verdict == "unknown"


def test_what_was_held_back_is_counted_apart(alarmed: Case, case: Case) -> None:
    rest, held = apart(tally(case, alarmed["log"], alarmed["labels"]))
    assert (held.rows.cells == alarmed["beside"].rows.cells).all()
    assert (rest.labels.cells == alarmed["tallies"].labels.cells).all()


def test_an_answer_that_decides_nothing_has_no_loop(looped: Case) -> None:
    about = msgspec.structs.replace(looped["project"].project, decides=False)
    idle = msgspec.structs.replace(looped["project"], project=about)
    assert loop_gain(idle, looped["tallies"]).verdict == "not-applicable"
    assert holdback(idle, looped["grid"], looped["tallies"], looped["tallies"]).verdict == "not-applicable"


def test_the_influence_is_told_with_what_its_propensities_are_worth(case: Case, serve: Callable[..., Any]) -> None:
    log, labels = serve(count=1_000)
    drawn = np.arange(1_000) % 50 == 0
    log = log.with_column("propensity", pa.array(np.where(drawn, 0.02, 0.98)))
    log = log.with_column("influenced", pa.array(~drawn & (np.arange(1_000) % 5 == 0)))
    found = feedback(case["project"], tally(case, log, labels))
    weights = np.where(drawn, 50, 1 / 0.98)
    worth = weights.sum() ** 2 / (weights**2).sum() / 1_000
    assert found.verdict == "pass"
    assert f"; by 1 / propensity they are worth {worth:.0%} of the rows." in found.sentence
