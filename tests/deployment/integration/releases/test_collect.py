from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.counts import COUNTS, Change, read_counts, write_change
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.log import Heading, Log, Served
from shipworthy.deployment.integration.log.tally import tally
from shipworthy.deployment.integration.releases.book import held, ledger, put, record
from shipworthy.deployment.integration.releases.collect import GONE, USED, Fate, collect, collect_tables
from shipworthy.deployment.integration.releases.history import champion, point, promote, rollback
from shipworthy.deployment.integration.releases.shelf import placed, shelf
from shipworthy.deployment.integration.releases.use import in_use, unused
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.deployment.integration.serving.standing import Stand, Standing, write_standing
from shipworthy.errors import BadRelease, Misuse, StoreError
from shipworthy.store import Store

NEWEST = "it is among the 1 newest"


@pytest.fixture
def made(trained: Callable[..., Release]) -> list[Release]:
    """Four releases, the oldest first."""
    return [trained(seed=seed) for seed in range(4)]


def sweep(store: Store, **options: Any) -> list[Fate]:
    return collect(store, store.folder / "releases", store.home / "log", by="ann", **{"keep": 1, **options})


def stays(store: Store, **options: Any) -> dict[str, tuple[str, ...]]:
    return {fate.release: fate.stays for fate in sweep(store, **options)}


def left(store: Store) -> list[str]:
    return sorted(path.name for path in (store.folder / "releases").iterdir())


def test_what_nothing_needs_goes_and_is_on_record(store: Store, made: list[Release]) -> None:
    assert [(fate.release, fate.stays) for fate in sweep(store)] == [
        (made[3].id, (NEWEST,)), (made[2].id, ()), (made[1].id, ()), (made[0].id, ())]
    assert left(store) == [made[3].folder.name]
    lines = [line for line in ledger(store) if line["action"] == "remove"]
    assert [(line["actor"], line["subject"]) for line in lines] == [
        ("ann", {"release": one.id}) for one in (made[2], made[1], made[0])]
    assert lines[0]["why"] == "nothing needs it, and the newest 1 are kept"


def test_a_dry_run_says_the_same_and_takes_nothing(store: Store, made: list[Release]) -> None:
    said, before = sweep(store, dry_run=True), len(ledger(store))
    assert len(left(store)) == 4
    assert len(ledger(store)) == before
    assert sweep(store) == said


def test_what_a_name_points_to_stays(store: Store, made: list[Release]) -> None:
    promote(store, made[0], by="ann", why="x")
    point(store, "challenger", made[1], by="ann", why="x")
    point(store, "pilot", made[1], by="ann", why="x")
    found = stays(store)
    assert found[made[0].id] == ("it is champion",)
    assert found[made[1].id] == ("it is challenger", "it is pilot")
    assert found[made[2].id] == ()


def test_what_a_rollback_can_reach_stays_and_what_was_rolled_back_goes(store: Store, made: list[Release]) -> None:
    for release in made[:3]:
        promote(store, release, by="ann", why="x")
    rollback(store, by="eve", why="worse")
    found = stays(store)
    assert found[made[0].id] == ("a rollback can reach it",)
    assert found[made[1].id] == ("it is champion",)
    assert found[made[2].id] == ()
    assert rollback(store, by="eve", why="worse still").id == made[0].id


def test_what_the_servers_were_told_of_stays(store: Store, made: list[Release]) -> None:
    promote(store, made[0], by="ann", why="x")
    stand = [Stand(one.id, f"releases/{one.folder.name}") for one in made]
    write_standing(store.home, Standing(9, stand[0], stand[1], "canary", 0.05))
    assert stays(store)[made[1].id] == ("the servers were told to ask it",)


def test_what_has_answers_that_are_not_drained_stays(store: Store, made: list[Release]) -> None:
    log = Log(store.home / "log", Heading(made[0].id, ("no", "yes"), (Field("age", "f0", "number", True),)))
    log.served(Served(["a"], 1, "champion", 1.0, [0.5], ["no"], [False], [[1.0]]))
    log.close()
    found = stays(store)
    assert [why.partition(":")[0] for why in found[made[0].id]] == ["answers of it are not drained"]
    assert found[made[1].id] == ()


