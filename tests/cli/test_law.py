"""Law, evidence, erase, forget and drill, called as a person would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Call, Told

LAW = '\n[law]\npacks = ["iso-42001"]\n[[law.open]]\nref = "iso-42001/A.9"\nowner = "ann"\ndue = 2099-01-31\n'


@pytest.fixture(scope="module")
def lawful(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a rule pack, run once; it is not changed."""
    from .conftest import fill

    folder = fill(tmp_path_factory.mktemp("lawful") / "project")
    (folder / "shipworthy.toml").write_text((folder / "shipworthy.toml").read_text("utf-8") + LAW, encoding="utf-8")
    assert call("run", "-p", folder).code in (0, 1)
    return folder


def test_every_clause_is_told_with_its_evidence(call: Call, lawful: Path) -> None:
    told = call("law", "-p", lawful)
    assert told.code == 1
    assert "iso-42001 · ISO/IEC 42001:2023, Annex A · current" in told.out
    assert "needs legal review" in told.out
    assert "… open         A.9" in told.out
    assert "(due 2099-01-31, ann)" in told.out
    found = json.loads(call("law", "-p", lawful, "--json").out)
    assert len(found["clauses"]) == 11
    assert {one["state"] for one in found["clauses"]} >= {"open", "answered"}


def test_the_packs_are_listed_and_a_project_without_one_is_told_which_to_look_at(
    call: Call, made: tuple[Path, Told]
) -> None:
    listed = call("law", "--packs")
    assert (listed.code, listed.out.count("\n")) == (0, 15)
    told = call("law", "-p", made[0])
    assert told.code == 1
    assert "no rule pack is chosen" in told.err


def test_evidence_is_exported_and_what_is_stale_is_told_by_cause(call: Call, lawful: Path, tmp_path: Path) -> None:
    told = call("evidence", "export", "-p", lawful, "-o", tmp_path / "out")
    assert told.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "declarations.cdx.json", "test-result.intoto.json", "verification-summary.intoto.json"]
    assert "findings count" in call("evidence", "stale", "-p", lawful).err
    text = (lawful / "shipworthy.toml").read_text("utf-8")
    (lawful / "shipworthy.toml").write_text(text.replace('"iso-42001"]', '"iso-42001", "gdpr"]'), encoding="utf-8")
    try:
        assert json.loads(call("evidence", "stale", "-p", lawful, "--json").out) == {
            "pack": ["law.country/rule-packs", "verification.regulation/clauses"]}
    finally:
        (lawful / "shipworthy.toml").write_text(text, encoding="utf-8")


def test_to_erase_needs_somebody_and_a_column_that_names_them(call: Call, project: Callable[..., Path]) -> None:
    folder = project()
    assert call("erase", "-p", folder, "--by", "ann", "--why", "x").problem.startswith("error: nobody is named")
    told = call("erase", "p1", "-p", folder, "--by", "ann", "--why", "x")
    assert (told.code, told.problem.splitlines()[0]) == (2, "error: no column says whom a row is about")
    assert 'name it: identifiers = ["customer_id"], or --column NAME' in told.problem


def test_whoever_is_nowhere_is_erased_at_once_and_a_source_that_names_them_is_told(
    call: Call, project: Callable[..., Path]
) -> None:
    folder = project()
    done = call("erase", "zq77someone", "-p", folder, "--column", "name", "--by", "ann", "--why", "x")
    assert (done.code, done.out.splitlines()[-1]) == (0, "✓ nothing is left of them in this project")
    (folder / "notes.csv").write_text("zq77someone\n", encoding="utf-8")
    done = call("erase", "zq77someone", "-p", folder, "--column", "name", "--by", "ann", "--why", "x")
    assert (done.code, done.out.splitlines()[-1]) == (1, "✗ still in notes.csv: delete it there, and erase again")


def test_to_forget_needs_a_retention(call: Call, project: Callable[..., Path]) -> None:
    folder = project()
    assert "the project does not say how long rows are kept" in call("forget", "-p", folder).problem
    text = (folder / "shipworthy.toml").read_text("utf-8")
    (folder / "shipworthy.toml").write_text(text.replace("[data]", "[data]\nretention_days = 30"), encoding="utf-8")
    told = call("forget", "-p", folder)
    assert (told.code, told.out) == (0, "")
    assert told.err.startswith("removed 0 rows from before ")
