"""Labels of several servers in one folder: once, in any order, before their prediction, corrected, joined by entity."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.deployment.integration.log.drain import drain, drained_log
from shipworthy.deployment.integration.log.labels import Entity, Label, LabelLog
from shipworthy.deployment.integration.log.log import Heading, Log, Served
from shipworthy.deployment.integration.log.read import label_history, labels, read_log, waiting
from shipworthy.deployment.integration.log.recent import Recent
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.store import Store, open_store

HEADING = Heading("r" * 64, ("no", "yes"), (
    Field("age", "f0", "number", True), Field("customer", "f1", "category", False, True),
    Field("shop", "f2", "category", False)))
AT = 1_700_000_000_000_000
SEEN = datetime(2024, 3, 1, tzinfo=UTC)


def block(at: int, **ids: tuple[object, str]) -> Served:
    """One request: prediction id → customer and shop."""
    size = len(ids)
    columns = [[63.0] * size, [who for who, _ in ids.values()], [shop for _, shop in ids.values()]]
    return Served(list(ids), AT + at, "champion", 1.0, [0.25] * size, ["no"] * size, [False] * size, columns)


def by_id(place: str, value: str, *, source: str = "clinic", day: int = 0) -> Label:
    return Label(place, value, SEEN + timedelta(days=day), source)


def of(value: str, until: int, *, since: int = -1_000, day: int = 0, **entity: str) -> Label:
    named: Entity = tuple(sorted(entity.items()))
    return Label("", value, SEEN + timedelta(days=day), "desk", 1.0, named, AT + since, AT + until)


def told(folder: Path, store: Store | None = None) -> dict[str, str]:
    found = labels(folder, store.tables if store else None)
    return dict(zip(found.words("prediction_id"), found.words("label"), strict=True))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def folder(store: Store) -> Path:
    return store.home / "log"


def test_a_repeat_is_known_to_every_server_of_the_folder(tmp_path: Path) -> None:
    one, other = LabelLog(tmp_path), LabelLog(tmp_path)
    assert one.keep([by_id("a", "no"), by_id("a", "no"), by_id("b", "no")]) == (2, 0, 1)
    assert other.keep([by_id("a", "no"), by_id("b", "yes", day=1)]) == (0, 1, 1)
    assert one.keep([by_id("b", "yes", day=1), by_id("a", "no", source="lab")]) == (1, 0, 1)
    assert told(tmp_path) == {"a": "no", "b": "yes"}


def test_a_repeat_that_two_servers_kept_counts_once(tmp_path: Path) -> None:
    writers = [LabelLog(tmp_path / name) for name in "xy"]
    for writer in writers:
        assert writer.keep([by_id("a", "no")]) == (1, 0, 0)
        writer.close()
    for name in "xy":
        for path in (tmp_path / name).glob("*.log"):
            path.rename(tmp_path / path.name)
    assert label_history(tmp_path).rows == labels(tmp_path).rows == 1


def test_another_spelling_of_a_label_is_a_repeat_and_no_correction(folder: Path, store: Store) -> None:
    seen = SEEN
    same = [Label("a", "0", seen, "clinic"), Label("a", 0.0, seen, "clinic")]
    log = LabelLog(folder)
    assert [log.keep([one]) for one in same] == [(1, 0, 0), (0, 0, 1)]
    assert log.keep([Label("a", 1.0, seen, "clinic"), Label("a", "1", seen, "clinic")]) == (0, 1, 1)
    log.close()
    two = folder / "two"
    for number, one in enumerate(same):
        writer = LabelLog(two / str(number))
        writer.keep([one])
        writer.close()
        for path in (two / str(number)).glob("*.log"):
            path.rename(two / path.name)
    assert label_history(two).rows == labels(two).rows == 1
    drain(folder, store.tables)
    assert list(label_history(folder, store.tables).words("label")) == ["0", "1"]


def test_an_early_statement_sent_again_does_not_undo_its_correction(folder: Path, store: Store) -> None:
    log = LabelLog(folder)
    first, second = by_id("a", "no"), by_id("a", "yes", day=2)
    assert [log.keep([one]) for one in (first, second, first)] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    log.close()
    drain(folder, store.tables)
    again = LabelLog(folder)
    assert again.keep([first]) == (1, 0, 0)
    again.close()
    assert told(folder, store) == {"a": "yes"}
    assert list(label_history(folder, store.tables).words("label")) == ["no", "yes"]


def test_a_correction_that_overtakes_what_it_corrects_still_counts(tmp_path: Path) -> None:
    log = LabelLog(tmp_path)
    log.keep([by_id("a", "yes", day=2)])
    log.keep([by_id("a", "no")])
    assert told(tmp_path) == {"a": "yes"}
    log.keep([by_id("a", "no", day=2)])
    assert told(tmp_path) == {"a": "no"}


def test_a_label_means_the_last_answer_for_its_entity_up_to_its_time(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.labelled([of("yes", 25, customer="17")])
    assert (labels(tmp_path).rows, waiting(tmp_path).records()[0]["why"]) == (0, "none")
    log.served(block(10, a=(17, "web"), b=(18, "web")))
    assert told(tmp_path) == {"a": "yes"}
    log.served(block(20, c=("17", "web")))
    log.served(block(30, d=(17, "web")))
    assert told(tmp_path) == {"c": "yes"}
    assert waiting(tmp_path).rows == 0
    log.labelled([of("no", 25, day=1, customer="17")])
    assert told(tmp_path) == {"c": "no"}
    assert list(label_history(tmp_path).words("label")) == ["yes", "no"]


def test_of_two_answers_given_at_once_none_is_meant(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block(10, a=(17, "web"), b=(17, "town")))
    log.labelled([of("yes", 10, customer="17"), of("no", 10, customer="17", shop="town")])
    assert told(tmp_path) == {"b": "no"}
    (left,) = waiting(tmp_path).records()
    assert (json.loads(left["entity"]), left["why"]) == ({"customer": "17"}, "several")


def test_an_answer_outside_the_time_or_never_sent_is_not_meant(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block(10, a=(17, "web")))
    log.arm(HEADING, shadow=True).served(block(15, b=(17, "web")))
    log.labelled([of("yes", 20, since=11, customer="17")])
    assert told(tmp_path) == {}
    log.labelled([of("yes", 20, since=10, customer="17")])
    assert told(tmp_path) == {"a": "yes"}


def test_a_label_by_id_and_one_by_entity_of_one_source_are_one(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block(10, a=(17, "web")))
    log.labelled([by_id("a", "yes", source="desk"), of("yes", 20, customer="17")])
    assert label_history(tmp_path).rows == 1


def test_drained_labels_find_drained_predictions_in_any_order(folder: Path, store: Store) -> None:
    log = Log(folder, HEADING)
    log.labelled([of("yes", 15, customer="17"), by_id("b", "no"), of("no", 15, customer="none")])
    log.close()
    assert drain(folder, store.tables).labels == 3
    later = Log(folder, HEADING)
    later.served(block(10, a=(17, "web"), b=(18, "web")))
    assert told(folder, store) == {"a": "yes", "b": "no"}
    later.close()
    served, found = drained_log(folder, store.tables)
    assert dict(zip(found.words("prediction_id"), found.words("label"), strict=True)) == {"a": "yes", "b": "no"}
    assert found.schema.names == labels(folder).schema.names
    left = waiting(folder, store.tables, served=served)
    assert list(left.words("entity")) == ['{"customer":"none"}']
    (row,) = left.words("entity_id")
    assert store.tables.delete_where("entity-labels", [row], column="entity_id") == 1
    assert waiting(folder, store.tables).rows == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_joining_equals_looking_for_every_label_one_by_one(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    random, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("log")
    log = Log(folder, HEADING)
    asked, told_ = [], []
    for n in range(int(random.integers(0, 12))):
        rows = {f"p{n}x{k}": (int(random.integers(3)), str(random.integers(2))) for k in range(random.integers(1, 3))}
        at = int(random.integers(0, 8))
        asked += [(place, at, {"customer": str(who), "shop": shop}) for place, (who, shop) in rows.items()]
        log.served(block(at, **rows))
    for n in range(10):
        parts = {"customer": str(random.integers(3)), "shop": str(random.integers(2))}
        entity = {name: value for name, value in parts.items() if random.random() < 0.7} or parts
        until = int(random.integers(0, 9))
        told_.append(of("yes", until, since=until - int(random.integers(0, 6)), day=n, **entity))
    log.labelled(told_)
    expected, left = set(), 0
    for label in told_:
        fits = [(at, place) for place, at, parts in asked if label.since <= AT + at <= label.until
                and all(parts[name] == value for name, value in label.entity)]
        last = [place for at, place in fits if at == max(fits)[0]]
        expected |= set(last) if len(last) == 1 else set()
        left += len(last) != 1
    log.close()
    assert set(told(folder)) == expected
    assert waiting(folder).rows == left
    assert Recent(folder, ("customer", "shop")).waiting(told_) == left


def test_what_a_server_knows_of_answers_grows_with_the_log_and_is_bounded(folder: Path, store: Store) -> None:
    log, recent = Log(folder, HEADING), Recent(folder, ("customer", "shop"), rows=2)
    asked = [of("yes", 99, customer="17")]
    assert recent.waiting(asked) == 1
    log.served(block(10, a=(17, "web")))
    assert recent.waiting(asked) == 0
    log.close()
    drain(folder, store.tables)
    assert recent.waiting(asked) == 0
    other = Log(folder, HEADING)
    other.served(block(20, b=(1, "web"), c=(2, "web")))
    assert recent.waiting(asked) == 1
    other.close()


def test_a_server_takes_labels_without_the_libraries_that_read_tables(tmp_path: Path) -> None:
    code = f"""
