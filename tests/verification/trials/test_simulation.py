"""Streams of trouble, what becomes of them, whether they are believable, and the loop of retraining."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.project import Simulation, Value
from shipworthy.core.table import Table
from shipworthy.verification.trials.fidelity import fidelity, simulator_fidelity
from shipworthy.verification.trials.loop import _observed, closed_loop
from shipworthy.verification.trials.replay import CRASHED, HARMED, PAGED, REFUSED, WORTH, Usual, gain, lived
from shipworthy.verification.trials.simulation import SCENARIOS, World, in_time, stream
from shipworthy.verification.trials.survival import scenarios

VALUE = Value(currency="EUR", true_positive=10.0, false_positive=-4.0)
SUBJECTS = ("project", "model", "parts", "contract", "steps")


def world(case: dict[str, Any], **changes: Any) -> World:
    rows = stream(case["parts"].holdout, rows=1_200, batch=400, random=np.random.default_rng(0))
    return World(case["model"], rows, 400, **{"value": VALUE, "delay": 500, **changes})


def fate(case: dict[str, Any], one: World, **steps: Any) -> str:
    usual = Usual(one.model.truth(case["parts"].learn), 0.1)
    return lived(one, case["contract"], case["grid"], replace(case["steps"], **steps), usual)


def deaf(case: dict[str, Any], one: World) -> str:
    """What becomes of a stream that no alarm watches."""
    return fate(case, one, validate=lambda contract, batch: (), alarm=lambda *given, **more: None)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_the_same_for_a_seed_and_changes_the_stream(name: str, clean: dict[str, Any]) -> None:
    calm = world(clean)
    one, other = (SCENARIOS[name](calm, np.random.default_rng(4)) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.rows.digest == other.rows.digest
    assert (one.rows.digest, one.value, one.delay, one.accepted) != (
        calm.rows.digest, calm.value, calm.delay, calm.accepted)
    assert one.rows.rows == calm.rows.rows


def test_no_batch_of_a_stream_holds_a_row_twice(clean: dict[str, Any]) -> None:
    for batch in world(clean).batches():
        assert len(set(batch.words("entity"))) == batch.rows == 400


def test_a_stream_runs_in_time() -> None:
    table = Table.of({"at": [3, 1, 2], "x": [30, 10, 20]})
    table = table.with_schema(table.schema.replace("at", role="time"))
    assert in_time(table).numbers("x").tolist() == [10, 20, 30]


def test_costs_rise_and_gains_do_not(clean: dict[str, Any]) -> None:
    dearer = SCENARIOS["cost shock"](world(clean), np.random.default_rng(0))
    assert dearer is not None
    assert dearer.value is not None
    assert dearer.value.true_positive == 10.0
    assert dearer.value.false_positive in (-6.0, -8.0)


def test_without_a_value_table_costs_and_capacity_do_not_apply(clean: dict[str, Any]) -> None:
    for name in ("cost shock", "half the capacity"):
        assert SCENARIOS[name](world(clean, value=None), np.random.default_rng(0)) is None


def test_turned_labels_are_harm_in_silence_until_an_alarm_is_heard(clean: dict[str, Any]) -> None:
    calm = world(clean)
    assert deaf(clean, calm) == WORTH
    model = calm.model
    turned = [model.classes[1 - code] for code in model.truth(calm.rows)]
    harmed = replace(calm, rows=calm.rows.with_column("outcome", turned), value=Value(
        currency="EUR", true_positive=1.0, false_positive=-4.0))
    assert deaf(clean, harmed) == HARMED
    assert fate(clean, harmed, validate=lambda contract, batch: ("no",)) == REFUSED
    assert fate(clean, harmed, validate=lambda contract, batch: ()) == PAGED


def test_labels_that_come_after_the_stream_raise_no_alarm(clean: dict[str, Any]) -> None:
    calm = world(clean)
    turned = calm.rows.with_column("outcome", [calm.model.classes[1 - code] for code in calm.model.truth(calm.rows)])
    ask = clean["steps"].alarm
    soon = ask(calm.model, clean["grid"], turned, delay=0)
    assert soon is not None
    assert ask(calm.model, clean["grid"], turned, delay=100) == soon + 100
    assert ask(calm.model, clean["grid"], turned, delay=5_000) is None


def test_a_model_that_breaks_has_crashed(clean: dict[str, Any]) -> None:
    class Breaks(type(clean["model"])):  # type: ignore[misc]
        def predict(self, table: Table) -> Any:
            raise ZeroDivisionError

    model = Breaks(clean["model"].sheet, clean["model"].program)
    assert fate(clean, world({**clean, "model": model})) == CRASHED


def test_the_gain_of_a_decision_is_what_it_earns_beyond_doing_nothing(clean: dict[str, Any]) -> None:
    model = clean["model"].with_sheet(threshold=0.5)
    truth, score = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.1, 0.1])
    assert gain(VALUE, model, truth, truth, score) == pytest.approx((10 - 4) / 4)
    assert gain(None, model, truth, truth, np.array([0.9, 0.1, 0.9, 0.1])) > 0


def test_every_scenario_is_tried_as_often_as_asked_and_200_times_in_all(clean: dict[str, Any]) -> None:
    finding = scenarios(*(clean[name] for name in SUBJECTS), runs=20)
    assert finding.verdict == "pass", finding.sentence
    assert finding.n == 220
    assert finding.chart["name"] == list(SCENARIOS)
    bare = {**clean, "project": msgspec.structs.replace(clean["project"], value=None)}
    assert scenarios(*(bare[name] for name in SUBJECTS), runs=1).n == 9 * 23


def test_alarms_that_ring_without_trouble_say_nothing(clean: dict[str, Any]) -> None:
    loud = {**clean, "steps": replace(clean["steps"], validate=lambda contract, batch: ("no",))}
    finding = scenarios(*(loud[name] for name in SUBJECTS))
    assert finding.verdict == "unknown"
    assert finding.sentence == "20 of 20 streams without trouble raise an alarm, so that alarms say nothing."


def test_rows_unlike_real_ones_leave_every_scenario_unknown(clean: dict[str, Any]) -> None:
    parts = clean["parts"]
    learn = parts.learn.with_column("num1", parts.learn.numbers("num1") + 3.0)
    moved = {**clean, "parts": replace(parts, learn=learn)}
    finding = scenarios(*(moved[name] for name in SUBJECTS))
    assert finding.verdict == "unknown"
    assert finding.sentence.startswith("Simulated rows are told from real ones with AUC up to ")
    assert simulator_fidelity(clean["model"], moved["parts"], clean["steps"]).verdict == "fail"


def test_halves_of_the_same_rows_cannot_be_told_apart(clean: dict[str, Any]) -> None:
    told = fidelity(clean["model"], clean["parts"], clean["steps"])
    assert told.low < 0.5 < told.high < 0.6
    assert told.rows == 2 * 1_050


def test_too_few_rows_are_unknown(make_case: Any) -> None:
    case = make_case(0, rows=900)
    finding = simulator_fidelity(case["model"], case["parts"], case["steps"])
    assert finding.verdict == "unknown"
    assert finding.sentence == "315 real rows are fewer than 1,000."


def test_labels_come_back_as_the_project_declares(clean: dict[str, Any]) -> None:
    model, batch = clean["model"], clean["parts"].holdout
    accepted = int((model.score(batch) >= model.sheet.threshold).sum())
    assert _observed(model, batch, "all").digest == batch.digest
    assert _observed(model, batch, "accepted").rows == accepted
    as_decided = _observed(model, batch, "as-decided")
    assert as_decided.rows == batch.rows
    assert (as_decided.words("outcome") == "yes").sum() < (batch.words("outcome") == "yes").sum()


def test_a_loop_that_believes_its_own_refusals_loses_value(clean: dict[str, Any]) -> None:
    given = {name: clean[name] for name in ("project", "model", "parts", "steps")}
    given["model"] = given["model"].with_sheet(threshold=0.6)
    assert closed_loop(*given.values(), seeds=3).verdict != "fail"
    given["project"] = msgspec.structs.replace(given["project"], simulation=Simulation(labels="as-decided"))
    finding = closed_loop(*given.values(), seeds=3)
    assert finding.verdict == "fail"
    assert finding.high < 0


def test_a_loop_without_decisions_does_not_apply(clean: dict[str, Any]) -> None:
    about = msgspec.structs.replace(clean["project"].project, decides=False)
    project = msgspec.structs.replace(clean["project"], project=about)
    finding = closed_loop(project, clean["model"], clean["parts"], clean["steps"])
    assert finding.verdict == "not-applicable"
    assert finding.sentence == "The project declares that the answer decides nothing, so labels do not depend on it."
