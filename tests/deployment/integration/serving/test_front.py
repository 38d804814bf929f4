"""The same bytes by the short way in and by uvicorn's own: the same statuses, bodies and log, however they are cut."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.access import issue
from shipworthy.deployment.integration.access.gate import Gate
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.serving import front
from shipworthy.deployment.integration.serving.app import App, app
from shipworthy.deployment.integration.serving.front import HEAD_BYTES, as_known, config
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.reading import READ_SECONDS
from shipworthy.deployment.integration.serving.worker import Listener
from shipworthy.store import Store

from ..conftest import record

BODY = msgspec.json.encode(record())
OTHER = msgspec.json.encode(record(age=None, ward="west"))
SETTINGS: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_config": None, "server_header": False,
                            "date_header": False, "timeout_keep_alive": 30, "proxy_headers": False}
SERVING = Serving(max_rows=50, max_megabytes=0.1, max_concurrent=2)
LOGGED = ("arm", "age", "dose", "ward", "grade", "score", "prediction")


class Wire(asyncio.Transport):
    """The client's end of a connection that is not there: holds back while it is paused, keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.said, self.closed, self.paused = b"", False, False

    def write(self, data: Any) -> None:
        self.said += b"" if self.closed else data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Way:
    """One application, with its log in a folder, behind the protocol of uvicorn's settings."""

    def __init__(self, made: App, folder: Path, settings: Config) -> None:
        settings.load()
        self.app, self.folder, self.settings, self.state = made, folder, settings, ServerState()
        self._told = 0

    def open(self) -> tuple[Any, Wire]:
        """A connection; in a running loop."""
        wire = Wire()
        made: Any = self.settings.http_protocol_class(self.settings, self.state, {})  # type: ignore[call-arg]
        made.connection_made(wire)
        return made, wire

    def talk(self, pieces: list[bytes], *, leaves: bool = False) -> tuple[bytes, bool]:
        """What is answered to pieces that arrive one by one, without ids, and whether the connection was closed.

        leaves: the client goes away at once.
        """
        async def talked() -> tuple[bytes, bool]:
            made, wire = self.open()
            for piece in pieces:
                while wire.paused and not wire.closed:
                    await asyncio.sleep(0)
                if wire.closed:
                    break
                made.data_received(piece)
                if not leaves:
                    await _calm()
            await _calm()
            found = wire.said, wire.closed
            wire.closed = True
            made.connection_lost(None)
            await asyncio.gather(*self.state.tasks)
            return found

        said, closed = asyncio.run(talked())
        return re.sub(rb'"prediction_id":"[^"]+"', b'"prediction_id":""', said), closed

    def logged(self) -> list[tuple[Any, ...]]:
        """What the log kept since this was last asked, in the order of the answers, without ids and times."""
        rows = predictions(self.folder).records()
        self._told, before = len(rows), self._told
        return [tuple(row.get(name) for name in LOGGED) for row in rows[before:]]


def cut(sent: bytes, places: list[int]) -> list[bytes]:
    """Bytes in pieces that begin at ascending places."""
    return [sent[start:end] for start, end in zip([0, *places], [*places, len(sent)], strict=True)]


async def _calm() -> None:
    """Let every task go as far as it can without the network."""
    for _ in range(12):
        await asyncio.sleep(0)


def way(release: Release, folder: Path, serving: Serving, *, http: Any = None, gate: Gate | None = None) -> Way:
    """By the short way in, or by another protocol."""
    made = app(release, folder, serving, gate=gate)
    return Way(made, folder, Config(made, http=http, **SETTINGS) if http else config(made, **SETTINGS))


@pytest.fixture(scope="module")
def ways(small: Callable[[], Release], tmp_path_factory: pytest.TempPathFactory) -> tuple[Way, Way]:
    """The short way in, and uvicorn's own."""
    release, home = small(), tmp_path_factory.mktemp("ways")
    return way(release, home / "short", SERVING), way(release, home / "own", SERVING, http=HttpToolsProtocol)


def post(body: bytes = BODY, *more: str, path: str = "/v1/predict", method: str = "POST", version: str = "1.1",
         length: int | None = None) -> bytes:
    """A request. more: lines of its head. length: that it announces, if it is not that of its body; −1 for none."""
    announced = [] if length == -1 else [f"content-length: {len(body) if length is None else length}"]
    lines = [f"{method} {path} HTTP/{version}", "host: here", *announced, *more, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*parts: bytes, trailer: bytes = b"", more: tuple[str, ...] = (), path: str = "/v1/predict") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"
    return post(body, "transfer-encoding: chunked", *more, path=path, length=-1)


