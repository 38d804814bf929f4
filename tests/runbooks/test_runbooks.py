"""What follows from a look: the steps that the owner allowed, once and within limits, on record; and messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipworthy import flow, runbooks
from shipworthy.deployment.alerts.message import Message
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.errors import Misuse
from shipworthy.store.workspace import Workspace

Make = Callable[..., Workspace]
Answer = Callable[..., None]
ROLL_BACK = '[[runbook]]\nfamily = "broken"\nstep = "roll back"\nautomatic = true\n'


def acts(place: Workspace, *actions: str) -> list[tuple[str, str]]:
    return [(line["actor"], line["action"]) for line in ledger(place.store) if line["action"] in actions]


def test_an_incident_names_its_column_its_causes_and_the_step_that_is_suggested(place: Make, answer: Answer) -> None:
    here = place(ROLL_BACK.replace("automatic = true", 'link = "https://wiki/broken"'))
    answer(here, 200)
    found = runbooks.attend(here)
    incident = found.watched.incident
    assert incident is not None and incident.severity == "high" and "broken" in incident.families
    assert incident.steps == ("roll back",) and incident.link == "https://wiki/broken" and found.done == ()
    assert incident.columns and incident.effects[incident.columns[0]] > 0.5
    assert incident.causes[0].axis == "data" and "broke" in incident.causes[0].sentence
    assert any("became champion (promote, eve@example.org)" in cause.sentence for cause in incident.causes)
    assert sum(cause.weight for cause in incident.causes) == pytest.approx(1, abs=0.01)
    again = flow.watch(here)
    assert again.pages == 0 and again.incident is not None and again.incident.id == incident.id


def test_an_automatic_rollback_happens_once_and_is_in_the_ledger_by_watch(place: Make, answer: Answer) -> None:
    here = place(ROLL_BACK)
    bad = flow.champion(here)
    answer(here, 200)
    found = runbooks.attend(here)
    now = flow.champion(here)
    assert bad and now and now.id != bad.id
    assert found.done == (f"roll back, for broken: release {now.short} is champion again",)
    assert acts(here, "page", "runbook", "rollback") == [
        ("watch", "page"), ("watch", "runbook"), ("watch", "rollback")]
    assert runbooks.attend(here).done == ()  # nothing was served by the other one


def test_a_step_is_held_back_beyond_its_limit_and_that_is_on_record_once(place: Make, answer: Answer) -> None:
    here = place(ROLL_BACK + "most_a_day = 0\n")
    answer(here, 200)
    bad = flow.champion(here)
    assert [runbooks.attend(here).done for _ in range(2)] == [(), ()]
    assert acts(here, "runbook", "runbook held back", "rollback") == [("watch", "runbook held back")]
    now = flow.champion(here)
    assert bad and now and now.id == bad.id


def test_a_step_that_fails_is_told_and_not_begun_again(place: Make, answer: Answer) -> None:
    here = place(ROLL_BACK)
    flow.rollback(here, by="ann@example.org", why="to see")
    answer(here, 200)
    (told,) = runbooks.attend(here).done
    assert told == "roll back, for broken: failed: there is no earlier champion to go back to"
    assert runbooks.attend(here).done == ()
    assert [action for _, action in acts(here, "runbook", "runbook failed")] == ["runbook", "runbook failed"]


def test_a_ticket_is_sent_beside_the_page_to_whom_the_owner_named(place: Make, answer: Answer, web: Any) -> None:
    here = place(f'[[sink]]\nkind = "webhook"\naddress = "http://127.0.0.1:{web.port}"\n'
                 '[[runbook]]\nfamily = "broken"\nstep = "open ticket"\nautomatic = true\n')
    answer(here, 200)
    assert runbooks.attend(here).posted.waiting == ()
    sent = [msgspec.json.decode(body, type=Message) for _, _, body in web.posts]
    assert [one.event for one in sent] == ["opened", "ticket"]
    assert sent[0].incident is not None and sent[0].incident.steps == ("open ticket (by itself, at most 1 a day)",)
    runbooks.attend(here)
    runbooks.close(here, by="ann@example.org", why="repaired")
    assert [msgspec.json.decode(body, type=Message).event for _, _, body in web.posts] == [
        "opened", "ticket", "closed"]


def test_a_silence_lets_nobody_be_called_until_it_ends_by_itself(place: Make, answer: Answer, web: Any) -> None:
    here = place(f'[[sink]]\nkind = "webhook"\naddress = "http://127.0.0.1:{web.port}"\n')
    soon = datetime.now(UTC) + timedelta(hours=2)
    runbooks.hush(here, by="ann", why="the feed moves today", until=soon)
    answer(here, 200)
    found = runbooks.attend(here).watched
    assert found.incident is None and "silenced" in {window.done for window in found.windows}
    assert web.posts == []
    runbooks.hush(here, by="ann", why="it is over", until=datetime.now(UTC) - timedelta(seconds=1))
    answer(here, 100)
    assert runbooks.attend(here).watched.incident is not None
    assert [action for _, action in acts(here, "silence", "page")] == ["silence", "silence", "page"]


def test_only_the_silenced_family_is_silent(place: Make, answer: Answer) -> None:
    here = place()
    runbooks.hush(here, by="ann", why="known", until=datetime.now(UTC) + timedelta(days=1), family="outliers")
    answer(here, 200)
    incident = runbooks.attend(here).watched.incident
    assert incident is not None and "broken" in incident.families and "outliers" not in incident.families


@pytest.mark.parametrize(("facts", "told"), [
    ({"by": " "}, "only with a name and a reason"), ({"family": "drfit"}, 'no family of alarms "drfit"'),
    ({"until": datetime.now(UTC) + timedelta(days=400)}, "at most 92 days")])
def test_a_silence_needs_a_name_an_end_and_a_family_that_exists(
    place: Make, facts: dict[str, Any], told: str
) -> None:
    usual = {"by": "ann", "why": "known", "until": datetime.now(UTC) + timedelta(days=1)}
    with pytest.raises(Misuse, match=told):
        runbooks.hush(place(), **{**usual, **facts})


def test_the_report_is_as_large_for_many_rows_as_for_few_and_loads_nothing(place: Make, answer: Answer) -> None:
    here = place()
    answer(here, 100)
    few = runbooks.report(here, flow.watch(here)).text
    for _ in range(3):
        answer(here, 3_000)
    many = runbooks.report(here, flow.watch(here)).text
    assert abs(len(many) - len(few)) < 0.1 * len(few)
    assert "<script" not in many and "http" not in many.replace("http-equiv", "") and "prefers-color-scheme" in many
    assert "Broken input" in many and "size" in many


def test_words_of_the_data_are_escaped_in_the_report(place: Make, answer: Answer) -> None:
    here = place()
    answer(here, 60)
    watched = flow.watch(here)
    incident = watched.incident
    assert incident is not None
    odd = msgspec.structs.replace(incident, sentence="<img src=x onerror=alert(1)>")
    state = msgspec.structs.replace(watched.state, incident=odd)
    page = runbooks.report(here, replace(watched, state=state)).text
    assert "<img" not in page and "&lt;img src=x" in page
