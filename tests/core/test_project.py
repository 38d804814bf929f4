"""What a source is called is decided in one place, and no two have one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipworthy import flow
from shipworthy.assurance.authorship import licences
from shipworthy.core.found import Catalogue, Listed
from shipworthy.core.project import Source, parse, source_of
from shipworthy.data.collection.discovery import discover
from shipworthy.errors import BadProject
from shipworthy.store.workspace import open_workspace

HEAD = '[project]\nname = "p"\n[data]\ntarget = "y"\n'


@pytest.mark.parametrize("source, name", [
    (Source("2024/orders.csv.gz"), "orders"), (Source("orders.csv"), "orders"), (Source("shop.db#items"), "items"),
    (Source("https://example.org/a/orders.parquet"), "orders"), (Source("t.csv", "mine"), "mine")])
def test_a_source_is_called_by_its_name_its_table_or_its_file(source: Source, name: str) -> None:
    assert source.called == name


@pytest.mark.parametrize("second", ['address = "b/t.csv"', 'address = "b.csv"\nname = "t"'])
def test_two_sources_of_one_name_are_refused(second: str) -> None:
    with pytest.raises(BadProject) as caught:
        parse(f'{HEAD}[[source]]\naddress = "a/t.csv"\n[[source]]\n{second}\n')
    assert caught.value.problem.startswith('two sources are called "t": a/t.csv and b')
    assert caught.value.hint == 'give one of them another name: name = "…"'


def test_a_table_is_of_the_source_with_its_name_or_its_very_address(tmp_path: Path) -> None:
    short, other = Source("s.csv", owner="sam"), Source(str(tmp_path / "x.csv"), "named")
    assert source_of((short,), "orders", "/data/orders.csv") is None
    assert source_of((short,), "s", "") == short
    assert source_of((short, other), "x", str(tmp_path / "sub" / ".." / "x.csv")) == other


def test_a_table_does_not_get_the_owner_of_a_source_with_a_like_address() -> None:
    project = parse(f'{HEAD}[[source]]\naddress = "s.csv"\nowner = "sam"\nlicence = "CC0-1.0"\n')
    found = licences(project, Catalogue((Listed("orders", "orders.csv", 1, ("a",)),), trace={"a": "orders"}))
    assert found.verdict == "fail"
    assert "orders has no owner" in found.sentence


def test_owner_and_licence_of_an_unnamed_source_are_in_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "shop.2024.csv").write_text("a,y\n1,no\n2,yes\n")
    (tmp_path / "shipworthy.toml").write_text(
        f'{HEAD}[[source]]\naddress = "shop.2024.csv"\nowner = "sam"\nlicence = "CC0-1.0"\n')
    place = open_workspace(tmp_path)
    tables = flow.gather(place)
    assert list(tables) == ["shop"]
    (listed,) = discover(list(tables.values()), place.project).tables
    assert (listed.name, listed.owner, listed.licence) == ("shop", "sam", "CC0-1.0")


@pytest.mark.parametrize("key, least", [
    ("workers", 1), ("max_rows", 1), ("max_megabytes", 0.001), ("max_concurrent", 0)])
def test_a_size_of_serving_that_lets_nothing_in_is_refused(key: str, least: float) -> None:
    assert getattr(parse(f"{HEAD}[serve]\n{key} = {least}\n").serve, key) == least
    with pytest.raises(BadProject, match=f"serve.{key}"):
        parse(f"{HEAD}[serve]\n{key} = {-1 if least == 0 else 0}\n")
