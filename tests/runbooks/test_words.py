"""What a person on call reads: what is wrong, what is decided, and why; the figures too, and nothing only as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from shipworthy import flow, runbooks
from shipworthy.cli.watch import lines
from shipworthy.core.evidence import Finding
from shipworthy.deployment.alerts.decided import decided
from shipworthy.deployment.alerts.message import events, told
from shipworthy.deployment.monitoring.incident import Alarm, action, joined_by, opened
from shipworthy.deployment.monitoring.own import Figure
from shipworthy.deployment.monitoring.watch import State, Watched, Window
from shipworthy.store.workspace import Workspace

from ..cli.conftest import _call as call
from .test_command import predictions

Make = Callable[..., Workspace]
DRIFT = Alarm("drift", "day", 1_700_000_000_000_000, 1e6, ("value", "mileage"))
METER = Alarm("meter expensive", "day", 1_700_086_400_000_000, 1e6)
FAILED = Finding("column-drift", "deployment.monitoring", "fail", "The input has drifted.")
PANELS = '''
from shipworthy.marks import panel


@panel("torn", title="Torn")
def torn(tallies):
    """A picture that fails."""
    return {}["nothing"]


@panel("whole", title="Whole")
def whole(tallies):
    """A picture that does not."""
    return {"kind": "bars", "name": ["a"], "value": [1.0]}
'''


def window(m: float, done: str = "nothing") -> Window:
    return Window("day", 0, 1, 100, {"drift": 1.0}, {"drift": m}, 100.0, done=done)


def test_a_figure_beyond_its_limit_joins_the_sentence_the_steps_and_the_sinks_of_an_open_incident() -> None:
    known = opened((DRIFT,), "unknown", "r" * 64, "unknown, too few labels")
    later = joined_by(known, (METER,), "unknown", "unknown, too few labels")
    assert 'also: The figure "expensive" is beyond its limit' in told(later)
    assert f"→ meter expensive: {action('meter expensive')}" in told(later)
    assert "meter expensive/day" in later.evidence
    (message,) = events(known, (), later, "cars")
    assert (message.event, message.title) == ("joined", 'JOINED cars: The figure "expensive" is beyond its limit')
    assert events(later, (), joined_by(later, (METER,), "unknown", ""), "cars") == []


def test_drift_that_joins_an_open_incident_sends_nothing() -> None:
    known = opened((METER,), "unknown", "r" * 64, "unknown")
    outliers = Alarm("outliers", "day", METER.at, 1e6)
    both = joined_by(opened((DRIFT,), "unknown", "r", "unknown"), (outliers,), "unknown", "")
    assert events(msgspec.structs.replace(both, families=("drift",)), (), both, "cars") == []
    assert known.also == ()


def test_a_figure_with_a_limit_is_told_with_its_verdict() -> None:
    made = [Figure("dear", 0.5, 0.4, 0.6, 9, "dear is 0.5.", verdict) for verdict in ("fail", "pass", "unknown", "")]
    found = lines(Watched((), (), (), State(), 9, figures=tuple(made)))
    assert found[:4] == ["fail           figure dear is 0.5.", "pass           figure dear is 0.5.",
                         "unknown        figure dear is 0.5.", "figure         dear is 0.5."]
    assert "read what failed (dear)" in found[-1]


def test_labels_that_show_harm_are_not_asked_for_again() -> None:
    shown = opened((DRIFT,), "yes", "r", "the risk is 0.119 on 10,000 labels, at most 0.082 is allowed")
    assert "label a random sample" not in shown.action and "shipworthy renew" in shown.action
    guessed = opened((DRIFT,), "yes", "r", "estimated without labels, a drop of 0.1")
    assert guessed.action == action("drift")
    assert joined_by(guessed, (DRIFT,), "yes", "the risk is 0.119").action == shown.action
    assert joined_by(shown, (DRIFT,), "unknown", "unknown").action == shown.action


def test_harm_says_what_proves_it_and_names_the_columns_as_moved() -> None:
    harm = Alarm("harm", "day", DRIFT.at, 1e6)
    assert opened((harm, DRIFT), "yes", "r", "the labels prove it").sentence == (
        "The model does harm: the labels prove it; moved: value, mileage.")
    assert opened((harm,), "yes", "r", "the labels prove it").sentence == "The model does harm: the labels prove it."


def test_the_cost_is_that_of_the_last_labels() -> None:
    first = opened((DRIFT,), "yes", "r", "the risk is 0.1", (100.0, "EUR"))
    later = joined_by(first, (METER,), "yes", "the risk is 0.2", money=(250.0, "EUR"))
    assert "cost 250.00 EUR per 1,000 decisions, by the labels up to 2023-11-15" in told(later)[0]
    assert joined_by(later, (METER,), "yes", "").loss == 250.0


@pytest.mark.parametrize(("watched", "said"), [
    (Watched((FAILED,), (), (window(35.0),), State(), 9),
     "nobody is called: no alarm has reached its bar; the nearest, drift by day, is at 35% of it; "
     "read what failed (column-drift): only alarms call, once they are sure"),
    (Watched((), (), (window(135.0, "log"),), State(), 9),
     "nobody is called: drift raised an alarm, but harm was excluded, so it is only logged"),
    (Watched((), (), (window(135.0, "silenced"),), State(), 9),
     "nobody is called: drift raised an alarm, but it is silenced"),
    (Watched((), (), (), State(height={"joint/week": 0.5}), 9),
     "nobody is called: no alarm has reached its bar; the nearest, joint by week, is at 50% of it"),
    (Watched((), (), (), State(), 9), "nobody is called: there is no window to judge yet"),
    (Watched((), (), (), State(incident=opened((DRIFT,), "yes", "r", "")), 9, silenced=True),
     "nobody is called: all alarms of the open incident are silenced"),
])
def test_a_look_ends_with_what_was_decided_and_why(watched: Watched, said: str) -> None:
    assert decided(watched) == said
    assert lines(watched)[-1] == f"{said} (exit code 0)"


def test_labels_of_another_system_do_not_take_the_place_of_the_real_ones(
    place: Make, answer: Callable[..., None], tmp_path: Path
) -> None:
    here = place()
    answer(here, 40)
    labels = tmp_path / "labels.csv"
    labels.write_text("prediction_id,label,observed_at\nfar,yes,2026-01-01T00:00:00Z\n", "utf-8")
    refused = call("watch", "-p", here.folder, "--labels", labels)
    assert refused.code == 2 and "no label of 1 is of a prediction in the log" in refused.problem
    unknown = labels.read_text("utf-8").replace("yes", "maybe")
    labels.write_text(unknown, "utf-8")
    odd = call("watch", "-p", here.folder, "--labels", labels, "--log", predictions(here, tmp_path / "log"))
    assert odd.code == 2 and "'maybe' in row 1" in odd.problem


def test_a_panel_that_fails_stands_in_the_report_as_its_error(place: Make, tmp_path: Path) -> None:
    here, page = place(), tmp_path / "watch.html"
    (here.folder / "panels.py").write_text(PANELS, "utf-8")
    file = here.folder / "shipworthy.toml"
    file.write_text(file.read_text("utf-8").replace("[project]\n", '[project]\nplugins = ["panels.py"]\n'), "utf-8")
    made = call("watch", "-p", here.folder, "--log", predictions(here, tmp_path / "log"), "--report", page)
    assert made.code == 2 and "the panel \"torn\" fails: KeyError: 'nothing'" in made.problem
    text = page.read_text("utf-8")
    assert f"written: {page}" in made.err and "KeyError: &#39;nothing&#39;" in text
    assert "<h2>Torn</h2>" in text and text.index("<h2>Whole</h2>") < text.rindex("<svg")
    assert flow.champion(here) and runbooks.Report(text).errors == ()