GET = b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n"
HEAD = b"HEAD /health HTTP/1.1\r\nhost: here\r\n\r\n"
CSV = b"age,dose,ward,smoker,seen,grade\n39,0.5,east,true,2024-03-01T06:00:00Z,2\n"
BYTES = {
    "one record": post(),
    "named": post(BODY, "X-Request-Id: 4f0c440dabbdd9d4"),
    "two in a row": post() + post(OTHER),
    "many in a row": (post() + GET + post(OTHER) + HEAD + post(b"[%s]" % BODY) + post(b"{")) * 3,
    "chunks": chunked(BODY[:20], BODY[20:21], BODY[21:]) + post(OTHER),
    "chunks with an extension": chunked(BODY).replace(b"\r\n{", b";a=b\r\n{"),
    "a trailer": chunked(BODY, trailer=b"x-sum: 1\r\n") + chunked(OTHER, trailer=b"expect: 100-continue\r\n"),
    "a trailer of a list": chunked(b"[%s]" % BODY, trailer=b"expect: 100-continue\r\n") + post(),
    "expecting": post(BODY, "Expect: 100-continue"),
    "HTTP/1.0": post(version="1.0"),
    "HTTP/1.0 kept alive": post(BODY, "connection: keep-alive", version="1.0"),
    "closing": post(BODY, "Connection: close"),
    "closing, and more": post(BODY, "connection: close") + post(OTHER),
    "kept alive": post(BODY, "connection: keep-alive") + post(OTHER),
    "heads": HEAD + post(b"", method="HEAD") + GET,
    "a list": post(b"[%s,%s]" % (BODY, OTHER)),
    "white space": post(b" \n" + BODY),
    "CSV": post(CSV, "content-type: text/csv"),
    "a query": post(path="/v1/predict?contributions=0"),
    "a whole address": post(path="http://here/v1/predict"),
    "an escaped path": post(path="/v1/%70redict"),
    "malformed": post(b"{") + post(b'{"age":') + post(),
    "not fitting": post(msgspec.json.encode(record(age="x"))) + post(),
    "twice": post(b'{"age":1,' + BODY[1:]) + post(),
    "empty": post(b"") + post(),
    "empty chunks": chunked() + post(),
    "too large": post(b"{" + b" " * 120_000 + b"}"),
    "too large in chunks": chunked(b"{" + b" " * 60_000, b" " * 60_000, b"}"),
    "too large by what it says": post(b"{", length=200_000),
    "almost too large": post(BODY + b" " * 100_000),
    "beyond what is held": post(BODY + b" " * 70_000) + post(OTHER),
    "another path": post(path="/v1/predct") + post(method="PUT"),
    "upgrading": post(BODY, "connection: upgrade", "upgrade: h2c"),
    "a web page": post(BODY, "origin: http://evil.example"),
    "nonsense": b"nonsense\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a length and chunks": post(b"0\r\n\r\n" + post(OTHER), "transfer-encoding: chunked", length=5),
    "chunks and a length": chunked(BODY, more=("content-length: 3",)),
    "two lengths": post(BODY, "content-length: 3"),
    "two equal lengths": post(BODY, f"content-length: {len(BODY)}"),
    "a list of lengths": post(BODY, f"content-length: {len(BODY)}, {len(BODY)}", length=-1),
    "a signed length": post(BODY, f"content-length: +{len(BODY)}", length=-1),
    "a negative length": post(BODY, "content-length: -1", length=-1),
    "a huge length": post(BODY, "content-length: 99999999999999999999999", length=-1),
    "no length": post(BODY, length=-1),
    "another coding": post(BODY, "transfer-encoding: gzip", length=-1),
    "two codings": post(chunked(BODY)[-len(BODY) - 11:], "transfer-encoding: gzip, chunked", length=-1),
    "chunked twice": chunked(BODY, more=("transfer-encoding: chunked",)),
    "chunked not last": post(BODY, "transfer-encoding: chunked, identity", length=-1),
    "hidden coding": post(b"0\r\n\r\n" + GET, "transfer-encoding : chunked"),
    "vertical tab": post(b"0\r\n\r\n" + GET, "transfer-encoding: \x0bchunked"),
    "bare line feeds": post().replace(b"\r\n", b"\n"),
    "one bare line feed": post().replace(b"here\r\n", b"here\n"),
    "bare returns": post().replace(b"here\r\n", b"here\r"),
    "chunks by line feeds": chunked(BODY).replace(b"\r\n0\r\n\r\n", b"\n0\n\n"),
    "a chunk of no size": chunked(BODY).replace(b"\r\n0\r\n", b"\r\n\r\n"),
    "a chunk of a wrong size": chunked(BODY).replace(b"%x\r\n{" % len(BODY), b"%x\r\n{" % (len(BODY) - 1)),
    "a folded line": post(BODY, "x-long: a", " b"),
    "a space in a name": post(BODY, "x long: a"),
    "a null": post(BODY, "x-null: a\0b"),
    "no host": post().replace(b"host: here\r\n", b""),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lines before": b"\r\n\r\n" + post() + b"\r\n" + post(OTHER),
}


