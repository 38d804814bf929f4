"""Following a file that is being written: every block once, whatever the size of a read."""

from __future__ import annotations

import zlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.deployment.integration.log import segments
from shipworthy.deployment.integration.log.tail import Tail, header, pieces
from shipworthy.deployment.integration.log.writer import Writer


def laid_out(block: bytes) -> bytes:
    return segments.HEAD.pack(zlib.crc32(block), segments.HEAD.size + len(block)) + block


def read(path: Path, start: int = 0, size: int = 64) -> tuple[list[bytes], int]:
    found, at = [], start
    for blocks, behind in pieces(path, start, size=size):
        found += [block for _, block in blocks]
        at = behind
    return found, at


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=400), max_size=30), st.integers(16, 200), st.integers(0, 4000))
def test_blocks_come_once_however_a_file_is_cut_and_read(
    tmp_path_factory: object, payloads: list[bytes], size: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("tail") / "x-1.log"  # type: ignore[attr-defined]
    whole = segments.MARK + b"".join(map(laid_out, [b"head", *payloads]))
    path.write_bytes(whole[:cut])
    first, at = read(path, size=size)
    path.write_bytes(whole)
    second, _ = read(path, at, size=size)
    assert first + second == payloads
    assert header(path) == b"head"


def test_what_is_not_written_yet_is_zeros_and_read_later(tmp_path: Path) -> None:
    path = tmp_path / "x-1.log"
    path.write_bytes(segments.MARK + laid_out(b"") + laid_out(b"one") + bytes(5_000))
    assert header(path) == b""
    found, at = read(path)
    assert found == [b"one"]
    path.write_bytes(segments.MARK + laid_out(b"") + laid_out(b"one") + laid_out(b"two") + bytes(4_000))
    assert read(path, at)[0] == [b"two"]


def test_a_tail_goes_on_in_new_files_and_forgets_those_that_are_gone(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "x", b"h", sealed=60)
    tail = Tail(tmp_path, "x")
    for number in range(6):
        writer.append(bytes([number]) * 30)
    assert [block[0] for _, blocks in tail.new() for _, block in blocks] == [0, 1, 2, 3, 4, 5]
    assert list(tail.new()) == []
    segments.segments(tmp_path, "x")[0].unlink()
    writer.append(b"new")
    assert [block for _, blocks in tail.new() for _, block in blocks] == [b"new"]
    assert len(tail.places) == len(segments.segments(tmp_path, "x"))
    writer.close()


def test_a_file_of_another_kind_and_one_that_is_gone_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "x-1.log").write_bytes(b"something else")
    assert list(pieces(tmp_path / "x-1.log")) == []
    assert header(tmp_path / "none") is None
