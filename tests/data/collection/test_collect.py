"""Joins look up and never multiply; the target and the roles come from the project."""

from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.project import Project, parse
from shipworthy.core.table import Table
from shipworthy.data.analysis.leak import no_leak
from shipworthy.data.analysis.profile import profile
from shipworthy.data.collection.collect import collect
from shipworthy.data.collection.containment import likeness
from shipworthy.data.collection.discovery import discover
from shipworthy.errors import BadData, BadProject

FLIGHTS = Table.of(
    {"plane": ["a", "b", "z", None], "hour": [1, 2, 1, 2], "late": [5.0, 40.0, None, 31.0]}, name="flights"
)
PLANES = Table.of({"tail": ["a", "b", "c"], "seats": [100, 200, 300]}, name="planes")


def project(extra: str = "", data: str = 'target = "late"') -> Project:
    return parse(f'[project]\nname = "x"\n[data]\ntable = "flights"\n{data}\n{extra}')


JOIN = '[[join]]\ntable = "planes"\non = {plane = "tail"}\nprefix = "plane_"\n'


def test_a_join_looks_up_and_keeps_every_row_in_order() -> None:
    table = collect({"flights": FLIGHTS, "planes": PLANES}, project(JOIN))
    assert table.data["plane_seats"].to_pylist() == [100, 200, None, None]
    assert table.data["hour"].to_pylist() == [1, 2, 1, 2]


def test_a_join_that_would_multiply_rows_is_refused() -> None:
    twice = Table.of({"tail": ["a", "a"], "seats": [1, 2]}, name="planes")
    with pytest.raises(BadData, match="2 rows of planes share a key, such as a"):
        collect({"flights": FLIGHTS, "planes": twice}, project(JOIN))


def test_keys_of_unlike_kinds_are_refused() -> None:
    numbers = Table.of({"tail": [1, 2], "seats": [1, 2]}, name="planes")
    with pytest.raises(BadData, match='column "plane" holds String and "tail" of planes holds Int64'):
        collect({"flights": FLIGHTS, "planes": numbers}, project(JOIN))


def test_a_join_to_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(BadProject) as caught:
        collect({"flights": FLIGHTS, "planes": PLANES}, project(JOIN.replace("planes", "plains")))
    assert caught.value.hint == 'did you mean "planes"?'


@pytest.mark.parametrize(("missing", "third"), [("drop", None), ("positive", "yes"), ("negative", "no")])
def test_a_target_rule_makes_two_classes(missing: str, third: str | None) -> None:
    rule = f'[data.target_rule]\ncolumn = "late"\nabove = 30.0\nmissing = "{missing}"\n'
    table = collect({"flights": FLIGHTS}, project(rule, 'target = "delayed"'))
    assert table.data["delayed"].to_pylist() == ["no", "yes", third, "yes"]
    assert table.schema["delayed"].role == "target"


def test_roles_come_from_the_project() -> None:
    table = collect({"flights": FLIGHTS}, project(data='target = "late"\nset_aside = ["hour"]\nprotected = ["plane"]'))
    assert table.schema["hour"].role == "ignored"
    assert table.schema["plane"].protected
    assert table.schema["plane"].role == "feature"


def test_a_time_column_must_hold_times() -> None:
    with pytest.raises(BadData, match='the time column "hour" holds number values'):
        collect({"flights": FLIGHTS}, project(data='target = "late"\ntime = "hour"'))


def test_a_declared_join_is_counted_exactly_with_its_broken_keys() -> None:
    catalogue = discover([FLIGHTS, PLANES], project(JOIN))
    join = catalogue.joins[0]
    assert (join.used, join.orphans, join.orphan_rows, join.examples) == (True, 1, 1, ("z",))
    assert join.coverage == pytest.approx(2 / 3)
    assert catalogue.trace["plane_seats"] == "planes"
    assert catalogue.tables[1].keys == ("tail", "seats")


def test_gapless_numbers_under_unlike_names_match_by_chance() -> None:
    left = Table.of({"visits": [1, 2, 3, 4, 5] * 4, "order_id": [5, 4, 3, 2, 1] * 4}, name="people")
    right = Table.of({"order_id": list(range(1, 31)), "price": [float(n) for n in range(30)]}, name="orders")
    found = {next(iter(join.on.items())): join.by_chance for join in discover([left, right]).joins}
    assert found["visits", "order_id"]
    assert not found["order_id", "order_id"]


def test_names_are_alike_across_spellings() -> None:
    assert likeness("CustomerID", "customer_id") == 1.0
    assert likeness("customer_id", "id", "customers") == 0.95
    assert likeness("visits", "shelf", "shelf") < 0.7


def test_the_true_joins_of_a_shop_are_found(shared) -> None:  # type: ignore[no-untyped-def]
    from shipworthy.data.collection.discovery import list_sources
    from shipworthy.data.collection.read import read

    path = shared("lake/sqlite/chinook.sqlite")
    tables = [read(address) for address in list_sources(path)]
    found = {(join.left, next(iter(join.on)), join.right) for join in discover(tables).joins[:30]}
    true = {
        ("Album", "ArtistId", "Artist"),
        ("Track", "AlbumId", "Album"),
        ("Track", "GenreId", "Genre"),
        ("Track", "MediaTypeId", "MediaType"),
        ("Invoice", "CustomerId", "Customer"),
        ("InvoiceLine", "InvoiceId", "Invoice"),
        ("InvoiceLine", "TrackId", "Track"),
    }
    assert len(true & found) >= 6, true - found


def test_no_leak_names_the_column_that_the_target_is_made_from_until_it_is_set_aside() -> None:
    numbers = np.random.default_rng(0).normal(20, 10, (500, 2))
    flights = Table.of({"delay": numbers[:, 0].tolist(), "hour": numbers[:, 1].tolist()}, name="flights")
    rule = 'target = "late"\n{}\n[data.target_rule]\ncolumn = "delay"\nabove = 30.0\n'
    judged = {}
    for aside in ("", 'set_aside = ["delay"]'):
        asked = project(data=rule.format(aside))
        table = collect({"flights": flights}, asked)
        judged[aside] = no_leak(asked, profile(table, target="late"), table)
    naive, mended = judged.values()
    assert (naive.verdict, naive.remedy) == ("fail", 'in [data] write set_aside = ["delay"]')
    assert mended.verdict == "pass"
