"""Whole files or none, and locks that end with their process."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from shipworthy.errors import StoreError
from shipworthy.store import lock, read_bytes, staged_folder, write_bytes, write_folder
from shipworthy.store.files import refusal, sweep, temporary, write_files


def _refuse(number: int) -> Any:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_bytes_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / "deep" / "a.bin", b"\x00\xff")
    assert read_bytes(tmp_path / "deep" / "a.bin") == b"\x00\xff"


def test_bytes_go_to_an_address_with_a_scheme_too() -> None:
    write_bytes("memory://store-test/a.bin", b"far")
    assert read_bytes("memory://store-test/a.bin") == b"far"


def test_an_unknown_scheme_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        write_bytes("nonsense://a/b", b"")


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "the folder is on a read-only disk"),
        (errno.EACCES, "the folder may not be written or read"),
    ],
)
def test_a_refused_write_says_why_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, problem: str
) -> None:
    target = tmp_path / "a.txt"
    write_bytes(target, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _refuse(number))
        with pytest.raises(StoreError) as error:
            write_bytes(target, b"new")
    assert error.value.problem == problem
    assert error.value.where == str(target)
    assert error.value.hint
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_changes_none_of_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter([None, errno.ENOSPC])

    def full_at_the_second(handle: int) -> None:
        number = next(calls)
        if number:
            raise OSError(number, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_the_second)
        with pytest.raises(StoreError, match="full"):
            write_files({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing"):
        read_bytes(tmp_path / "nothing")


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "f", {"a.txt": b"1", "sub/b.txt": b"2"})
    write_folder(tmp_path / "f", {"c.txt": b"3"})
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["c.txt"]


def test_a_folder_is_not_made_if_its_block_raises(tmp_path: Path) -> None:
    def fill() -> None:
        with staged_folder(tmp_path / "f") as stage:
            (stage / "a").write_bytes(b"1")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_an_old_folder_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "f", {"a": b"old"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _refuse(errno.ENOSPC))
        with pytest.raises(StoreError, match="full"):
            write_folder(tmp_path / "f", {"a": b"new"})
    assert (tmp_path / "f" / "a").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("name", ["../a", "/a", "", "a/../../b", "C:\\a", "a\\b", "a\0b"])
def test_a_name_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="not a file name inside the folder"):
        write_folder(tmp_path / "f", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_an_object_store_is_not_promised_whole_folders() -> None:
    with pytest.raises(StoreError, match="whole folder"):
        write_folder("memory://x/y", {"a": b""})


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    temporary(tmp_path / "a").write_bytes(b"half")
    temporary(tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"whole")
    sweep(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with lock(tmp_path / "l"), pytest.raises(StoreError) as error, lock(tmp_path / "l", 0.05):
        pass
    assert "has held this project's lock for 0.05 seconds" in error.value.problem
    assert f"process {os.getpid()}" in error.value.hint
    with lock(tmp_path / "l", 0):
        pass


def test_a_shared_lock_is_held_by_many_but_not_beside_a_sole_one(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with lock(path, shared=True), lock(path, 0, shared=True), pytest.raises(StoreError), lock(path, 0.02):
        pass
    with lock(tmp_path / "l"), pytest.raises(StoreError), lock(tmp_path / "l", 0.02, shared=True):
        pass


def test_threads_count_without_losing_any(tmp_path: Path) -> None:
    counter = tmp_path / "n"
    counter.write_text("0")

    def add() -> None:
        for _ in range(10):
            with lock(tmp_path / "l"):
                counter.write_text(str(int(counter.read_text()) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "40"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, spawn: Any) -> None:
    script = (
        "from shipworthy.store import lock\n"
        "import time\n"
        "with lock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = spawn(script, tmp_path / "l")
    assert process.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match="another process"), lock(tmp_path / "l", 0.02):
        pass
    process.kill()
    process.communicate()
    with lock(tmp_path / "l", 5):
        pass


@pytest.mark.parametrize("text, problem", [
    ("Unable to copy data to file: No space left on device (os error 28)", "the disk is full"),
    ("Generic error\n   \x1b[31m↳\x1b[0m Read-only file system (os error 30)", "the folder is on a read-only disk"),
    ("Error writing bytes to file. Detail: [errno 28] No space left on device", "the disk is full"),
    ("Permission denied (os error 13)", "the folder may not be written or read"),
    ("one\n   \x1b[31m↳\x1b[0m two", 'table "t" refused: one: two'),
])
def test_what_a_library_says_of_the_disk_is_understood(text: str, problem: str) -> None:
    said, hint = refusal(OSError(text), 'table "t"')
    assert said == problem
    assert hint
