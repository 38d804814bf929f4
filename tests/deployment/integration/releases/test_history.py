from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.ledger import broken, unsealed, waivers
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.history import (
    aliases,
    carried,
    champion,
    drop,
    ledger,
    named,
    point,
    promote,
    record,
    rollback,
    seals,
    signing_key,
    tell,
    told,
)
from shipworthy.deployment.integration.releases.release import write_release
from shipworthy.deployment.integration.serving.standing import Stand, Standing, read_standing, write_standing
from shipworthy.errors import BadRelease, Misuse, NotFit, StoreError
from shipworthy.store import Store


def wrong(store: Store) -> list[str]:
    return broken(ledger(store)) + unsealed(ledger(store), seals(store))


def test_promotion_and_rollback_move_the_champion_and_are_on_record(
    store: Store, trained: Callable[..., Release]
) -> None:
    first, second = trained(), trained(seed=1)
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
        ("tom@example.org", "train", first.id), ("tom@example.org", "train", second.id),
        ("ann@example.org", "promote", first.id), ("bob@example.org", "promote", second.id),
        ("eve@example.org", "rollback", first.id)]
    assert [e["subject"]["before"] for e in lines[2:]] == ["", first.id, second.id]
    assert wrong(store) == []


def test_its_trainer_may_roll_back(store: Store, trained: Callable[..., Release]) -> None:
    first, second = trained(), trained(seed=1)
    promote(store, first, by="ann@example.org", why="first")
    promote(store, second, by="ann@example.org", why="better")
    assert rollback(store, by="tom@example.org", why="it burns").id == first.id


def test_whoever_rolls_back_twice_goes_back_twice(store: Store, trained: Callable[..., Release]) -> None:
    made = [trained(seed=seed) for seed in range(4)]
    for release in made[:3]:
        promote(store, release, by="ann@example.org", why="better")
    assert [rollback(store, by="eve", why="worse").id for _ in range(2)] == [made[1].id, made[0].id]
    with pytest.raises(Misuse, match="no earlier champion"):
        rollback(store, by="eve", why="worse")
    promote(store, made[3], by="ann@example.org", why="better")
    promote(store, made[2], by="ann@example.org", why="it was right after all")
    assert [rollback(store, by="eve", why="worse").id for _ in range(2)] == [made[3].id, made[0].id]
    assert wrong(store) == []


def test_a_release_that_is_not_fit_is_refused(store: Store, trained: Callable[..., Release]) -> None:
    failed = Finding("auc", "verification.performance", "fail", "too low")
    release = trained(evidence=Evidence((failed,), required=("verification.performance",)))
    with pytest.raises(NotFit, match=r"is not fit: verification\.performance"):
        promote(store, release, by="ann", why="hope")
    assert [line["action"] for line in ledger(store)] == ["train"]


def test_a_move_needs_a_name_a_reason_and_another_release(store: Store, trained: Callable[..., Release]) -> None:
    release = trained()
    with pytest.raises(Misuse, match="only with a name and a reason"):
        promote(store, release, by=" ", why="x")
    with pytest.raises(Misuse, match="no earlier champion"):
        rollback(store, by="ann", why="x")
    promote(store, release, by="ann", why="x")
    with pytest.raises(Misuse, match="is the champion already"):
        promote(store, release, by="ann", why="x")
    with pytest.raises(Misuse, match="no earlier champion"):
        rollback(store, by="ann", why="x")


def test_a_damaged_release_is_never_rolled_back_to(store: Store, trained: Callable[..., Release]) -> None:
    first, second = trained(), trained(seed=1)
    promote(store, first, by="ann", why="x")
    promote(store, second, by="ann", why="x")
    (first.folder / "card.md").chmod(0o644)
    (first.folder / "card.md").write_text("x")
    with pytest.raises(BadRelease, match="altered"):
        rollback(store, by="ann", why="x")
    assert len(ledger(store)) == 4


def test_a_half_written_line_is_no_line_and_is_cut(store: Store) -> None:
    record(store, actor="ann", action="trained")
    path = store.home / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + b'{"n": 1, "prev"')
    assert len(ledger(store)) == 1
    record(store, actor="bob", action="approved", subject={"release": "r"})
    assert [entry["actor"] for entry in ledger(store)] == ["ann", "bob"]
    assert wrong(store) == []


def test_a_ledger_that_was_edited_is_noticed(store: Store, trained: Callable[..., Release]) -> None:
    promote(store, trained(), by="ann", why="x")
    path = store.home / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"eve"'))
    assert wrong(store) == ["line 1 was changed after it was written"]
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


# ── whose release it is ──────────────────────────────────────────────────────────────────────────────────────────


def forged(release: Release, folder: Path, key: sign.Key) -> Release:
    """The same model with invented findings, whole and signed by somebody's key."""
    fine = Evidence((Finding("auc", "verification.performance", "pass", "splendid"),))
    return write_release(folder, name="ward", model=release.model, evidence=fine, extras={}, key=key,
                         identity=release.manifest.identity)


