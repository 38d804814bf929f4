"""The drill of erasure, whole: people go the whole way, are erased, and no byte and no model knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from shipworthy import __version__, drills
from shipworthy.assurance.law.drilled import erasure_drill, read_drills
from shipworthy.core.drill import Drill
from shipworthy.deployment.integration.erasure.erase import Erasure
from shipworthy.errors import StoreError
from shipworthy.store.workspace import Workspace

GOOD = Drill("erasure", "2026-11-23T00:00:00+00:00", __version__, 200, 170, auc=0.5, low=0.44, high=0.56)


def now(**facts: object) -> Drill:
    import datetime

    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return msgspec.structs.replace(GOOD, at=at, **facts)


def test_people_who_were_erased_are_in_no_byte_and_in_no_model() -> None:
    found = drills.erasure()
    assert (found.count, found.hits, found.waiting, found.retrained) == (0, (), (), True)
    assert found.subjects == 200
    assert found.low < 0.5 < found.high
    assert erasure_drill((found,)).verdict == "pass"


def careless(place: Workspace, ids: Sequence[str], **_: object) -> Erasure:
    """Deletes rows from the newest version of each table, and nothing else."""
    tables = place.store.tables
    for name in tables.names():
        if "person" in tables.read(name).column_names:
            tables.remove(name, "person", pa.chunked_array([list(ids)]))
    return Erasure("0" * 32, len(ids))


def test_rows_left_in_old_versions_caches_releases_and_the_backup_are_found() -> None:
    found = drills.erasure(eraser=careless)
    told = erasure_drill((found,))
    assert told.verdict == "fail"
    places = " ".join(found.hits)
    assert all(where in places for where in (".shipworthy/tables/training", ".shipworthy/tables/served",
                                             ".shipworthy/kept/", "releases/", ".backup.tar!"))
    assert found.count > len(found.hits)


@pytest.mark.parametrize(("drill", "verdict", "told"), [
    (now(), "pass", "AUC 0.500"),
    (now(count=1, hits=("old.parquet: utf-8",)), "fail", "with 1 traces left: old.parquet: utf-8"),
    (now(retrained=False), "fail", "the model is the same"),
    (now(auc=0.7, low=0.65, high=0.75), "fail", "AUC 0.700"),
    (now(low=0.3, high=0.7), "unknown", "the interval is ± 0.20 wide"),
    (now(version="0.0.1"), "unknown", "it was made by version 0.0.1"),
    (now(subjects=20), "unknown", "20 people prove too little"),
    (now(waiting=("a file could not be read",)), "fail", "a file could not be read"),
])
def test_a_drill_counts_only_if_it_proves_absence(drill: Drill, verdict: str, told: str) -> None:
    finding = erasure_drill((drill,))
    assert finding.verdict == verdict
    assert told in finding.sentence


def test_an_old_drill_proves_nothing_of_today() -> None:
    old = msgspec.structs.replace(GOOD, at="2020-01-01T00:00:00+00:00")
    assert erasure_drill((old,)).verdict == "unknown"


def test_the_newest_drill_is_judged_and_a_broken_record_is_told(tmp_path: Path) -> None:
    assert read_drills(tmp_path) is None

    @dataclass(frozen=True)
    class Store:
        home: Path

    @dataclass(frozen=True)
    class Place:
        store: Store

    place = Place(Store(tmp_path))
    for drill in (GOOD, msgspec.structs.replace(GOOD, at="2026-11-22T00:00:00+00:00", count=3)):
        path = drills.keep(place, drill)  # type: ignore[arg-type]
    found = read_drills(tmp_path)
    assert found is not None and [one.count for one in found] == [0, 3]
    path.write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="what a drill found cannot be read"):
        read_drills(tmp_path)
