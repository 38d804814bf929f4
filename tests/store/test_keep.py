"""Steps are run once: reuse, resuming and lineage."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipworthy.errors import Misuse
from shipworthy.store import Artefact, Edge, Kept, Step, Store, keep, open_store, step_key


class Work:
    """A step that counts how often it was run."""

    def __init__(self, **outputs: Any) -> None:
        self.outputs, self.runs = outputs or {"model": b"weights"}, 0

    def __call__(self) -> Mapping[str, Any]:
        self.runs += 1
        return self.outputs


def _keep(store: Store, work: Callable[[], Mapping[str, Any]], step: str = "fit", **changes: Any) -> Kept:
    facts: dict[str, Any] = {"code": "c1", "settings": {"depth": 3}, "inputs": {"train": "aa"}} | changes
    return keep(store, step, work, **facts)


def test_an_unchanged_step_is_not_run_again(store: Store, tmp_path: Path) -> None:
    work = Work(model=b"weights", table=pa.table({"x": [1, None]}))
    first, again = _keep(store, work), _keep(open_store(tmp_path), work)
    assert (work.runs, first.reused, again.reused) == (1, False, True)
    assert again.outputs == first.outputs == work.outputs
    assert (again.key, again.digests) == (first.key, first.digests)
    assert first.seconds > 0


@pytest.mark.parametrize(
    "change",
    [
        {"code": "c2"},
        {"settings": {"depth": 4}},
        {"settings": {"depth": 3.0}},
        {"settings": {}},
        {"inputs": {"train": "bb"}},
        {"inputs": {"test": "aa"}},
        {"step": "fit2"},
    ],
    ids=str,
)
def test_a_changed_step_is_run_again(store: Store, change: dict[str, Any]) -> None:
    work = Work()
    _keep(store, work)
    assert not _keep(store, work, **change).reused
    assert work.runs == 2


def test_the_order_of_settings_does_not_matter(store: Store) -> None:
    _keep(store, Work(), settings={"a": 1, "b": (1, 2)})
    assert _keep(store, Work(), settings={"b": [1, 2], "a": 1}).reused


@pytest.mark.parametrize("harm", ["changed", "deleted", "manifest", "garbled", "folder"])
def test_outputs_that_are_not_intact_are_made_again(store: Store, harm: str) -> None:
    work = Work()
    folder = store.home / "kept" / _keep(store, work).key
    output = next(folder.glob("*.bin"))
    if harm == "changed":
        output.write_bytes(b"Weights")
    elif harm == "deleted":
        output.unlink()
    elif harm == "manifest":
        (folder / "manifest.json").unlink()
    elif harm == "garbled":
        (folder / "manifest.json").write_text("{}")
    else:
        shutil.rmtree(folder)
    again = _keep(store, work)
    assert (work.runs, again.reused, again.outputs) == (2, False, {"model": b"weights"})
    assert _keep(store, work).reused


def test_a_manifest_cannot_point_outside_its_folder(store: Store) -> None:
    work = Work()
    folder = store.home / "kept" / _keep(store, work).key
    output = next(folder.glob("*.bin"))
    shutil.move(output, store.home / output.name)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(output.name, f"../../{output.name}"))
    assert not _keep(store, work).reused


def test_a_step_its_outputs_and_its_lineage_are_recorded(store: Store) -> None:
    kept = _keep(store, Work(model=b"m", table=pa.table({"x": [1]})), inputs={"train": "aa", "labels": "bb"})
    (step,) = store.metadata.find(Step)
    assert (step.step, step.key, step.status, step.outputs) == ("fit", kept.key, "done", kept.digests)
    assert step.ended is not None
    assert step.ended >= step.started
    assert step.cpu_seconds >= 0
    artefacts = {a.name: a for a in store.metadata.find(Artefact)}
    assert {name: a.kind for name, a in artefacts.items()} == {"model": "bytes", "table": "table"}
    assert all((store.home / a.path).stat().st_size == a.size for a in artefacts.values())
    edges = {(e.source, e.role, e.target) for e in store.metadata.find(Edge)}
    assert edges == {
        (source, role, digest)
        for source, role in (("aa", "train"), ("bb", "labels"))
        for digest in kept.digests.values()
    }


def test_lineage_can_be_walked_from_step_to_step(store: Store) -> None:
    first = _keep(store, Work(table=pa.table({"x": [1]})), step="clean")
    second = _keep(store, Work(), inputs=first.digests)
    (edge,) = store.metadata.find(Edge, target=second.digests["model"])
    (before,) = store.metadata.find(Edge, target=edge.source)
    assert (before.source, before.step, edge.role) == ("aa", "clean", "table")


def test_reuse_is_recorded_as_a_step_of_its_run_but_not_as_new_lineage(store: Store) -> None:
    _keep(store, Work(), run="r1")
    before = store.metadata.find(Edge)
    _keep(store, Work(), run="r2")
    assert [(s.run, s.status) for s in store.metadata.find(Step)] == [("r2", "reused"), ("r1", "done")]
    assert store.metadata.find(Edge) == before


def test_lost_lineage_is_recorded_at_reuse(store: Store) -> None:
    _keep(store, Work())
    for kind in ("artefacts", "edges"):
        shutil.rmtree(store.home / "records" / kind)
    store.metadata.rebuild()
    assert _keep(store, Work()).reused
    assert (len(store.metadata.find(Artefact)), len(store.metadata.find(Edge))) == (1, 1)


def test_a_failed_step_keeps_nothing_and_is_recorded(store: Store) -> None:
    def fail() -> dict[str, bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _keep(store, fail)
    assert [s.status for s in store.metadata.find(Step)] == ["failed"]
    assert store.metadata.find(Artefact) == []
    assert not list(store.home.glob("kept/*"))
    assert not _keep(store, Work()).reused


@pytest.mark.parametrize("wrong", [{"x": "text"}, {"x": bytearray(b"")}, {"x": None}])
def test_only_bytes_and_tables_are_kept(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match='output "x" is a'):
        _keep(store, Work(**wrong))
    assert not list(store.home.glob("kept/*"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, "a"}])
def test_settings_must_be_json(value: Any) -> None:
    with pytest.raises(Misuse, match="cannot be written as JSON"):
        step_key("fit", code="c", settings={"x": value}, inputs={})


def test_output_names_may_be_anything_and_stay_inside(store: Store) -> None:
    names = {"../../evil": b"1", "": b"2", "ä/b": b"1", "CON": b""}
    assert _keep(store, lambda: names).outputs == names
    assert _keep(store, lambda: names).outputs == names
    assert not (store.folder / "evil").exists()


AWKWARD = {
    "categories": pa.chunked_array([pa.array(["a", "b"]).dictionary_encode()]),
    "unsigned": pa.chunked_array([pa.array([2**64 - 1], pa.uint64()), pa.array([None], pa.uint64())]),
    "naive": pa.chunked_array([pa.array([0, 1], pa.timestamp("ns"))]),
    "seconds": pa.chunked_array([pa.array([0, 1], pa.timestamp("s", "UTC"))]),
    "duration": pa.chunked_array([pa.array([0, 1], pa.duration("s"))]),
    "time": pa.chunked_array([pa.array([0, 1], pa.time64("ns"))]),
    "half": pa.chunked_array([pa.array([0.5, None], pa.float16())]),
    "null": pa.chunked_array([pa.nulls(2)]),
    "view": pa.chunked_array([pa.array(["x", None], pa.string_view())]),
    "large": pa.chunked_array([pa.array(["x", None], pa.large_string())]),
    "fixed": pa.chunked_array([pa.array([[1, 2], None], pa.list_(pa.int8(), 2))]),
    "map": pa.chunked_array([pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8()))]),
    "struct": pa.chunked_array([pa.array([{"a": 1}, None], pa.struct([("a", pa.int8())]))]),
    "lists": pa.chunked_array([pa.array([[1, None], None], pa.large_list(pa.int8()))]),
    "days": pa.chunked_array([pa.array([date(1, 1, 1), None])]),
}


@pytest.mark.parametrize("column", AWKWARD.values(), ids=AWKWARD)
def test_a_table_of_any_type_comes_back_exactly(store: Store, column: pa.ChunkedArray) -> None:
    field = pa.field("x", column.type, metadata={"unit": "kg"})
    table = pa.table([column], schema=pa.schema([field], metadata={"k": "v"}))
    for _ in range(2):
        back = _keep(store, Work(t=table)).outputs["t"]
        assert back.schema.equals(table.schema, check_metadata=True)
        assert back.to_pylist() == table.to_pylist()


def test_unused_categories_and_repeated_names_survive(store: Store) -> None:
    codes = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array(["used", "unused"]))
    table = pa.table([codes, pa.array([1])], names=["x", "x"])
    back = _keep(store, Work(t=table)).outputs["t"]
    assert back.column(0).chunk(0).dictionary.to_pylist() == ["used", "unused"]
    assert back.column_names == ["x", "x"]


def test_equal_tables_in_other_pieces_have_one_digest(store: Store) -> None:
    whole = pa.table({"x": [1, 2, 3]})
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    one, two = _keep(store, Work(t=whole)), _keep(store, Work(t=pieces), code="c2")
    assert one.digests == two.digests


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.lists(st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))), min_size=2, max_size=2),
        min_size=1,
        max_size=3,
    )
)
def test_kept_times_come_back_equal(store: Store, columns: dict[str, list[datetime | None]]) -> None:
    table = pa.table({name: pa.array(v, pa.timestamp("us", "UTC")) for name, v in columns.items()})
    kept = keep(store, "t", lambda: {"t": table}, code="c", settings={"v": str(columns)}, inputs={})
    assert kept.outputs["t"].equals(table)


SLOW = """
import time, pathlib, pyarrow as pa
from shipworthy.store import keep, open_store
def compute():
    print("computing", flush=True)
    {body}
    return {{"model": b"weights"}}
