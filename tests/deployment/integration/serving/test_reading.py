from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.reading import READ_SECONDS, Reading
from shipworthy.deployment.integration.serving.refusals import Refused

from ..conftest import ask, record

GONE = {"type": "http.disconnect"}


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def read(*messages: dict[str, Any], announced: int | None = None) -> bytes:
    """The body that messages make, with room for 1,024 bytes."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    headers = {} if announced is None else {b"content-length": b"%d" % announced}
    return asyncio.run(Reading(2**-10).body(headers, receive, time.perf_counter()))


def test_a_body_is_read_in_one_part_or_several() -> None:
    assert read(part(b"", more=False)) == b""
    assert read(part(b"abc", more=False), announced=3) == b"abc"
    assert read(part(b"ab"), part(b""), part(b"c", more=False), announced=3) == b"abc"
    assert read(part(b"x" * 1000), part(b"y" * 24, more=False)) == b"x" * 1000 + b"y" * 24


@pytest.mark.parametrize("messages", [(GONE,), (part(b"ab"), GONE), (part(b"ab"), part(b"c"), GONE)])
def test_a_body_whose_sender_went_away_is_no_body(messages: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(Refused, match="the body is not whole: the connection ended") as caught:
        read(*messages)
    assert caught.value.status == 400


@pytest.mark.parametrize("announced", [2, 4])
def test_a_body_of_another_length_than_announced_is_no_body(announced: int) -> None:
    with pytest.raises(Refused, match=f"the body is not whole: 3 of {announced} bytes"):
        read(part(b"abc", more=False), announced=announced)


@pytest.mark.parametrize("messages, announced", [
    ((), 1025), ((part(b"x" * 1025, more=False),), None), ((part(b"x" * 1024), part(b"x", more=False)), None),
    ((part(b"x" * 1024), part(b"x")), None)])
def test_a_body_beyond_the_limit_is_not_read_on(messages: tuple[dict[str, Any], ...], announced: int | None) -> None:
    with pytest.raises(Refused, match="larger than") as caught:
        read(*messages, announced=announced)
    assert caught.value.status == 413


def test_a_body_that_does_not_come_is_408_and_another_is_read_on() -> None:
    async def both() -> list[Any]:
        reading, rest = Reading(1), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await rest.wait()
            return part(b"here", more=False)

        now = time.perf_counter()
        tasks = [asyncio.create_task(reading.body({}, receive, began)) for began in (now - READ_SECONDS - 1, now)]
        await asyncio.sleep(0)
        reading.overdue()
        rest.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    late, body = asyncio.run(both())
    assert isinstance(late, Refused)
    assert (late.status, body) == (408, b"here")


def test_a_request_that_is_cancelled_by_others_stays_cancelled() -> None:
    async def one() -> Any:
        task = asyncio.create_task(Reading(1).body({}, asyncio.Event().wait, time.perf_counter()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    assert isinstance(asyncio.run(one()), asyncio.CancelledError)


def test_labels_that_were_cut_off_inside_a_number_are_not_kept(
    release: Release, project: Project, tmp_path: Path
) -> None:
    served: App = app(release, tmp_path / "log", project)
    place = ask(served, "POST", "/v1/predict", record())[1]["prediction_id"]
    cut = f"prediction_id,label,observed_at,weight\n{place},no,2024-07-09T09:00:00Z,2".encode()  # of 250
    waiting: list[dict[str, Any]] = [part(cut), GONE]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = ((b"content-type", b"text/csv"), (b"content-length", b"%d" % (len(cut) + 2)))
    asyncio.run(served({"type": "http", "method": "POST", "path": "/v1/labels", "query_string": b"",
                        "headers": headers}, receive, send))
    assert sent[0]["status"] == 400
    assert msgspec.json.decode(sent[1]["body"])["error"]["problem"] == "the body is not whole: the connection ended"
    assert 'path="labels",status_code="400"} 1' in served.counters.board.text()
    served.log.close()
    _, labels = read_log(tmp_path / "log", None)
    assert not len(labels)
