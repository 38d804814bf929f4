"""Draining the log into tables: every row once, whatever is killed, repeated or damaged."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.core.clock import DAY, now_us
from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.drain import Drained, drain, drained_log
from shipworthy.deployment.integration.log.log import Heading, Label, Log, Served
from shipworthy.deployment.integration.log.read import label_history, labels, predictions, shadows
from shipworthy.deployment.integration.log.writer import Writer
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.store import Store, open_store

FIELDS = (Field("age", "f0", "number", True), Field("Age", "f1", "number", False),
          Field("seen", "f2", "timestamp", False), Field("segment", "f3", "category", True, True))
HEADING = Heading("r" * 64, ("no", "yes"), FIELDS)
AT = 1_700_000_000_000_000


def block(*ids: str) -> Served:
    size = len(ids)
    return Served(list(ids), AT, "champion", 1.0, [0.25] * size, ["no"] * size, [False] * size,
                  [[63.0] * size, [None] * size, ["2024-03-01T06:00:00Z"] * size, [2] * size])


def label(place: str, value: str | float, *, day: int = 2) -> Label:
    return Label(place, value, datetime(2024, 3, day, tzinfo=UTC), "clinic")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def folder(store: Store) -> Path:
    return store.home / "log"


def filled(folder: Path, *ids: str) -> Path:
    """A sealed file with a block for each id; its path."""
    log = Log(folder, HEADING)
    for one in ids:
        log.served(block(one))
    log.close()
    return next(path for path in segments.segments(folder, "predictions") if len(list(segments.blocks(path))) > 1)


def ids(folder: Path, store: Store) -> list[str]:
    return list(predictions(folder, store.tables).words("prediction_id"))


def test_a_drained_log_reads_as_before(folder: Path, store: Store) -> None:
    filled(folder, "b", "a")
    before = predictions(folder, store.tables)
    assert drain(folder, store.tables) == Drained(files=1, predictions=2)
    assert not list(folder.glob("*.log"))
    after = predictions(folder, store.tables)
    assert after.records() == before.records()
    assert after.schema == before.schema
    assert after.schema.names[-4:] == ("age", "Age", "seen", "segment")


def test_what_a_server_still_writes_is_left_and_read(folder: Path, store: Store) -> None:
    filled(folder, "a")
    log = Log(folder, HEADING)
    log.served(block("b"))
    found, _ = drained_log(folder, store.tables)
    assert list(found.words("prediction_id")) == ["a", "b"]
    assert len(segments.segments(folder, "predictions")) == 1
    log.served(block("c"))
    log.close()
    assert drain(folder, store.tables).predictions == 2
    assert ids(folder, store) == ["a", "b", "c"]


def test_a_drain_that_was_killed_before_it_removed_the_file_adds_nothing_twice(folder: Path, store: Store) -> None:
    path = filled(folder, "a", "b")
    whole = path.read_bytes()
    drain(folder, store.tables)
    path.write_bytes(whole)
    assert ids(folder, store) == ["a", "b"]
    drain(folder, store.tables)
    assert not path.exists()
    (name,) = [name for name in store.tables.names() if name.startswith("served-")]
    assert store.tables.read(name)["prediction_id"].to_pylist() == ["a", "b"]


class Seen:
    """What the disk was asked to keep, and what of the tables it was not whenever a file of the log was removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[Path, object] = {}
        self.lacking: list[set[Path]] = []
        self.tables = Path()
        fsync, unlink = os.fsync, os.unlink

        def kept(handle: int) -> None:
            fsync(handle)
            path = Path(f"/proc/self/fd/{handle}").readlink()
            self.kept[path] = state(path)

        def forgotten(path: Path, **more: Any) -> None:
            if str(path).endswith(".log"):
                every = [self.tables, *self.tables.rglob("*")]
                self.lacking.append({one for one in every if self.kept.get(one) != state(one)})
            unlink(path, **more)

        monkeypatch.setattr(os, "fsync", kept)
        monkeypatch.setattr(os, "unlink", forgotten)


