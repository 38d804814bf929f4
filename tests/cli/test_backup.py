"""A backup is drilled: taken from a live server, restored elsewhere, verified, and asked again."""

from __future__ import annotations

import io
import resource
import shutil
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy import flow
from shipworthy.core.evidence import Evidence
from shipworthy.deployment.integration.access.tokens import read_access
from shipworthy.deployment.integration.backups.backup import Manifest
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.read import read_log
from shipworthy.deployment.integration.releases.history import point, promote, record, unbroken
from shipworthy.deployment.integration.releases.release import write_release
from shipworthy.deployment.integration.releases.shelf import placed, unlock
from shipworthy.deployment.integration.releases.sign import read_key
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.start import job
from shipworthy.errors import StoreError
from shipworthy.store.workspace import open_workspace

RECORD = msgspec.json.encode({"size": 0.4, "noise": -0.2, "colour": "b"})
ASKED_BEFORE = 200


@pytest.fixture
def own(made: tuple[Path, Any], call: Any, tmp_path: Path) -> Path:
    """A project with a champion, and a token of somebody who trains."""
    folder = Path(shutil.copytree(made[0], tmp_path / "own"))
    assert call("promote", "-p", folder, "--by", "ann", "--why", "try").code == 0
    assert call("token", "create", "-p", folder, "--holder", "shop", "--scope", "train", "--by", "ann").code == 0
    return folder


def serving(folder: Path) -> Server:
    place = open_workspace(folder)
    champion = flow.champion(place)
    assert champion
    return Server(champion, place.log, place.project, home=place.store.home)


def score(server: Server) -> Any:
    with Connection(server.address) as connection:
        status, body = connection.post("/v1/predict", RECORD)
        assert status == 200, body
        return msgspec.json.decode(body)


