from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.clock import DAY, HOUR
from shipworthy.core.grid import Reference, count
from shipworthy.core.project import parse
from shipworthy.core.table import Floats, Table
from shipworthy.deployment.monitoring.columns import judge_stream
from shipworthy.deployment.monitoring.seasons import FEWEST_PAST, MOST_PAST, season, usual, with_seasons
from shipworthy.errors import BadProject
from shipworthy.sabotage.world import PROJECT

from .test_columns import reference_of, table


def micros(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1e6)  # type: ignore[arg-type]


def test_the_hour_of_the_week_is_that_of_the_zone_in_summer_and_winter() -> None:
    assert season(micros(2024, 1, 8, 8), "hour", "Europe/Berlin") == "hour/0/9"
    assert season(micros(2024, 7, 8, 7), "hour", "Europe/Berlin") == "hour/0/9"
    assert season(micros(2024, 7, 8), "day", "America/New_York") == "day/0"
    assert season(micros(2024, 7, 8), "week", "UTC") == "week"


def test_fifty_past_windows_say_what_is_usual_and_no_more_than_sixty_are_kept() -> None:
    past: dict[str, bytes] = {}
    for number in range(70):
        found, past = usual(np.array([[0.3, 0.0]]), ["day/6"], past, {})
        assert found[0].tolist() == ([0.3, 0.0] if number >= FEWEST_PAST else [0.0, 0.0])
    assert len(past["day/6"]) == MOST_PAST * 2


def test_windows_at_once_and_one_by_one_leave_the_same_past() -> None:
    effects = np.random.default_rng(0).random((80, 3))
    seasons = [f"day/{k % 7}" for k in range(80)]
    at_once, one_by_one = usual(effects, seasons, {}, {})[1], dict[str, bytes]()
    for effect, name in zip(effects, seasons, strict=True):
        one_by_one = usual(effect[None], [name], one_by_one, {})[1]
    assert at_once == one_by_one


def test_the_weekend_that_training_had_is_not_drift_and_another_weekend_is() -> None:
    """Sundays are half a standard deviation away, as among the rows that were learnt from."""
    at = micros(2024, 1, 1) + np.arange(8_400) * (DAY // 100)
    sunday = (at // DAY + 3) % 7 == 6
    learnt = table(5, 8_400)
    learnt = learnt.with_column("normal", learnt.numbers("normal") + 0.5 * sunday)
    reference = reference_of(table(1, 3_000), table(2, 3_000))
    made = with_seasons(reference, timed(learnt, at), "UTC")
    assert made.facts.seasons["day/6"][0] == pytest.approx(0.5, abs=0.12)
    assert made.facts.seasons["day/2"][0] < 0.15
    known, _ = usual(np.zeros((1, 4)), ["day/6"], {}, made.facts.seasons)
    assert logs(made, 0.5, known)[0] < 0 < logs(made, 0.5, None)[0]
    assert logs(made, 1.2, known)[0] > 5


def timed(rows: Table, at: np.ndarray) -> Table:
    found = rows.with_column("at", pa.array(at, pa.timestamp("us", "UTC")))
    return found.with_schema(found.schema.replace("at", role="time"))


def logs(reference: Reference, shift: float, known: Floats | None) -> np.ndarray:
    counts = count(table(9, 1_000, shift=shift), reference.plan).columns
    tests = judge_stream(reference, dict(counts), usual=known)
    return tests.log_e(tests.p)[0]


def test_rows_without_times_know_no_season() -> None:
    reference = reference_of(table(1, 500), table(2, 500))
    assert with_seasons(reference, table(3, 500), "UTC").facts.seasons == {}


def test_an_hour_with_few_learnt_rows_is_not_known() -> None:
    at = micros(2024, 1, 1) + np.arange(4_000) * HOUR
    made = with_seasons(reference_of(table(1, 500), table(2, 500)), timed(table(3, 4_000), at), "UTC")
    assert {name.split("/")[0] for name in made.facts.seasons} == {"day"}


def test_a_zone_that_there_is_not_is_refused_with_a_hint() -> None:
    with pytest.raises(BadProject, match="there is no time zone") as caught:
        parse(PROJECT + '[watch]\nzone = "Europe/Berlen"\n')
    assert caught.value.hint == 'did you mean "Europe/Berlin"?'
