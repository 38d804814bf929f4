"""The files of the log: what a kill, a full disk, a clock that jumps and a disk that refuses leave of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.writer import STEP_BYTES, Mode, Writer
from shipworthy.errors import StoreError


def kept(folder: Path, name: str = "x") -> list[bytes]:
    """All blocks of a log but the headers."""
    return [block for path in segments.segments(folder, name) for block in list(segments.blocks(path))[1:]]


def written(folder: Path, *payloads: bytes) -> bytes:
    """The bytes of a file as a killed process leaves it, with the room that it never used."""
    writer = Writer(folder, "x", b"head")
    for payload in payloads:
        writer.append(payload)
    raw = segments.segments(folder, "x")[0].read_bytes()
    writer.close()
    shutil.rmtree(folder)
    folder.mkdir()
    return raw


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.getuid() == 0 and shutil.which("mount") and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False).returncode
    if not mounted:
        pytest.skip("only root may mount the small file system that this test fills")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_every_cut_of_a_file_gives_whole_blocks_only(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"head")
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
    writer = Writer(tmp_path, "x", b"")
    for payload in (b"one", b"two"):
        writer.append(payload)
    writer.close()
    path = segments.segments(tmp_path, "x")[0]
    raw = bytearray(path.read_bytes().removesuffix(segments.SEAL))
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert list(segments.blocks(path)) == [b"", b"one"]


def test_a_full_file_is_sealed_and_another_is_begun(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h", sealed=100)
    for number in range(10):
        writer.append(bytes([number]) * 40)
    writer.close()
    found = [block for path in segments.segments(tmp_path, "x") for block in list(segments.blocks(path))[1:]]
    assert len(segments.segments(tmp_path, "x")) > 3
    assert found == [bytes([number]) * 40 for number in range(10)]


@pytest.mark.parametrize("mode", ["kept", "durable"])
def test_a_block_is_in_the_file_before_append_returns(tmp_path: Path, mode: Mode) -> None:
    writer = Writer(tmp_path, "x", b"", mode=mode)
    writer.append(b"now")
    assert list(segments.blocks(segments.segments(tmp_path, "x")[0])) == [b"", b"now"]
    writer.close()

@pytest.mark.parametrize("size", [0, 1, 300, STEP_BYTES - 9, STEP_BYTES, 3 * STEP_BYTES])
def test_blocks_of_any_size_come_back_across_the_steps_in_which_a_file_grows(tmp_path: Path, size: int) -> None:
    writer = Writer(tmp_path, "x", b"h")
    payloads = [b"before", os.urandom(size), b"between", os.urandom(size), b"after"]
    for payload in payloads:
        writer.append(payload)
    assert kept(tmp_path) == payloads
    writer.close()
    assert kept(tmp_path) == payloads
    path = segments.segments(tmp_path, "x")[0]
    assert segments.whole(path.read_bytes()) == path.stat().st_size


class Killed(bytearray):
    """Room in a file whose writer is killed after so many bytes; its third store, the length, is made or is not."""

    left = stores = 0

    def __setitem__(self, place: Any, value: Any) -> None:
        self.stores += 1
        kept = value[: self.left] if self.stores < 3 or self.left >= len(value) else b""
        super().__setitem__(slice(place.start, place.start + len(kept)), kept)
        self.left -= len(value)
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("payload", [b"second block", b"x", b"y" * 300])
def test_a_block_that_was_half_written_at_any_byte_is_cut_and_counted(tmp_path: Path, payload: bytes) -> None:
    folder = tmp_path / "log"
    before, after = written(folder, b"one"), written(folder, b"one", payload)
    path = folder / "x-1.log"
    start = segments.whole(before)
    for left in range(len(payload) + 8):
        raw = Killed(before)
        raw.left = left
        with contextlib.suppress(KeyboardInterrupt):
            segments.lay(raw, start, payload)
        path.write_bytes(raw)
        assert kept(folder) == [b"one"]
        assert segments.recover(folder, "x") == len(raw[start:].rstrip(b"\0"))
        assert path.read_bytes() == before[:start] + segments.SEAL
    raw = Killed(before)
    raw.left = len(payload) + 8
    assert segments.lay(raw, start, payload) == start + 8 + len(payload)
    assert raw == after


def test_room_that_was_never_used_is_cut_and_counts_nothing(tmp_path: Path) -> None:
    raw = written(tmp_path / "log", b"one")
    path = tmp_path / "log" / "x-1.log"
    assert len(raw) == STEP_BYTES
    for found in (raw, bytes(STEP_BYTES), b""):
        path.write_bytes(found)
        assert segments.recover(tmp_path / "log", "x") == 0
        assert path.read_bytes() == (found[: segments.whole(raw)] + segments.SEAL if found == raw else b"")


def test_a_file_that_was_sealed_is_not_read_again_to_be_recovered(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h")
    writer.append(b"one")
    writer.close()
    path = segments.segments(tmp_path, "x")[0]
    raw = path.read_bytes()
    assert raw.endswith(segments.SEAL)
    assert segments.recover(tmp_path, "x") == 0
    assert (path.read_bytes(), kept(tmp_path), segments.rest(raw)) == (raw, [b"one"], (0, True))


def test_damage_is_neither_cut_nor_taken_for_half_written(tmp_path: Path) -> None:
    raw = bytearray(written(tmp_path / "log", b"one", b"two"))
    raw[raw.index(b"one")] ^= 1
    path = tmp_path / "log" / "x-1.log"
    path.write_bytes(raw)
    assert segments.rest(bytes(raw))[1] is False
    assert segments.recover(tmp_path / "log", "x") == 0
    assert path.read_bytes() == raw


def test_a_file_of_the_first_form_is_read_and_recovered(tmp_path: Path) -> None:
    path = tmp_path / "x-1.log"
    blocks = [(4, 0xA7F3F69C, b"head"), (0, 0, b""), (3, 0x7A6C86F1, b"one")]
    whole = segments.FIRST_MARK + b"".join(
        length.to_bytes(4, "little") + checksum.to_bytes(4, "little") + payload for length, checksum, payload in blocks)
    path.write_bytes(whole + whole[-9:-2])
    assert kept(tmp_path) == [b"", b"one"]
    assert segments.recover(tmp_path, "x") == 7
    assert path.read_bytes() == whole + segments.SEAL


def test_a_full_disk_refuses_keeps_what_it_had_and_takes_more_once_there_is_room(full: Path) -> None:
    (full / "other").write_bytes(bytes(2 * STEP_BYTES))
    writer, payload = Writer(full / "log", "x", b"h"), bytes(range(256)) * 40
    count = 0
    with contextlib.suppress(StoreError):
        while count < 1_000:
            writer.append(payload)
            count += 1
    assert 100 < count < 300
    for _ in range(3):
        with pytest.raises(StoreError, match="the disk is full: the answer cannot be logged"):
            writer.append(payload)
    assert kept(full / "log") == [payload] * count
    (full / "other").unlink()
    writer.append(b"room")
    assert kept(full / "log") == [*[payload] * count, b"room"]
    writer.close()
    assert segments.recover(full / "log", "x") == 0


def test_a_file_that_cannot_be_begun_on_a_full_disk_is_begun_later(full: Path) -> None:
    writer = Writer(full / "log", "x", b"h", sealed=100)
    writer.append(b"a" * 200)
    (full / "other").write_bytes(bytes(3 * STEP_BYTES - 8192))
    for _ in range(3):
        with pytest.raises(StoreError, match="the disk is full"):
            writer.append(b"b" * 200)
    assert len(segments.segments(full / "log", "x")) == 1
    (full / "other").unlink()
    writer.append(b"c" * 200)
    writer.close()
    assert kept(full / "log") == [b"a" * 200, b"c" * 200]


def test_a_quota_for_files_is_a_full_disk(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"")
    writer.append(b"a" * 1000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (STEP_BYTES, limits[1]))
        with pytest.raises(StoreError, match="the disk is full: the answer cannot be logged"):
            writer.append(b"b" * STEP_BYTES)
        writer.append(b"small")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.append(b"c" * STEP_BYTES)
    assert kept(tmp_path) == [b"a" * 1000, b"small", b"c" * STEP_BYTES]
    writer.close()


def test_files_are_named_in_the_order_in_which_they_were_written_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = 86_400 * 10**9
    now = 1_700_000_000 * 10**9
    clock = iter([now, now - day, now - day + 1, now + 365 * day, now, now])
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    for number in range(3):
        writer = Writer(tmp_path, "x", b"h", sealed=10)
        writer.append(b"%d" % (2 * number))
        writer.append(b"%d" % (2 * number + 1))
        writer.close()
    assert kept(tmp_path) == [b"%d" % number for number in range(6)]


def test_writers_that_share_a_folder_have_files_of_their_own(tmp_path: Path) -> None:
    writers = [Writer(tmp_path, "x", b"h") for _ in range(3)]
    for number in range(9):
        writers[number % 3].append(b"%d" % number)
    assert sorted(kept(tmp_path)) == [b"%d" % number for number in range(9)]
    assert segments.recover(tmp_path, "x") == 0
    for path in segments.segments(tmp_path, "x"):
        with segments.claimed(path) as sealed:
            assert not sealed
    for writer in writers:
        writer.close()
    for path in segments.segments(tmp_path, "x"):
        with segments.claimed(path) as sealed:
            assert sealed


def test_blocks_that_wait_together_share_one_wait_of_the_disk(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h", mode="durable")

    async def several() -> None:
        for number in range(8):
            writer.append(b"%d" % number)
        await asyncio.gather(*(writer.durable() for _ in range(8)))

    asyncio.run(several())
    assert writer.syncs == 1
    asyncio.run(writer.durable())
    assert writer.syncs == 1
    assert kept(tmp_path) == [b"%d" % number for number in range(8)]
    writer.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell the name of an open file")
@pytest.mark.parametrize(("mode", "told"), [("durable", True), ("kept", False)])
def test_the_disk_has_the_name_of_a_file_before_a_block_of_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode, told: bool
) -> None:
    fsync, seen = os.fsync, {}

    def kept(handle: int) -> None:
        fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        seen[path] = sorted(each.name for each in path.iterdir())

    monkeypatch.setattr(os, "fsync", kept)
    writer = Writer(tmp_path / "log", "x", b"head", mode=mode, sealed=100)
    for _ in range(3):
        writer.append(b"y" * 90)
        names = {tmp_path / "log": sorted(each.name for each in (tmp_path / "log").iterdir()), tmp_path: ["log"]}
        assert seen == (names if told else {})
    writer.close()


def test_what_was_sealed_meanwhile_is_waited_for_too(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h", mode="durable", sealed=10)

    async def one(number: int) -> None:
        writer.append(b"%d" % number)
        await writer.durable()

    async def several() -> None:
        await asyncio.gather(*map(one, range(20)))

    asyncio.run(several())
    assert kept(tmp_path) == [b"%d" % number for number in range(20)]
    writer.close()
    assert [path.stat().st_size < STEP_BYTES for path in segments.segments(tmp_path, "x")] == [True] * 20


def test_nobody_waits_for_the_disk_unless_told_to(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h")
    writer.append(b"one")
    asyncio.run(writer.durable())
    assert writer.syncs == 0
    writer.close()


def test_a_disk_that_refuses_is_told_to_all_who_wait_and_its_file_is_left(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h", mode="durable")
    writer.append(b"lost")
    path = segments.segments(tmp_path, "x")[0]
    refusing = os.open("/dev/full", os.O_RDWR)  # no disk waits for a device: fdatasync(2), EINVAL
    for handle in [int(name) for name in os.listdir("/proc/self/fd") if _leads(name) == str(path)]:
        os.dup2(refusing, handle)
    os.close(refusing)

    async def several() -> list[BaseException | None]:
        return await asyncio.gather(*(writer.durable() for _ in range(3)), return_exceptions=True)

    refused = asyncio.run(several())
    assert [str(one) for one in refused if isinstance(one, StoreError)] == [str(refused[0])] * 3
    assert "the disk refused the log" in str(refused[0])
    writer.append(b"kept")
    asyncio.run(writer.durable())
    assert len(segments.segments(tmp_path, "x")) == 2
    assert kept(tmp_path)[-1] == b"kept"
    writer.close()


def test_a_buffered_block_is_in_the_file_after_a_while_or_at_the_end(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h", mode="buffered")
    writer.append(b"one")
    assert kept(tmp_path) == []
    writer.append(b"two" * 100_000)
    assert kept(tmp_path) == [b"one", b"two" * 100_000]
    writer.append(b"three")
    writer.close()
    assert kept(tmp_path) == [b"one", b"two" * 100_000, b"three"]


def _leads(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except FileNotFoundError:
        return ""
