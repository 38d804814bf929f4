from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from shipworthy.core.canon import canonical
from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.release import Identity, Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import folder, sign
from shipworthy.deployment.integration.releases.release import (
    open_release,
    packed,
    release_id,
    stored,
    unpacked,
    verify,
    write_release,
)
from shipworthy.errors import BadRelease, Misuse

from ..conftest import small_model


def damage(release: Release, name: str, raw: bytes) -> None:
    path = release.folder / name
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(raw)


def refusal(release: Release) -> tuple[str, str]:
    with pytest.raises(BadRelease) as caught:
        open_release(release.folder)
    return caught.value.problem, caught.value.where


def test_a_release_opens_as_it_was_written(release: Release) -> None:
    again = open_release(release.folder)
    assert again.id == release.id
    assert release.folder.name == release.id[:16]
    assert again.model.digest == small_model().digest
    assert set(again.manifest.files) == {
        "model.json", "program.json", "program.npz", "schema.json", "evidence.json", "environment.json", "signer.pem",
        "holdout.parquet", "card.md", "datasheet.json"}


def test_files_of_a_release_are_read_only(release: Release) -> None:
    assert all(not path.stat().st_mode & stat.S_IWUSR for path in folder.walk(release.folder).values())


def test_equal_content_has_one_id_and_one_folder(make_release: Callable[..., Release], release: Release) -> None:
    assert make_release().folder == release.folder
    assert make_release(seed=1).id != release.id
    assert [path.name for path in release.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_an_altered_file_is_named(release: Release) -> None:
    damage(release, "card.md", b"# better\n")
    assert refusal(release) == ("a file of the release was altered", "card.md")


def test_a_missing_file_is_named(release: Release) -> None:
    (release.folder / "card.md").unlink()
    assert refusal(release) == ("a file of the release is missing", "card.md")


def test_an_unlisted_file_is_named(release: Release) -> None:
    damage(release, "run.py", b"print()")
    assert refusal(release) == ("a file is not listed in the release", "run.py")


def test_a_link_is_refused(release: Release) -> None:
    (release.folder / "card.md").unlink()
    (release.folder / "card.md").symlink_to("/etc/hostname")
    assert refusal(release) == ("a release holds plain files only, no links or devices", "card.md")


def test_an_unsigned_release_is_refused(release: Release) -> None:
    (release.folder / sign.SIGNATURE).unlink()
    assert refusal(release) == ("the release is not signed", "model.sig")


def test_a_manifest_rewritten_to_fit_an_altered_file_is_refused(release: Release) -> None:
    damage(release, "card.md", b"# better\n")
    manifest = release.manifest
    files = {**manifest.files, "card.md": folder.digests({"card.md": b"# better\n"})["card.md"]}
    rewritten = msgspec.structs.replace(manifest, files=files)
    damage(release, "release.json", canonical(rewritten))
    assert refusal(release) == ("the id does not follow from the identity and the files", "release.json")
    fitting = msgspec.structs.replace(rewritten, id=release_id(manifest.identity, files))
    damage(release, "release.json", canonical(fitting))
    assert refusal(release) == ("a file differs from what was signed", "card.md")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "a\\b", "c:x", "", "a//b", "./a", "n\0", "a\nb"])
def test_a_name_that_leaves_the_folder_is_refused(release: Release, name: str) -> None:
    manifest = msgspec.structs.replace(release.manifest, files={**release.manifest.files, name: "0" * 64})
    damage(release, "release.json", canonical(manifest))
    assert refusal(release)[0].endswith("is not a file name inside the release")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"{", b'{"id": 3}'])
def test_a_manifest_that_is_none_is_refused(release: Release, raw: bytes) -> None:
    damage(release, "release.json", raw)
    assert refusal(release)[1] == "release.json"


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRelease, match="the folder is not a release"):
        open_release(tmp_path)
    with pytest.raises(BadRelease, match="there is no release folder"):
        open_release(tmp_path / "gone")


def test_a_release_of_another_format_is_refused(release: Release) -> None:
    damage(release, "release.json", canonical(msgspec.structs.replace(release.manifest, format=9)))
    assert refusal(release) == ("release format 9 is unknown", "release.json")


def test_only_the_key_that_is_trusted_opens_a_release(release: Release, key: sign.Key, tmp_path: Path) -> None:
    other = sign.public_bytes(sign.make_key(tmp_path / "other.pem"))
    assert open_release(release.folder, key=sign.public_bytes(key)).id == release.id
    with pytest.raises(BadRelease, match="not made by this key"):
        open_release(release.folder, key=other)


def test_a_model_that_the_identity_does_not_name_cannot_be_released(tmp_path: Path, key: sign.Key) -> None:
    with pytest.raises(Misuse, match="names another model"):
        write_release(tmp_path, name="ward", model=small_model(), evidence=Evidence(()), extras={}, key=key,
                      identity=Identity("c0de", "0" * 64, "d"))


def test_verify_says_what_holds(release: Release, key: sign.Key) -> None:
    results = verify(release.folder, key=sign.public_bytes(key))
    assert [(what, ok) for what, ok, _ in results] == [
        ("files", True), ("identity", True), ("signature", True), ("model", True), ("evidence", True)]
    damage(release, "program.npz", b"PK")
    found = {what: (ok, sentence) for what, ok, sentence in verify(release.folder)}
    assert found["files"] == (False, "a file of the release was altered: program.npz")
    assert found["signature"] == (False, "a file differs from what was signed: program.npz")
    assert found["model"] == (False, "a file of the release is not an archive: program.npz")
    assert found["identity"][0]


def test_verify_finds_evidence_of_another_model(make_release: Callable[..., Release]) -> None:
    finding = Finding("auc", "verification.performance", "pass", "fine", judged=Judged(model="0" * 64))
    release = make_release(evidence=Evidence((finding,)))
    assert verify(release.folder)[-1] == (
        "evidence", False, 'the finding of "auc" was made of another model: evidence.json')


def test_stored_nouns_come_back_equal(release: Release, table: Table) -> None:
    found = stored(release)
    assert sorted(found) == ["datasheet", "evidence", "holdout", "model", "release"]
    assert found["datasheet"] == {"why": "care"}
    assert found["holdout"].digest == table.digest
    assert found["holdout"].schema == table.schema
    assert (found["model"].score(found["holdout"]) == small_model().score(table)).all()


def test_a_file_altered_after_opening_is_not_handed_out(release: Release) -> None:
    damage(release, "datasheet.json", b"{}")
    with pytest.raises(BadRelease, match="altered since the release was opened"):
        stored(release)


def test_a_packed_table_keeps_values_and_meaning(table: Table) -> None:
    again = unpacked(packed(table))
    assert (again.digest, again.schema) == (table.digest, table.schema)
    assert (again.name, again.origin) == ("patients", "patients.csv")
    with pytest.raises(BadRelease):
        unpacked(b"PAR1")