@pytest.mark.parametrize("name", BYTES)
def test_the_same_bytes_are_answered_alike_however_they_are_cut(ways: tuple[Way, Way], name: str) -> None:
    short, plain = ways
    sent, draw = BYTES[name], random.Random(name)
    cuts = [[sent], *(cut(sent, sorted(draw.sample(range(1, len(sent)), k=k))) for k in (1, 2, 5))]
    for pieces in cuts:
        assert short.talk(pieces) == plain.talk(pieces)
    assert short.logged() == plain.logged()


def test_one_request_is_answered_alike_wherever_it_is_cut(ways: tuple[Way, Way]) -> None:
    short, plain = ways
    for sent in (post(), chunked(BODY[:9], BODY[9:], trailer=b"x-sum: 1\r\n")):
        whole = plain.talk([sent])
        assert short.talk([bytes([byte]) for byte in sent]) == whole
        for place in range(1, len(sent)):
            assert short.talk(cut(sent, [place])) == whole
    assert set(short.logged()) == set(plain.logged())


def test_a_head_that_is_known_means_the_same_again(ways: tuple[Way, Way]) -> None:
    short, plain = ways
    bodies = [BODY, OTHER, b"{" + BODY[1:].replace(b'"', b"'"), BODY, b" " * len(BODY), b"[" + BODY[1:-1] + b"]", OTHER]
    for more in ((), ("connection: close",), ("authorization: Bearer none",), ("x-request-id: 4f0c440dabbdd9d4",)):
        pieces = [post(body, *more) for body in bodies] * 2
        pieces[5:5] = [pieces[0] + pieces[1], GET, pieces[0] + GET, pieces[1][:-1], pieces[1][-1:]]
        assert short.talk(pieces) == plain.talk(pieces)
        assert short.talk(pieces[3:]) == plain.talk(pieces[3:])
    assert set(short.logged()) == set(plain.logged())
    heads = short.settings.http_protocol_class.heads  # type: ignore[union-attr]
    assert [known.size for head, known in heads.items() if post().startswith(head)] == [len(BODY)]
    assert not any(b"close" in head or GET.startswith(head) for head in heads)


@pytest.mark.parametrize("listed", [b"[]", b"[%s]" % BODY, b"[%s,%s]" % (BODY, OTHER)])
def test_a_list_under_a_head_that_is_known_of_a_record_is_answered_as_a_list(
    ways: tuple[Way, Way], listed: bytes
) -> None:
    short, plain = ways
    size = max(len(listed), len(BODY))
    pieces = [post(BODY.ljust(size)), post(listed.ljust(size)), post(BODY.ljust(size))]
    assert short.talk(pieces) == plain.talk(pieces)
    assert short.logged() == plain.logged()


def test_what_was_answered_is_sent_before_the_client_that_asks_no_more_is_let_go(ways: tuple[Way, Way]) -> None:
    async def told() -> bytes:
        made, wire = ways[0].open()
        made.data_received(post())
        made.eof_received()
        wire.close()
        return wire.said

    assert statuses(asyncio.run(told())) == [200]
    assert len(ways[0].logged()) == 1


@pytest.mark.parametrize("name", ["one record", "chunks", "a trailer", "CSV", "expecting", "another path"])
def test_a_client_that_leaves_inside_its_request_is_told_nothing_and_counted(ways: tuple[Way, Way], name: str) -> None:
    short, plain = ways
    sent = BYTES[name][: BYTES[name].index(b"\r\n\r\n") + 7]
    before = total(short.app), total(plain.app)
    assert short.talk([sent], leaves=True)[0] == plain.talk([sent], leaves=True)[0]
    assert total(short.app) - before[0] == total(plain.app) - before[1] == 1
    assert short.logged() == plain.logged() == []


def total(made: App) -> int:
    """Requests that were answered, or refused."""
    text = made.counters.board.text()
    return sum(int(found) for found in re.findall(r"^rest_server_requests{.*} (\d+)$", text, re.M))


