"""The gate: who is let in and who is told why not; a change holds at once in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shipworthy.core.canon import canonical
from shipworthy.core.project import Serving
from shipworthy.deployment.integration.access.gate import Denied, Gate, local
from shipworthy.deployment.integration.access.issue import create, revoke, rotate
from shipworthy.deployment.integration.access.tokens import FILE, Access, now, read_access
from shipworthy.errors import StoreError
from shipworthy.store import Store, open_store

HOST = "0.0.0.0"
HEAVY = "pandas sklearn lightgbm sqlalchemy deltalake polars duckdb pyarrow scipy fsspec cryptography"
CHILD = """
import sys
from pathlib import Path
from shipworthy.core.project import Serving
from shipworthy.deployment.integration.access.gate import Denied, Gate
gate = Gate(Path(sys.argv[1]), Serving())
print("ready", flush=True)
for line in sys.stdin:
    header, scope, rows = line.split()
    try:
        caller = gate.allows(None if header == "-" else b"Bearer " + header.encode(), scope)
        caller.spend(int(rows))
        print(200, caller.name, flush=True)
    except Denied as denied:
        print(denied.status, flush=True)
"""


def bearer(secret: str) -> bytes:
    return f"Bearer {secret}".encode()


def denied(gate: Gate, header: bytes | None, scope: str = "predict") -> Denied:
    with pytest.raises(Denied) as told:
        gate.allows(header, scope)
    return told.value


@pytest.fixture
def gate(store: Store) -> Iterator[Gate]:
    with closing(Gate(store.home, Serving())) as made:
        yield made


def test_before_the_first_token_this_machine_may_predict_and_label_without_one(gate: Gate) -> None:
    for scope in ("predict", "label"):
        caller = gate.allows(None, scope)
        assert (caller.name, caller.token) == ("anonymous", "")
    for scope in ("train", "approve", "admin"):
        assert denied(gate, None, scope).status == 401
    assert gate.told() == "open: whoever reaches this address may ask, without a token"


def test_the_first_token_closes_a_gate_that_stands_open(gate: Gate, store: Store) -> None:
    assert gate.allows(None, "predict")
    secret, _ = create(store, "ann", ["predict"], by="olga")
    refusal = denied(gate, None)
    assert (refusal.status, refusal.problem) == (401, "this needs a token")
    assert refusal.headers == ((b"www-authenticate", b'Bearer realm="shipworthy"'),)
    assert gate.allows(bearer(secret), "predict").name == "ann"
    assert gate.told() == "closed: 1 token may ask"


def test_taking_the_last_token_away_does_not_open_the_gate(gate: Gate, store: Store) -> None:
    _, token = create(store, "ann", ["predict"], by="olga")
    revoke(store, token.id, by="olga", why="leaked")
    assert denied(gate, None).status == 401
    assert gate.told().startswith("closed, and nobody has a token: ")


def test_a_token_of_the_control_api_leaves_the_predict_api_open(gate: Gate, store: Store) -> None:
    secret, _ = create(store, "tom", ["train"], by="olga")
    assert gate.allows(None, "predict").token == ""
    assert gate.allows(bearer(secret), "train").name == "tom"
    assert denied(gate, bearer(secret), "predict").status == 403


@pytest.mark.parametrize(("host", "said", "open_to_all"), [
    ("127.0.0.1", None, True), ("127.0.0.2", None, True), ("::1", None, True), ("localhost", None, True),
    ("0.0.0.0", None, False), ("::", None, False), ("10.0.0.7", None, False), ("", None, False),
    ("models.example.org", None, False), ("localhost.example.org", None, False),
    ("127.0.0.1", False, False), ("0.0.0.0", True, True),
])
def test_without_tokens_it_is_open_on_this_machine_or_where_the_project_says_so(
    tmp_path: Path, host: str, said: bool | None, open_to_all: bool
) -> None:
    with closing(Gate(tmp_path, Serving(host=host, open=said))) as gate:
        assert gate.open is open_to_all
        if not open_to_all:
            assert denied(gate, None).status == 401


def test_a_host_given_at_the_start_counts_for_more_than_the_project_s(tmp_path: Path) -> None:
    with closing(Gate(tmp_path, Serving(), host=HOST)) as gate:
        assert not gate.open
    with closing(Gate(tmp_path, Serving(open=True), host=HOST)) as gate:
        assert "can be reached from afar" in gate.told()


def test_the_control_api_is_closed_to_whoever_has_no_token(store: Store) -> None:
    gate = Gate(store.home)
    for scope in ("predict", "label", "train", "approve", "admin"):
        assert denied(gate, None, scope).status == 401
    secret, _ = create(store, "tom", ["train"], by="olga")
    caller = gate.allows(bearer(secret), "train")
    caller.spend(10**9)
    assert not (store.home / "budgets").exists()


def test_a_scope_that_is_missing_is_named(gate: Gate, store: Store) -> None:
    secret, token = create(store, "ann", ["label", "predict"], by="olga")
    caller = gate.allows(bearer(secret), "label")
    assert (caller.name, caller.token, caller.scopes) == ("ann", token.id, frozenset({"predict", "label"}))
    refusal = denied(gate, bearer(secret), "admin")
    assert (refusal.status, refusal.problem) == (403, f"token {token.id} has no scope admin, only label, predict")
    assert refusal.headers == (
        (b"www-authenticate", b'Bearer realm="shipworthy", error="insufficient_scope", scope="admin"'),)


def test_admin_holds_no_other_scope(gate: Gate, store: Store) -> None:
    secret, _ = create(store, "ann", ["admin"], by="olga")
    assert [denied(gate, bearer(secret), scope).status for scope in ("predict", "train", "approve")] == [403] * 3


def test_a_revoked_or_rotated_token_is_refused_at_the_next_request_and_told_to_its_holder(
    gate: Gate, store: Store
) -> None:
    old, token = create(store, "ann", ["predict"], by="olga")
    assert gate.allows(bearer(old), "predict")
    new, _ = rotate(store, token.id, by="olga", grace_hours=0)
    assert denied(gate, bearer(old)).problem == "there is no such token"
    assert gate.allows(bearer(new), "predict")
    newest, _ = rotate(store, token.id, by="olga", grace_hours=1)
    assert gate.allows(bearer(new), "predict").until < gate.allows(bearer(newest), "predict").until
    revoke(store, token.id, by="olga", why="leaked")
    for secret in (new, newest):
        refusal = denied(gate, bearer(secret))
        assert refusal.problem == f"token {token.id} was revoked on {now():%Y-%m-%d}"
        assert refusal.headers[0][1].endswith(b'error="invalid_token"')


def test_a_token_ends_on_its_day_even_if_it_was_verified_before(store: Store, tmp_path: Path) -> None:
    secret, token = create(store, "ann", ["predict"], by="olga")
    with closing(Gate(store.home, Serving())) as gate:
        caller = gate.allows(bearer(secret), "predict")
        assert gate.allows(bearer(secret), "predict") is caller
        caller.until = 0.0
        assert gate.allows(bearer(secret), "predict") is not caller
        ended = msgspec.structs.replace(token, until=now() - timedelta(days=1))
        (store.home / FILE).write_bytes(canonical(Access((ended,))))
        assert denied(gate, bearer(secret)).problem == f"token {token.id} ended on {ended.until:%Y-%m-%d}"


def test_every_process_knows_of_a_change_at_its_next_request(store: Store) -> None:
    children = [subprocess.Popen([sys.executable, "-c", CHILD, str(store.home)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) for _ in range(2)]

    def ask(line: str) -> list[str]:
        for child in children:
            assert child.stdin
            child.stdin.write(f"{line}\n")
            child.stdin.flush()
        return [child.stdout.readline().strip() for child in children if child.stdout]

    try:
        assert [child.stdout.readline().strip() for child in children if child.stdout] == ["ready"] * 2
        assert ask("- predict 1") == ["200 anonymous"] * 2
        secret, token = create(store, "ann", ["predict"], by="olga", rows_a_day=10)
        assert ask("- predict 1") == ["401"] * 2
        assert ask(f"{secret} predict 4") == ["200 ann"] * 2
        assert ask(f"{secret} predict 3") == ["429"] * 2
        assert ask(f"{secret} predict 1") == ["200 ann"] * 2
        assert ask(f"{secret} label 0") == ["403"] * 2
        revoke(store, token.id, by="olga", why="leaked")
        assert ask(f"{secret} predict 0") == ["401"] * 2
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_a_thread_that_still_holds_the_old_file_leaves_nothing_in_the_new(gate: Gate, store: Store) -> None:
    secret, token = create(store, "ann", ["predict"], by="olga")
    gate.allows(bearer(secret), "predict")
    before = gate._state
    revoke(store, token.id, by="olga", why="leaked")
    denied(gate, bearer(secret))
    assert gate._verified(before, bearer(secret)).name == "ann"
    assert denied(gate, bearer(secret)).status == 401


def test_a_file_that_is_lost_or_broken_lets_nobody_in_until_it_is_back(gate: Gate, store: Store) -> None:
    secret, _ = create(store, "ann", ["predict"], by="olga")
    path, aside = store.home / FILE, store.home / "aside"
    assert gate.allows(bearer(secret), "predict")
    path.rename(aside)
    for _ in range(2):
        for header in (None, bearer(secret)):
            with pytest.raises(StoreError, match="the file of tokens is missing"):
                gate.allows(header, "predict")
    path.write_bytes(b"{}x")
    for _ in range(2):
        for header in (None, bearer(secret)):
            with pytest.raises(StoreError, match="the file of tokens cannot be read"):
                gate.allows(header, "predict")
    assert not gate.open
    os.replace(aside, path)
    assert gate.allows(bearer(secret), "predict")


def test_a_file_that_vanishes_between_the_look_and_the_reading_does_not_open_the_gate(
    gate: Gate, store: Store
) -> None:
    create(store, "ann", ["train"], by="olga")
    assert gate.allows(None, "predict")
    (store.home / FILE).unlink()
    with pytest.raises(StoreError, match="the file of tokens is missing"):
        gate._read()
    with pytest.raises(StoreError, match="the file of tokens is missing"):
        gate.allows(None, "predict")


def test_a_broken_file_that_is_deleted_does_not_open_the_gate(gate: Gate, store: Store) -> None:
    path = store.home / FILE
    path.write_bytes(b"broken")
    with pytest.raises(StoreError, match="the file of tokens cannot be read"):
        gate.allows(None, "predict")
    path.unlink()
    with pytest.raises(StoreError, match="the file of tokens is missing"):
        gate.allows(None, "predict")


def test_a_gate_that_cannot_be_opened_holds_no_slot(store: Store) -> None:
    (store.home / FILE).write_bytes(b"broken")
    for _ in range(70):
        with pytest.raises(StoreError, match="the file of tokens cannot be read"):
            Gate(store.home, Serving())


def test_a_budget_that_is_used_up_says_when_to_come_back(gate: Gate, store: Store) -> None:
    secret, _ = create(store, "ann", ["predict"], by="olga", rows_a_minute=10)
    caller = gate.allows(bearer(secret), "predict")
    caller.spend(10)
    with pytest.raises(Denied) as told:
        caller.spend(1)
    refusal = told.value
    assert (refusal.status, refusal.problem) == (429, "the budget of 10 rows a minute is used up")
    assert 60 <= refusal.retry_after <= 72
    assert refusal.headers == ((b"retry-after", str(refusal.retry_after).encode()),)
    with pytest.raises(Denied) as told:
        caller.spend(11)
    assert told.value.hint == "send at most 10 rows at once"


def test_a_token_s_own_budget_counts_for_more_than_the_project_s_and_outlives_its_rotation(store: Store) -> None:
    usual, token = create(store, "ann", ["predict"], by="olga")
    free, _ = create(store, "bob", ["predict"], by="olga", rows_a_day=0)
    with closing(Gate(store.home, Serving(rows_a_day=5))) as gate:
        gate.allows(bearer(usual), "predict").spend(5)
        gate.allows(bearer(free), "predict").spend(5000)
        rotated, _ = rotate(store, token.id, by="olga")
        for secret in (usual, rotated):
            with pytest.raises(Denied, match="the budget of 5 rows a day is used up"):
                gate.allows(bearer(secret), "predict").spend(1)


def test_all_who_ask_without_a_token_share_one_budget(tmp_path: Path) -> None:
    serving = Serving(rows_a_day=5)
    with closing(Gate(tmp_path, serving)) as one, closing(Gate(tmp_path, serving)) as other:
        one.allows(None, "predict").spend(3)
        other.allows(None, "predict").spend(2)
        for gate in (one, other):
            with pytest.raises(Denied, match="a day is used up"):
                gate.allows(None, "predict").spend(1)


def test_many_tokens_each_have_their_own_budget(store: Store) -> None:
    with closing(Gate(store.home, Serving(rows_a_day=2))) as gate:
        for name in range(12):
            secret, _ = create(store, f"holder {name}", ["predict"], by="olga")
            caller = gate.allows(bearer(secret), "predict")
            caller.spend(2)
            with pytest.raises(Denied):
                caller.spend(1)


# ── whatever is sent ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, str]]:
    """A gate that stands open though there is a token, so that only what is sent decides."""
    store = open_store(tmp_path_factory.mktemp("house"))
    secret, _ = create(store, "ann", ["predict", "label", "train", "approve", "admin"], by="olga")
    with closing(Gate(store.home, Serving(open=True))) as gate:
        yield gate, secret


@given(header=st.one_of(
    st.binary(max_size=300), st.binary(min_size=83, max_size=83),
    st.text(max_size=100).map(lambda text: b"Bearer " + text.encode("utf-8", "surrogatepass")),
    st.from_regex(rb"\A[Bb]earer sw_[0-9a-f]{8}_[0-9a-f]{64}\Z")))
@example(b"")
@example(b"Bearer ")
@example(b"Bearer \xff\xfe" + b"\x00" * 74)
@example("Bearer sw_éééé".encode())
@example(b"Basic YWRtaW46YWRtaW4=")
@example(b"Bearer " * 100_000)
@example(b"A" * 10_000_000)
def test_no_random_header_is_ever_accepted(house: tuple[Gate, str], header: bytes) -> None:
    refusal = denied(house[0], header)
    assert refusal.status == 401
    assert refusal.headers[0][1].decode("ascii")


@given(place=st.integers(0, 82), byte=st.integers(0, 255))
def test_a_header_with_one_other_byte_is_not_accepted(house: tuple[Gate, str], place: int, byte: int) -> None:
    gate, secret = house
    good = bearer(secret)
    sent = good[:place] + bytes([byte]) + good[place + 1:]
    if sent[:7].lower() == b"bearer " and sent[7:] == good[7:]:
        assert gate.allows(sent, "predict").name == "ann"
    else:
        assert denied(gate, sent).status == 401


@given(secret=st.from_regex(r"\A[0-9a-f]{64}\Z"))
def test_the_right_id_with_another_secret_is_not_accepted(house: tuple[Gate, str], secret: str) -> None:
    assert denied(house[0], bearer(house[1][:12] + secret)).status == 401


def test_neither_the_hash_nor_the_secret_alone_is_accepted(house: tuple[Gate, str]) -> None:
    gate, secret = house
    token = read_access(gate.home)[0].tokens[0]
    for sent in (token.hash, secret[12:], f"sw_{token.id}_{token.hash}", f" {secret}", f"{secret} ", f"{secret}\n"):
        assert denied(gate, bearer(sent)).status == 401


def test_what_was_verified_is_remembered_and_nothing_else_is(house: tuple[Gate, str]) -> None:
    gate, secret = house
    for _ in range(3):
        gate.allows(bearer(secret), "predict")
        denied(gate, bearer(secret[:-1] + "g"))
    assert len(gate._state.known) <= 64


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "127.0.0.1.example.org", "[::1]", "*"])
def test_an_odd_way_to_write_an_address_is_not_taken_for_this_machine(host: str) -> None:
    assert not local(host)


def test_a_server_s_gate_needs_no_heavy_library() -> None:
    code = ("import sys; from shipworthy.deployment.integration.access import budgets, gate, journal, tls; "
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) & set(HEAVY.split()) == set()
