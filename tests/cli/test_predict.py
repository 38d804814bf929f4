"""A table of any size is scored piece by piece: whole or not at all, gone on with, and as the server would answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

import shipworthy as sw
from shipworthy import flow
from shipworthy.core.evidence import Evidence
from shipworthy.core.project import FILE
from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.answerer import answerer
from shipworthy.errors import BadData, Misuse

PROJECT = """
[project]
name = "loans"
subject = "thing"
[data]
target = "paid"
positive = "yes"
identifiers = ["loan"]
[[source]]
address = "loans.parquet"
[split]
kind = "random"
[learning]
seconds = 2
search = false
learners = ["trivial", "linear"]
"""
GRADES = np.array(["A", "B", " b", "?", "C", ""], object)


def loans(rows: int = 600, seed: int = 3) -> pa.Table:
    random = np.random.default_rng(seed)
    size, grade = random.normal(size=rows).round(3), random.choice(GRADES[:5], rows)
    paid = np.where(size + (grade == "A") + random.normal(size=rows) > 0, "yes", "no")
    pay = [f"{n:,}" for n in random.integers(900, 90_000, rows)]
    at = np.datetime64("2024-01-01T00:30") + random.integers(0, 10**6, rows).astype("timedelta64[s]")
    return pa.table({
        "loan": [f"l{n}" for n in range(rows)], "size": pa.array(size, mask=random.random(rows) < 0.1), "pay": pay,
        "grade": pa.array(grade), "old": random.random(rows) < 0.5, "room": random.integers(1, 4, rows),
        "at": pa.array(at.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")), "paid": paid})


def awkward() -> pa.Table:
    """Rows as few would be: missing, unseen, spelt otherwise, codes, far off."""
    table = loans(40, seed=4)
    grade = ["A", "a", " B", "?", None, "", "Z", "n/a", "-", "é"] * 4
    pay = ["1,000", "999", None, "none", "", "7 kg", "-9", "1e400", " 5 ", "nan"] * 4
    size = [None, -0.0, 1e300, 1e39, -999.0, 0.1, 5e-324, -3.0, 2.5, 1.0] * 4
    room = [1, None, 99, 2, 3, -1, 0, 2**40, 1, 2] * 4
    for name, values in (("grade", grade), ("pay", pay), ("size", size), ("room", room)):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


@pytest.fixture(scope="module")
def made_loans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Release]:
    folder = tmp_path_factory.mktemp("loans")
    (folder / FILE).write_text(PROJECT, encoding="utf-8")
    pq.write_table(loans(), folder / "loans.parquet")
    place = sw.open_workspace(folder)
    case = flow.prepare(place, flow.gather(place))
    return folder, flow.write(place, place.releases, case, Evidence(()))


Into = Callable[..., int]


@pytest.fixture
def into(made_loans: tuple[Path, Release]) -> Into:
    folder, release = made_loans
    return lambda table, output, **more: sw.predict_into(folder, table, output, release_id=release.id, **more)


def put(table: pa.Table, path: Path) -> Path:
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        rows = [{**row, "at": row["at"].isoformat()} for row in table.to_pylist()]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    elif path.suffix == ".arrow":
        with pyarrow.ipc.new_file(path, table.schema) as sink:
            sink.write_table(table, max_chunksize=7)
    else:
        pq.write_table(table, path, row_group_size=10)
    return path


def test_batch_model_and_server_give_the_same_answers_to_the_last_bit(
    made_loans: tuple[Path, Release], into: Into, tmp_path: Path
) -> None:
    _, release = made_loans
    table, model = awkward(), release.model
    assert set(model.features.columns) == {"size", "pay", "grade", "old", "room", "at"}
    assert into(put(table, tmp_path / "t.parquet"), tmp_path / "out.parquet") == 40
    found = pq.read_table(tmp_path / "out.parquet")
    whole = model.predict(sw.read(tmp_path / "t.parquet"))
    records = [{name: value.isoformat() if name == "at" else value for name, value in row.items()
                if name in model.features.columns} for row in table.to_pylist()]
    many = answerer(model).answer(records)
    single = [answerer(model).answer([record])[0] for record in records]
    rows = model.rows({name: [row[name] for row in table.to_pylist()] for name in model.features.columns})
    assert found["score"].to_numpy().tobytes() == whole.score.tobytes() == model.program.score(rows).tobytes()
    for answers in (many, single):
        assert [each["probabilities"]["yes"] for each in answers] == found["score"].to_pylist()
        assert [each["prediction"] for each in answers] == found["decision"].to_pylist()
        assert [each["abstain"] for each in answers] == found["abstain"].to_pylist()
        assert [each["set"] for each in answers] == found["set"].to_pylist()
    assert found["loan"].equals(table["loan"])


@pytest.mark.parametrize("source", ["t.parquet", "t.csv", "t.jsonl", "t.arrow"])
def test_every_format_gives_the_answers_of_the_table_read_at_once(
    made_loans: tuple[Path, Release], into: Into, tmp_path: Path, source: str
) -> None:
    path = put(loans(100, seed=5), tmp_path / source)
    assert into(path, tmp_path / "out.parquet", every=30) == 100
    whole = made_loans[1].model.predict(sw.read(path))
    assert pq.read_table(tmp_path / "out.parquet")["score"].to_numpy().tobytes() == whole.score.tobytes()


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.jsonl", "out.ndjson", "out.arrow"])
def test_a_run_that_was_interrupted_goes_on_where_it_stopped(
    made_loans: tuple[Path, Release], into: Into, tmp_path: Path, name: str
) -> None:
    path, output, said = put(loans(200, seed=6), tmp_path / "t.parquet"), tmp_path / name, []
    into(path, tmp_path / f"once.{output.suffix}")
    killed_after(3, made_loans, path, output)
    assert not output.exists()
    into(path, output, every=5, tell=said.append)
    assert said == ["going on after 15 rows that were scored before"]
    once = tmp_path / f"once.{output.suffix}"
    if output.suffix == ".parquet":
        assert pq.read_table(output).equals(pq.read_table(once))
    elif output.suffix == ".arrow":
        assert pyarrow.ipc.open_file(output).read_all().equals(pyarrow.ipc.open_file(once).read_all())
    else:
        assert output.read_bytes() == once.read_bytes()
    assert not list(tmp_path.glob(".*"))


def killed_after(groups: int, made: tuple[Path, Release], table: Path, output: Path) -> None:
    """In a child process: a run that kills itself, as nothing can prevent, once so many groups are kept."""
    code = f"""