def test_nonsense_after_a_record_does_not_cost_its_answer(ways: tuple[Way, Way]) -> None:
    said, closed = ways[0].talk([post() + b"nonsense\r\n\r\n"])
    assert statuses(said) == [200, 400]
    assert closed


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+)", said)]


@pytest.mark.parametrize("http", [None, H11Protocol])
@pytest.mark.parametrize("body", [BODY, b"[%s]" % BODY])
def test_a_trailer_lets_nobody_in(
    release: Release, project: Project, store: Store, tmp_path: Path, http: Any, body: bytes
) -> None:
    secret, _ = issue.create(store, "ann@example.org", ["predict"], by="olga@example.org")
    found = way(release, tmp_path / "log", project.serve, http=http, gate=Gate(store.home, project.serve))
    said = f"authorization: Bearer {secret}"
    assert statuses(found.talk([chunked(body, more=(said,))])[0]) == [200]
    late = chunked(body, trailer=f"{said}\r\n".encode())
    assert statuses(found.talk([late])[0]) == [401]
    assert statuses(found.talk(cut(late, [len(late) - 9]))[0]) == [401]


LONG = "x-long: " + "a" * HEAD_BYTES


@pytest.mark.parametrize("sent", [
    post(BODY, LONG), post(b"[%s]" % BODY, LONG), post(path="/" + "a" * HEAD_BYTES),
    post(BODY, *["x-many: a"] * 10_000), post() + post(OTHER, LONG),
    post().replace(b"\r\n\r\n" + BODY, b"\r\n" + LONG.encode())])
def test_a_head_that_is_too_long_is_431_before_it_ends(ways: tuple[Way, Way], sent: bytes) -> None:
    *before, last = statuses(ways[0].talk([sent])[0])
    assert (before, last) == ([200] * (sent.count(b"HTTP/1.1") - 1), 431)
    for piece in (1000, 50_000):
        said, closed = ways[0].talk([sent[start : start + piece] for start in range(0, len(sent), piece)])
        assert (statuses(said)[-1], closed) == (431, True)
    assert f"longer than {HEAD_BYTES} bytes" in said.decode()
    ways[0].logged()


def test_a_head_and_a_body_of_the_most_are_answered(ways: tuple[Way, Way]) -> None:
    sent = post(BODY + b" " * 90_000, "x-long: " + "a" * (HEAD_BYTES - 200))
    for pieces in ([sent * 3], [sent[start : start + 999] for start in range(0, len(sent), 999)]):
        assert set(statuses(ways[0].talk(pieces)[0])) == {200}
    ways[0].logged()


@pytest.mark.parametrize("trailer", [b"x-long: " + b"a" * HEAD_BYTES * 2, b"x: a\r\n" * 20_000])
def test_a_trailer_without_end_is_not_kept(ways: tuple[Way, Way], trailer: bytes) -> None:
    sent = chunked(BODY, trailer=trailer)[:-2]
    said, closed = ways[0].talk([sent[start : start + 9999] for start in range(0, len(sent), 9999)])
    assert (statuses(said), closed) == ([431], True)


def test_no_more_is_held_than_a_body_may_have(release: Release, project: Project, tmp_path: Path) -> None:
    found = way(release, tmp_path, msgspec.structs.replace(project.serve, max_megabytes=0.001))
    large = BODY[:-1] + b" " * 1000 + b"}"
    for sent in (post(large), chunked(large[:600], large[600:]), post(large)[:-1]):
        assert statuses(found.talk([sent])[0]) == [413]
    assert statuses(found.talk([post()])[0]) == [200]


def test_connections_beyond_the_most_are_turned_away(release: Release, project: Project, tmp_path: Path) -> None:
    found = way(release, tmp_path, project.serve)
    found.settings.http_protocol_class.room = 2  # type: ignore[attr-defined]

    async def opened() -> tuple[list[bytes], list[bytes]]:
        made = [found.open() for _ in range(3)]
        first = [wire.said for _, wire in made]
        for number in (2, 0):
            made[number][0].connection_lost(None)
        made[1:] = [made[1], found.open()]
        for one, _ in made[1:]:
            one.data_received(post())
        await _calm()
        return first, [wire.said for _, wire in made[1:]]

    first, later = asyncio.run(opened())
    assert first[:2] == [b"", b""]
    assert b"503 Service Unavailable" in first[2]
    assert b"retry-after: 1\r\n" in first[2]
    assert [statuses(said) for said in later] == [[200], [200]]


class Clock(asyncio.SelectorEventLoop):
    """A loop whose clock a test moves on."""

    later = 0.0

    def time(self) -> float:
        return super().time() + self.later