store = open_store(sys.argv[1])
kept = keep(store, "fit", compute, code="c1", settings={{"depth": 3}}, inputs={{"train": "aa"}})
print(kept.reused, flush=True)
"""


def test_a_killed_step_leaves_nothing_and_is_run_again(store: Store, tmp_path: Path, spawn: Any) -> None:
    process = spawn(SLOW.format(body="time.sleep(60)"), tmp_path)
    assert process.stdout.readline() == "computing\n"
    process.kill()
    process.communicate()
    assert not list(store.home.glob("kept/*"))
    assert [s.status for s in store.metadata.find(Step)] == ["running"]
    work = Work()
    assert not _keep(store, work).reused
    assert work.runs == 1
    assert sorted(s.status for s in store.metadata.find(Step)) == ["done", "killed"]


def test_a_step_killed_while_writing_leaves_nothing_half_made(store: Store, tmp_path: Path, spawn: Any) -> None:
    body = (
        "import os, hashlib; real = hashlib.file_digest; "
        "hashlib.file_digest = lambda *a: os.kill(os.getpid(), 9) or real(*a)"
    )
    process = spawn(SLOW.format(body=body), tmp_path)
    process.communicate()
    assert process.returncode == -9
    rest = [p.name for p in (store.home / "kept").iterdir()]
    assert len(rest) == 1
    assert rest[0].endswith(".part")
    assert not _keep(store, Work()).reused
    assert [p.name for p in (store.home / "kept").iterdir()] == [_keep(store, Work()).key]


def test_two_processes_run_one_step_once(tmp_path: Path, spawn: Any) -> None:
    script = SLOW.format(body="time.sleep(0.3)")
    said = [process.communicate() for process in [spawn(script, tmp_path) for _ in range(3)]]
    assert sorted(out for out, _ in said) == ["True\n", "True\n", "computing\nFalse\n"]


def test_a_table_of_a_million_rows_is_reused_quickly(store: Store) -> None:
    table = pa.table({"x": range(1_000_000)})
    _keep(store, Work(t=table))
    begun = time.monotonic()
    assert _keep(store, Work(t=table)).reused
    assert time.monotonic() - begun < 1
