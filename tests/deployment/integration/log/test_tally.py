"""Counting served rows: exactly what one count over the whole gives, however it is split, drained, merged or killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.clock import DAY, HOUR, MINUTE, now_us
from shipworthy.core.grid import count
from shipworthy.core.project import parse
from shipworthy.core.release import Release
from shipworthy.core.table import Table
from shipworthy.core.tallies import Sums, Tallies, keys_of
from shipworthy.deployment.integration.log.answers import answers
from shipworthy.deployment.integration.log.counts import LOCK, forget, held_counts, read_counts
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.labels import Label
from shipworthy.deployment.integration.log.log import Heading, Log, Served, ServedRow
from shipworthy.deployment.integration.log.read import labels, predictions, shadows
from shipworthy.deployment.integration.log.tables import served_rows
from shipworthy.deployment.integration.log.tally import Counter, Tallied, counter, tally
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.deployment.monitoring.counting import counting, nothing
from shipworthy.deployment.monitoring.reference import reference
from shipworthy.errors import StoreError
from shipworthy.store import open_store
from shipworthy.store.files import lock
from shipworthy.store.tables import Tables

from ..conftest import patients, record, small_model

MODEL = small_model()
SHAPE = Shape(MODEL)
EDGES = patients(300, seed=1)
HOW = Counter(MODEL, counting(reference(MODEL, EDGES, patients(200, seed=3)), segments=("ward",)))
RELEASE, OTHER = "a" * 64, "b" * 64
RELEASES = {RELEASE: HOW, OTHER: HOW}.get
HEADING = Heading(RELEASE, MODEL.classes, SHAPE.fields)
PROJECT = '[project]\nname = "x"\n[data]\ntarget = "ill"\n'
AT = 1_700_000_000_000_000 // DAY * DAY


def block(random: np.random.Generator, at: int, rows: int, arm: str = "") -> Served:
    """One request of odd rows: values missing, unseen, infinite by their size, scores that are none."""
    asked = [record(age=random.choice([None, 1e300, -5.0, 39.0]), ward=random.choice([None, "east", "moon"]),
                    dose=float(random.normal())) for _ in range(rows)]
    columns = list(SHAPE.columns(SHAPE.convert(asked)).values())
    score = [float(value) for value in random.choice([0.0, 0.3, 1.0, float("nan")], rows)]
    ids = [random.bytes(8).hex() for _ in range(rows)]
    return Served(ids, at, arm or str(random.choice(["champion", "challenger"])), 1.0, score,
                  ["yes" if value > 0.2 else "no" for value in score], [False] * rows, columns)


def row_of(made: Served) -> ServedRow:
    return ServedRow(made.ids[0], made.at, made.arm, made.propensity, made.score[0], made.decision[0],
                     made.abstain[0], [values[0] for values in made.columns])


def log_of(folder: Path, release: str = RELEASE) -> Log:
    return Log(folder, msgspec.structs.replace(HEADING, release=release))


def whole(folder: Path, tables: Tables) -> dict[str, Any]:
    """One count over the whole log, by release."""
    found: dict[str, Any] = {}
    for table in (predictions(folder, tables), shadows(folder, tables)):
        for release in (RELEASE, OTHER):
            rows = table.take(table.words("release") == release)
            if rows.rows:
                found.setdefault(release, {}).update(cells(HOW.tally(rows).rows))
    return found


def cells(found: Sums) -> dict[Any, list[int]]:
    return dict(zip(keys_of(found), found.cells.tolist(), strict=True))


def seen(state: Path, release: str = RELEASE) -> Tallies:
    return read_counts(state).tallies(release, nothing(HOW.how))


def minutes(state: Path) -> dict[str, Any]:
    """What was counted, by release and key."""
    return {release: cells(seen(state, release).rows) for release in read_counts(state).releases}


def test_cells_are_those_of_the_grid() -> None:
    table = patients(50, seed=2)
    asked = [{name: value for name, value in row.items() if name != "ill"} for row in table.records()]
    columns = list(SHAPE.columns(SHAPE.convert(asked)).values())
    served = Served([f"{n:02d}" for n in range(50)], AT, "champion", 1.0, [0.5] * 50, ["yes"] * 50, [False] * 50,
                    columns)
    block = answers([msgspec.msgpack.encode(served)])
    rows = Table.of(served_rows(Heading(RELEASE, MODEL.classes, SHAPE.fields), block))
    found, expected = HOW.tally(rows).rows, count(rows, HOW.how.reference.plan)
    assert keys_of(found.whole) == [(AT, MINUTE, "", "champion")]
    for name, counts in expected.columns.items():
        assert found.whole.total(f"column {name}").tolist() == counts.tolist()
    assert found.whole.total("score").tolist() == expected.score.tolist()
    east = rows.words("ward") == "east"
    assert found.where(found.segment == "ward=east").total("rows").tolist() == [east.sum(), 0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_split_drained_and_killed_tallies_equal_one_count(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    random, home = np.random.default_rng(seed), tmp_path_factory.mktemp("tally")
    store = open_store(home)
    folder, state, before = store.home / "log", store.home / "tally", home / "before"
    make = [lambda: log_of(folder), lambda: log_of(folder), lambda: log_of(folder, OTHER),
            lambda: logs[0].arm(HEADING, shadow=True)]
    logs: list[Any] = []
    for each in make:
        logs.append(each())
    for _ in range(12):
        act = random.choice(["serve", "serve", "serve", "look", "killed", "drain", "restart"])
        place = int(random.integers(4))
        if act == "serve":
            at = AT + int(random.integers(3)) * MINUTE + int(random.integers(MINUTE))
            made = block(random, at, int(random.integers(1, 5)), arm="shadow" if place == 3 else "")
            logs[place].served(row_of(made) if len(made.ids) == 1 else made)
        elif act == "look":
            tally(folder, state, RELEASES, store.tables, now=AT)
        elif act == "killed" and state.exists():  # before the book was replaced: new parts lie there, unnamed
            shutil.rmtree(before, ignore_errors=True)
            shutil.copytree(state, before)
            tally(folder, state, RELEASES, store.tables, now=AT)
            for path in before.iterdir():
                shutil.copy(path, state / path.name)
        elif act == "restart":
            logs[place].close()
            logs[place] = make[place]()
        elif act == "drain":
            drain(folder, store.tables)
    for log in logs:
        log.close()
    tally(folder, state, RELEASES, store.tables, now=AT)
    assert minutes(state) == whole(folder, store.tables)
    assert tally(folder, state, RELEASES, store.tables, now=AT).rows == 0
    drain(folder, store.tables)
    assert tally(folder, state, RELEASES, store.tables, now=AT).rows == 0
    assert {path.name for path in state.glob("*.npz")} == {entry.file for entry in read_counts(state).book.parts}


def test_what_was_drained_before_the_first_look_is_counted(tmp_path: Path) -> None:
    store, random = open_store(tmp_path), np.random.default_rng(0)
    log = log_of(store.home / "log")
    log.served(block(random, AT, 4))
    log.close()
    drain(store.home / "log", store.tables)
    assert tally(store.home / "log", tmp_path / "a", RELEASES, store.tables, now=AT).rows == 4
    assert minutes(tmp_path / "a") == whole(store.home / "log", store.tables)
    assert tally(store.home / "log", tmp_path / "a", RELEASES, store.tables, now=AT).rows == 0


def test_what_a_drain_takes_between_two_looks_is_counted_from_where_the_file_was_left(tmp_path: Path) -> None:
    store, random = open_store(tmp_path), np.random.default_rng(0)
    folder, log = store.home / "log", log_of(store.home / "log")
    log.served(block(random, AT, 4))
    assert tally(folder, tmp_path / "a", RELEASES, store.tables, now=AT).rows == 4
    log.served(block(random, AT, 2))
    log.close()
    drain(folder, store.tables)
    assert tally(folder, tmp_path / "a", RELEASES, store.tables, now=AT).rows == 2
    assert minutes(tmp_path / "a") == whole(folder, store.tables)


def test_a_release_that_nobody_knows_waits_until_it_is_told(tmp_path: Path) -> None:
    store, random = open_store(tmp_path), np.random.default_rng(0)
    folder = store.home / "log"
    first, second = log_of(folder), log_of(folder, OTHER)
    first.served(block(random, AT, 2))
    second.served(block(random, AT, 3))
    assert tally(folder, tmp_path / "a", {RELEASE: HOW}.get, store.tables, now=AT) == Tallied(2, 0, (OTHER,))
    second.close()
    drain(folder, store.tables)
    assert tally(folder, tmp_path / "a", {RELEASE: HOW}.get, store.tables, now=AT) == Tallied(0, 0, (OTHER,))
    assert tally(folder, tmp_path / "a", RELEASES, store.tables, now=AT) == Tallied(3)
    first.close()


def test_labels_of_a_release_that_nobody_knew_are_counted_once_it_is_told(tmp_path: Path) -> None:
    store, random = open_store(tmp_path), np.random.default_rng(0)
    folder, state, now = store.home / "log", tmp_path / "a", now_us()
    log = log_of(folder)
    made = block(random, now - 3 * DAY, 6, arm="champion")
    log.served(made)
    log.labelled(told(made.ids[:4], "yes", now - DAY))
    assert tally(folder, state, {}.get, store.tables) == Tallied(0, 0, (RELEASE,))
    log.labelled(told(made.ids[4:], "yes", now - DAY))
    assert tally(folder, state, RELEASES, store.tables) == Tallied(6, 6)
    assert tally(folder, state, RELEASES, store.tables) == Tallied()
    assert seen(state).labels.whole.total("labels")[0] == whole_labels(folder, store.tables)
    log.close()


def whole_labels(folder: Path, tables: Tables) -> int:
    found = HOW.tally(predictions(folder, tables), labels(folder, tables)).labels
    return int(found.whole.total("labels")[0])


def test_parts_that_are_being_read_are_not_taken_away_by_a_writer(tmp_path: Path) -> None:
    store, log = open_store(tmp_path), log_of(tmp_path / "log")
    log.served(block(np.random.default_rng(0), AT, 3))
    tally(tmp_path / "log", tmp_path / "a", RELEASES, store.tables, now=AT)
    with held_counts(tmp_path / "a") as counts:
        with pytest.raises(StoreError), lock(tmp_path / "a" / LOCK, 0.0):
            pass
        assert counts.tallies(RELEASE, nothing(HOW.how)).rows.whole.total("rows")[0] == 3
    log.close()


def test_rolling_up_loses_no_count(tmp_path: Path) -> None:
    store, random, log = open_store(tmp_path), np.random.default_rng(0), log_of(tmp_path / "log")
    for at in (AT, AT + MINUTE, AT + HOUR, AT + 30 * HOUR):
        log.served(block(random, at, 3))
    tally(tmp_path / "log", tmp_path / "a", RELEASES, store.tables, now=AT)
    before = seen(tmp_path / "a").rows.whole.total("rows")
    log.served(block(random, AT + 2 * MINUTE, 1))
    tally(tmp_path / "log", tmp_path / "a", RELEASES, store.tables, now=AT + 31 * HOUR)
    assert set(seen(tmp_path / "a").rows.width) == {HOUR, MINUTE}
    log.served(block(random, AT, 1))
    tally(tmp_path / "log", tmp_path / "a", RELEASES, store.tables, now=AT + 500 * DAY)
    after = seen(tmp_path / "a")
    assert set(after.rows.width) == {DAY}
    assert len(read_counts(tmp_path / "a").book.parts) == 1  # and no sample of so long ago
    assert after.rows.whole.total("rows").tolist() == [before[0] + 2, 0]
    assert after.rows.between(AT + DAY).whole.total("rows")[0] == 3
    log.close()


def test_what_was_counted_by_another_plan_is_counted_anew(tmp_path: Path) -> None:
    store, log = open_store(tmp_path), log_of(tmp_path / "log")
    log.served(block(np.random.default_rng(0), AT, 3))
    tally(tmp_path / "log", tmp_path / "a", RELEASES, store.tables, now=AT)
    other = Counter(MODEL, counting(reference(MODEL, EDGES.take(np.arange(40)), patients(200, seed=3))))
    log.served(block(np.random.default_rng(1), AT, 3))
    assert tally(tmp_path / "log", tmp_path / "a", {RELEASE: other}.get, store.tables, now=AT).rows == 6
    found = read_counts(tmp_path / "a").tallies(RELEASE, nothing(other.how))
    assert found.rows.total("rows")[0] == 6
    log.close()


def test_rows_that_expired_before_all_was_counted_anew_are_told(tmp_path: Path) -> None:
    store, folder, state = open_store(tmp_path), tmp_path / "log", tmp_path / "a"
    log, now = log_of(folder), AT + 9 * DAY
    for day in (0, 2, 2):
        log.served(block(np.random.default_rng(day), AT + day * DAY, 3))
    log.close()
    drain(folder, store.tables)
    others = [Counter(MODEL, counting(HOW.how.reference, segments=names)) for names in (("ward",), (), ("smoker",))]
    told = []
    for turn, other in enumerate(others):
        tally(folder, state, {RELEASE: other}.get, store.tables, now=now)
        told.append(read_counts(state).told_anew(RELEASE))
        if turn == 1:  # the first day expires
            name = next(name for name in store.tables.names() if name.startswith("served"))
            old = store.tables.read(name)["at"]
            store.tables.remove(name, "at", old.filter(pc.less(old, pa.scalar(AT + DAY, old.type))).unique())
    assert told == ["", "", "counted anew on 2023-11-23, for meters or segments had changed; rows before 2023-11-16 "
                    "had expired"]
    tally(folder, state, {RELEASE: others[0]}.get, store.tables, now=now)
    assert read_counts(state).told_anew(RELEASE) == told[2]  # they are still gone


def test_a_spoilt_folder_is_told_and_a_new_one_is_empty(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "new").releases == ()
    assert len(seen(tmp_path / "new").rows) == 0
    (tmp_path / "tally.json").write_text('{"format": 1}')
    assert read_counts(tmp_path).releases == ()
    (tmp_path / "tally.json").write_text('{"format": ')
    with pytest.raises(StoreError, match="the counts cannot be read: "):
        read_counts(tmp_path)


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def told(ids: list[str], label: str, observed: int) -> list[Label]:
    return [Label(one, label, datetime.fromtimestamp(observed / 1e6, UTC), "clinic") for one in ids]


def test_labels_are_counted_once_however_often_it_is_looked_and_a_correction_takes_back_the_earlier(
    tmp_path: Path
) -> None:
    store, random = open_store(tmp_path), np.random.default_rng(0)
    folder, state, log = store.home / "log", tmp_path / "a", log_of(store.home / "log")
    made, now = block(random, now_us() - 3 * DAY, 40, arm="champion"), now_us()
    log.served(made)
    assert tally(folder, state, RELEASES, store.tables) == Tallied(40)
    acts = [(made.ids[:20], "yes"), (made.ids[10:30], "no"), (made.ids[10:30], "no"), (made.ids[:3], "no")]
    for number, (ids, label) in enumerate(acts):
        log.labelled(told(ids, label, now - DAY + number))
        for _ in range(2):
            tally(folder, state, RELEASES, store.tables)
        if number == 1:
            log.close()
            drain(folder, store.tables)
            log = log_of(store.home / "log")
    log.close()
    found, last = seen(state), labels(folder, store.tables)
    whole = HOW.tally(predictions(folder, store.tables), last)
    for meter in ("labels", "outcomes", "bias", "truth", "losses"):
        assert found.labels.whole.total(meter).tolist() == whole.labels.whole.total(meter).tolist(), meter
    assert found.cohorts.whole.total("labels").tolist() == whole.cohorts.whole.total("labels").tolist()
    assert found.labels.whole.total("labels")[0] > 10
    assert found.sample.labelled.ids.tolist() == whole.sample.labelled.ids.tolist()
    assert sorted(found.sample.labelled.loss.tolist()) == sorted(whole.sample.labelled.loss.tolist())


def test_rows_that_are_erased_leave_the_sample(tmp_path: Path) -> None:
    store, log = open_store(tmp_path), log_of(tmp_path / "log")
    made = block(np.random.default_rng(0), AT, 6)
    log.served(made)
    tally(tmp_path / "log", tmp_path / "a", RELEASES, store.tables, now=AT)
    assert sorted(seen(tmp_path / "a").sample.ids) == sorted(made.ids)
    assert forget(tmp_path / "a", made.ids[:2]) == 2
    assert sorted(seen(tmp_path / "a").sample.ids) == sorted(made.ids[2:])
    assert seen(tmp_path / "a").rows.whole.total("rows")[0] == 6
    log.close()


def test_labels_that_come_after_somebody_was_erased_are_counted(tmp_path: Path) -> None:
    made, now = block(np.random.default_rng(0), now_us() - 3 * DAY, 40, arm="champion"), now_us()

    def counted(name: str, gone: list[str]) -> Tallies:
        store = open_store(fresh(tmp_path / name))
        folder, state = store.home / "log", tmp_path / name / "counts"
        for ids, label, observed in ((made.ids[:20], "yes", now - DAY), (made.ids[1:30], "no", now - DAY + 1)):
            log = log_of(folder)
            if label == "yes":
                log.served(made)
            log.labelled(told(ids, label, observed))
            log.close()
            drain(folder, store.tables)
            assert tally(folder, state, RELEASES, store.tables).labels == len(ids)
            for table in store.tables.names():
                store.tables.remove(table, "prediction_id", pa.chunked_array([gone], pa.string()))
        return seen(state)

    whole, rest = counted("whole", []), counted("rest", made.ids[:1])
    assert rest.labels.whole.total("outcomes").sum() > 15
    assert rest.labels.whole.cells.tolist() == whole.labels.whole.cells.tolist()


CHILD = """
import json, sys
from pathlib import Path
from shipworthy.core.project import parse
from shipworthy.deployment.integration.log import tally as module
from shipworthy.store import open_store
from shipworthy.deployment.integration.releases.release import open_release
job = json.loads(sys.argv[1])
release = open_release(Path(job["release"]))
module.ROWS, module.PIECE = 20, 2_000
print("ready", flush=True)
how = module.counter(release, parse(job["project"]))
found = module.tally(Path(job["log"]), Path(job["state"]), {release.id: how}.get, open_store(Path(job["home"])).tables,
                     now=job["now"])
