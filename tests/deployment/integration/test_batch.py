"""Pieces are scored by several threads, in order, with few of them held; a bad row is found among many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.cleaning import Cleaning, Times, Truths, Words
from shipworthy.core.features import Category, Features, Moment, Number
from shipworthy.core.model import Model, Sheet
from shipworthy.core.predictions import Predictions
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Table
from shipworthy.deployment.integration.batch import AHEAD, answered, columns, in_order, words_of
from shipworthy.errors import BadData


@dataclass(frozen=True)
class Some:
    data: pa.Table
    first: int = 0
    origin: str = "t.csv"

    def table(self, data: pa.Table) -> Table:
        return Table.of(data, origin=self.origin)


def model() -> Model:
    encoders = (Number("flag"), Category("word", ("a", "b")), Moment("at", "hour"))
    features = Features(encoders)
    size = len(encoders)
    term = Term(Linear(), {"place": np.arange(size), "fill": np.zeros(size), "weight": np.ones((size, 1)),
                           "missing": np.ones((size, 1)), "intercept": np.zeros(1)})
    kinds = {"flag": "boolean", "word": "category", "at": "timestamp"}
    schema = Schema(tuple(Column(name, kind) for name, kind in kinds.items()))  # type: ignore[arg-type]
    cleaning = Cleaning((Truths("flag", text=True), Words("word"), Times("at", text=True, naive=True)))
    return Model(Sheet(features, schema, "regression", "y", (), cleaning=cleaning), Program(
        features.inputs, (term,), "identity", ()))


def piece(rows: int, first: int = 0, **changed: list[str]) -> Some:
    given = {"id": list(range(first, first + rows)), "flag": ["yes", "no"] * (rows // 2), "word": ["a"] * rows,
             "at": ["2024-01-01T05:00:00"] * rows, **changed}
    return Some(pa.table(given), first)


def test_answers_come_in_order_with_the_identifiers() -> None:
    found = pa.concat_tables(answered(model(), (piece(6, 6 * n) for n in range(9)), identifiers=("id",), threads=3))
    assert found["id"].to_pylist() == list(range(54)) and found.column_names == ["id", "decision", "score", "abstain"]
    assert found["score"].to_pylist() == [6.0, 5.0] * 27


def test_no_more_pieces_are_held_than_wait_for_a_thread() -> None:
    read, written = [], []

    def given() -> Iterator[int]:
        for n in range(20):
            assert len(read) - len(written) <= 2 + AHEAD
            read.append(n)
            yield n

    for found in in_order(given(), lambda n: n * n, threads=2):
        written.append(found)
    assert written == [n * n for n in range(20)]


def test_the_work_that_waits_is_given_up_where_one_fails() -> None:
    done, go = [], Event()

    def work(n: int) -> int:
        if n == 0:
            raise BadData("no", where="", hint="")
        go.wait()
        done.append(n)
        return n

    found = in_order(iter(range(100)), work, threads=1)
    go.set()
    with pytest.raises(BadData):
        list(found)
    assert len(done) < 100


@pytest.mark.parametrize("bad", [0, 1, 6, 9])
def test_the_first_row_that_cannot_be_read_is_named(bad: int) -> None:
    flags = ["yes"] * 10
    flags[bad] = "perhaps"
    flags[9] = "never" if bad != 9 else "perhaps"
    with pytest.raises(BadData) as told:
        list(answered(model(), [piece(10), piece(10, first=1000, flag=flags)]))
    assert str(told.value) == (f"column \"flag\" holds 'perhaps', which is neither true nor false\n  at: t.csv, row "
                               f"{1001 + bad:,} (the first is 1), flag\n  hint: send true or false")


def test_columns_whose_words_the_model_reads_as_words() -> None:
    assert words_of(model()) == {"word"}


def test_codes_are_answered_as_their_words_are() -> None:
    words = ["a", None, "b", "z", "a", "b"]
    coded = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 2, 3, 1]), pa.array(["a", "b", "z", "a"]))
    long = pa.chunked_array([coded, coded.slice(2, 2)])
    at = model()
    for given, same in ((coded, words), (coded.slice(1, 3), words[1:4]), (long, [*words, *words[2:4]])):
        few = pa.table({
            "flag": [True] * len(same), "at": ["2024-01-01T05:00:00"] * len(same), "word": given})
        plain = few.set_column(2, "word", pa.array(same, pa.string()))
        assert at.inputs(Table.of(few)).tobytes() == at.inputs(Table.of(plain)).tobytes()


def test_the_set_of_every_row_is_the_list_that_the_server_would_send() -> None:
    members = np.array([[True, False, True], [False, False, False], [False, True, False]])
    answers = Predictions(np.full((3, 3), 1 / 3), np.array(["a", "b", "b"], object), np.array([True, True, False]),
                          members=members, classes=("a", "b", "c"))
    assert columns(answers)["set"].to_pylist() == [["a", "c"], [], ["b"]] == [answers[row]["set"] for row in range(3)]


def test_answers_of_several_classes_have_a_score_each_and_a_given_score_keeps_apart() -> None:
    score = np.array([[0.2, 0.5, 0.3]])
    answers = Predictions(score, np.array(["b"], object), np.array([False]), classes=("a", "b", "c"))
    found = columns(answers, pa.table({"decision": [7]}))
    assert found.to_pylist() == [{"given.decision": 7, "decision": "b", "score.a": 0.2, "score.b": 0.5, "score.c": 0.3,
                                  "abstain": False}]