def state(path: Path) -> object:
    return sorted(each.name for each in path.iterdir()) if path.is_dir() else path.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell the name of an open file")
def test_a_file_is_removed_only_once_the_disk_has_its_rows(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    seen.tables = store.home / "tables"
    for name in "abc":
        filled(folder, name)
        drain(folder, store.tables)
    assert seen.lacking == [set()] * len(seen.lacking)
    assert len(seen.lacking) >= 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell the name of an open file")
def test_rows_of_a_drain_that_was_killed_are_brought_to_the_disk_by_the_next(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(folder, "a")
    whole = path.read_bytes()
    drain(folder, store.tables)
    path.write_bytes(whole)
    seen = Seen(monkeypatch)
    seen.tables = store.home / "tables"
    drain(folder, store.tables)
    assert seen.lacking == [set()]


def test_a_half_written_tail_is_cut_and_counted(folder: Path, store: Store) -> None:
    path = filled(folder, "a", "b")
    path.write_bytes(path.read_bytes().removesuffix(segments.SEAL)[:-3])
    found = drain(folder, store.tables)
    assert (found.predictions, found.damaged) == (1, ())
    assert found.cut > 0
    assert ids(folder, store) == ["a"]


def test_a_damaged_file_is_set_aside_and_not_cut(folder: Path, store: Store) -> None:
    path = filled(folder, "a", "b", "c")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\xa1b")] ^= 1
    path.write_bytes(raw)
    Log(folder, HEADING).close()
    assert path.read_bytes() == raw
    found = drain(folder, store.tables)
    assert (found.predictions, found.cut) == (1, 0)
    assert [(folder / name).read_bytes() for name in found.damaged] == [raw]
    assert drain(folder, store.tables) == Drained()


def test_a_file_of_an_unknown_kind_is_set_aside(folder: Path, store: Store) -> None:
    folder.mkdir()
    (folder / "predictions-1.log").write_bytes(b"something else")
    assert drain(folder, store.tables).damaged == ("predictions-1.damaged",)


def test_an_old_file_is_sealed_by_its_age(folder: Path) -> None:
    writer = Writer(folder, "x", b"h", age=0)
    writer.append(b"one")
    writer.append(b"two")
    writer.close()
    assert [list(segments.blocks(path))[1:] for path in segments.segments(folder, "x")] == [[b"one"], [b"two"]]


def test_answers_in_the_shadow_are_drained_apart(folder: Path, store: Store) -> None:
    log = Log(folder, HEADING)
    shadow = log.arm(HEADING, shadow=True)
    log.served(block("a"))
    shadow.served(block("a"))
    log.close()
    shadow.close()
    before = shadows(folder, store.tables).records()
    assert drain(folder, store.tables) == Drained(files=2, predictions=1, shadows=1)
    assert not list(folder.glob("*.log"))
    assert shadows(folder, store.tables).records() == before
    assert ids(folder, store) == ["a"]


def test_a_file_of_a_killed_server_is_drained_with_the_room_it_never_used(folder: Path, store: Store) -> None:
    log = Log(folder, HEADING)
    log.served(block("a"))
    (path,) = segments.segments(folder, "predictions")
    left = path.read_bytes()
    log.close()
    path.unlink()
    copy = path.with_stem(path.stem + "x")
    copy.write_bytes(left)
    assert drain(folder, store.tables) == Drained(files=1, predictions=1)
    assert not copy.exists()


def test_releases_with_other_fields_are_drained_and_read_together(folder: Path, store: Store) -> None:
    filled(folder, "a")
    other = Log(folder, Heading("s" * 64, ("no", "yes"), FIELDS[:1]))
    other.served(Served(["b"], AT, "champion", 1.0, [0.5], ["yes"], [True], [[40.0]]))
    other.close()
    found, _ = drained_log(folder, store.tables)
    assert [(row["age"], row["segment"]) for row in found.records()] == [(63.0, "2"), (40.0, None)]
    own, _ = drained_log(folder, store.tables, release="s" * 64)
    assert list(own.words("prediction_id")) == ["b"]


def test_corrections_stay_as_history_and_a_repeat_counts_once(folder: Path, store: Store) -> None:
    for told in ([label("a", "no"), label("b", "yes")], [label("a", "no")], [label("a", "yes", day=3)]):
        log = Log(folder, HEADING)
        log.labelled(told)
        log.close()
        drain(folder, store.tables)
    last = labels(folder, store.tables)
    assert dict(zip(last.words("prediction_id"), last.words("label"), strict=True)) == {"a": "yes", "b": "yes"}
    assert list(label_history(folder, store.tables).words("label")) == ["no", "yes", "yes"]


def test_drained_labels_of_a_regression_are_numbers(folder: Path, store: Store) -> None:
    log = Log(folder, HEADING)
    log.labelled([label("a", 2.5)])
    log.close()
    drain(folder, store.tables)
    assert labels(folder, store.tables).numbers("label").tolist() == [2.5]


def test_a_person_is_forgotten_in_the_drained_log_too(folder: Path, store: Store) -> None:
    one, other = "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-000000000002"
    filled(folder, one, other)
    drain(folder, store.tables)
    (name,) = [name for name in store.tables.names() if name.startswith("served-")]
    assert store.tables.delete_where(name, [one], column="prediction_id") == 1
    assert ids(folder, store) == [other]


def since(folder: Path, store: Store, at: int) -> list[str]:
    return list(predictions(folder, store.tables, since=at).words("prediction_id"))


def test_what_was_answered_since_a_time_is_read_alone_drained_or_not(folder: Path, store: Store) -> None:
    log = Log(folder, HEADING)
    for place, one in enumerate("abcd"):
        log.served(msgspec.structs.replace(block(one), at=AT + place))
    log.labelled([label(one, "yes") for one in "abcd"])
    assert [since(folder, store, AT + place) for place in (0, 2, 4)] == [["a", "b", "c", "d"], ["c", "d"], []]
    log.close()
    found, known = drained_log(folder, store.tables, since=AT + 3)
    assert list(found.words("prediction_id")) == ["d"]
    assert since(folder, store, AT + 1) == ["b", "c", "d"]
    assert found.schema == predictions(folder, store.tables).schema
    assert sorted(known.words("prediction_id")) == ["a", "b", "c", "d"]  # they arrived later
    assert drained_log(folder, store.tables, since=now_us() + 2 * DAY)[1].rows == 0


def test_answers_in_the_shadow_are_read_since_a_time_too(folder: Path, store: Store) -> None:
    log = Log(folder, HEADING)
    arm = log.arm(HEADING, shadow=True)
    arm.served(block("a"))
    arm.served(msgspec.structs.replace(block("b"), at=AT + 1))
    arm.close()
    log.close()
    for _ in range(2):
        assert list(shadows(folder, store.tables, since=AT + 1).words("prediction_id")) == ["b"]
        drain(folder, store.tables)


@pytest.mark.parametrize(("begun", "changed", "read"), [(9, 9, False), (9, 0, True), (0, 9, True), (1, 1, True)])
def test_a_file_that_was_left_before_the_time_is_not_opened(
    folder: Path, store: Store, begun: int, changed: int, read: bool
) -> None:
    now = now_us()
    writer = Writer(folder, "odd", b"no heading")
    writer.append(b"no rows")
    writer.close()
    old = folder / f"predictions-{(now - begun * DAY) * 1_000:020d}-abcdef.log"
    segments.segments(folder, "odd")[0].rename(old)
    os.utime(old, ns=(0, (now - changed * DAY) * 1_000))
    assert segments.is_older(old, now) is not read
    if read:
        with pytest.raises(msgspec.MsgspecError):
            since(folder, store, now)
    else:
        assert since(folder, store, now) == []
