from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.ledger import broken, unsealed
from shipworthy.core.release import Release
from shipworthy.deployment.integration.history import carried, champion, ledger, promote, record, rollback, seals
from shipworthy.errors import BadRelease, Misuse, NotFit, StoreError
from shipworthy.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def wrong(store: Store) -> list[str]:
    return broken(ledger(store)) + unsealed(ledger(store), seals(store))


def test_promotion_and_rollback_move_the_champion_and_are_on_record(
    store: Store, make_release: Callable[..., Release]
) -> None:
    first, second = make_release(), make_release(seed=1)
    assert champion(store) is None
    promote(store, first, by="ann@example.org", why="first")
    promote(store, second, by="bob@example.org", why="better")
    found = champion(store)
    assert found
    assert found.id == second.id
    assert rollback(store, by="eve@example.org", why="worse after all").id == first.id
    again = champion(store)
    assert again
    assert again.id == first.id
    lines = ledger(store)
    assert [(e["actor"], e["action"], e["subject"]["release"]) for e in lines] == [
        ("ann@example.org", "promote", first.id), ("bob@example.org", "promote", second.id),
        ("eve@example.org", "rollback", first.id)]
    assert [e["subject"]["before"] for e in lines] == ["", first.id, second.id]
    assert wrong(store) == []


def test_a_release_that_is_not_fit_is_refused(store: Store, make_release: Callable[..., Release]) -> None:
    failed = Finding("auc", "verification.performance", "fail", "too low")
    release = make_release(evidence=Evidence((failed,), required=("verification.performance",)))
    with pytest.raises(NotFit, match=r"is not fit: verification\.performance"):
        promote(store, release, by="ann", why="hope")
    assert ledger(store) == []


def test_a_move_needs_a_name_a_reason_and_another_release(store: Store, make_release: Callable[..., Release]) -> None:
    release = make_release()
    with pytest.raises(Misuse, match="only with a name and a reason"):
        promote(store, release, by=" ", why="x")
    with pytest.raises(Misuse, match="no earlier champion"):
        rollback(store, by="ann", why="x")
    promote(store, release, by="ann", why="x")
    with pytest.raises(Misuse, match="is the champion already"):
        promote(store, release, by="ann", why="x")
    with pytest.raises(Misuse, match="no earlier champion"):
        rollback(store, by="ann", why="x")


def test_a_damaged_release_is_never_rolled_back_to(store: Store, make_release: Callable[..., Release]) -> None:
    first, second = make_release(), make_release(seed=1)
    promote(store, first, by="ann", why="x")
    promote(store, second, by="ann", why="x")
    (first.folder / "card.md").chmod(0o644)
    (first.folder / "card.md").write_text("x")
    with pytest.raises(BadRelease, match="altered"):
        rollback(store, by="ann", why="x")
    assert len(ledger(store)) == 2


def test_a_half_written_line_is_no_line_and_is_cut(store: Store) -> None:
    record(store, actor="ann", action="trained")
    path = store.home / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + b'{"n": 1, "prev"')
    assert len(ledger(store)) == 1
    record(store, actor="bob", action="approved", subject={"release": "r"})
    assert [entry["actor"] for entry in ledger(store)] == ["ann", "bob"]
    assert wrong(store) == []


def test_a_ledger_that_was_edited_is_noticed(store: Store, make_release: Callable[..., Release]) -> None:
    promote(store, make_release(), by="ann", why="x")
    path = store.home / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"eve"'))
    assert wrong(store) == ["line 0 was changed after it was written"]
    path.write_bytes(b"nonsense\n")
    with pytest.raises(StoreError, match="line 0 of the ledger cannot be read"):
        ledger(store)


def test_a_tail_that_was_cut_off_is_noticed_even_after_the_next_line(store: Store) -> None:
    for actor in ("ann", "bob", "eve"):
        record(store, actor=actor, action="waive")
    path = store.home / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1]))
    assert wrong(store) == ["2 of 3 signed lines are gone from the end"]
    for actor in ("ann", "bob", "eve"):
        record(store, actor=actor, action="waive")
    assert wrong(store) == ["line 2 is not the one that was signed"]


def test_a_head_that_a_kill_left_behind_is_signed_with_the_next_line(store: Store) -> None:
    record(store, actor="ann", action="waive")
    head = (store.home / "ledger.seal.json").read_bytes()
    record(store, actor="bob", action="waive")
    (store.home / "ledger.seal.json").write_bytes(head)
    assert wrong(store) == []
    record(store, actor="eve", action="waive")
    assert [one.lines for one in seals(store)] == [3]


def test_a_release_carries_the_head_of_its_day(store: Store, make_release: Callable[..., Release]) -> None:
    assert carried(seals(store)) == {}
    record(store, actor="ann", action="train")
    release = make_release(more=carried(seals(store)))
    record(store, actor="bob", action="waive")
    assert [(one.lines, one.by) for one in seals(store, release)] == [(2, "bob"), (1, "ann")]
    (store.home / "ledger.jsonl").write_bytes(b"")
    (store.home / "ledger.seal.json").unlink()
    assert unsealed(ledger(store), seals(store, release)) == ["1 of 1 signed lines are gone from the end"]


def test_a_head_that_is_no_head_is_told(store: Store) -> None:
    (store.home / "ledger.seal.json").write_text("{}")
    with pytest.raises(StoreError, match="the signed head of the ledger cannot be read"):
        seals(store)
