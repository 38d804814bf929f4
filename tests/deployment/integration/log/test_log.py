from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.log import Heading, Label, Log, Served, ServedRow
from shipworthy.deployment.integration.log.read import label_history, labels, predictions, read_log, shadows
from shipworthy.deployment.integration.serving.record import Field

HEADING = Heading("r" * 64, ("no", "yes"), (Field("age", "f0", "number", True), Field("seen", "f1", "timestamp", False),
                                            Field("grade", "f2", "category", True, True)))
SEEN = datetime(2024, 3, 1, 6, tzinfo=UTC)
AT = 1_700_000_000_000_000


def block(*ids: str, at: int = AT) -> Served:
    size = len(ids)
    return Served(list(ids), at, "champion", 1.0, [0.25] * size, ["no"] * size, [False] * size,
                  [[63.0] * size, [SEEN] * size, [2] * size])


def label(place: str, value: str, *, source: str = "clinic", day: int = 2) -> Label:
    return Label(place, value, datetime(2024, 3, day, tzinfo=UTC), source)


def test_what_was_served_comes_back_as_columns(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block("b", "c"))
    log.served(block("a"))
    table, _ = read_log(tmp_path, None)
    assert table.data.to_pylist()[0] == {
        "prediction_id": "a", "at": datetime.fromtimestamp(AT / 1e6, UTC), "release": "r" * 64, "arm": "champion",
        "propensity": 1.0, "score": 0.25, "decision": "no", "abstain": False, "explored": False, "influenced": None,
        "noise": None, "age": 63.0, "seen": SEEN, "grade": "2"}
    assert list(table.words("prediction_id")) == ["a", "b", "c"]
    assert [c.name for c in table.schema.features] == ["age", "grade"]
    log.close()


def test_reading_twice_gives_the_same_table(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block("a"))
    log.served(block("a"))
    first = predictions(tmp_path)
    assert first.rows == 1
    assert predictions(tmp_path).digest == first.digest
    log.close()


def test_an_empty_log_is_an_empty_table(tmp_path: Path) -> None:
    table, came_true = read_log(tmp_path / "none", None)
    assert (table.rows, came_true.rows) == (0, 0)
    assert table.data.column_names[:2] == ["prediction_id", "at"]


def test_a_half_written_tail_is_cut_and_counted(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block("a"))
    log.served(block("b"))
    log.close()
    path = segments.segments(tmp_path, "predictions")[0]
    whole = path.read_bytes().removesuffix(segments.SEAL)
    path.write_bytes(whole + whole[-20:-3])
    assert list(predictions(tmp_path).words("prediction_id")) == ["a", "b"]
    again = Log(tmp_path, HEADING)
    assert again.cut == 17
    again.served(block("c"))
    assert list(predictions(tmp_path).words("prediction_id")) == ["a", "b", "c"]
    again.close()


def test_a_log_that_is_being_written_is_not_cut_by_another_server(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block("a"))
    with open(segments.segments(tmp_path, "predictions")[0], "ab") as file:
        file.write(b"half")
    assert Log(tmp_path, HEADING).cut == 0


def test_a_repeated_label_is_kept_once_and_the_last_correction_counts(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    assert log.labelled([label("a", "no"), label("b", "yes")]) == (2, 0, 0)
    assert log.labelled([label("a", "no"), label("b", "no", day=3)]) == (0, 1, 1)
    log.close()
    again = Log(tmp_path, HEADING)
    assert again.labelled([label("a", "no")]) == (0, 0, 1)
    again.close()
    found = labels(tmp_path)
    assert dict(zip(found.words("prediction_id"), found.words("label"), strict=True)) == {"a": "no", "b": "no"}
    assert list(label_history(tmp_path).words("label")) == ["no", "yes", "no"]


def test_labels_of_a_regression_are_numbers(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.labelled([Label("a", 2.5, SEEN)])
    assert labels(tmp_path).numbers("label").tolist() == [2.5]
    log.close()


def test_a_replay_of_history_is_dated_by_its_own_time(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(block("a"))
    log.labelled([label("a", "no")])
    table, came_true = read_log(tmp_path, None, time="seen")
    assert table.records()[0]["at"] == SEEN
    assert came_true.records()[0]["received_at"] == came_true.records()[0]["observed_at"]
    log.close()


def test_releases_with_other_fields_share_a_log(tmp_path: Path) -> None:
    first, second = Log(tmp_path, HEADING), Log(tmp_path, Heading("s" * 64, ("no", "yes"), HEADING.fields[:1]))
    first.served(block("a"))
    second.served(Served(["b"], AT, "champion", 1.0, [0.5], ["yes"], [True], [[40.0]]))
    table = predictions(tmp_path)
    assert [(row["age"], row["grade"]) for row in table.records()] == [(63.0, "2"), (40.0, None)]


def test_a_single_row_is_read_as_the_block_of_one_that_it_stands_for(tmp_path: Path) -> None:
    log, short = Log(tmp_path / "one", HEADING), Log(tmp_path / "other", HEADING)
    log.served(block("a"))
    log.served(block("b", "c"))
    short.served(ServedRow("a", AT, "champion", 1.0, 0.25, "no", False, (63.0, SEEN, 2)))
    short.served(block("b", "c"))
    log.close()
    short.close()
    assert predictions(tmp_path / "other").records() == predictions(tmp_path / "one").records()


def test_a_challenger_that_answers_is_a_prediction_and_one_in_the_shadow_is_not(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    other = Heading("s" * 64, ("no", "yes"), HEADING.fields[:1])
    canary, shadow = log.arm(other), log.arm(other, shadow=True)
    log.served(block("a", "b"))
    canary.served(ServedRow("c", AT, "challenger", 0.05, 0.5, "yes", False, (40.0,)))
    shadow.served(ServedRow("a", AT, "shadow", 1.0, 0.75, "yes", False, (63.0,)))
    found = [(row["prediction_id"], row["release"][0], row["arm"]) for row in predictions(tmp_path).records()]
    assert found == [("a", "r", "champion"), ("b", "r", "champion"), ("c", "s", "challenger")]
    beside = shadows(tmp_path)
    assert [(row["prediction_id"], row["arm"], row["score"], row["age"]) for row in beside.records()] == [
        ("a", "shadow", 0.75, 63.0)]
    for part in (log, canary, shadow):
        part.close()
    assert shadows(tmp_path).records() == beside.records()


def test_one_wait_covers_answers_and_labels(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING, mode="durable")
    log.served(block("a"))
    log.labelled([label("a", "no")])
    asyncio.run(log.durable())
    assert (predictions(tmp_path).rows, labels(tmp_path).rows) == (1, 1)
    log.close()