def test_a_release_re_signed_by_a_stranger_s_key_is_not_promoted(
    store: Store, trained: Callable[..., Release], tmp_path: Path
) -> None:
    stranger = sign.make_key(tmp_path / "stranger.pem")
    release = forged(trained(), tmp_path / "releases", stranger)
    with pytest.raises(BadRelease, match="the signature was not made by this key") as caught:
        promote(store, release, by="ann", why="it looks perfect")
    assert "shipworthy run" in caught.value.hint
    record(store, actor="tom", action="train", subject={"release": release.id}, evidence=release.evidence.digest)
    with pytest.raises(BadRelease, match="the signature was not made by this key"):
        promote(store, release, by="ann", why="it looks perfect")


def test_a_release_that_no_run_made_is_not_promoted_though_the_key_fits(
    store: Store, trained: Callable[..., Release], tmp_path: Path, key: sign.Key
) -> None:
    release = forged(trained(), tmp_path / "releases", key)
    with pytest.raises(BadRelease, match="the ledger does not say that this project made or imported the release"):
        promote(store, release, by="ann", why="x")
    record(store, actor="tom", action="train", subject={"release": release.id}, evidence="0" * 64)
    with pytest.raises(BadRelease, match="the ledger does not say that this project made or imported the release"):
        promote(store, release, by="ann", why="x")


def test_evidence_of_another_model_is_not_promoted(store: Store, trained: Callable[..., Release]) -> None:
    other = Finding("auc", "verification.performance", "pass", "fine", judged=Judged(model="0" * 64))
    with pytest.raises(BadRelease, match='the finding of "auc" was made of another model'):
        promote(store, trained(evidence=Evidence((other,))), by="ann", why="x")


@pytest.mark.parametrize("name", ["tom@example.org", " Tom@Example.ORG "])
def test_who_trained_it_on_record_may_not_approve_it(
    store: Store, trained: Callable[..., Release], name: str
) -> None:
    with pytest.raises(NotFit, match="trained this model and may not approve it"):
        promote(store, trained(), by=name, why="x")


def test_without_a_trainer_on_record_nobody_may_approve(store: Store, trained: Callable[..., Release]) -> None:
    with pytest.raises(NotFit, match="nobody is named as the trainer") as caught:
        promote(store, trained(by=" "), by="ann", why="x")
    assert '[project] trainer = "…"' in caught.value.hint


def test_nothing_is_promoted_on_a_ledger_that_does_not_hold(store: Store, trained: Callable[..., Release]) -> None:
    release = trained(by="ann")
    path = store.home / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"tom"'))
    with pytest.raises(StoreError, match="the ledger does not hold: line 0 was changed after it was written"):
        promote(store, release, by="ann", why="x")


def test_the_champion_is_the_release_that_was_promoted_signed_by_the_project(
    store: Store, trained: Callable[..., Release], tmp_path: Path
) -> None:
    release, other = trained(), trained(seed=1)
    promote(store, release, by="ann", why="x")
    release.folder.rename(tmp_path / "aside")
    other.folder.rename(release.folder)
    with pytest.raises(BadRelease, match="another release lies where the champion was"):
        champion(store)
    sign.make_key(signing_key(store))
    with pytest.raises(BadRelease, match="the signature was not made by this key"):
        champion(store)
    for path in signing_key(store).parent.iterdir():
        path.unlink()
    with pytest.raises(BadRelease, match="the key that signed the project's releases is not there") as caught:
        champion(store)
    assert "restore it" in caught.value.hint


def test_a_waiver_is_a_line_of_the_ledger_and_the_newest_of_a_row_counts(store: Store) -> None:
    for until, why in (("2027-01-31", "first"), ("zzzz", "for ever"), ("2027-02-28", "second")):
        record(store, actor="ann", action="waive", subject={"row": "ethics.bias", "until": until}, why=why)
    record(store, actor="bob", action="waive", subject={}, why="no row")
    assert [(one.row, one.by, one.reason, one.expires) for one in waivers(ledger(store))] == [
        ("ethics.bias", "ann", "second", date(2027, 2, 28))]


# ── other names than champion ────────────────────────────────────────────────────────────────────────────────────


def test_a_free_name_points_to_a_release_and_every_move_is_on_record(
    store: Store, trained: Callable[..., Release]
) -> None:
    first, second = trained(), trained(seed=1)
    point(store, "pilot-2", first, by="ann", why="for the north")
    point(store, "pilot-2", second, by="bob", why="newer")
    assert aliases(store) == {"pilot-2": second.id}
    assert [named(store, text) for text in ("pilot-2", "other")] == [second.id, "other"]
    drop(store, "pilot-2", by="eve", why="over")
    assert aliases(store) == {}
    moved = [line for line in ledger(store) if line["action"] in ("point", "drop")]
    assert [(m["actor"], m["why"], m["subject"]["before"], m["subject"]["release"], m["evidence"]) for m in moved] == [
        ("ann", "for the north", "", first.id, first.evidence.digest),
        ("bob", "newer", first.id, second.id, second.evidence.digest), ("eve", "over", second.id, "", "")]
    assert wrong(store) == []


