from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.npz import read_arrays

HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }"


def archive(**arrays: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()


def test_arrays_come_back_by_name() -> None:
    found = read_arrays(archive(a=np.arange(3), b=np.eye(2)))
    assert sorted(found) == ["a", "b"]
    assert found["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("raw", [b"", b"PK\3\4", b"\x93NUMPY", archive(a=np.array([object()]))])
def test_what_is_no_archive_or_holds_objects_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        read_arrays(raw)


def test_a_header_that_promises_more_than_there_is_memory_is_refused() -> None:
    header = (HEADER % 2**60).encode()
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        made.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match="."):
        read_arrays(sink.getvalue())


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 400), raw=st.binary(max_size=8))
def test_any_damage_is_one_kind_of_error(at: int, raw: bytes) -> None:
    whole = archive(a=np.arange(30), b=np.eye(2))
    try:
        read_arrays(whole[:at] + raw + whole[at + len(raw) :])
    except ValueError:
        return