def silence(found: Way, *said: bytes) -> tuple[bytes, bool]:
    """What a client is told that is silent for most of the time that it has after each piece, and if it was cut."""
    listener = Listener(found.settings, found.app)
    listener.server_state = found.state
    loop = Clock()

    async def told() -> tuple[bytes, bool]:
        made, wire = found.open()
        for piece in said:
            if piece:
                made.data_received(piece)
            for _ in range(7):
                await _calm()
                loop.later += READ_SECONDS / 10
                await listener.on_tick(0)
        found_so = wire.said, wire.closed
        wire.closed = True
        made.connection_lost(None)
        await asyncio.gather(*found.state.tasks)
        return found_so

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(told())


HALF = post()[:20]
REST = post()[20:]


@pytest.mark.parametrize("http", [None, H11Protocol])
@pytest.mark.parametrize("first", [b"", HALF])
def test_a_client_that_never_finishes_asking_is_cut(
    small: Callable[[], Release], tmp_path: Path, http: Any, first: bytes
) -> None:
    found = way(small(), tmp_path, SERVING, http=http)
    assert silence(found, first)[1] is False
    for begun in ((), (HALF, REST)):
        said, closed = silence(found, *begun, first, b"" if first else HALF, b"" if first else REST[:9], b"")
        assert closed
        assert statuses(said) == [200] * bool(begun) + [408] * (http is None)


def test_a_client_that_asks_the_same_again_and_again_stays_and_then_may_be_idle_as_long_as_any(
    ways: tuple[Way, Way]
) -> None:
    for asked in (8, 3):
        said, closed = silence(ways[0], *[post()] * asked, *[b""] * (4 - asked // 2))
        assert (statuses(said), closed) == ([200] * asked, False)
    for found in ways:
        said, closed = silence(found, *[post()] * 3, *[b""] * 5)
        assert (statuses(said), closed) == ([200] * 3, True)
    assert [len(found.logged()) for found in ways] == [14, 3]


@pytest.mark.parametrize("body", [HALF + REST[:-9], HALF + REST[:-1]])
def test_a_record_whose_rest_does_not_come_is_408(ways: tuple[Way, Way], body: bytes) -> None:
    said, closed = silence(ways[0], body, b"")
    assert (statuses(said), closed) == ([408], True)
    assert b"did not arrive within 10 seconds" in said


@pytest.mark.parametrize("http", [None, H11Protocol])
@pytest.mark.parametrize("at", [5, 60, len(post()) - 9])
def test_a_busy_client_that_takes_its_time_is_not_cut(
    small: Callable[[], Release], tmp_path: Path, http: Any, at: int
) -> None:
    found = way(small(), tmp_path, SERVING, http=http)
    said, closed = silence(found, *cut(post(), [at]) * 6)
    assert (statuses(said), closed) == ([200] * 6, False)


@pytest.mark.parametrize("name", ["on_response_complete", "send_400_response", "shutdown", "on_message_begin"])
def test_another_uvicorn_than_is_known_is_left_to_itself(
    served: App, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(HttpToolsProtocol, name)
    assert not as_known()
    assert config(served, **SETTINGS).http == "h11"


@pytest.mark.parametrize("name", ["url", "headers", "flow", "cycle", "parser", "connections", "expect_100_continue",
                                  "timeout_keep_alive_task", "transport"])
def test_a_uvicorn_that_keeps_something_elsewhere_is_left_to_itself(
    served: App, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    class Moved(HttpToolsProtocol):
        def __setattr__(self, key: str, value: Any) -> None:
            super().__setattr__(f"{key}_moved" if key == name else key, value)

    monkeypatch.setattr(front, "HttpToolsProtocol", Moved)
    assert config(served, **SETTINGS).http == "h11"


def test_a_server_of_its_own_answers_as_it_does_in_here(
    release: Release, ways: tuple[Way, Way], tmp_path: Path
) -> None:
    with Server(release, tmp_path / "log", SERVING) as server:
        for name in ("one record", "many in a row", "a trailer", "expecting", "closing, and more", "HTTP/1.0",
                     "a length and chunks", "a head"):
            sent = BYTES.get(name, post(BODY, LONG))
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                expected = ways[0].talk([sent])[0]
                connection.sendall(sent)
                said = b""
                while len(statuses(said)) < len(statuses(expected)) and (more := connection.recv(2**16)):
                    said += more
            assert statuses(said) == statuses(expected)
    assert predictions(tmp_path / "log").rows == len(ways[0].logged())
