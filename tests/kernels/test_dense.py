"""A network is its columns, layers and activations as drawn, finite for every row, or it is refused."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.features import Input
from shipworthy.core.program import Dense, Program, Term, read_program
from shipworthy.deployment.integration.serving.row import compiled
from shipworthy.errors import BadModel
from shipworthy.kernels import dense, native, pure

from .programs import D, network, rows_for, same_bits


def small(activation: str = "relu", **changes: Any) -> Program:
    """A number held within 0 and 10 and a category of 2 levels, a layer of 2 units, a sum."""
    arrays = {
        "place": np.array([0, 1]), "levels": np.array([0, 2]), "low": np.array([0.0, 0.0]),
        "high": np.array([10.0, 0.0]), "fill": np.array([4.0, 0.0]), "offset": np.array([2.0, 0.0]),
        "scale": np.array([2.0, 1.0]), "weight0": np.array([[1.0, -1.0], [0.5, 0.0], [10.0, 0.0], [0.0, 20.0]]),
        "bias0": np.array([0.25, 0.0]), "weight1": np.array([[2.0], [3.0]]), "bias1": np.array([7.0]),
    }
    kind = Dense(activation)  # type: ignore[arg-type]
    return Program((Input("a"), Input("b", 2)), (Term(kind, {**arrays, **changes}),), "identity")


def by_definition(row: list[float], term: Term) -> list[float]:
    """Every column, zeros too, added one by one as Python adds."""
    a, columns = {key: array.tolist() for key, array in term.arrays.items()}, []
    for n, (place, levels) in enumerate(zip(a["place"], a["levels"], strict=True)):
        value = row[place]
        if levels:
            columns += [float(0 <= value < levels and int(value) == level) for level in range(levels)]
        else:
            held = min(max(a["fill"][n] if np.isnan(value) else value, a["low"][n]), a["high"][n])
            columns += [(held - a["offset"][n]) / a["scale"][n], float(np.isnan(value))]
    assert isinstance(term.kind, Dense)
    for number in range(dense.depth(term.arrays)):
        sums = []
        for unit, bias in enumerate(a[f"bias{number}"]):
            total = bias + 0.0
            for column, weight in zip(columns, a[f"weight{number}"], strict=True):
                total += column * weight[unit]
            sums.append(total)
        columns = dense.ACTIVATIONS[term.kind.activation](np.array(sums)).tolist()
    return sums


def test_a_network_by_hand() -> None:
    rows = np.array([[4.0, 0], [4.0, 1], [np.nan, np.nan], [99.0, 2], [-np.inf, -1], [np.inf, 0]])
    assert small().margin(rows)[:, 0].tolist() == [
        7 + 2 * 11.25, 7 + 2 * 1.25 + 3 * 19, 7 + 2 * 1.75, 7 + 2 * 4.25, 7 + 3 * 1.0, 7 + 2 * 14.25]


@pytest.mark.parametrize("kernel", ["pure", "native"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_batches_and_single_rows_are_the_sum_in_order_to_the_last_bit(kernel: str, seed: int) -> None:
    if kernel == "native" and native._native is None:
        pytest.skip("the compiled kernel is not built")
    random = np.random.default_rng(seed)
    k = int(random.integers(1, 4))
    link, names = ("identity", ()) if k == 1 else ("share", tuple("abc"[:k]))
    term = network(random, k)
    program = Program(tuple(Input(f"x{n}") for n in range(D)), (term,), link, names)  # type: ignore[arg-type]
    rows = rows_for(program, random, 20)
    wanted = np.array([by_definition(row, term) for row in rows.tolist()]) + 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.VARIABLE, kernel)
        assert same_bits(program.margin(rows), wanted)
    assert same_bits(np.array([compiled(program)(row) for row in rows.tolist()]), wanted)
    assert np.isfinite(wanted).all()


def test_ten_thousand_hostile_rows_score_alike_by_both_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    if native._native is None:
        pytest.skip("the compiled kernel is not built")
    random = np.random.default_rng(1)
    for activation in ("identity", "logistic", "relu", "tanh"):
        one = network(random, 1)
        term = Term(Dense(activation), one.arrays)  # type: ignore[arg-type]
        inputs, found = tuple(Input(f"x{n}") for n in range(D)), []
        rows = rows_for(Program(inputs, (term,), "logistic", ("a", "b")), random, 10_000)
        for kernel in ("pure", "native"):
            monkeypatch.setenv(native.VARIABLE, kernel)
            found.append(Program(inputs, (term,), "logistic", ("a", "b")).score(rows))
        assert same_bits(*found)
        assert ((found[0] >= 0) & (found[0] <= 1)).all()


def test_tanh_is_within_its_bound_odd_and_never_beyond_one() -> None:
    x = np.concatenate([np.random.default_rng(0).normal(size=100_000) * 5, np.linspace(-1, 1, 20_001), [800.0, 1e300]])
    assert np.abs(dense.tanh(x) - np.tanh(x.astype(np.longdouble))).max() < 3e-16
    assert np.array_equal(dense.tanh(-x), -dense.tanh(x))
    assert np.abs(dense.tanh(x)).max() == 1


def test_the_largest_numbers_allowed_never_overflow() -> None:
    most = dense.MOST
    layers = {f"weight{n}": np.full((256, 256), most) for n in (1, 2)} | {"weight0": np.full((4, 256), most)}
    biases = {f"bias{n}": np.full(256, most) for n in (0, 1, 2)}
    last = {"weight3": np.full((256, 1), most), "bias3": np.array([most])}
    program = small(low=np.array([-most, 0.0]), high=np.array([most, 0.0]), offset=np.zeros(2), scale=np.ones(2),
                    **layers, **biases, **last)
    assert np.isfinite(program.margin(np.array([[1e308, 0], [-1e308, 1], [np.inf, 0], [np.nan, np.nan]]))).all()
    assert np.isfinite(read_program(program.files()).margin(np.array([[1e308, 0.0]]))).all()


OVER = dense.MOST * 1.001
SPOILT: dict[str, dict[str, Any]] = {
    "an input that is not there": {"place": np.array([0, 2])},
    "an input before the first": {"place": np.array([-1, 1])},
    "levels below none": {"levels": np.array([0, -2])},
    "levels beyond the weights": {"levels": np.array([0, 2**40])},
    "more levels than columns": {"levels": np.array([0, 3])},
    "a short array": {"fill": np.zeros(1)},
    "a weight too large": {"weight1": np.array([[OVER], [0.0]])},
    "a weight that is no number": {"weight1": np.array([[np.nan], [0.0]])},
    "an infinite bias": {"bias0": np.array([np.inf, 0.0])},
    "bounds that run back": {"low": np.array([11.0, 0.0])},
    "a bound that is no number": {"high": np.array([np.nan, 0.0])},
    "an endless bound": {"high": np.array([np.inf, 0.0])},
    "a scale of none": {"scale": np.array([0.0, 1.0])},
    "a scale that lets a number grow": {"scale": np.array([1e-300, 1.0])},
    "an endless fill": {"fill": np.array([np.inf, 0.0])},
    "layers that do not meet": {"weight1": np.zeros((3, 1))},
    "a layer without units": {"weight0": np.zeros((4, 0)), "bias0": np.zeros(0), "weight1": np.zeros((0, 1))},
    "a bias too many": {"bias1": np.zeros(2)},
    "an output too many": {"weight1": np.zeros((2, 2)), "bias1": np.zeros(2)},
    "too many units": {"weight0": np.zeros((4, 257)), "bias0": np.zeros(257), "weight1": np.zeros((257, 1))},
    "too many layers": {f"{key}{n}": np.zeros((1, 1) if key == "weight" else 1) for n in range(2, 6)
                        for key in ("weight", "bias")},
    "a layer left out": {"weight3": np.zeros((1, 1)), "bias3": np.zeros(1)},
    "words for weights": {"weight1": np.array([["a"], ["b"]])},
    "another axis": {"weight1": np.zeros((2, 1, 1))},
}


@pytest.mark.parametrize("why", SPOILT)
def test_a_network_that_does_not_fit_is_refused_by_the_reader_and_by_the_kernel(why: str) -> None:
    program = small(**SPOILT[why])
    with pytest.raises(BadModel, match="a term of the program"):
        read_program(program.files())
    if native._native is not None and os.environ.get(native.VARIABLE) != "pure":
        with pytest.raises(BadModel, match="the program cannot be scored"):
            program.margin(np.zeros((1, 2)))


def test_too_many_weights_are_refused() -> None:
    wide = {"weight0": np.zeros((4, 256)), "bias0": np.zeros(256)}
    wide |= {f"weight{n}": np.zeros((256, 256)) for n in (1, 2, 3)} | {f"bias{n}": np.zeros(256) for n in (1, 2, 3)}
    program = small(**wide, weight4=np.zeros((256, 1)), bias4=np.zeros(1))
    assert read_program(program.files()).complexity == 4 * 256 + 3 * 65_536 + 256 + 4 * 256 + 1
    wider = {"levels": np.array([0, 13]), "weight0": np.zeros((15, 256))}
    assert dense.MOST_WEIGHTS < 15 * 256 + 3 * 65_536 + 256
    with pytest.raises(BadModel) as caught:
        read_program(small(**{**wide, **wider}, weight4=np.zeros((256, 1)), bias4=np.zeros(1)).files())
    assert caught.value.hint == "a network is too large"


def test_an_unknown_array_or_activation_is_refused() -> None:
    with pytest.raises(BadModel) as caught:
        read_program(small(more=np.zeros(1)).files())
    assert caught.value.hint == "a network has other arrays"
    files = small().files()
    with pytest.raises(BadModel, match="cannot be read"):
        read_program({**files, "program.json": files["program.json"].replace(b'"relu"', b'"swish"')})


def test_a_network_tells_its_inputs_its_kinks_and_its_size() -> None:
    [term] = small().terms
    assert term.places == (0, 1)
    assert {place: ends.tolist() for place, ends in term.thresholds.items()} == {0: [0.0, 10.0]}
    assert small().complexity == 8 + 2 + 2 + 1
    assert small("tanh").margin(np.array([[2.0, np.nan]]))[0, 0] == 7 + 2 * float(dense.tanh(np.array([0.25]))[0])
    assert small("logistic").margin(np.array([[2.0, np.nan]]))[0, 0] == (
        7 + 2 * float(pure.logistic(np.array([0.25]))[0]) + 3 * 0.5)
