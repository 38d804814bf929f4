from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shipworthy.core.ledger import OVERRIDE, broken
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.log.overrides import overrides
from shipworthy.deployment.integration.releases.book import ledger
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.reviewed import reviewed
from shipworthy.store import Store

from ..conftest import ask, record


class Desk:
    """A server with a ledger, and the tokens of a client and of a reviewer."""

    def __init__(self, release: Release, project: Project, store: Store, log: Path) -> None:
        self.store, self.log = store, log
        self.tokens = {scope: create(store, f"{scope}@example.org", [scope], by="ann")[0]
                       for scope in ("predict", "approve")}
        self.app: App = app(release, log, project, gate=Gate(store.home, project.serve))

    def ask(self, method: str, path: str, body: Any = None, *, scope: str = "approve") -> tuple[int, Any]:
        return ask(self.app, method, path, body, headers=((b"authorization", f"Bearer {self.tokens[scope]}".encode()),))

    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("POST", "/v1/predict", record(), scope="predict")[1]
        return found

    def overrule(self, prediction_id: str, decision: Any, why: str = "seen in person") -> tuple[int, Any]:
        return self.ask("POST", "/v1/overrides", {"prediction_id": prediction_id, "decision": decision, "why": why})


@pytest.fixture
def desk(release: Release, project: Project, store: Store, tmp_path: Path) -> Desk:
    return Desk(release, project, store, tmp_path / "log")


def other(decision: str) -> str:
    return "no" if decision == "yes" else "yes"


def test_an_override_changes_what_stands_and_is_in_log_and_ledger(desk: Desk, release: Release) -> None:
    answer = desk.answer()
    place, served, wanted = answer["prediction_id"], answer["prediction"], other(answer["prediction"])
    before = desk.ask("GET", f"/v1/predictions/{place}")[1]
    assert (before["decision"], before["served"], before["overrides"]) == (served, served, [])
    status, stands = desk.overrule(place, wanted)
    assert (status, stands["decision"], stands["served"]) == (200, wanted, served)
    assert desk.ask("GET", f"/v1/predictions/{place}", scope="predict")[1] == stands
    [kept] = overrides(desk.log)
    assert (kept.prediction_id, kept.decision, kept.before, kept.by, kept.why) == (
        place, wanted, served, "approve@example.org", "seen in person")
    [line] = [line for line in ledger(desk.store) if line["action"] == OVERRIDE]
    assert (line["actor"], line["role"], line["why"]) == ("approve@example.org", "reviewer", "seen in person")
    assert line["subject"] == {"prediction": place, "release": release.id, "decision": wanted, "before": served}
    assert broken(ledger(desk.store)) == []


def test_saying_again_what_stands_writes_nothing_and_a_change_of_mind_does(desk: Desk) -> None:
    answer = desk.answer()
    place, served = answer["prediction_id"], answer["prediction"]
    assert desk.overrule(place, served)[1]["overrides"] == []
    desk.overrule(place, other(served))
    desk.overrule(place, other(served))
    stands = desk.overrule(place, served)[1]
    assert (stands["decision"], [one["decision"] for one in stands["overrides"]]) == (served, [other(served), served])


def test_who_may_only_ask_may_not_overrule(desk: Desk) -> None:
    answer = desk.answer()
    asked = {"prediction_id": answer["prediction_id"], "decision": "no", "why": "x"}
    assert desk.ask("POST", "/v1/overrides", asked, scope="predict")[0] == 403
    assert ask(desk.app, "POST", "/v1/overrides", asked)[0] == 401
    assert overrides(desk.log) == []


def test_a_server_without_a_project_has_nobody_who_may(served: App) -> None:
    status, told = ask(served, "POST", "/v1/overrides", {"prediction_id": "x", "decision": "no", "why": "x"})
    assert (status, told["error"]["problem"]) == (403, "nobody is known here, so nobody may overrule")


@pytest.mark.parametrize(("change", "status", "field"), [
    ({"prediction_id": "0" * 36}, 404, "prediction_id"), ({"prediction_id": "short"}, 404, "prediction_id"),
    ({"decision": "perhaps"}, 422, "decision"), ({"why": "  "}, 422, "why"), ({"why": 3}, 422, "body"),
    ({"more": 1}, 422, "body")])
def test_an_override_that_does_not_fit_is_told_where(
    change: dict[str, Any], status: int, field: str, desk: Desk
) -> None:
    asked = {"prediction_id": desk.answer()["prediction_id"], "decision": "no", "why": "x"} | change
    found, told = desk.ask("POST", "/v1/overrides", asked)
    assert (found, told["error"]["field"]) == (status, field)
    assert overrides(desk.log) == []


def test_an_unknown_prediction_has_no_standing(desk: Desk) -> None:
    assert desk.ask("GET", "/v1/predictions/nothing")[0] == 404
    assert desk.ask("POST", "/v1/predictions/nothing", {})[0] == 404


def test_one_row_of_a_batch_is_overruled(desk: Desk) -> None:
    answers = desk.ask("POST", "/v1/predict", [record(), record(age=3.0)], scope="predict")[1]
    second = answers[1]
    desk.overrule(second["prediction_id"], other(second["prediction"]))
    stand = [desk.ask("GET", f"/v1/predictions/{one['prediction_id']}")[1]["decision"] for one in answers]
    assert stand == [answers[0]["prediction"], other(second["prediction"])]


def test_a_live_drill_overrules_a_real_server(release: Release, project: Project) -> None:
    found = reviewed(release, project)
    assert (found.status, found.refused, found.stands, found.logged) == (200, 403, found.asked, (found.asked,))
    assert found.asked != found.served
    assert (found.actors, found.broken) == (("reviewer@example.org",), ())