print(found.rows, flush=True)
"""


def test_a_tally_that_is_killed_at_any_moment_counts_every_row_once(
    make_release: Callable[..., Release], tmp_path: Path
) -> None:
    release = make_release(more=reference(MODEL, EDGES, patients(200, seed=3)).files())
    how, store = counter(release, parse(PROJECT)), open_store(fresh(tmp_path / "home"))
    assert how
    random, log = np.random.default_rng(0), log_of(tmp_path / "log", release.id)
    for number in range(400):
        log.served(block(random, AT + number * MINUTE // 20, 5))
    job = json.dumps({"release": str(release.folder), "log": str(tmp_path / "log"), "state": str(tmp_path / "a"),
                      "now": AT, "home": str(tmp_path / "home"), "project": PROJECT})
    done = []
    for parts in (2, 6, 12):
        child = subprocess.Popen([sys.executable, "-c", CHILD, job], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        child.stdout.readline()
        start = sum(read_counts(tmp_path / "a").book.places.values())
        while child.poll() is None and sum(read_counts(tmp_path / "a").book.places.values()) < start + parts * 1_000:
            pass
        child.kill()
        child.wait()
        child.stdout.close()
        done.append(sum(read_counts(tmp_path / "a").book.places.values()))
    assert done == sorted(done)
    tally(tmp_path / "log", tmp_path / "a", {release.id: how}.get, store.tables, now=AT)
    found = read_counts(tmp_path / "a").tallies(release.id, nothing(how.how))
    assert cells(found.rows) == cells(how.tally(predictions(tmp_path / "log")).rows)
    log.close()
