"""What an incident is about: columns, segments, likely causes; and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.clock import DAY, HOUR, micros
from shipworthy.core.grid import Cells
from shipworthy.deployment.alerts.causes import Change, ranked
from shipworthy.deployment.alerts.details import effect_between, how_far
from shipworthy.deployment.alerts.gauges import gauges
from shipworthy.deployment.alerts.message import told
from shipworthy.deployment.monitoring.incident import ACTIONS, REST, Incident, anchor, resting
from shipworthy.deployment.monitoring.watch import State, Watched, counted, watch
from shipworthy.sabotage.world import world

Case = Mapping[str, Any]


def looked(case: Case, log: Any, labels: Any, *segments: str, state: State | None = None) -> Watched:
    project = case["project"]
    project = msgspec.structs.replace(project, watch=msgspec.structs.replace(project.watch, segments=segments))
    seen = counted(case["model"], case["grid"], log, labels, project)
    return watch(case["grid"], seen, project, release="r" * 64, state=state)


# ── columns and segments ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_flood_of_missing_values_counts_as_movement_and_chance_does_not() -> None:
    cells = Cells("x", "number", edges=tuple(float(e) for e in range(-2, 20)))
    random, before = np.random.default_rng(0), np.zeros(cells.size, np.int64)
    before[3:19] = 400
    same = np.stack([random.multinomial(5_000, before / before.sum()) for _ in range(50)])
    assert how_far(cells, before, same).mean() < 0.03
    flooded = same.copy()
    flooded[:, -1] = 2_500
    assert (how_far(cells, before, flooded) > 0.5).all()
    assert how_far(cells, before, np.zeros((1, cells.size), np.int64)).tolist() == [0.0]


def test_the_distance_of_two_counts_is_cohen_s_w() -> None:
    before, now = np.array([50_000, 50_000]), np.array([60_000, 40_000])
    assert effect_between(before, now) == pytest.approx(0.2, abs=0.01)
    assert effect_between(before, before) == 0.0


def test_the_segment_in_which_the_model_errs_is_named(case: Case, serve: Callable[..., Any]) -> None:
    rows, random = world(901, rows=8_000), np.random.default_rng(0)
    words, where = rows.words("outcome"), rows.words("cat1") == "b"
    turned = where & (np.arange(8_000) > 4_000) & (random.random(8_000) < 0.9)
    words[turned] = np.where(words[turned] == "yes", "no", "yes")
    log, labels = serve(rows.with_column("outcome", pa.array(words)))
    incident = looked(case, log, labels, "cat1", "cat2").incident
    assert incident is not None and "harm" in incident.families
    assert incident.segments[0].startswith("cat1=b: risk 0.")
    assert not any(text.startswith("cat1=") for text in incident.segments[1:])


def test_the_column_that_moved_most_comes_first(case: Case, serve: Callable[..., Any]) -> None:
    rows = world(901, rows=6_000)
    late = np.arange(6_000) > 3_000
    rows = rows.with_column("num2", rows.numbers("num2") + np.where(late, 0.5, 0.0))
    rows = rows.with_column("num1", np.where(late, 1_000.0, 1.0) * rows.numbers("num1"))
    incident = looked(case, *serve(rows)).incident
    assert incident is not None and incident.columns[:2] == ("num1", "num2")
    assert list(incident.effects)[:2] == ["num1", "num2"]
    assert incident.effects["num1"] > incident.effects["num2"] > 0.1


# ── when it is over ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_incident_rests_only_far_below_its_bar_and_by_its_own_families(incident: Incident) -> None:
    assert resting(incident, {"harm/day": 0.9 * REST, "drift/day": 5.0})
    assert not resting(incident, {"harm/day": 0.9 * REST, "harm/week": 1.1 * REST})


def test_an_incident_ends_after_quiet_weeks_and_not_while_its_statistic_stays_up(
    case: Case, serve: Callable[..., Any]
) -> None:
    rows = world(901, rows=12_000)
    at = np.arange(12_000)
    broken = (at >= 3_000) & (at < 3_600)
    healed = looked(case, *serve(rows.with_column("num1", pa.array(rows.numbers("num1"), mask=broken))))
    assert healed.pages == 1 and healed.incident is None
    lasting = looked(case, *serve(rows.with_column("num1", pa.array(rows.numbers("num1"), mask=at >= 3_000))))
    assert lasting.pages == 1 and lasting.incident is not None
    assert lasting.incident.windows > 20


# ── causes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def at(incident: Incident) -> int:
    from datetime import datetime

    return micros(datetime.fromisoformat(incident.opened))


def test_what_was_changed_shortly_before_is_likelier_than_long_before_and_later_is_none(incident: Incident) -> None:
    quiet = msgspec.structs.replace(incident, effects={})
    before = [Change(at(quiet) - 10 * DAY, "old", ("model",)), Change(at(quiet) - 2 * HOUR, "new", ("model", "data")),
              Change(at(quiet) + HOUR, "after", ("model",)), Change(at(quiet) - 60 * DAY, "ancient", ("model",))]
    found = ranked(quiet, before)
    told = [cause.sentence for cause in found]
    assert found[0].axis == "world"  # the labels prove harm and no column moved
    assert told[1:] == ["2 hours before: new", "2 hours before: new", "10 days before: old"]
    assert sum(cause.weight for cause in found) == pytest.approx(1, abs=0.01)


PROMOTED = ("code", "model", "data")


@pytest.mark.parametrize("axis", ["code", "model", "data"])
def test_what_a_replay_measured_comes_first_and_other_hints_count_by_its_shares(incident: Incident, axis: str) -> None:
    change = [Change(at(incident) - HOUR, "promoted", PROMOTED)]
    found = ranked(incident, change, shares={one: (0.9, 0.8, 1.0) if one == axis else (0.05, -0.1, 0.2)
                                             for one in PROMOTED})
    assert found[0].axis == axis and found[0].sentence.endswith("of the mean loss: +0.9000 (+0.8000 to +1.0000)")
    assert sum("replayed" in cause.sentence for cause in found) == 1  # the others may be chance
    second = found[1]
    assert ("promoted" in second.sentence) == (axis != "data")  # a release does not change the rows that are served
    assert sum(cause.weight for cause in found) == pytest.approx(1, abs=0.01)


def test_code_and_model_that_cannot_be_parted_are_the_model_s(incident: Incident) -> None:
    change = [Change(at(incident) - HOUR, "promoted", PROMOTED)]
    found = ranked(incident, change, shares={"code and model": (0.4, 0.3, 0.5), "data": (0.0, -0.1, 0.1)})
    assert [cause.axis for cause in found] == ["model", "model"]
    assert "code and model together" in found[0].sentence


def test_a_share_that_helped_takes_nothing_from_the_others(incident: Incident) -> None:
    found = ranked(incident, [], shares={"code": (0.0, 0.0, 0.0), "model": (-0.2, -0.3, -0.1), "data": (0.6, 0.5, 0.7)})
    assert found[0].axis == "data" and "replayed" in found[0].sentence


def test_broken_input_is_its_own_first_cause(incident: Incident) -> None:
    broken = msgspec.structs.replace(incident, families=("broken", "drift"))
    assert ranked(broken, [])[0].sentence.startswith("the feed of age broke")


# ── as text ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_incident_in_lines_says_what_where_why_and_what_to_do(incident: Incident) -> None:
    lines = told(msgspec.structs.replace(incident, steps=("roll back",), segments=("sex=f: risk 0.4",)))
    assert lines[2:] == ["columns: age moved by 0.40 (Cohen's w)", "segment sex=f: risk 0.4",
                         "probably (100%, data): other rows arrive",
                         "→ roll back if a release came before it, then renew: shipworthy rollback; shipworthy renew",
                         "→ runbook: roll back",
                         "→ docs/guides/runbooks.md#harm"]


def test_every_family_has_a_page_in_the_guide_of_runbooks(shared_guide: str) -> None:
    headings = {line.removeprefix("## ").strip() for line in shared_guide.splitlines() if line.startswith("## ")}
    assert {anchor(family).partition("#")[2] for family in (*ACTIONS, "meter nights")} <= headings


def test_gauges_count_one_incident_under_one_name(incident: Incident) -> None:
    def open_(**facts: Any) -> list[str]:
        text = gauges("r" * 64, incident, {"harm/day": 2.5, 'meter "x"/day': 0.5}, at=1_000_000, **facts)
        return [line for line in text.splitlines() if line.startswith("shipworthy_incidents_open") and
                line.endswith(" 1")]

    assert open_() == ['shipworthy_incidents_open{release="rrrrrrrrrrrrrrrr",severity="high"} 1']
    assert open_(silenced=True) == ['shipworthy_incidents_open{release="rrrrrrrrrrrrrrrr",severity="silenced"} 1']
    text = gauges("r" * 64, None, {'meter "x"/day': 0.5}, at=0)
    assert 'family="meter \\"x\\""' in text