def test_what_has_answers_in_the_shadow_that_are_not_drained_stays(store: Store, made: list[Release]) -> None:
    log = Log(store.home / "log", Heading(made[1].id, ("no", "yes"), ()))
    beside = log.arm(Heading(made[0].id, ("no", "yes"), ()), shadow=True)
    beside.served(Served(["a"], 1, "shadow", 1.0, [0.5], ["no"], [False], []))
    beside.close()
    log.close()
    assert [why.partition(": shadows-")[0] for why in stays(store)[made[0].id]] == ["answers of it are not drained"]


def test_what_has_answers_that_are_not_counted_yet_stays_where_answers_are_counted(
    store: Store, trained: Callable[..., Release]
) -> None:
    made = [trained(seed=0, more={"grid.json": b"{}"}), trained(seed=1), trained(seed=2)]
    folder = store.home / "log"
    for release in made[:2]:  # the second cannot be counted
        log = Log(folder, Heading(release.id, ("no", "yes"), ()))
        log.served(Served([release.id[:8]], 1, "champion", 1.0, [0.5], ["no"], [False], []))
        log.close()
    drain(folder, store.tables)
    assert not any(stays(store, dry_run=True)[release.id] for release in made[:2])
    assert set(tally(folder, store.home / COUNTS, {}.get, store.tables).unknown) == {made[0].id, made[1].id}
    found = stays(store)
    assert [why.partition(": served-")[0] for why in found[made[0].id]] == ["answers of it are not counted yet"]
    assert found[made[1].id] == ()
    book = read_counts(store.home / COUNTS).book
    (segment,) = [one for name in store.tables.names() for one in
                  store.tables.read(name, where=pc.field("release") == made[0].id)["segment"].to_pylist()]
    write_change(store.home / COUNTS, book, Change({segment: 2**40}), 1)
    assert stays(store)[made[0].id] == ()


def test_what_a_process_has_in_use_stays_until_the_last_lets_it_go(store: Store, made: list[Release]) -> None:
    one, other = in_use(made[0].folder), in_use(made[0].folder)
    assert stays(store)[made[0].id] == (USED,)
    one.close()
    assert stays(store)[made[0].id] == (USED,)
    other.close()
    assert stays(store)[made[0].id] == ()
    with pytest.raises(BadRelease, match="the release is gone"):
        in_use(made[0].folder)