import sys
import shipworthy.deployment.integration.serving.app
from shipworthy.deployment.integration.log.labels import LabelLog
from shipworthy.deployment.integration.log.told import Rules, read_body
body = b"customer,label,observed_at,at\\n1,no,2024-03-01T00:00:00Z,2024-03-01T00:00:00Z\\n"
log = LabelLog({str(tmp_path)!r})
print(log.keep(read_body(body, Rules(("no",), entity=("customer",)))).new)
log.close()
print(*sorted({{"pyarrow", "pandas", "polars", "deltalake", "sqlalchemy", "sklearn", "lightgbm"}} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["1"]


def test_replayed_history_is_joined_by_its_own_time(tmp_path: Path) -> None:
    heading = Heading("r" * 64, ("no", "yes"), (Field("customer", "f0", "category", False),
                                                Field("seen", "f1", "timestamp", False)))
    log = Log(tmp_path, heading)
    log.served(Served(["a"], AT, "champion", 1.0, [0.5], ["no"], [False], [["17"], [SEEN]]))
    moment = int(SEEN.timestamp() * 1e6)
    log.labelled([Label("", "yes", SEEN, "desk", 1.0, (("customer", "17"),), moment, moment)])
    _, found = read_log(tmp_path, None, time="seen")
    assert list(found.words("prediction_id")) == ["a"]
