from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.release import Release
from shipworthy.deployment.integration.history import audit, champion, ledger, promote, record, rollback
from shipworthy.errors import BadRelease, Misuse, NotFit, StoreError
from shipworthy.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


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
    assert audit(store) == []
    assert [move.who for move in store.metadata.moves("champion")] == [
        "eve@example.org", "bob@example.org", "ann@example.org"]


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
    assert audit(store) == []


def test_a_ledger_that_was_edited_is_noticed(store: Store, make_release: Callable[..., Release]) -> None:
    promote(store, make_release(), by="ann", why="x")
    path = store.home / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"eve"'))
    assert audit(store) == ["line 0 was changed after it was written"]
    path.write_bytes(b"nonsense\n")
    with pytest.raises(StoreError, match="line 0 of the ledger cannot be read"):
        ledger(store)


def test_a_move_that_a_killed_process_left_half_done_is_mended_by_the_next(
    store: Store, make_release: Callable[..., Release]
) -> None:
    first, second = make_release(), make_release(seed=1)
    promote(store, first, by="ann", why="x")
    (store.home / "champion.json").unlink()
    assert audit(store) == ["champion.json and the ledger tell different moves"]
    found = champion(store)
    assert found
    assert found.id == first.id
    promote(store, second, by="ann", why="x")
    assert audit(store) == []
