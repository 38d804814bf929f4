"""`shipworthy releases` as a person uses it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

PROMOTE = ("--by", "ann", "--why", "first")


@pytest.fixture
def own(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the project that was run, to be changed."""
    return Path(shutil.copytree(made[0], tmp_path / "own"))


def short(folder: Path) -> str:
    return next((folder / "releases").iterdir()).name


def test_the_list_names_every_release_with_its_aliases(call: Any, own: Path) -> None:
    call("promote", "-p", own, *PROMOTE)
    said = call("releases", "-p", own)
    assert said.code == 0
    assert said.err.splitlines()[0].split() == [
        "release", "made", "model", "verdict", "when", "made", "size", "signer", "aliases"]
    assert said.err.splitlines()[1].split()[0] == short(own)
    assert said.err.splitlines()[1].split()[-2:] == ["own", "champion"]
    found = json.loads(call("releases", "-p", own, "--json").out)
    assert [(one["folder"], one["aliases"], sorted(one["identity"])) for one in found] == [
        (short(own), ["champion"], ["code", "data", "model"])]


def test_one_release_is_shown_by_its_alias_with_identity_files_signature_and_moves(call: Any, own: Path) -> None:
    call("promote", "-p", own, *PROMOTE)
    said = call("releases", "-p", own, "show", "champion")
    assert said.code == 0
    for word in (short(own), "code ", "× model ", "× data ", "this project's key", "✓ signature",
                 "promote champion: nothing → "):
        assert word in said.err
    about = json.loads(call("releases", "show", "champion", "-p", own, "--json").out)
    assert about["id"].startswith(short(own))
    assert {"release.json", "model.sig", "evidence.json"} <= set(about["files"])
    assert [line["action"] for line in about["ledger"]] == ["train", "promote"]


def test_a_name_is_pointed_dropped_and_used_where_an_id_is_asked(call: Any, own: Path) -> None:
    assert call("releases", "point", "challenger", short(own), *PROMOTE, "-p", own).code == 0
    assert call("promote", "-p", own, "--release", "challenger", *PROMOTE).code == 0
    assert call("releases", "point", "pilot", "champion", *PROMOTE, "-p", own).code == 0
    assert call("releases", "drop", "pilot", *PROMOTE, "-p", own).code == 0
    said = call("releases", "history", "-p", own, "--json")
    assert [(one["action"], one["subject"]["alias"]) for one in json.loads(said.out)] == [
        ("point", "challenger"), ("promote", "champion"), ("drop", "challenger"), ("point", "pilot"), ("drop", "pilot")]
    assert len(call("releases", "history", "--alias", "pilot", "-p", own).err.splitlines()) == 2


def test_a_collection_says_why_each_release_stays(call: Any, own: Path) -> None:
    call("promote", "-p", own, *PROMOTE)
    said = call("releases", "gc", "--keep", "1", "-p", own)
    assert said.code == 0
    assert "it is champion; it is among the 1 newest" in said.err
    told = json.loads(call("releases", "gc", "--dry-run", "-p", own, "--json").out)
    assert [one["folder"] for one in told["stays"]] == [short(own)]
    assert (told["gone"], told["dry_run"]) == ([], True)
    assert call("releases", "gc", "--keep", "0", "-p", own).code == 2


def test_a_release_goes_from_one_project_to_another_which_must_trust_the_key(
    call: Any, own: Path, made: tuple[Path, Any], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("shipworthy.toml", "t.csv"):
        shutil.copy(made[0] / name, other / name)
    text = (other / "shipworthy.toml").read_text("utf-8").replace('trainer = "tom"', 'trainer = "uma"')
    (other / "shipworthy.toml").write_text(text, "utf-8")
    file, public = tmp_path / "r.shipworthy", own / ".shipworthy" / "keys" / "signing.pem.pub"
    sent = json.loads(call("releases", "export", short(own), "-o", file, "-p", own, "--json").out)
    said = call("releases", "import", file, "-p", other)
    assert said.code == 0
    assert sent["signer"] in said.err
    assert "a stranger's key" in said.err
    refused = call("promote", "-p", other, *PROMOTE)
    assert refused.code == 2
    assert "it is signed by a stranger" in refused.problem
    assert "trust it: shipworthy releases trust KEY" in refused.problem
    assert "verdict when made" in call("releases", "-p", other).err
    assert call("releases", "trust", public, "--by", "eve", "--why", "the model room", "-p", other).code == 0
    assert call("releases", "import", file, "--key", public, "-p", other).code == 0
    assert json.loads(call("releases", "-p", other, "--json").out)[0]["signer"] == "trusted"
    assert call("promote", "-p", other, "--by", "tom", "--why", "mine").code == 1
    promoted = call("promote", "-p", other, *PROMOTE)
    assert promoted.code == 0, promoted.err
    renewed = call("renew", "-p", other)
    assert renewed.code == 2
    assert call("run", "-p", other).code == 0


def test_a_file_that_is_no_release_is_refused_with_a_hint(call: Any, own: Path, tmp_path: Path) -> None:
    (tmp_path / "x.shipworthy").write_bytes(b"PK\3\4 and so on")
    said = call("releases", "import", tmp_path / "x.shipworthy", "-p", own)
    assert said.code == 2
    assert "it is not a release as export writes it" in said.problem
    assert "hint: do not use it" in said.problem
    assert call("releases", "import", tmp_path / "none", "-p", own).code == 2


def test_a_verb_under_a_verb_that_does_not_exist_is_told(call: Any, own: Path) -> None:
    said = call("releases", "shwo", "-p", own)
    assert said.code == 2
    assert "hint:" in said.problem
