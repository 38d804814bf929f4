"""Lines that end in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipworthy.data.collection.read import read
from shipworthy.errors import BadData


def test_lines_that_end_in_two_ways_are_refused_by_the_first_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = "".join(f"{n:036d},yes,2024-07-09T08:00:00Z\n" for n in range(50))
    path.write_bytes(b"prediction_id,label,observed_at\r\n" + rows.encode())
    with pytest.raises(BadData, match="the lines end in two ways: line 2 ends otherwise than the first") as caught:
        read(str(path))
    assert caught.value.hint.startswith("write the file anew with one end of line")
    path.write_bytes(path.read_bytes().replace(b"\r", b""))
    assert read(str(path)).rows == 50
