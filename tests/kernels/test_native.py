"""The compiled kernel gives the pure kernel's answers to the last bit, or refuses a program; it never crashes.

Skipped where the extension is not built. `SHIPWORTHY_KERNEL=native`, as on the CI machine, makes that a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.features import Input
from shipworthy.core.program import Calibration, Linear, Lookup, Program, Scaling, Term
from shipworthy.errors import BadModel, Misuse
from shipworthy.kernels import native
from shipworthy.learning.training.parity import hostile

from ..learning.conftest import LEARNERS, TASKS, job, sample
from .programs import TINY, pure_margin, random_program, rows_for, same_bits

ROOT = Path(__file__).resolve().parents[2]
NONE = (np.zeros(0), np.zeros(0), False, 1.0, 0.0)
ASKED = os.environ.get(native.VARIABLE, "")
built = pytest.mark.skipif(native._native is None, reason="THE COMPILED KERNEL IS NOT BUILT, so it is not compared: "
                           "run `python setup.py build_ext --inplace` with a C compiler")


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    if native._native is not None:
        monkeypatch.setenv(native.VARIABLE, "native")


def line(**changes: Any) -> Program:
    arrays: dict[str, Any] = {"place": np.array([0, 1]), "fill": np.array([4.0, 5.0]), "intercept": np.array([1.0]),
                              "weight": np.array([[0.5], [2.0]]), "missing": np.array([[10.0], [20.0]])}
    return Program((Input("a"), Input("b")), (Term(Linear(), {**arrays, **changes}),), "identity")


def assert_equal_everywhere(program: Program, rows: np.ndarray) -> None:
    assert program.scorer is not None
    margin = pure_margin(program, rows)
    with np.errstate(all="ignore"):
        score = program.finish(margin)
    assert same_bits(program.margin(rows), margin)
    assert same_bits(program.score(rows), score)
    few = rows[:: max(1, len(rows) // 2_000)]
    one = score.reshape(len(rows), -1)[:: max(1, len(rows) // 2_000)]
    assert same_bits(np.array([program.scorer.row(row) for row in few.tolist()]), one)


def test_the_kernel_that_the_environment_asks_for_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.VARIABLE, ASKED)
    assert native.wanted() == (native._native is not None and ASKED != "pure")


@built
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LEARNERS)
def test_learned_programs_score_alike_on_thresholds_neighbours_and_ten_thousand_rows(name: str, task: str) -> None:
    inputs, truth = sample(task)
    program = LEARNERS[name](inputs, truth, job(task)).program
    usual = sample(task, rows=10_000, seed=1)[0]
    hard = hostile(program, usual)
    edges = hard[10_000 :: len(hard) // 20_000 or 1]
    random = np.random.default_rng(2)
    odd = np.where(random.random((2_000, 5)) < 0.3, random.choice(
        [TINY, np.nextafter(TINY, 1), -TINY, np.nextafter(-TINY, -1), -1, -7, 41, 64, 1e9, 2.0**31, 2.0**63, 1e300,
         np.inf, -np.inf, np.nan, -0.0], (2_000, 5)), usual[:2_000])
    after = Calibration((0.1, 0.5, 0.9), (0.0, 0.6, 0.7)) if program.outputs == 1 else Scaling(1.7, -0.3)
    assert_equal_everywhere(program.calibrated(after), np.concatenate([usual, edges, odd]))


@built
@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_random_programs_score_alike(seed: int) -> None:
    random = np.random.default_rng(seed)
    program = random_program(random)
    assert_equal_everywhere(program, rows_for(program, random, int(random.integers(1, 200))))


@built
def test_no_rows_have_no_scores() -> None:
    assert line().score(np.zeros((0, 2))).shape == (0,)


@built
def test_spoilt_programs_are_refused_or_scored_alike_and_never_crash() -> None:
    child = subprocess.run([sys.executable, "-W", "ignore", str(Path(__file__).with_name("fuzz.py")), "0", "600"],
                           capture_output=True, text=True, timeout=300,
                           env={**os.environ, native.VARIABLE: "native", "PYTHONPATH": os.pathsep.join(sys.path)})
    assert child.returncode == 0, child.stderr[-2_000:] or child.stdout
    refused, scored = map(int, child.stdout.split())
    assert refused > 150 and scored > 150


@built
@pytest.mark.parametrize("arguments", [
    (), (1, 1), (-1, 1, [], 0, *NONE), (1, 0, [], 0, *NONE), (1, 2, [], 0, *NONE), (1, 1, [], 9, *NONE),
    (2**62, 1, [], 0, *NONE), (1, 1, [None], 0, *NONE), (1, 1, [()], 0, *NONE), (1, 1, [(7,)], 0, *NONE),
    (1, 1, [("trees",)], 0, *NONE), (1, 1, [(2, *[None] * 13)], 0, *NONE), (1, 1, [(1, b"", b"", b"", b"")], 0, *NONE),
    (1, 1, [], 0, None, None, False, 1.0, 0.0), (1, 1, [], 0, np.zeros(2), np.zeros(3), False, 1.0, 0.0),
    (1, 1, [], 0, np.array([1.0, 0.0]), np.zeros(2), False, 1.0, 0.0),
    (1, 1, [], 0, np.array([np.nan]), np.zeros(1), False, 1.0, 0.0),
    (1, 2, [], 2, np.zeros(1), np.zeros(1), False, 1.0, 0.0),
])
def test_arguments_that_make_no_program_are_an_error(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        native._native.Scorer(*arguments)


@built
def test_a_row_may_be_a_list_a_tuple_or_a_buffer_of_doubles() -> None:
    scorer = line().scorer
    assert scorer is not None
    given = [2.0, float("nan")]
    packed = array("d", given)
    for row in (given, tuple(given), packed, packed.tobytes(), bytearray(packed.tobytes()), memoryview(packed),
                np.array(given)):
        assert scorer.row(row) == (1.0 + 2.0 * 0.5 + 5.0 * 2.0 + 20.0,)  # type: ignore[arg-type]
    assert scorer.row([2, True]) == (4.0,)


@built
@pytest.mark.parametrize("row", [[1.0], (1.0, 2.0, 3.0), b"", bytearray(15), np.zeros(2, np.float32), np.zeros((2, 2)),
                                 np.zeros(4)[::2], ["a", "b"], [None, 1.0], None, 3.0, "ab", {1.0, 2.0}])
def test_a_row_of_another_length_or_kind_is_refused(row: Any) -> None:
    scorer = line().scorer
    assert scorer is not None
    with pytest.raises((TypeError, ValueError, BufferError)):
        scorer.row(row)


@built
def test_a_row_that_shrinks_while_it_is_read_is_an_error() -> None:
    row: list[Any] = []

    class Thief:
        def __float__(self) -> float:
            row.clear()
            return 1.0

    row += [Thief(), 2.0]
    scorer = line().scorer
    assert scorer is not None
    with pytest.raises(IndexError):
        scorer.row(row)


@built
def test_out_must_be_an_array_that_fits() -> None:
    made = line().scorer._made  # type: ignore[union-attr]
    for inputs, out in ((np.zeros((3, 2)), np.zeros((2, 1))), (np.zeros((3, 1)), np.zeros((3, 1))),
                        (np.zeros(6), np.zeros((3, 1))), (np.zeros((3, 2), np.float32), np.zeros((3, 1)))):
        with pytest.raises(ValueError, match="must be contiguous"):
            made.batch(inputs, out)


@built
def test_many_threads_score_as_one_does() -> None:
    random = np.random.default_rng(5)
    program = random_program(random)
    blocks = [rows_for(program, random, 500) for _ in range(24)]
    wanted = [program.score(block) for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(same_bits, pool.map(program.score, blocks), wanted))


@built
@pytest.mark.parametrize(("changes", "why"), [
    ({"place": np.array([0, 2])}, "an array points outside what it indexes"),
    ({"place": np.array([0.0, 1.0])}, "an array of float64 is not of whole numbers"),
    ({"fill": np.array(["a", "b"])}, "an array of <U1 is not of numbers"),
    ({"fill": np.zeros(3)}, "the arrays of a linear term do not fit each other"),
    ({"weight": np.zeros(2)}, "an array is not of float64 with 2 axes"),
])
def test_a_malformed_program_says_what_does_not_fit(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadModel) as caught:
        line(**changes).score(np.zeros((1, 2)))
    assert caught.value.problem == f"the program cannot be scored: {why}"


@built
def test_a_table_whose_cuts_run_back_is_refused() -> None:
    term = Term(Lookup((0,)), {"cuts0": np.array([1.0, 0.0]), "values": np.zeros((4, 1))})
    with pytest.raises(BadModel, match="the cuts of a table do not ascend"):
        Program((Input("a"),), (term,), "identity").score(np.zeros((1, 1)))


@pytest.mark.parametrize("kernel", ["pure", pytest.param("native", marks=built)])
def test_the_environment_chooses_the_kernel(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.VARIABLE, kernel)
    assert (line().scorer is None) == (kernel == "pure")
    assert line().score(np.array([[2.0, np.nan]])).tolist() == [32.0]
    assert native.told() == {"pure": "pure NumPy (SHIPWORTHY_KERNEL=pure)", "native": "compiled (C extension)"}.get(
        kernel if native._native else "", "pure NumPy (the C extension is not built)")


def test_a_kernel_that_does_not_exist_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.VARIABLE, "nativ")
    with pytest.raises(Misuse, match="there is no kernel 'nativ'") as caught:
        line().score(np.zeros((1, 2)))
    assert caught.value.hint == 'did you mean "native"?'


def test_the_installation_succeeds_without_a_compiler(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path), "--build-temp",
                           str(tmp_path / "objects")], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "CC": str(tmp_path / "no-such-compiler")})
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*.so")) == []
