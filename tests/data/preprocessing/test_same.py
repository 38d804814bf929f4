"""Two spellings of one class are noticed, joined as declared, and every joined cell is in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from shipworthy.core.project import Project, parse
from shipworthy.core.table import Table
from shipworthy.data.analysis.guess import guess
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.collect import with_roles
from shipworthy.data.collection.read import read
from shipworthy.data.preprocessing.clean import clean, undo
from shipworthy.data.preprocessing.same import joined, joined_labels
from shipworthy.errors import BadProject
from shipworthy.exchange.project_file import project_text

EARNED = ["<=50K", "<=50K", ">50K", "<=50K.", ">50K.", "<=50K", None, ">50K"] * 30


def project(same: str = '"<=50K." = "<=50K"\n">50K." = ">50K"') -> Project:
    return parse(f'[project]\nname = "x"\n[data]\ntarget = "income"\n[data.same]\n{same}\n')


def table() -> Table:
    return Table.of({"age": [20 + n % 50 for n in range(len(EARNED))], "income": EARNED}, name="t")


def test_spellings_of_one_class_are_guessed_with_the_setting_that_joins_them() -> None:
    found = guess(table(), "income")
    assert (found.task, found.positive) == ("binary", ">50K")
    assert found.same == {"<=50K.": "<=50K", ">50K.": ">50K"}
    reasons = {setting: reason for setting, _, reason in found.reasons}
    assert reasons["same.>50K."] == ("30 rows differ from '>50K' only in case, blanks or a mark at the end; "
                                     "delete the line if they are another class")


def test_the_guess_becomes_a_project_file_that_joins_them() -> None:
    text = project_text(msgspec.structs.asdict(guess(table(), "income")), name="t", address="t.csv")
    assert parse(text).data.same == {"<=50K.": "<=50K", ">50K.": ">50K"}
    assert "# \">50K\": 30 rows differ from '>50K' only in case" in text


@pytest.mark.parametrize("classes", [["A+", "A-", "A"], ["yes", "no"], ["1.5", "15"], ["no.", "no"]])
def test_classes_that_differ_in_more_are_left_alone(classes: list[str]) -> None:
    words = classes * 40
    if len({word.rstrip(".") for word in classes}) > 1:
        assert guess(Table.of({"x": list(range(len(words))), "y": words}), "y").same == {}
    else:  # joining all of them would leave one class
        assert guess(Table.of({"x": list(range(len(words))), "y": words}), "y").task == "binary"


def test_every_joined_cell_is_in_the_ledger_and_can_be_undone() -> None:
    raw = with_roles(table(), project())
    cleaned, ledger = clean(raw, profile(raw), project())
    assert set(cleaned.words("income")) == {"<=50K", ">50K"}
    told = [change for change in ledger.changes if change.column == "income"]
    assert len(told) == 60
    assert (told[0].row, told[0].before, told[0].after, told[0].reason) == (
        3, "<=50K.", "<=50K", "declared to be the same")
    assert sorted(set(undo(cleaned, ledger).words("income"))) == ["<=50K", "<=50K.", ">50K", ">50K."]


@pytest.mark.parametrize("same, problem", [
    ('"a" = "b"\n"b" = "c"', '"a" means "b", which means "c"'),
])
def test_a_chain_of_meanings_is_refused(same: str, problem: str) -> None:
    with pytest.raises(BadProject) as caught:
        joined(table(), project(same))
    assert caught.value.problem == problem
    assert caught.value.hint == 'write "a" = "c"'


def test_numbers_have_no_spellings() -> None:
    numbers = Table.of({"income": [1.0, 2.0]})
    with pytest.raises(BadProject, match='the target "income" holds number values, not words'):
        joined(numbers, project())


def test_the_census_of_1994_has_two_classes(shared: Callable[[str], Path]) -> None:
    found = guess(read(str(shared("fairness/adult/adult.parquet"))), "income")
    assert (found.task, found.positive) == ("binary", ">50K")
    assert found.same == {"<=50K.": "<=50K", ">50K.": ">50K"}


def test_late_labels_take_the_spelling_that_was_learnt() -> None:
    late = Table.of({"prediction_id": ["a", "b", "c"], "label": ["<=50K.", ">50K", None]}, name="labels")
    assert list(joined_labels(late, project()).words("label")) == ["<=50K", ">50K", None]


def test_late_labels_that_are_numbers_stay_as_they_are() -> None:
    late = Table.of({"label": [1.0, 2.0]}, name="labels")
    assert joined_labels(late, project()) is late
