"""What a table seems to be, each guess with its reason; a leak is shown and never set aside."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.project import parse
from shipworthy.core.table import Table
from shipworthy.data.analysis.guess import guess
from shipworthy.data.analysis.suspects import truth_of
from shipworthy.data.collection.collect import with_roles
from shipworthy.errors import BadData
from shipworthy.exchange.project_file import project_text
from shipworthy.learning.selection.ladder import target_of
from shipworthy.learning.training.split import _is_classes


def people() -> Table:
    n = 400
    return Table.of(
        {
            "customer_id": [f"c{k:04d}" for k in range(n)],
            "gender": ["f", "m"] * (n // 2),
            "age": [20 + k % 50 for k in range(n)],
            "job": ["clerk", "unknown", "nurse", "cook"] * (n // 4),
            "pdays": [-1 if k % 3 else k % 90 for k in range(n)],
            "signed": pa.array([k * 3_600_000_000 for k in range(n)], pa.timestamp("us", "UTC")),
            "churn": ["Yes" if k % 4 == 0 else "No" for k in range(n)],
        }
    )


def test_roles_task_and_codes_are_guessed() -> None:
    found = guess(people(), "churn")
    assert (found.task, found.positive, found.identifiers, found.time) == ("binary", "Yes", ("customer_id",), "signed")
    assert found.protected == ("gender", "age")
    assert (found.subject, found.decides) == ("person", True)
    assert found.missing_codes == {"job": ("unknown",), "pdays": ("-1",)}


def test_an_answer_about_bicycles_decides_about_nobody() -> None:
    table = Table.of({"frame": list(range(400)), "gear": ["a", "b"] * 200, "broken": ["y", "n", "n", "n"] * 100})
    found = guess(table, "broken")
    assert (found.subject, found.decides) == ("thing", False)
    text = project_text(msgspec.structs.asdict(found), name="bikes", address="t.csv")
    assert "\ndecides = false\n" in text and parse(text).project.decides is False
    half = guess(table.with_column("customer", ["x", "y"] * 200), "broken")
    assert (half.subject, half.decides) == ("undeclared", True)


def test_every_guess_has_a_reason() -> None:
    assert all(reason for _, _, reason in guess(people(), "churn").reasons)


def test_a_target_with_one_value_is_refused() -> None:
    with pytest.raises(BadData, match='the target "churn" has 1 value'):
        guess(Table.of({"a": [1, 2], "churn": ["no", "no"]}), "churn")


@pytest.mark.parametrize(("levels", "task"), [(2, "binary"), (3, "multiclass"), (20, "multiclass"), (21, "regression")])
def test_init_and_run_agree_on_a_whole_number(levels: int, task: str) -> None:
    table = Table.of({"a": list(range(420)), "stars": [n % levels for n in range(420)]})
    assert guess(table, "stars").task == task
    project = parse('[project]\nname = "n"\n[data]\ntarget = "stars"\n[[source]]\naddress = "t.csv"\n', where="here")
    assert target_of(table, project)[0] == task
    assert truth_of(table, "stars")[1] == (0 if task == "regression" else levels)
    assert _is_classes(table, project) == (task != "regression")
    declared = parse('[project]\nname = "n"\n[data]\ntarget = "stars"\nkinds = { stars = "number" }\n'
                     '[[source]]\naddress = "t.csv"\n', where="here")
    amount = with_roles(table, declared)
    assert target_of(amount, declared)[0] == ("binary" if levels == 2 else "regression")


def test_a_whole_number_taken_for_classes_says_how_to_predict_its_amount() -> None:
    found = guess(Table.of({"a": list(range(60)), "stars": [n % 5 for n in range(60)]}), "stars")
    assert ("task", "multiclass", 'stars is a whole number with 5 values, taken for classes; to predict its amount '
            'write [data.kinds] stars = "number"') in found.reasons


def test_a_number_is_a_regression() -> None:
    assert guess(Table.of({"a": list(range(50)), "price": [n * 1.5 for n in range(50)]}), "price").task == "regression"


def events(**columns: object) -> Table:
    n = 400
    days = pa.array([k * 3_600_000_000 * 6 for k in range(n)], pa.timestamp("us", "UTC"))
    return Table.of({"dteday": days, "x": list(range(n)), "count": [k * 1.5 for k in range(n)], **columns})


def test_rows_that_are_events_in_order_are_split_in_time() -> None:
    found = guess(events(), "count")
    assert found.split == "time"
    why = next(reason for setting, _, reason in found.reasons if setting == "split")
    assert why.startswith("dteday spans 100 days") and 'write "random"' in why


def test_rows_without_order_under_a_name_that_says_no_time_are_drawn() -> None:
    table = events()
    mixed = table.take(np.random.default_rng(0).permutation(table.rows))
    assert guess(mixed, "count").split == "random"


def test_a_split_in_time_that_would_leave_a_part_without_a_class_is_not_chosen() -> None:
    found = guess(events(churn=["Yes" if k < 100 else "No" for k in range(400)]), "churn")
    assert found.split == "stratified"
    assert any(reason.startswith("a split in time would leave tune one class alone")
               for setting, _, reason in found.reasons if setting == "split")


def test_the_project_file_says_why_and_what_else() -> None:
    found = guess(events(), "count")
    text = project_text(msgspec.structs.asdict(found), name="bikes", address="hour.parquet")
    assert parse(text, where="here").split.kind == "time"
    assert '# "time": dteday spans 100 days' in text