def test_what_is_taken_into_use_while_it_is_collected_is_gone(store: Store, made: list[Release]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with unused(made[0].folder) as free:
            assert free
            waiting = pool.submit(in_use, made[0].folder)
            made[0].folder.rename(made[0].folder.with_name(f".x{GONE}"))
        with pytest.raises(BadRelease, match="the release is gone"):
            waiting.result()


def test_a_file_of_the_log_that_cannot_be_read_keeps_everything(store: Store, made: list[Release]) -> None:
    log = Log(store.home / "log", Heading(made[0].id, (), ()))
    log.close()
    path = next((store.home / "log").glob("predictions-*.log"))
    whole = path.read_bytes()
    path.with_suffix(".damaged").write_bytes(whole.replace(b"\x83", b"\x99", 1)[:8] + _block(b"\xff\xff"))
    assert all(why for why in stays(store).values())


def _block(payload: bytes) -> bytes:
    return struct.pack("<II", zlib.crc32(payload), len(payload) + 8) + payload


def test_what_a_waiver_names_stays_as_long_as_it_holds(store: Store, made: list[Release]) -> None:
    for release, days in ((made[0], 3), (made[1], -1)):
        until = (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
        record(store, actor="eve", action="waive", why="pilot",
               subject={"row": "ethics.bias", "until": until, "release": release.id})
    found = stays(store)
    assert found[made[0].id] == ("a waiver of ethics.bias names it",)
    assert found[made[1].id] == ()


def test_what_is_no_release_is_left_alone(store: Store, made: list[Release]) -> None:
    (store.folder / "releases" / "notes").mkdir()
    broken = store.folder / "releases" / "broken"
    broken.mkdir()
    (broken / "release.json").write_text("{")
    found = sweep(store)
    assert [why.partition(":")[0] for fate in found for why in fate.stays if fate.folder == "broken"] == [
        "it cannot be read"]
    assert {"broken", "notes", made[-1].folder.name} <= set(left(store))


def test_on_a_ledger_that_does_not_hold_nothing_goes(store: Store, made: list[Release]) -> None:
    path = store.home / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    with pytest.raises(StoreError, match="the ledger does not hold: 2 of 4 signed lines are gone"):
        sweep(store)
    assert len(left(store)) == 4


def test_at_least_one_is_kept(store: Store, made: list[Release]) -> None:
    with pytest.raises(Misuse, match="at least one release is kept"):
        sweep(store, keep=0)


def test_what_a_killed_collection_left_behind_is_swept(store: Store, made: list[Release]) -> None:
    rest = made[0].folder.with_name(f".{made[0].folder.name}.gone")
    made[0].folder.rename(rest)
    (made[1].folder / "link").symlink_to(store.folder / "shipworthy.toml")
    assert [path.name for path in placed(rest.parent)] == [one.folder.name for one in reversed(made[1:])]
    sweep(store)
    assert left(store) == [made[3].folder.name]


def test_a_promotion_that_waits_for_a_collection_finds_the_release_gone(store: Store, made: list[Release]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held(store) as lines:
            waiting = pool.submit(promote, store, made[0], by="ann", why="x")
            made[0].folder.rename(made[0].folder.with_name(f".x{GONE}"))
            put(store, lines, actor="gc", action="remove", subject={"release": made[0].id}, why="x")
        with pytest.raises(BadRelease):
            waiting.result()
    assert champion(store) is None


def test_promotions_and_collections_at_once_leave_a_champion_that_is_there(store: Store, made: list[Release]) -> None:
    with ThreadPoolExecutor(5) as pool:
        promotions = [pool.submit(promote, store, release, by="ann", why="x") for release in made[:3]]
        sweeps = [pool.submit(sweep, store) for _ in range(2)]
    assert all(isinstance(one.exception(), BadRelease | None) for one in promotions)
    assert [one.exception() for one in sweeps] == [None, None]
    stands = champion(store)
    assert (stands is None) == all(one.exception() for one in promotions)


def test_the_rows_of_a_release_are_pinned_while_it_is_there(store: Store, trained: Callable[..., Release]) -> None:
    versions = [store.tables.write("training", pa.table({"x": [float(n)]}), mode="overwrite") for n in range(2)]
    old, new = (trained(seed=n, more={"training.json": b'{"table":"training","version":%d}' % version})
                for n, version in enumerate(versions))
    assert collect_tables(store, store.folder / "releases") == {"training": 0}
    pinned = {one.version: one.pins for one in store.tables.history("training")}
    assert pinned == {versions[0]: (f"release {old.folder.name}",), versions[1]: (f"release {new.folder.name}",)}
    sweep(store)
    collect_tables(store, store.folder / "releases")
    assert {one.version: one.pins for one in store.tables.history("training")} == {
        versions[0]: (), versions[1]: (f"release {new.folder.name}",)}


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_shelf_lists_what_the_files_say(store: Store, made: list[Release], tmp_path: Path) -> None:
    promote(store, made[0], by="ann", why="x")
    (made[1].folder / "evidence.json").chmod(0o644)
    (made[1].folder / "evidence.json").write_text("{")
    found = shelf(tmp_path / "releases", ledger(store), store.home / "keys" / "signing.pem")
    assert [one.id for one in found] == [made[3].id, made[2].id, "", made[0].id]
    assert (found[3].aliases, found[3].verdict, found[3].signer, found[3].learner) == (
        ("champion",), "fit", "own", "by hand")
    assert found[3].identity == made[0].manifest.identity
    assert found[2].problem
