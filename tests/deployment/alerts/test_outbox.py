"""Nothing is lost while a sink is down, nothing is sent twice, and what does not arrive is on record."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.core.clock import HOUR, MINUTE
from shipworthy.core.project import Sink
from shipworthy.deployment.alerts.message import Message, message
from shipworthy.deployment.alerts.outbox import COMPLAIN, LONGEST_WAIT, deliver, put, waiting
from shipworthy.deployment.alerts.sinks import webhook
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.deployment.monitoring.incident import Incident
from shipworthy.errors import StoreError
from shipworthy.store import Store, open_store

NOW = 1_700_000_000_000_000
KINDS = {"webhook": webhook}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_message_is_sent_once_however_often_it_is_put(store: Store, web: Any, incident: Incident) -> None:
    sinks = (Sink("webhook", address=f"http://127.0.0.1:{web.port}"),)
    made = message("opened", incident, "loans")
    for turn in range(3):
        put(store, sinks, [made, made], now=NOW)
        posted = deliver(store, sinks, KINDS, now=NOW + turn * HOUR)
        assert len(posted.delivered) == (turn == 0) and posted.waiting == ()
    assert len(web.posts) == 1


def test_what_a_sink_that_is_down_did_not_take_arrives_when_it_is_back(
    store: Store, web: Any, incident: Incident
) -> None:
    up = f"http://127.0.0.1:{web.port}"
    down = (Sink("webhook", address=f"http://127.0.0.1:{free_port()}"),)
    put(store, down, [message("opened", incident, "loans"), message("closed", incident, "loans")], now=NOW)
    posted = deliver(store, down, KINDS, now=NOW)
    assert [letter.attempts for letter in posted.waiting] == [1, 0]  # the second is spared the same failure
    assert "refused" in posted.waiting[0].error
    assert deliver(store, down, KINDS, now=NOW + 1).waiting == posted.waiting  # not due yet
    back = (Sink("webhook", address=up),)
    assert len(deliver(store, back, KINDS, now=NOW + MINUTE).delivered) == 2
    assert [msgspec.json.decode(body, type=Message).event for _, _, body in web.posts] == ["opened", "closed"]


def test_each_wait_is_twice_the_last_and_the_fifth_failure_is_on_record_once(store: Store, incident: Incident) -> None:
    sinks, at, waits = (Sink("webhook", address="http://127.0.0.1:1"),), NOW, []
    put(store, sinks, [message("opened", incident, "loans")], now=NOW)
    for _ in range(12):
        (letter,) = deliver(store, sinks, KINDS, now=at).waiting
        waits.append(letter.due - at)
        at = letter.due
    assert waits[:4] == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE] and waits[-1] == LONGEST_WAIT
    (line,) = (line for line in ledger(store) if line["action"] == "not delivered")
    assert line["subject"]["sink"] == "webhook" and letter.attempts == 12 > COMPLAIN


def test_one_sink_that_is_down_does_not_hold_up_another(store: Store, web: Any, incident: Incident) -> None:
    sinks = (Sink("webhook", "down", "http://127.0.0.1:1"), Sink("webhook", "up", f"http://127.0.0.1:{web.port}"))
    put(store, sinks, [message("opened", incident, "loans")], now=NOW)
    posted = deliver(store, sinks, KINDS, now=NOW)
    assert [letter.sink for letter in posted.delivered] == ["up"]
    assert [letter.sink for letter in posted.waiting] == ["down"]


def test_a_letter_to_a_sink_that_left_the_project_waits_and_a_plugin_s_fault_is_a_failure(
    store: Store, incident: Incident
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("room")

    put(store, (Sink("pager"),), [message("opened", incident, "loans")], now=NOW)
    assert len(deliver(store, (), {}, now=NOW).waiting) == 1
    (letter,) = deliver(store, (Sink("pager"),), {"pager": broken}, now=NOW).waiting
    assert letter.error == "KeyError: 'room'"
    (letter,) = deliver(store, (Sink("pager"),), {}, now=letter.due).waiting
    assert letter.error.startswith('there is no kind of sink "pager"')


def test_without_sinks_nothing_is_kept_and_a_damaged_letter_is_named(store: Store, incident: Incident) -> None:
    put(store, (), [message("opened", incident, "loans")], now=NOW)
    assert waiting(store) == ()
    (store.home / "outbox").mkdir()
    (store.home / "outbox" / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="a letter of the outbox cannot be read"):
        waiting(store)
