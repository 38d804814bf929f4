"""Predicting and explaining the very table that a model was made from, read by the project's kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import shipworthy as sw
from shipworthy import flow
from shipworthy.core.evidence import Evidence
from shipworthy.core.project import FILE
from shipworthy.errors import BadData

PROJECT = """
[project]
name = "rides"
subject = "thing"
[data]
target = "rides"
identifiers = ["ride", "score"]
kinds = {day = "timestamp", month = "category", open = "boolean", size = "number"}
units = {rides = "rides an hour"}
[[source]]
address = "rides.parquet"
[split]
kind = "random"
[learning]
seconds = 2
search = false
learners = ["trivial", "linear"]
"""


def rides(rows: int = 400) -> pa.Table:
    random = np.random.default_rng(1)
    size, month, opened = random.normal(size=rows), random.integers(1, 13, rows), random.random(rows) < 0.5
    days = [f"2012-{m:02}-{1 + n % 28:02}" for n, m in enumerate(month)]
    return pa.table({
        "ride": [f"r{n}" for n in range(rows)], "score": [f"s{n}" for n in range(rows)],
        "day": pa.array(days, pa.large_string()), "month": month, "size": [f"{value:.6f}" for value in size],
        "open": np.where(opened, "yes", "no"), "rides": 40 + 10 * size + month + 5 * opened + random.normal(size=rows)})


@pytest.fixture(scope="module")
def made_rides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("rides")
    (folder / FILE).write_text(PROJECT, encoding="utf-8")
    pq.write_table(rides(), folder / "rides.parquet")
    place = sw.open_workspace(folder)
    case = flow.prepare(place, flow.gather(place))
    return folder, flow.write(place, place.releases, case, Evidence(()))


def test_the_training_table_itself_is_predicted_as_its_holdout_was(made_rides: tuple[Path, Any]) -> None:
    folder, release = made_rides
    answers = sw.predict(folder, folder / "rides.parquet", release_id=release.id)
    holdout = flow.stored(release)["holdout"]
    place = [int(name.removeprefix("r")) for name in holdout.words("ride")]
    np.testing.assert_array_equal(answers.score[place], release.model.predict(holdout).score)


@pytest.mark.parametrize("name", ["scored.csv", "scored.parquet", "scored.jsonl", "scored.NDJSON"])
def test_predictions_are_written_as_their_name_says_with_the_identifiers(
    call: Any, made_rides: tuple[Path, Any], tmp_path: Path, name: str
) -> None:
    folder, release = made_rides
    told = call("predict", folder / "rides.parquet", "-o", tmp_path / name, "-p", folder, "--release", release.id)
    assert told.code == 0, told.err
    path = tmp_path / name
    if path.suffix == ".csv":
        found = pyarrow.csv.read_csv(path)
    elif path.suffix == ".parquet":
        found = pq.read_table(path)
    else:
        found = pa.Table.from_pylist([json.loads(line) for line in path.read_text("utf-8").splitlines()])
    assert found.column_names == ["ride", "given.score", "decision", "score", "low", "high", "abstain"]
    assert found["ride"].to_pylist()[:2] == ["r0", "r1"] and found["given.score"].to_pylist()[0] == "s0"
    assert found.num_rows == 400


@pytest.mark.parametrize("name", ["scored.xyz", "scored"])
def test_another_kind_of_file_is_refused_with_those_that_are_written(
    call: Any, made_rides: tuple[Path, Any], tmp_path: Path, name: str
) -> None:
    told = call("predict", made_rides[0] / "rides.parquet", "-o", tmp_path / name, "-p", made_rides[0])
    assert told.code == 2
    assert told.problem.startswith(f'error: nothing writes "{Path(name).suffix or name}"')
    assert "hint: end its name with one of .parquet, .csv, .jsonl, .ndjson" in told.problem
    assert not list(tmp_path.iterdir())


def test_an_explanation_is_in_the_targets_unit_and_adds_up(call: Any, made_rides: tuple[Path, Any]) -> None:
    folder, _ = made_rides
    told = call("explain", folder / "rides.parquet", "--row", "3", "-p", folder)
    assert told.code == 0, told.err
    assert "in rides an hour (rides):" in told.out
    assert "the usual row" in told.out and "the sum: this row" in told.out and "size = " in told.out
    plain = json.loads(call("explain", folder / "rides.parquet", "--row", "3", "-p", folder, "--json").out)
    assert plain["values"]["open"] in ("true", "false")
    assert plain["base"] + sum(plain["contributions"].values()) == pytest.approx(plain["sum"])
    assert plain["answer"]["prediction"] == pytest.approx(plain["sum"])


def test_a_column_that_holds_no_numbers_is_named_and_no_library_speaks(made_rides: tuple[Path, Any]) -> None:
    table = sw.read(rides())
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()):
        words = sw.Table.of(table.data.set_column(2, "day", table.data["day"].cast(pa.string()).cast(kind)))
        with pytest.raises(BadData) as caught:
            words.numbers("day")
        assert caught.value.problem == 'column "day" does not hold numbers'
        assert caught.value.hint.startswith("it holds text, such as '2012-")


def test_a_release_that_is_not_there_is_answered_with_those_that_are(call: Any, made_rides: tuple[Path, Any]) -> None:
    folder, release = made_rides
    told = call("explain", folder / "rides.parquet", "-p", folder, "--release", "nope")
    assert "there is no such release" in told.problem
    assert f"hint: choose one of: {release.folder.name}" in told.problem
