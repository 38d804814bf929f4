from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.canon import canonical
from shipworthy.core.release import Manifest, Release
from shipworthy.deployment.integration.releases import folder as folders
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.book import ledger, signing_key
from shipworthy.deployment.integration.releases.history import champion, promote, trust
from shipworthy.deployment.integration.releases.parcel import export_release, import_release, pack, unpack
from shipworthy.deployment.integration.releases.release import open_release, release_id
from shipworthy.deployment.integration.releases.shelf import project_key, remove
from shipworthy.errors import BadRelease, Misuse, NotFit, ShipworthyError
from shipworthy.store import Store, open_store

PROJECT = {"project.json": b'{"project":{"name":"ward","trainer":"tom@example.org"}}'}


@dataclass
class Site:
    """Another project, and the file that came there."""

    store: Store
    parcel: Path
    release: Release

    @property
    def releases(self) -> Path:
        return self.store.folder / "releases"

    def take(self, raw: bytes | None = None, **options: Any) -> Any:
        if raw is not None:
            self.parcel.chmod(0o644)
            self.parcel.write_bytes(raw)
        return import_release(self.store, self.releases, self.parcel, by="ann", **options)

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.releases)) for path in self.releases.glob("*"))


@pytest.fixture
def site(make_release: Callable[..., Release], tmp_path: Path) -> Site:
    release = make_release(more=PROJECT)
    (tmp_path / "there").mkdir()
    return Site(open_store(tmp_path / "there"), export_release(release, tmp_path / "r.shipworthy"), release)


def resigned(files: Mapping[str, bytes], key: sign.Key, **changes: bytes) -> dict[str, bytes]:
    """A release with other contents, whole and signed by whoever changed it."""
    found = {**files, "signer.pem": sign.public_bytes(key), **changes}
    found.pop("model.sig")
    manifest = msgspec.json.decode(found.pop("release.json"), type=Manifest)
    listed = folders.digests(found)
    manifest = msgspec.structs.replace(manifest, files=listed, id=release_id(manifest.identity, listed))
    found["release.json"] = canonical(manifest)
    return {**found, "model.sig": sign.sign(folders.digests(found), name=manifest.id[:16], key=key)}


def parcel(files: Mapping[str, bytes]) -> bytes:
    return pack(msgspec.json.decode(files["release.json"], type=Manifest).id[:16], files)


def test_a_release_goes_out_and_comes_in_whole(site: Site) -> None:
    told = site.take()
    assert (told.release, told.whose, told.new) == (site.release.id, "stranger", True)
    assert told.signer == sign.fingerprint((site.release.folder / "signer.pem").read_bytes())
    assert open_release(Path(told.folder)).id == site.release.id
    assert folders.read_all(Path(told.folder)) == folders.read_all(site.release.folder)
    assert not any(path.stat().st_mode & 0o222 for path in folders.walk(Path(told.folder)).values())
    line = ledger(site.store)[-1]
    assert (line["actor"], line["action"], line["why"]) == ("ann", "import", "from r.shipworthy, signed by a stranger")
    assert line["subject"] == {"release": told.release, "signer": told.signer, "trainer": "tom@example.org"}
    assert not site.take().new
    assert len(ledger(site.store)) == 1


def test_the_file_is_the_same_bytes_each_time_and_any_tool_opens_it(site: Site, tmp_path: Path) -> None:
    again = export_release(site.release, tmp_path / "again.shipworthy")
    assert again.read_bytes() == site.parcel.read_bytes()
    with zipfile.ZipFile(again) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    assert folders.read_all(tmp_path / "out" / site.release.folder.name) == folders.read_all(site.release.folder)