@pytest.mark.parametrize("alias", ["", "Pilot", "a b", "../up", "-x", "cafe", "x" * 41])
def test_a_name_that_is_none_or_could_be_an_id_is_refused(
    store: Store, trained: Callable[..., Release], alias: str
) -> None:
    with pytest.raises(Misuse, match="is no name for a release"):
        point(store, alias, trained(), by="ann", why="x")


def test_the_champion_is_not_pointed_past_the_gate(store: Store, trained: Callable[..., Release]) -> None:
    for act in (lambda: point(store, "champion", trained(), by="ann", why="x"),
                lambda: drop(store, "champion", by="ann", why="x")):
        with pytest.raises(Misuse, match="moves by promotion and rollback only"):
            act()


def test_a_name_that_stands_there_already_or_nowhere_is_refused(
    store: Store, trained: Callable[..., Release]
) -> None:
    release = trained()
    point(store, "challenger", release, by="ann", why="x")
    with pytest.raises(Misuse, match="is the challenger already"):
        point(store, "challenger", release, by="ann", why="x")
    with pytest.raises(Misuse, match='there is no alias "chalenger"') as caught:
        drop(store, "chalenger", by="ann", why="x")
    assert caught.value.hint == 'did you mean "challenger"?'
    with pytest.raises(Misuse, match="only with a name and a reason"):
        drop(store, "challenger", by="ann", why=" ")


def test_a_challenger_that_becomes_champion_challenges_no_more(
    store: Store, trained: Callable[..., Release]
) -> None:
    first, second = trained(), trained(seed=1)
    promote(store, first, by="ann", why="first")
    point(store, "challenger", second, by="renewal", why="less error")
    assert aliases(store) == {"champion": first.id, "challenger": second.id}
    promote(store, second, by="ann", why="it won")
    assert aliases(store) == {"champion": second.id}
    assert [line["why"] for line in ledger(store)][-2:] == ["it won", "champion now: it won"]
    assert wrong(store) == []


def test_a_release_removed_meanwhile_gets_no_name(store: Store, trained: Callable[..., Release]) -> None:
    first, second = trained(), trained(seed=1)
    promote(store, first, by="ann", why="x")
    shutil.rmtree(first.folder)
    with pytest.raises(BadRelease, match="there is no release folder"):
        point(store, "pilot", first, by="ann", why="x")
    promote(store, second, by="ann", why="x")
    with pytest.raises(BadRelease, match="there is no release folder"):
        rollback(store, by="ann", why="x")


# ── what the servers are told ────────────────────────────────────────────────────────────────────────────────────


def stand(release: Release) -> Stand:
    return Stand(release.id, f"releases/{release.folder.name}")


def test_the_servers_are_told_after_every_move_of_the_champion(store: Store, trained: Callable[..., Release]) -> None:
    first, second = trained(), trained(seed=1)
    assert (told(store), tell(store), read_standing(store.home)) == (None, None, None)
    turns = []
    for act, stands in ((lambda: promote(store, first, by="ann", why="x"), first),
                        (lambda: promote(store, second, by="ann", why="x"), second),
                        (lambda: rollback(store, by="ann", why="x"), first)):
        act()
        found = read_standing(store.home)
        assert found
        assert (found.champion, found.challenger, found.mode) == (stand(stands), None, "alone")
        turns.append(found.turn)
    assert turns == sorted(set(turns))
    assert told(store) == read_standing(store.home)


def test_a_rollout_is_left_as_it_is_until_the_champion_moves(store: Store, trained: Callable[..., Release]) -> None:
    first, second = trained(), trained(seed=1)
    promote(store, first, by="ann", why="x")
    canary = Standing(90, stand(first), stand(second), "canary", 0.25, "salt")
    write_standing(store.home, canary)
    point(store, "challenger", second, by="ann", why="x")
    assert tell(store) == canary
    promote(store, second, by="ann", why="x")
    assert read_standing(store.home) == Standing(91, stand(second), previous=stand(first))


@pytest.mark.parametrize("found", [None, b"{", b""])
def test_a_lost_or_broken_file_is_written_from_the_ledger(
    store: Store, trained: Callable[..., Release], found: bytes | None
) -> None:
    release = trained()
    promote(store, release, by="ann", why="x")
    path = store.home / "serving.json"
    path.unlink() if found is None else path.write_bytes(found)
    due = tell(store)
    assert due == read_standing(store.home) == told(store)
    assert due
    assert due.champion == stand(release)


def test_promoting_the_champion_again_is_refused_but_tells_the_servers(
    store: Store, trained: Callable[..., Release]
) -> None:
    release = trained()
    promote(store, release, by="ann", why="x")
    (store.home / "serving.json").unlink()
    with pytest.raises(Misuse, match="is the champion already"):
        promote(store, release, by="ann", why="x")
    assert told(store) == read_standing(store.home)
