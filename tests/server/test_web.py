"""What a request, a route and a refusal are to the control API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import BadData, BadRelease, Misuse, NotFit, ShipworthyError, StoreError
from shipworthy.server import web
from shipworthy.server.runs import Asked, Page
from shipworthy.server.web import JSON, TABLE_SECONDS, Answer, Gone, Request, Route, Routes, refusal, sent


def request(*pieces: bytes, query: bytes = b"", ends: bool = True, gone: bool = False, **headers: bytes) -> Request:
    """A request whose body comes in pieces; without an end it waits for more, until its client is gone."""
    waiting: list[Mapping[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    waiting += [{"type": "http.disconnect"}] if gone else [{"type": "http.request", "body": b""}] if ends else []

    async def receive() -> Mapping[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    head = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return Request({"method": "POST", "path": "/x", "query_string": query, "headers": head}, receive)


async def whole(asked: Request, limit: int, seconds: float) -> bytes:
    return b"".join([chunk async for chunk in asked.chunks(limit, seconds)])


def test_a_body_is_read_whole_and_an_empty_one_is_an_empty_object() -> None:
    assert asyncio.run(request(b'{"verb": "re', b'new"}').json(Asked)) == Asked(verb="renew")
    assert asyncio.run(request().json(Asked)) == Asked()


@pytest.mark.parametrize(("body", "kind"), [(b"{", Refused), (b"\xff", Refused), (b'{"by": "tom"}', BadData)])
def test_a_body_that_cannot_be_read_names_itself(body: bytes, kind: type[ShipworthyError]) -> None:
    with pytest.raises(kind) as caught:
        asyncio.run(request(body).json(Asked))
    assert caught.value.where == "body"


@pytest.mark.parametrize("asked", [request(b"x" * 6, b"x" * 6), request(content_length=b"11")])
def test_a_body_beyond_its_limit_is_refused_whether_or_not_it_is_announced(asked: Request) -> None:
    with pytest.raises(Refused, match="the body is larger") as caught:
        asyncio.run(whole(asked, 10, 60.0))
    assert caught.value.status == 413


def test_a_client_that_goes_away_is_gone() -> None:
    with pytest.raises(Gone):
        asyncio.run(whole(request(b"x", gone=True), 10, 60.0))


@pytest.mark.parametrize(("seconds", "within"), [(0.02, "0.02"), (TABLE_SECONDS, "0.05")])
def test_a_table_has_longer_the_more_of_it_came_and_json_has_not(
    monkeypatch: pytest.MonkeyPatch, seconds: float, within: str
) -> None:
    monkeypatch.setattr(web, "BODY_SECONDS", 0.02)
    monkeypatch.setattr(web, "LEAST_A_SECOND", 1_000)
    with pytest.raises(Refused) as caught:
        asyncio.run(whole(request(b"x" * 30, ends=False), 1_000, seconds))
    assert caught.value.status == 408
    assert caught.value.problem == f"only 30 bytes of the body came within {within} seconds"


def test_words_of_a_query_are_read_as_the_numbers_they_mean() -> None:
    assert request(query=b"limit=3&state=done").query(Page) == Page(limit=3, state="done")
    for query in (b"limit=three", b"most=3", b"limit=\xff"):
        with pytest.raises(BadData, match="the query cannot be read"):
            request(query=query).query(Page)


async def _nothing(asked: Request) -> Answer:
    return Answer({})


def test_a_route_is_chosen_by_path_and_method_and_its_name_holds_no_value() -> None:
    known = Routes([Route("GET", "/v1/{name}/x", ("train",), _nothing, ""), Route("POST", "/v1", (), _nothing, "")])
    route, args = known.chosen("HEAD", "/v1/secret/x")
    assert (route.name, args) == ("GET /v1/{name}/x", {"name": "secret"})
    for method, path, status in (("DELETE", "/v1", 405), ("GET", "/v1/a/b/x", 404), ("GET", "/v1//x", 404)):
        with pytest.raises(Refused) as caught:
            known.chosen(method, path)
        assert caught.value.status == status


@pytest.mark.parametrize(("error", "status"), [
    (Refused(418, "p"), 418), (NotFit("p"), 409), (BadRelease("p"), 409), (Misuse("p"), 422), (BadData("p"), 422),
    (StoreError("p"), 503), (ShipworthyError("p"), 500)])
def test_a_refusal_has_the_status_of_its_error(error: ShipworthyError, status: int) -> None:
    error.where, error.hint = "f", "h"
    answer = refusal(error)
    assert (answer.status, answer.kind) == (status, JSON)
    assert msgspec.json.decode(answer.body) == {"error": {"field": "f", "problem": "p", "hint": "h"}}


def test_a_refusal_says_what_to_do_about_it() -> None:
    assert refusal(Refused(401, "p")).headers == ((b"www-authenticate", b"Bearer"),)
    assert refusal(Refused(429, "p")).headers == refusal(StoreError("p")).headers == ((b"retry-after", b"1"),)
    assert refusal(Misuse("p")).headers == ()
    with pytest.raises(Refused) as caught:
        Routes([Route("GET", "/v1", (), _nothing, ""), Route("POST", "/v1", (), _nothing, "")]).chosen("PUT", "/v1")
    assert refusal(caught.value).headers == ((b"allow", b"GET, POST"),)


def test_an_answer_is_sent_with_its_length_and_the_id_of_its_request_and_head_has_no_body() -> None:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(sent(send, Answer({"a": 1}), head=True, name="b2f1c0de"))
    headers = dict(told[0]["headers"])
    assert (headers[b"content-length"], headers[b"x-request-id"]) == (b"7", b"b2f1c0de")
    assert told[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]