def test_an_export_overwrites_a_file_only_by_force_and_never_a_folder(site: Site, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for target in (site.parcel, tmp_path / "notes.txt", tmp_path):
        with pytest.raises(Misuse, match="the file is there already"):
            export_release(site.release, target)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    written = export_release(site.release, tmp_path / "notes.txt", force=True)
    assert written.read_bytes() == site.parcel.read_bytes()
    with pytest.raises(Misuse, match="the file is there already"):
        export_release(site.release, tmp_path, force=True)


def test_a_damaged_release_is_not_exported(site: Site, tmp_path: Path) -> None:
    (site.release.folder / "card.md").chmod(0o644)
    (site.release.folder / "card.md").write_text("x")
    with pytest.raises(BadRelease, match="a file of the release was altered"):
        export_release(site.release, tmp_path / "x.shipworthy")
    assert not (tmp_path / "x.shipworthy").exists()


# ── whom to trust ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_is_named_must_have_signed_it(site: Site, tmp_path: Path, key: sign.Key) -> None:
    other = sign.public_bytes(sign.make_key(tmp_path / "other.pem"))
    with pytest.raises(BadRelease, match="the signature was not made by this key"):
        site.take(key=other)
    with pytest.raises(Misuse, match="there is no public key in it"):
        site.take(key=b"no key")
    assert site.left() == []
    assert site.take(key=sign.public_bytes(key)).release == site.release.id


def test_a_stranger_s_release_is_promoted_only_once_the_key_is_trusted_and_not_by_its_trainer(
    site: Site, key: sign.Key
) -> None:
    project_key(signing_key(site.store))
    imported = open_release(Path(site.take().folder))
    with pytest.raises(BadRelease, match="the signature was not made by this key"):
        promote(site.store, imported, by="ann", why="x")
    trust(site.store, sign.public_bytes(key), by="eve", why="the model room's key")
    assert site.take().whose == "trusted"
    with pytest.raises(NotFit, match="trained this model and may not approve it"):
        promote(site.store, imported, by="Tom@example.org", why="x")
    promote(site.store, imported, by="ann", why="x")
    found = champion(site.store)
    assert found
    assert found.id == imported.id
    assert [(line["action"], line["actor"]) for line in ledger(site.store)] == [
        ("import", "ann"), ("trust", "eve"), ("promote", "ann")]


def test_a_copy_of_a_trusted_key_inside_makes_nobody_trusted(site: Site, tmp_path: Path, key: sign.Key) -> None:
    """The signer is who signed, not whom the file names."""
    stranger = sign.make_key(tmp_path / "stranger.pem")
    public = signing_key(site.store).with_name("signing.pem.pub")
    public.parent.mkdir(parents=True)
    public.write_bytes(sign.public_bytes(key))
    files = unpack(site.parcel.read_bytes())[1]
    both = sign.public_bytes(key) + sign.public_bytes(stranger)
    assert site.take(parcel(resigned(files, stranger, **{"signer.pem": both}))).whose == "stranger"
    assert site.take(parcel(files)).whose == "own"


@pytest.mark.parametrize("public", [b"", b"nothing", b"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_not_trusted(site: Site, public: bytes) -> None:
    with pytest.raises(Misuse):
        trust(site.store, public, by="eve", why="x")
    assert ledger(site.store) == []


# ── from a stranger who means harm ───────────────────────────────────────────────────────────────────────────────


def hostile(path: Path, change: Callable[[zipfile.ZipFile, list[tuple[zipfile.ZipInfo, bytes]]], None]) -> bytes:
    """The same archive written by the usual library, changed by the test."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        for info, raw in entries:
            made.writestr(info, raw)
        change(made, entries)
    return sink.getvalue()


def link(made: zipfile.ZipFile, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    info = zipfile.ZipInfo(f"{entries[0][0].filename.split('/')[0]}/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    made.writestr(info, "/etc/passwd")


def bomb(made: zipfile.ZipFile, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    made.writestr(f"{entries[0][0].filename.split('/')[0]}/big", bytes(10_000_000), zipfile.ZIP_DEFLATED)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("change", [
    link, bomb,
    lambda made, entries: made.writestr("../../up", b"x"),
    lambda made, entries: made.writestr("/etc/cron.d/x", b"x"),
    lambda made, entries: made.writestr("C:/x", b"x"),
    lambda made, entries: made.writestr("a\\..\\x", b"x"),
    lambda made, entries: made.writestr(entries[0][0].filename, b"x"),
    lambda made, entries: made.writestr(entries[0][0].filename.upper(), b"x"),
    lambda made, entries: made.writestr(entries[0][0].filename + "/below", b"x"),
    lambda made, entries: made.writestr("unlisted", b"x"),
    lambda made, entries: setattr(made, "comment", b"hidden"),
    lambda made, entries: None,
], ids=["link", "bomb", "up", "absolute", "drive", "backslash", "twice", "capitals", "below", "unlisted", "comment",
        "as another tool writes it"])
def test_any_other_archive_is_refused_and_nothing_is_left(site: Site, change: Any) -> None:
    with pytest.raises(BadRelease) as caught:
        site.take(hostile(site.parcel, change))
    assert caught.value.hint
    assert site.left() == []
    assert ledger(site.store) == []


@pytest.mark.parametrize("name", [
    "../up", "/etc/x", "C:/x", "a\\b", "a/../b", "con", "aux.txt", "dot.", "blank ", "a//b", "x\0", "x\n", "x\u202e",
    "n" * 201, "CARD.MD", "card.md/x", ""])
def test_a_name_that_leaves_the_folder_or_hides_is_refused_though_all_is_signed(
    site: Site, tmp_path: Path, name: str
) -> None:
    files = resigned(unpack(site.parcel.read_bytes())[1], sign.make_key(tmp_path / "stranger.pem"), **{name: b"x"})
    raw = b"".join(_entry(f"x/{one}", files[one]) for one in sorted(files))
    for attempt in (raw, raw + b"PK\5\6" + bytes(18)):
        with pytest.raises(BadRelease, match="is not a file name inside|are one on some systems|not a release as"):
            site.take(attempt)
    assert site.left() == []


def _entry(name: str, raw: bytes) -> bytes:
    return struct.pack("<4s5H3I2H", b"PK\3\4", 20, 2048, 0, 0, 33, 0, len(raw), len(raw), len(name.encode()), 0) + \
        name.encode() + raw


def test_too_many_files_are_refused_before_they_are_looked_at(site: Site) -> None:
    with pytest.raises(BadRelease, match="it holds more than 1,000 files"):
        site.take(b"".join(_entry(f"x/{n}", b"") for n in range(2_000)))


def test_a_file_that_is_too_large_is_refused_unread(site: Site) -> None:
    with open(site.parcel, "r+b") as file:
        file.truncate(2**31 + 2**21)
    with pytest.raises(BadRelease, match="it is larger than 2 GiB"):
        site.take()


def test_what_is_no_file_is_told(site: Site, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.shipworthy"):
        with pytest.raises(Misuse, match="there is no such file"):
            import_release(site.store, site.releases, path, by="ann")


def test_an_archive_named_as_another_release_is_refused(site: Site) -> None:
    files = unpack(site.parcel.read_bytes())[1]
    for top in ("0" * 16, "..", "", "a/b"):
        with pytest.raises(BadRelease):
            site.take(pack(top, files))
    assert site.left() == []


def test_another_folder_in_its_place_is_left_alone(site: Site) -> None:
    place = site.releases / site.release.folder.name
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    with pytest.raises(BadRelease, match="another release lies in its place"):
        site.take()
    assert [path.name for path in place.iterdir()] == ["mine.txt"]


def test_a_ledger_that_cannot_be_written_leaves_no_release_behind(site: Site) -> None:
    (site.store.home / "ledger.jsonl").mkdir(parents=True)
    with pytest.raises((ShipworthyError, OSError)):
        site.take()
    assert site.left() == []


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("room"))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_file_with_any_bytes_changed_is_refused_and_leaves_nothing(
    data: st.DataObject, room: Store, small_parcel: Callable[[], bytes]
) -> None:
    raw = bytearray(small_parcel())
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"]))
    at = data.draw(st.integers(0, len(raw) - 1))
    if how == "flip":
        raw[at] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del raw[at : at + data.draw(st.integers(1, 5_000))]
    elif how == "insert":
        raw[at:at] = data.draw(st.binary(min_size=1, max_size=40))
    else:
        raw[at:at] = raw[at : at + 3_000]
    refused(bytes(raw), room)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=400), start=st.sampled_from([b"", b"PK\3\4", b"PK\5\6" + bytes(18)]))
def test_any_bytes_are_refused(raw: bytes, start: bytes, room: Store) -> None:
    refused(start + raw, room)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_content_that_a_stranger_signed_comes_in_or_is_refused(
    data: st.DataObject, room: Store, small_parcel: Callable[[], bytes], key: sign.Key
) -> None:
    files = unpack(small_parcel())[1]
    name = data.draw(st.sampled_from(sorted(set(files) - {"model.sig", "release.json", "signer.pem"})))
    raw = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    taken(parcel(resigned(files, key, **{name: bytes(raw)})), room)


@pytest.fixture(scope="module")
def small_parcel(small: Callable[[], Release]) -> Callable[[], bytes]:
    made = small()
    raw = pack(made.id[:16], folders.read_all(made.folder))
    return lambda: raw


def taken(raw: bytes, room: Store) -> None:
    """It comes in whole, or is refused with a hint and nothing is left."""
    path, releases, hint = room.folder / "x.shipworthy", room.folder / "releases", ""
    path.write_bytes(raw)
    try:
        told = import_release(room, releases, path, by="ann")
    except BadRelease as error:
        hint = error.hint
    left = list(releases.iterdir()) if releases.exists() else []
    assert bool(left) != bool(hint)
    if left:
        assert open_release(left[0]).id == told.release
        remove(left[0])


def refused(raw: bytes, room: Store) -> None:
    with pytest.raises(BadRelease):
        unpack(raw)
    taken(raw, room)
