from __future__ import annotations

import resource
import signal
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.log import (
    Heading,
    Label,
    Log,
    Served,
    label_history,
    labels,
    new_ids,
    predictions,
    read_log,
)
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.errors import StoreError

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
        "propensity": 1.0, "score": 0.25, "decision": "no", "abstain": False, "age": 63.0, "seen": SEEN, "grade": "2"}
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
    whole = path.read_bytes()
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


def test_every_cut_of_a_file_gives_whole_blocks_only(tmp_path: Path) -> None:
    writer = segments.Writer(tmp_path, "x", b"head")
    payloads = [b"one", b"", b"three" * 10]
    for payload in payloads:
        writer.append(payload)
    writer.close()
    path = segments.segments(tmp_path, "x")[0]
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        found = list(segments.blocks(path))
        assert found == [b"head", *payloads][: len(found)]
    assert len(found) == 4


def test_a_flipped_bit_ends_the_file_there(tmp_path: Path) -> None:
    writer = segments.Writer(tmp_path, "x", b"")
    for payload in (b"one", b"two"):
        writer.append(payload)
    writer.close()
    path = segments.segments(tmp_path, "x")[0]
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert list(segments.blocks(path)) == [b"", b"one"]


def test_a_full_file_is_sealed_and_another_is_begun(tmp_path: Path) -> None:
    writer = segments.Writer(tmp_path, "x", b"h", sealed=100)
    for number in range(10):
        writer.append(bytes([number]) * 40)
    writer.close()
    found = [block for path in segments.segments(tmp_path, "x") for block in list(segments.blocks(path))[1:]]
    assert len(segments.segments(tmp_path, "x")) > 3
    assert found == [bytes([number]) * 40 for number in range(10)]


@pytest.mark.parametrize("mode", ["kept", "durable"])
def test_a_block_is_in_the_file_before_append_returns(tmp_path: Path, mode: segments.Mode) -> None:
    writer = segments.Writer(tmp_path, "x", b"", mode=mode)
    writer.append(b"now")
    assert list(segments.blocks(segments.segments(tmp_path, "x")[0])) == [b"", b"now"]
    writer.close()


def test_a_full_disk_is_told_and_leaves_no_half_block(tmp_path: Path) -> None:
    writer = segments.Writer(tmp_path, "x", b"")
    writer.append(b"a" * 1000)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
        with pytest.raises(StoreError, match="the disk is full: the answer cannot be logged"):
            writer.append(b"b" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    writer.append(b"c")
    assert list(segments.blocks(segments.segments(tmp_path, "x")[0])) == [b"", b"a" * 1000, b"c"]
    writer.close()


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


def test_ids_are_version_7_and_sort_by_time() -> None:
    found = [place for at in range(AT, AT + 5_000, 250) for place in new_ids(1, at)]
    assert found == sorted(found)
    parsed = [UUID(place) for place in found]
    assert {place.version for place in parsed} == {7}
    assert {place.variant for place in parsed} == {"specified in RFC 4122"}
    assert parsed[0].int >> 80 == AT // 1_000
    assert len(set(new_ids(1_000, AT))) == 1_000
