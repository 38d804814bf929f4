"""A program reads back what was written, and a malformed or hostile file is refused before it is scored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from shipworthy.core.features import Input
from shipworthy.core.program import Calibration, Dense, Linear, Lookup, Program, Scaling, Term, Trees, read_program
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
        read_program({**files, "program.json": files["program.json"].replace(b'"format":2', b'"format":9')})


def test_a_program_without_a_network_is_what_it_was_before_there_were_networks() -> None:
    assert b'"format":2' in stump().files()["program.json"]
    assert stump().digest == "5de2ddb13af560a6cadd69b0ccf0693e1cb605886d4b26fd21ef0db0671921ec"


def test_the_format_is_that_of_the_terms() -> None:
    files = stump().files()
    with pytest.raises(BadModel, match="a program of these terms has another format than 3"):
        read_program({**files, "program.json": files["program.json"].replace(b'"format":2', b'"format":3')})
    term = Term(Dense(), {**{key: np.zeros(0, np.int64) for key in ("place", "levels")},
                          **{key: np.zeros(0) for key in ("low", "high", "fill", "offset", "scale")},
                          "weight0": np.zeros((0, 1)), "bias0": np.array([2.0])})
    program = Program(INPUTS, (term,), "identity")
    files = program.files()
    again = read_program(files)
    assert (again.digest, again.score(np.zeros((2, 2))).tolist()) == (program.digest, [2.0, 2.0])
    assert b'"format":3' in files["program.json"]
    with pytest.raises(BadModel, match="a program of these terms has another format than 2"):
        read_program({**files, "program.json": files["program.json"].replace(b'"format":3', b'"format":2')})


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


def test_a_scaling_of_log_odds_by_hand() -> None:
    found = Scaling(2.0, np.log(3.0))(np.array([0.0, 0.25, 0.5, 1.0]))
    assert found == pytest.approx([0, 1 / 4, 3 / 4, 1], abs=1e-15)
    spread = Scaling(2.0)(np.array([[0.2, 0.4, 0.4], [1.0, 0.0, 0.0]]))
    assert spread == pytest.approx(np.array([[1 / 9, 4 / 9, 4 / 9], [1, 0, 0]]), abs=1e-15)
    assert np.isnan(Scaling(2.0)(np.array([np.nan]))).all()


def test_a_scaled_program_of_two_or_more_classes_is_read_as_it_was_written() -> None:
    scaled = stump().calibrated(Scaling(0.5, 0.1))
    rows = np.array([[0.5, 0.0], [1.0, 1.0]])
    again = read_program(scaled.files())
    assert again.digest == scaled.digest
    assert again.score(rows).tolist() == scaled.score(rows).tolist()
    for link in ("share", "softmax"):
        term = Term(Lookup((1,)), {"cuts0": np.empty(0), "values": np.array([[0.2, 0.3, 0.5]] * 4)})
        program = Program(INPUTS, (term,), link, ("x", "y", "z"))  # type: ignore[arg-type]
        cooled = read_program(program.calibrated(Scaling(2.0)).files())
        plain = program.score(rows)
        assert cooled.score(rows) == pytest.approx(plain**2 / (plain**2).sum(axis=1, keepdims=True))
        with pytest.raises(BadModel, match="a calibration by knots is of one score"):
            read_program(program.calibrated(Calibration((0.1,), (0.2,))).files())


def test_a_scaling_answers_one_row_as_it_does_many() -> None:
    scores = np.random.default_rng(0).random((2_000, 5))
    scores /= scores.sum(axis=1, keepdims=True)
    one, many = Scaling(0.7, 0.2), Scaling(1.3)
    assert [float(one(score[None])[0]) for score in scores[:, 0]] == one(scores[:, 0]).tolist()
    assert [many(row[None])[0].tolist() for row in scores] == many(scores).tolist()


@pytest.mark.parametrize("slope", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scaling_that_turns_the_order_round_is_refused(slope: float) -> None:
    with pytest.raises(BadModel, match="a scaling needs a slope above 0"):
        Scaling(slope)
