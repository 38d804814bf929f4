"""Values as numbers and as words: what is lost in neither."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from shipworthy.core.table import Table, word
from shipworthy.errors import BadData


def test_a_float_as_a_word_keeps_every_digit() -> None:
    values = [1234.5678, 1234.5679, 123456.5, 1.0, -0.5, 1e22, None, float("nan")]
    words = ["1234.5678", "1234.5679", "123456.5", "1", "-0.5", "10000000000000000000000", None, None]
    assert Table.of({"x": values}).words("x").tolist() == words
    assert [word(value) for value in values[:-1]] == words[:-1]


def test_the_last_day_of_the_calendar_and_nanoseconds_are_numbers() -> None:
    never = datetime(9999, 12, 31, tzinfo=UTC)
    assert Table.of({"at": [never]}).numbers("at").tolist() == [253_402_214_400.0]
    fine = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC"))
    assert Table.of({"at": fine}).numbers("at").tolist() == [1_700_000_000.123456]


def test_a_whole_number_beyond_the_digits_of_a_float_is_its_nearest() -> None:
    assert Table.of({"n": [2**53 + 1, 2**63 - 1]}).numbers("n").tolist() == [float(2**53), float(2**63)]


def test_text_is_no_number_even_if_it_looks_like_one() -> None:
    with pytest.raises(BadData, match='column "n" does not hold numbers'):
        Table.of({"n": ["12", "13"]}).numbers("n")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_words_are_held_in_one_way_whatever_arrow_calls_them(kind: pa.DataType) -> None:
    table = Table.of(pa.table({"word": pa.array(["a", None, "b"], kind)}))
    assert table.data.schema.field("word").type == pa.string()
    assert table.schema["word"].kind == Table.of(pa.table({"word": pa.array(["a", None, "b"])})).schema["word"].kind
    assert table.digest == Table.of(pa.table({"word": pa.array(["a", None, "b"])})).digest