import os, signal
import shipworthy as sw
done = []
def progress(rows):
    done.append(rows)
    if len(done) == {groups}:
        os.kill(os.getpid(), signal.SIGKILL)
sw.predict_into({str(made[0])!r}, {str(table)!r}, {str(output)!r}, release_id={made[1].id!r}, every=5,
                progress=progress)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr


def test_another_table_or_release_is_not_mixed_into_what_was_done(
    made_loans: tuple[Path, Release], into: Into, tmp_path: Path
) -> None:
    path, output = put(loans(200, seed=6), tmp_path / "t.parquet"), tmp_path / "out.parquet"
    killed_after(2, made_loans, path, output)
    put(loans(300, seed=7), path)
    with pytest.raises(Misuse) as told:
        into(path, output)
    assert str(told.value) == (
        f"an earlier run was interrupted after 10 rows, and since then this changed: table\n  at: {output}\n"
        "  hint: run it with what it was begun with to go on, or start over: --fresh")
    assert into(path, output, fresh=True) == 300
    assert pq.read_table(output).num_rows == 300 and not list(tmp_path.glob(".*"))


def test_a_value_that_cannot_be_read_is_named_with_its_row_and_column_and_nothing_is_left(
    into: Into, tmp_path: Path
) -> None:
    table = loans(100, seed=5)
    old = ["true" if value else "false" for value in table["old"].to_pylist()]
    old[76] = "perhaps"
    path = put(table.set_column(table.column_names.index("old"), "old", pa.array(old)), tmp_path / "t.parquet")
    with pytest.raises(BadData) as told:
        into(path, tmp_path / "out.parquet", every=10)
    assert str(told.value) == (
        'column "old" holds \'perhaps\', which is neither true nor false\n'
        f"  at: {path}, row 77 (the first is 1), old\n  hint: send true or false")
    assert [each.name for each in tmp_path.iterdir()] == ["t.parquet"]


def test_the_file_that_was_there_stays_until_the_new_one_is_whole(into: Into, tmp_path: Path) -> None:
    path, output = put(loans(50).drop_columns(["size"]), tmp_path / "t.csv"), tmp_path / "out.csv"
    output.write_text("before", encoding="utf-8")
    with pytest.raises(BadData, match='column "size" is missing'):
        into(path, output)
    assert output.read_text(encoding="utf-8") == "before"


def test_a_data_frame_can_be_scored_into_a_file_too(into: Into, tmp_path: Path) -> None:
    assert into(loans(50), tmp_path / "out.csv", every=10) == 50
    assert pyarrow.csv.read_csv(tmp_path / "out.csv").column_names == [
        "loan", "decision", "score", "set", "abstain"]


def test_every_form_of_file_holds_the_sets(into: Into, tmp_path: Path) -> None:
    for name in ("out.parquet", "out.arrow", "out.csv", "out.jsonl"):
        into(loans(50), tmp_path / name, every=10)
    sets = pq.read_table(tmp_path / "out.parquet")["set"].to_pylist()
    assert {name for inside in sets for name in inside} == {"no", "yes"}
    assert pyarrow.ipc.open_file(tmp_path / "out.arrow").read_all()["set"].to_pylist() == sets
    cells = pyarrow.csv.read_csv(tmp_path / "out.csv")["set"].to_pylist()
    assert [json.loads(cell) for cell in cells] == sets
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["set"] for line in lines] == sets


def test_files_of_one_table_are_scored_in_order(into: Into, tmp_path: Path) -> None:
    for n in range(3):
        put(loans(90).slice(n * 30, 30), tmp_path / f"part{n}.parquet")
    assert into(tmp_path / "part*.parquet", tmp_path / "out.arrow", every=40) == 90
    found = pyarrow.ipc.open_file(tmp_path / "out.arrow").read_all()
    assert found["loan"].equals(loans(90)["loan"])


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX systems")
def test_a_disk_that_is_full_leaves_nothing_half_written_and_the_next_run_goes_on(
    call: Any, start: Any, made_loans: tuple[Path, Release], tmp_path: Path
) -> None:
    import resource

    folder, release = made_loans
    path, output = put(loans(20_000, seed=6), tmp_path / "t.csv"), tmp_path / "out.csv"
    words = ("predict", path, "-o", output, "-p", folder, "--release", release.id)
    child = start(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)))
    _, said = child.communicate()
    assert child.returncode == 2 and "error: the disk takes no file of this size" in said, said
    assert not output.exists()
    told = call(*words)
    assert told.code == 0 and "20,000 rows scored into" in told.err
    assert not list(tmp_path.glob(".*"))
