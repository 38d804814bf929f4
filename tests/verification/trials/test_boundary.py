"""Hostile and generated requests to a real server, and what is said of each way to fail them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipworthy.core.found import Contract, Rule
from shipworthy.core.judge import run
from shipworthy.errors import StoreError
from shipworthy.testing import faults, records
from shipworthy.verification.trials.boundary import Hostile, boundary, generated_requests, hostile, judged, typical
from shipworthy.verification.trials.endpoint import flagged
from shipworthy.verification.trials.space import illegal, legal, space

PLAIN = {"prediction": "yes", "probabilities": {"no": 0.4, "yes": 0.6}, "abstain": False}


class Says:
    """A server that always says the same."""

    def __init__(self, status: int, body: Any) -> None:
        self.told = status, json.dumps(body).encode()

    def post(self, path: str, body: bytes, kind: str = "") -> tuple[int, bytes]:
        if not self.told[0]:
            raise StoreError("the server went away")
        return self.told


def error(**told: str) -> dict[str, Any]:
    return {"error": {"field": "", "problem": "", "hint": "", **told}}


@pytest.mark.parametrize(("status", "body", "said"), [
    (422, error(problem="it is wrong", hint="mend it"), "the error does not name the field (it is wrong)"),
    (422, error(field="num1", problem="it is lost"), "the error does not say what to do (it is lost)"),
    (422, error(field="num1", problem="it is lost", hint="send it"), ""),
    (422, error(field="body", problem='field "num1" is lost', hint="send it"), ""),
    (422, error(field="num10", problem="num10 is lost", hint="send it"),
     "the error does not name the field (num10 is lost)"),
    (500, error(problem="KeyError"), "the server failed with 500"),
    (0, None, "the server went away"),
    (200, PLAIN, "accepted in silence"),
    (200, {**PLAIN, "missing": ["num1"]}, ""),
    (200, {**PLAIN, "probabilities": {"no": None, "yes": None}}, "a prediction that is not finite"),
])
def test_each_way_to_fail_a_hostile_record_is_told_apart(status: int, body: Any, said: str) -> None:
    assert judged(Says(status, body), Hostile("a lost column", {"num2": 1.0}, "num1")) == said


def test_a_good_record_must_not_be_refused() -> None:
    told = judged(Says(422, error(field="num1", problem="no", hint="mend it")), Hostile("reordered", {}, "", "good"))
    assert told == "refused although it is good (no)"


def test_a_note_beside_the_prediction_is_a_flag() -> None:
    assert not flagged(PLAIN)
    assert flagged({**PLAIN, "unseen": ["cat1"]})
    assert flagged({**PLAIN, "abstain": True})


def test_every_column_is_struck_by_every_change_of_its_kind(clean: dict[str, Any]) -> None:
    model = clean["model"]
    base = typical(model, clean["parts"].holdout)
    assert base is not None
    names = {(one.name, one.field) for one in hostile(model, base)}
    assert {("minus infinity", f"num{n}") for n in range(1, 5)} <= names
    assert {("control characters", "cat1"), ("control characters", "cat2"), ("a time without a zone", "when")} & names
    assert {("a lost column", column) for column in base} <= names


def test_a_number_far_out_is_answered_with_a_flag_only_if_the_contract_has_a_range(clean: dict[str, Any]) -> None:
    finding = boundary(clean["model"], clean["parts"], clean["contract"], clean["steps"])
    assert finding.verdict == "pass", finding.sentence
    blind = Contract(tuple(rule for rule in clean["contract"].rules if rule.kind != "range"))
    finding = boundary(clean["model"], clean["parts"], blind, clean["steps"])
    assert finding.verdict == "fail"
    assert "the largest 64-bit integer in num1: accepted in silence" in finding.sentence


def test_generated_requests_are_the_same_for_a_seed(clean: dict[str, Any]) -> None:
    fields = space(clean["model"], clean["contract"])
    one, other = (legal(fields, np.random.default_rng(3)) for _ in range(2))
    assert one == other
    assert set(one) == set(clean["model"].features.columns)
    kinds = [request.fault for request in illegal(fields, np.random.default_rng(0))]
    assert kinds[0] == "a lost field"
    assert "a field that nobody declared" in kinds


def test_the_range_of_a_number_is_that_of_the_contract(clean: dict[str, Any]) -> None:
    promised = Contract((Rule("range", "num1", low=2.0, high=3.0),))
    field = next(one for one in space(clean["model"], promised) if one.name == "num1")
    drawn = [field.draw(np.random.default_rng(seed)) for seed in range(100)]
    assert all(value is None or 2 <= value <= 3 for value in drawn)
    assert None in drawn


def test_a_row_that_is_answered_otherwise_among_others_is_found(clean: dict[str, Any]) -> None:
    from contextlib import contextmanager

    class Alone:
        def post(self, path: str, body: bytes, kind: str = "") -> tuple[int, bytes]:
            told = json.loads(body)
            if isinstance(told, list):
                return 200, json.dumps([{**PLAIN, "prediction": "no"}] * len(told)).encode()
            return 200, json.dumps(PLAIN).encode()

    @contextmanager
    def serve(*given: Any) -> Any:
        yield Alone()

    finding = generated_requests(clean["model"], clean["contract"], replace(clean["steps"], serve=serve), rows=3)
    assert "legal rows together: a row is answered otherwise alone than among others" in finding.sentence


def test_a_server_that_cannot_be_started_is_unknown(clean: dict[str, Any]) -> None:
    from shipworthy.core.evidence import Judged
    from shipworthy.core.registry import Marked
    from shipworthy.marks import MARK

    def serve(*given: Any) -> Any:
        raise StoreError("no port of this machine can be listened on", where="127.0.0.1", hint="allow it")

    facts = getattr(boundary, MARK)
    finding = run(Marked("boundary", boundary, facts, "here"), {**clean, "steps": replace(clean["steps"], serve=serve)},
                  {}, Judged())
    assert finding.verdict == "unknown"
    assert finding.remedy == "allow it"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_strategies_draw_what_the_record_type_takes_and_refuses(clean: dict[str, Any], data: st.DataObject) -> None:
    from shipworthy.deployment.integration.serving.record import Shape
    from shipworthy.errors import BadData

    model, contract = clean["model"], clean["contract"]
    shape = Shape(model)
    shape.decode(json.dumps(data.draw(records(model, contract))).encode())
    wrong = data.draw(faults(model, contract))
    with pytest.raises(BadData) as caught:
        shape.decode(json.dumps(wrong.record).encode())
    assert caught.value.where == wrong.field
    assert caught.value.hint
