from __future__ import annotations

import subprocess
from pathlib import Path

from shipworthy.core.found import Catalogue, Listed
from shipworthy.core.project import parse
from shipworthy.deployment.integration.releases.provenance import commit, environment, provenance

PROJECT = parse('[project]\nname = "ward"\nowner = "ann"\ntrainer = "bob"\n[data]\ntarget = "ill"\n'
                '[[source]]\naddress = "patients.csv"\nowner = "clinic"\nlicence = "CC0-1.0"\n')


def test_a_statement_names_people_data_code_and_environment() -> None:
    made = provenance(PROJECT, subject={"model": "ab" * 32}, code="c0de", generated=("card.md",))
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["subject"] == [{"name": "model", "digest": {"sha256": "ab" * 32}}]
    said = made["predicate"]
    assert said["authors"] == [{"name": "ann", "role": "owner"}, {"name": "bob", "role": "trainer"}]
    assert said["data"] == [
        {"name": "patients", "address": "patients.csv", "owner": "clinic", "licence": "CC0-1.0"}]
    assert (said["code"], said["generated"], said["upstream"]) == ("c0de", ["card.md"], [])
    assert said["environment"]["numpy"]


def test_a_table_without_licence_is_listed_with_an_empty_one() -> None:
    table = Listed("scans", "scans.parquet", 3, ("a",), digest="d" * 64)
    made = provenance(PROJECT, subject={}, catalogue=Catalogue((table,)))
    assert made["predicate"]["data"] == [{"name": "scans", "address": "scans.parquet", "owner": "", "licence": "",
                                          "rows": 3, "digest": {"sha256": "d" * 64}}]


def test_the_environment_names_what_is_installed_only() -> None:
    assert {"python", "system", "numpy", "msgspec"} <= set(environment())


def test_the_commit_of_a_folder_says_whether_files_differ(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    clean = commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == clean + "+changed"