class Load(threading.Thread):
    """Asks one row after another until the server is gone. acknowledged: the ids of the answers, in order."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.warm = threading.Event()
        self._connection = Connection(address)

    def run(self) -> None:
        try:
            while True:
                body = self._connection.post("/v1/predict", RECORD)[1]
                self.acknowledged.append(msgspec.json.decode(body)["prediction_id"])
                if len(self.acknowledged) == ASKED_BEFORE:
                    self.warm.set()
        except StoreError:
            self._connection.close()


def destroy(folder: Path) -> None:
    unlock(folder)
    shutil.rmtree(folder)


def test_a_live_project_comes_back_elsewhere_with_every_answer_that_was_acknowledged(
    own: Path, call: Any, tmp_path: Path
) -> None:
    place = open_workspace(own)
    with serving(own) as first:
        score(first)
    assert drain(place.log, place.store.tables).predictions == 1
    with serving(own) as second:
        score(second)
    server = serving(own).start()
    before, load = score(server), Load(server.address)
    load.start()
    assert load.warm.wait(30)
    acknowledged = {before["prediction_id"], *load.acknowledged}
    moving = threading.Thread(target=drain, args=(place.log, place.store.tables))
    moving.start()  # what `second` sealed moves meanwhile
    told = call("backup", "-p", own, "-o", tmp_path / "own.tar")
    moving.join()
    assert told.code == 0, told.err
    server.kill()
    load.join()
    destroy(own)

    elsewhere = tmp_path / "elsewhere" / "project"
    back = call("restore", tmp_path / "own.tar", "--into", elsewhere)
    assert (back.code, back.out.strip()) == (0, str(elsewhere)), back.err
    again = open_workspace(elsewhere)
    served, _ = read_log(again.log, again.store.tables)
    ids = list(served.words("prediction_id"))
    assert acknowledged <= set(ids)
    assert len(ids) == len(set(ids)) >= ASKED_BEFORE + 2
    champion = flow.champion(again)
    assert champion
    assert call("verify", champion.folder).code == 0
    assert unbroken(again.store, champion)[-1]["action"] == "grant"
    with serving(elsewhere) as server:
        after = score(server)
    assert {**after, "prediction_id": ""} == {**before, "prediction_id": ""}
    assert job(elsewhere).release == str(champion.folder.resolve())


def test_private_keys_stay_unless_they_are_asked_for(own: Path, call: Any, tmp_path: Path) -> None:
    assert call("backup", "-p", own, "-o", tmp_path / "plain.tar").code == 0
    assert call("backup", "-p", own, "-o", tmp_path / "keys.tar", "--with-keys").code == 0
    secret = (own / ".shipworthy" / "keys" / "signing.pem").read_bytes()
    assert secret not in (tmp_path / "plain.tar").read_bytes()
    assert secret in (tmp_path / "keys.tar").read_bytes()
    assert (tmp_path / "keys.tar").stat().st_mode & 0o777 == 0o600
    assert call("restore", tmp_path / "keys.tar", "--into", tmp_path / "back").code == 0
    key = tmp_path / "back" / ".shipworthy" / "keys" / "signing.pem"
    assert (key.read_bytes(), key.stat().st_mode & 0o777) == (secret, 0o600)
    assert not (tmp_path / "back" / ".shipworthy" / "locks" / "collect.lock").exists()


def test_a_copy_keeps_the_order_of_its_releases(own: Path, call: Any, tmp_path: Path) -> None:
    champion = flow.champion(own)
    assert champion
    key = read_key(open_workspace(own).key)
    made = [write_release(own / "releases", name="tiny", model=champion.model, evidence=Evidence(()), key=key,
                          extras={"n.json": b"%d" % n}, identity=champion.manifest.identity) for n in range(4)]
    assert call("backup", "-p", own, "-o", tmp_path / "own.tar").code == 0
    assert call("restore", tmp_path / "own.tar", "--into", tmp_path / "back").code == 0
    order = [*(one.folder.name for one in reversed(made)), champion.folder.name]
    assert [path.name for path in placed(tmp_path / "back" / "releases")] == order
    assert flow.candidate(tmp_path / "back").id == made[-1].id


SIGNED = ("--by", "eve", "--why", "try")
LINES = [
    ("rollback", *SIGNED), ("releases", "drop", "pilot", *SIGNED),
    ("waive", "ethics.bias", "--by", "eve", "--reason", "try", "--until", date.today().isoformat()),
    ("attest", "law.non-technical", "--topic", "legal-basis", "--by", "eve", "--role", "legal", "--sentence", "yes",
     "--until", date.today().isoformat()),
    ("token", "create", "--holder", "eve", "--scope", "train", "--by", "eve"), ("run",),
]


def test_a_copy_without_keys_writes_no_line_that_would_break_its_ledger(own: Path, call: Any, tmp_path: Path) -> None:
    champion = flow.champion(own)
    assert champion
    place = open_workspace(own)
    second = write_release(own / "releases", name="tiny", model=champion.model, evidence=champion.evidence,
                           extras={"n.json": b"1"}, identity=champion.manifest.identity, key=read_key(place.key))
    record(place.store, actor="tom", action="train", subject={"release": second.id}, evidence=second.evidence.digest)
    point(place.store, "pilot", second, by="eve", why="try")
    promote(place.store, replace(second, evidence=Evidence(())), by="eve", why="try")
    assert call("backup", "-p", own, "-o", tmp_path / "own.tar").code == 0
    assert call("restore", tmp_path / "own.tar", "--into", tmp_path / "back").code == 0
    copy = open_workspace(tmp_path / "back")
    before = unbroken(copy.store)
    for line in (("promote", "--release", champion.id, *SIGNED), *LINES):
        told = call(*line, "-p", copy.folder)
        assert told.code == 2, (line, told.err)
        assert "this copy has no key to sign" in told.err, (line, told.err)
    token = read_access(copy.store.home)[0].tokens[0]
    told = call("token", "revoke", token.id, "-p", copy.folder, *SIGNED)
    assert told.code == 0
    assert "not on record here: this copy has no key to sign the ledger" in told.err
    assert read_access(copy.store.home)[0].tokens[0].revoked
    assert unbroken(copy.store) == before
    assert not list((copy.store.home / "keys").glob("*.key"))
    shutil.copytree(own / ".shipworthy" / "keys", copy.store.home / "keys", dirs_exist_ok=True)
    record(copy.store, actor="eve", action="note")
    assert len(unbroken(copy.store)) == len(before) + 1


def members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


def written(path: Path, found: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, raw in found:
            info.size = len(raw) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(raw))
    return path


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, target
    return made, b""


Found = list[tuple[tarfile.TarInfo, bytes]]
WRONG: list[tuple[str, Callable[[Found], Found]]] = [
    ("shipworthy.toml is not as it was backed up", lambda found: [
        (info, raw.replace(b"tiny", b"tinz") if info.name == "shipworthy.toml" else raw) for info, raw in found]),
    ("shipworthy.toml is not as it was backed up", lambda found: [
        entry for entry in found if entry[0].name != "shipworthy.toml"]),
    ("extra is not as it was backed up", lambda found: [(tarfile.TarInfo("extra"), b"1"), *found]),
    ("'../extra' is no file name inside a project", lambda found: [(tarfile.TarInfo("../extra"), b"1"), *found]),
    ("a backup holds plain files, each once, and its manifest last", lambda found: [
        link("extra", "/etc/passwd"), *found]),
    ("a backup holds plain files, each once, and its manifest last", lambda found: [found[0], *found]),
    ("its manifest is missing", lambda found: found[:-1]),
    ("a backup of format 2 is not known here", lambda found: [
        *found[:-1], (found[-1][0], msgspec.json.encode(Manifest("tiny", "9", "", False, {}, 2)))]),
    ("the backup's manifest cannot be read", lambda found: [*found[:-1], (found[-1][0], b"{}")]),
]


@pytest.mark.parametrize("problem, change", WRONG)
def test_a_backup_that_was_altered_leaves_nothing(
    own: Path, call: Any, tmp_path: Path, problem: str, change: Callable[[Found], Found]
) -> None:
    assert call("backup", "-p", own, "-o", tmp_path / "own.tar").code == 0
    told = call("restore", written(tmp_path / "other.tar", change(members(tmp_path / "own.tar"))), "--into",
                tmp_path / "back")
    assert told.code == 2
    assert problem in told.problem
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.tar", "own", "own.tar"]


def test_a_backup_that_is_cut_leaves_nothing(own: Path, call: Any, tmp_path: Path) -> None:
    assert call("backup", "-p", own, "-o", tmp_path / "own.tar").code == 0
    raw = (tmp_path / "own.tar").read_bytes()
    for share in (0.0, 0.3, 0.7, 0.9):
        (tmp_path / "cut.tar").write_bytes(raw[: int(len(raw) * share)])
        told = call("restore", tmp_path / "cut.tar", "--into", tmp_path / "back")
        assert told.code == 2
        assert "whole backup" in told.problem or "is not as it was" in told.problem
        assert not (tmp_path / "back").exists()


def test_nothing_is_overwritten(own: Path, call: Any, tmp_path: Path) -> None:
    assert call("backup", "-p", own, "-o", tmp_path / "own.tar").code == 0
    raw = (tmp_path / "own.tar").read_bytes()
    assert "a file is there already" in call("backup", "-p", own, "-o", tmp_path / "own.tar").problem
    assert "something is there already" in call("restore", tmp_path / "own.tar", "--into", own).problem
    assert "there is no such file" in call("restore", tmp_path / "none.tar", "--into", tmp_path / "new").problem
    assert (tmp_path / "own.tar").read_bytes() == raw


def test_a_copy_whose_ledger_does_not_hold_comes_back_and_says_so(own: Path, call: Any, tmp_path: Path) -> None:
    path = own / ".shipworthy" / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"why":"try"', b'"why":"fun"'))
    assert call("backup", "-p", own, "-o", tmp_path / "own.tar").code == 0
    told = call("restore", tmp_path / "own.tar", "--into", tmp_path / "back")
    assert told.code == 1
    assert "! the ledger does not hold" in told.err
    assert (tmp_path / "back" / "shipworthy.toml").exists()


@pytest.mark.parametrize("limit, problem", [
    (64 * 1024, "the index cannot be copied"), (400 * 1024, "the disk takes no file of this size")])
def test_a_disk_that_takes_no_more_leaves_neither_a_backup_nor_a_part_of_one(
    own: Path, start: Any, tmp_path: Path, limit: int, problem: str
) -> None:
    child = start("backup", "-p", own, "-o", tmp_path / "own.tar",
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, said = child.communicate(timeout=60)
    assert child.returncode == 2, said
    assert problem in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
