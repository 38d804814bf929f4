"""A program reads back what was written, and a malformed or hostile file is refused before it is scored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from shipworthy.core.features import Input
from shipworthy.core.program import Calibration, Linear, Lookup, Program, Term, Trees, read_program
from shipworthy.errors import BadModel

INPUTS = (Input("a"), Input("b", 3))


def stump(**changes: Any) -> Program:
    """a ≤ 0.5 gives −1 and else b in {0, 2} gives 2, else 3; NaN in a goes left."""
    arrays: dict[str, Any] = {
        "root": np.array([0], np.int32), "output": np.array([0], np.int32), "feature": np.array([0, 1], np.int32),
        "left": np.array([-1, -2], np.int32), "right": np.array([1, -3], np.int32),
        "flags": np.array([1 | 2 << 2, 2], np.int32), "words": np.array([0, 1], np.int32),
        "threshold": np.array([0.5, 0.0]), "bits": np.array([0b101], np.uint32),
        "leaf": np.array([[-1.0], [2.0], [3.0]]), "base": np.array([0.0]),
    }
    return Program(INPUTS, (Term(Trees(), {**arrays, **changes}),), "logistic", ("no", "yes"), label="stump")


def test_routing_is_as_drawn() -> None:
    rows = np.array([[0.5, 0], [np.nan, 1], [np.nextafter(0.5, 1), 0], [1, 1], [1, 2], [1, np.nan], [1, -1], [1, 99]])
    assert stump().margin(rows)[:, 0].tolist() == [-1, -1, 2, 3, 2, 3, 3, 3]


def test_a_program_has_one_digest_wherever_it_is_read() -> None:
    program = stump().calibrated(Calibration((0.1, 0.9), (0.2, 0.8)))
    again = read_program(program.files())
    assert again.digest == program.digest
    assert again.files() == program.files()


@pytest.mark.parametrize("changes", [
    {"left": np.array([0, -2], np.int32)}, {"right": np.array([7, -3], np.int32)},
    {"left": np.array([-9, -2], np.int32)},
    {"feature": np.array([0, 5], np.int32)}, {"threshold": np.array([0.5, 4.0])}, {"output": np.array([3], np.int32)},
    {"leaf": np.zeros((3, 2))}, {"root": np.array([9], np.int32)}, {"words": np.array([0], np.int32)},
], ids=["cycle", "node", "leaf", "input", "bits", "output", "wide leaf", "root", "short"])
def test_arrays_that_point_outside_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadModel, match="a term of the program"):
        read_program(stump(**changes).files())


def test_a_pickled_array_is_refused_unread() -> None:
    packed = io.BytesIO()
    np.savez(packed, **{"0.leaf": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(BadModel, match="cannot be read"):
        read_program({**stump().files(), "program.npz": packed.getvalue()})


def test_a_program_of_another_format_is_refused() -> None:
    files = stump().files()
    with pytest.raises(BadModel, match="program format 9 is unknown"):
        read_program({**files, "program.json": files["program.json"].replace(b'"format":1', b'"format":9')})


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(BadModel, match="reads 2 inputs, got 3"):
        stump().margin(np.zeros((1, 3)))


def test_calibrations_that_fall_or_run_back_are_refused() -> None:
    for score, value in (((0.1, 0.9), (0.8, 0.2)), ((0.9, 0.1), (0.2, 0.8)), ((0.1,), (0.2, 0.3)), ((), ())):
        with pytest.raises(BadModel, match="a calibration"):
            Calibration(score, value)


def test_shares_pass_through_and_margins_of_classes_become_probabilities() -> None:
    values = np.array([[[0.2, 0.3, 0.5]] * 4]).reshape(4, 3)
    for link, wanted in (("share", values[0]), ("softmax", np.exp(values[0]) / np.exp(values[0]).sum())):
        term = Term(Lookup((1,)), {"cuts0": np.empty(0), "values": values})
        program = Program(INPUTS, (term,), link, ("x", "y", "z"))  # type: ignore[arg-type]
        assert np.allclose(program.score(np.array([[0.0, 2.0]])), wanted)


def test_a_line_takes_its_fill_and_its_own_weight_for_missing() -> None:
    line = Term(Linear(), {"place": np.array([0]), "fill": np.array([4.0]), "weight": np.array([[0.5]]),
                           "missing": np.array([[10.0]]), "intercept": np.array([1.0])})
    program = Program(INPUTS, (line,), "identity")
    assert program.score(np.array([[2.0, 0.0], [np.nan, 0.0]])).tolist() == [2.0, 13.0]
