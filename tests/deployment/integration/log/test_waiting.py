"""Labels that come before their prediction: counted as if all had been there at once, whatever came first."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.clock import DAY, MINUTE
from shipworthy.deployment.integration.log import waiting as module
from shipworthy.deployment.integration.log.counts import forget, read_counts
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.labels import LABELS, Kept, Label
from shipworthy.deployment.integration.log.log import Served
from shipworthy.deployment.integration.log.read import label_history, predictions
from shipworthy.deployment.integration.log.read import waiting as waiting_rows
from shipworthy.deployment.integration.log.tally import Tallied, tally
from shipworthy.deployment.integration.log.writer import Writer
from shipworthy.errors import StoreError
from shipworthy.store import open_store
from shipworthy.store.tables import Tables

from ..conftest import record
from .test_tally import AT, HOW, OTHER, RELEASE, RELEASES, SHAPE, cells, log_of, seen

NOW = AT - 2 * DAY  # nothing is rolled up yet
IDS = [f"p{n}" for n in range(6)]


def served(ids: Sequence[str], at: int, wards: Sequence[str] = ()) -> Served:
    asked = [record(ward=ward) for ward in wards or ["east"] * len(ids)]
    columns = list(SHAPE.columns(SHAPE.convert(asked)).values())
    n = len(ids)
    return Served(list(ids), at, "champion", 1.0, [0.3] * n, ["yes"] * n, [False] * n, columns)


def by_id(place: str, label: str = "yes", observed: int = 0) -> Label:
    return Label(place, label, datetime.fromtimestamp((AT + observed) / 1e6, UTC), "clinic")


def by_ward(ward: str, until: int, label: str = "yes", observed: int = 0) -> Label:
    when = datetime.fromtimestamp((AT + observed) / 1e6, UTC)
    return Label("", label, when, "desk", 1.0, (("ward", ward),), AT - DAY, AT + until)


class World:
    """A log of two releases and two receivers of labels, and its counts."""

    def __init__(self, home: Path) -> None:
        self.store = open_store(home)
        self.folder, self.state = self.store.home / "log", self.store.home / "counts"
        self.tables: Tables = self.store.tables
        self.logs = [log_of(self.folder, RELEASE), log_of(self.folder, OTHER)]
        self.labels = [Writer(self.folder, LABELS, b"") for _ in range(2)]

    def told(self, labels: list[Label], *, arrived: int = 0, by: int = 0) -> None:
        self.labels[by].append(msgspec.msgpack.encode(Kept(AT + arrived, labels)))

    def tally(self, now: int = NOW) -> Tallied:
        return tally(self.folder, self.state, RELEASES, self.tables, now=now)

    def drain(self) -> None:
        for each in (*self.logs, *self.labels):
            each.close()
        self.logs = [log_of(self.folder, RELEASE), log_of(self.folder, OTHER)]
        self.labels = [Writer(self.folder, LABELS, b"") for _ in range(2)]
        drain(self.folder, self.tables)

    def close(self) -> None:
        for each in (*self.logs, *self.labels):
            each.close()


def counted(world: World) -> dict[str, Any]:
    """All that was counted: by release, kind and key."""
    return {release: _plain(seen(world.state, release)) for release in (RELEASE, OTHER)}


def at_once(world: World) -> dict[str, Any]:
    """The same from tables of all that is in the log."""
    rows, labels = predictions(world.folder, world.tables), label_history(world.folder, world.tables)
    return {release: _plain(HOW.tally(rows.take(rows.words("release") == release), labels))
            for release in (RELEASE, OTHER)}


def _plain(found: Any) -> dict[str, Any]:
    sample = found.sample
    return {"rows": cells(found.rows), "labels": cells(found.labels), "cohorts": cells(found.cohorts),
            "sample": sorted(zip(sample.ids.tolist(), sample.at.tolist(), sample.loss.tolist(),
                                 sample.arrived.tolist(), strict=True))}


def labels_of(state: Path, release: str = RELEASE) -> int:
    return int(seen(state, release).labels.whole.total("labels")[0]) if len(seen(state, release).labels) else 0


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.close()


answers = st.tuples(st.just("served"), st.integers(0, 1), st.integers(-2 * DAY, 5 * MINUTE),
                    st.lists(st.sampled_from(["east", "west", "moon"]), min_size=1, max_size=2))
direct = st.builds(by_id, st.sampled_from([*IDS, "nobody"]), st.sampled_from(["yes", "no", "perhaps"]),
                   st.integers(0, 2))
named = st.builds(by_ward, st.sampled_from(["east", "west"]), st.integers(-DAY, 5 * MINUTE),
                  st.sampled_from(["yes", "no"]), st.integers(0, 2))
labels = st.tuples(st.just("told"), st.integers(0, 1), st.integers(0, 5),
                   st.lists(direct | named, min_size=1, max_size=3))


@settings(max_examples=25, deadline=None)
@given(st.lists(answers | labels, min_size=2, max_size=9), st.data())
def test_any_order_and_any_cut_count_what_a_table_counted_at_once_gives(
    tmp_path_factory: pytest.TempPathFactory, events: list[Any], data: st.DataObject
) -> None:
    world, place = World(tmp_path_factory.mktemp("waiting")), 0
    for number, (kind, by, at, what) in enumerate(events):
        if kind == "served":
            ids = [IDS[(place + n) % len(IDS)] + ("" if place + n < len(IDS) else f"-{place + n}")
                   for n in range(len(what))]
            place += len(what)
            world.logs[by].served(served(ids, AT + at, what))
        else:
            world.told(what, arrived=at * MINUTE + number, by=by)
        act = data.draw(st.sampled_from(["", "tally", "drain", "tally and drain", "killed"]))
        if "tally" in act:
            world.tally()
        if "drain" in act:
            world.drain()
        if act == "killed" and world.state.exists():  # before the book was replaced
            before = shutil.copytree(world.state, world.folder.parent / f"before-{number}")
            world.tally()
            shutil.copy(before / "tally.json", world.state / "tally.json")
            for path in before.iterdir():
                shutil.copy(path, world.state / path.name)
    world.tally()
    assert counted(world) == at_once(world)
    assert world.tally() == Tallied()
    world.drain()
    world.tally()
    assert counted(world) == at_once(world)
    ids = set(predictions(world.folder, world.tables).words("prediction_id"))
    strays = set(read_counts(world.state).waiting.direct["prediction_id"].to_pylist())
    told = {one.prediction_id for kind, *_, what in events if kind == "told" for one in what} - {""}
    assert strays == told - ids
    world.close()


def test_a_label_before_its_prediction_is_counted_where_it_arrived_once_its_prediction_is(world: World) -> None:
    world.told([by_id("p0"), by_id("p9")], arrived=7 * MINUTE)
    assert world.tally() == Tallied()
    assert seen(world.state, RELEASE).orphans == 2
    world.logs[0].served(served(["p0"], AT))
    assert world.tally() == Tallied(1, 1)
    found = seen(world.state, RELEASE)
    assert (found.labels.whole.at.tolist(), found.cohorts.whole.at.tolist()) == ([AT + 7 * MINUTE], [AT])
    assert (found.orphans, found.sample.labelled.ids.tolist()) == (1, ["p0"])
    assert world.tally() == Tallied()


def test_a_correction_of_a_label_that_waits_takes_back_nothing(world: World) -> None:
    world.told([by_id("p0", "yes")])
    world.tally()
    world.logs[0].served(served(["p0"], AT))
    world.told([by_id("p0", "no", observed=1)], arrived=MINUTE)
    world.tally()
    assert seen(world.state, RELEASE).labels.whole.total("truth").tolist() == [1, 0, 0]
    assert counted(world) == at_once(world)


def test_a_label_of_an_entity_moves_to_a_later_answer_that_is_read_later(world: World) -> None:
    world.told([by_ward("east", 5 * MINUTE)])
    world.tally()
    assert seen(world.state, RELEASE).orphans == 1
    for release, minute in ((0, 1), (1, 3)):
        world.logs[release].served(served([f"p{release}"], AT + minute * MINUTE))
        world.tally()
    assert [labels_of(world.state, one) for one in (RELEASE, OTHER)] == [0, 1]
    world.logs[0].served(served(["twin"], AT + 3 * MINUTE))  # which of the two is meant, nobody can say
    world.tally()
    assert [labels_of(world.state, one) for one in (RELEASE, OTHER)] == [0, 0]
    assert (seen(world.state, RELEASE).orphans, counted(world)) == (1, at_once(world))
    assert waiting_rows(world.folder, world.tables).words("why").tolist() == ["several"]


def test_a_label_whose_release_becomes_known_after_its_prediction_came_is_counted_once(world: World) -> None:
    world.told([by_id("p0")])
    known = {OTHER: HOW}.get
    tally(world.folder, world.state, known, world.tables, now=NOW)
    world.logs[0].served(served(["p0"], AT))
    tally(world.folder, world.state, known, world.tables, now=NOW)
    assert world.tally() == Tallied(1, 1)
    world.tally()
    assert labels_of(world.state) == 1


def test_a_label_that_waited_for_thirty_days_is_given_up(world: World) -> None:
    world.told([by_id("p0")])
    for days, expected in ((29, (1, 0)), (31, (0, 1)), (40, (0, 1))):
        world.tally(AT + days * DAY)
        found = seen(world.state, RELEASE)
        assert (found.orphans, found.lost) == expected
    world.logs[0].served(served(["p0"], AT))
    world.tally(AT + 40 * DAY)
    assert labels_of(world.state) == 0


def test_of_too_many_those_that_found_a_prediction_go_first_and_then_the_oldest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    world.logs[0].served(served(["p0"], AT))
    world.told([by_ward("east", MINUTE)], arrived=9 * MINUTE)
    for number in range(3):
        world.told([by_id(f"late{number}")], arrived=number * MINUTE)
    world.tally()
    found = read_counts(world.state)
    assert sorted(found.waiting.data["prediction_id"].to_pylist()) == ["late1", "late2"]
    assert (found.book.lost, labels_of(world.state)) == (1, 1)


def test_whoever_is_erased_does_not_wait(world: World) -> None:
    world.told([by_id("p0"), by_id("p1"), by_ward("east", 0)])
    world.tally()
    entity = read_counts(world.state).waiting.named["entity_id"].to_pylist()
    assert forget(world.state, ["p0", *entity]) == 2
    assert read_counts(world.state).waiting.data["prediction_id"].to_pylist() == ["p1"]
    assert forget(world.state, ["p1"]) == 1
    assert not list(world.state.glob("waiting-*"))


def test_a_spoilt_file_of_what_waits_is_told(world: World) -> None:
    world.told([by_id("p0")])
    world.tally()
    next(world.state.glob("waiting-*")).write_bytes(b"nothing")
    with pytest.raises(StoreError, match="the counts cannot be read: "):
        world.tally()
