"""Following the files of a log while servers write them: every block once, by the name of its file and its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shipworthy.deployment.integration.log import segments

PIECE, LEAST = 1024 * 1024, 64 * 1024
FIRST = len(segments.MARK) + segments.HEAD.size  # where the header starts
Placed = list[tuple[int, bytes]]


class Tail:
    """Where a reader is in every file of a log. places: file → the place behind the last block that was read."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = Path(folder), name
        self.places: dict[str, int] = {}

    def new(self) -> Iterator[tuple[Path, Placed]]:
        """Files with the blocks that came since the last call, and where each starts; what is gone is forgotten."""
        found = segments.segments(self.folder, self.name)
        self.places = {path.name: self.places.get(path.name, 0) for path in found}
        for path in found:
            for blocks, behind in pieces(path, self.places[path.name]):
                self.places[path.name] = behind
                yield path, blocks


def header(path: Path) -> bytes | None:
    """The first block of a file; None where there is none yet, or no file any more."""
    first = next(_read(path, len(segments.MARK), LEAST), None)
    return first[0][1] if first else None


def pieces(path: Path, start: int = 0, *, size: int = PIECE) -> Iterator[tuple[Placed, int]]:
    """Whole blocks of a file behind a place, some at a time, each with its start; and the place behind them.

    start: 0, or a place that was given before. size: bytes read at a time where there is much; a larger block is read
    whole. The header is left out. Ends quietly at what is half-written or has not been written yet.
    """
    for found in _read(path, start or len(segments.MARK), size):
        behind = found[-1][0] + len(found[-1][1])
        blocks = [(place, block) for place, block in found if place > FIRST]
        if blocks:
            yield blocks, behind


def _read(path: Path, at: int, size: int) -> Iterator[Placed]:
    want = min(size, LEAST)  # little is new where a file is followed closely
    try:
        with path.open("rb") as file:
            mark = file.read(len(segments.MARK))
            while mark:
                file.seek(at)
                raw = file.read(want)
                shift = at - len(mark)
                found = [(place + shift, block) for place, block in segments.placed(mark + raw)]
                empty = next((n for n, (place, block) in enumerate(found) if not block and place > FIRST), len(found))
                if found[:empty]:
                    yield found[:empty]
                    at, want = found[empty - 1][0] + len(found[empty - 1][1]), min(4 * want, max(size, want))
                elif empty < len(found) or len(raw) < want or want > segments.LARGEST_BLOCK or not any(raw[4:8]):
                    return  # without a length, nothing was written there yet
                else:
                    want *= 4
    except FileNotFoundError:
        return
