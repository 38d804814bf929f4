"""Planted faults for releases, the server and its log: what integration's checks must catch."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shipworthy.core.features import Category, Features
from shipworthy.core.ledger import Line, line
from shipworthy.core.model import Model
from shipworthy.core.release import Release
from shipworthy.errors import StoreError
from shipworthy.marks import sabotage, twin

Case = Mapping[str, Any]


@sabotage("log-kept-in-memory", check="kill-loses-nothing")
def log_kept_in_memory(case: Case) -> Case:
    """The server answers before the log reaches the operating system."""
    project = case["project"]
    serving = msgspec.structs.replace(project.serve, log="buffered")
    return {**case, "project": msgspec.structs.replace(project, serve=serving)}


@sabotage("other-features-served", check="served-equals-batch")
def other_features_served(case: Case) -> Case:
    """The release holds a program with the encoders of another training run: one category's levels in another order."""
    release: Release = case["release"]
    sheet = release.model.sheet
    encoders, turned = [], False
    for encoder in sheet.features.encoders:
        if isinstance(encoder, Category) and len(encoder.levels) > 1 and not turned:
            encoder, turned = msgspec.structs.replace(encoder, levels=encoder.levels[::-1]), True
        encoders.append(encoder)
    found = tuple(encoders) if turned else sheet.features.encoders[::-1]
    model = Model(msgspec.structs.replace(sheet, features=Features(found)), release.model.program)
    return {**case, "release": replace(release, model=model)}


@sabotage("pointer-move-removed", check="release-identified")
def pointer_move_removed(case: Case) -> Case:
    """The ledger lost the line of the second of three promotions."""
    lines = _promoted(case)
    return {**case, "history": [entry for place, entry in enumerate(lines) if place != len(lines) - 2]}


@sabotage("pointer-move-rewritten", check="release-identified")
def pointer_move_rewritten(case: Case) -> Case:
    """Somebody else's name was written over the one who promoted."""
    lines = _promoted(case)
    return {**case, "history": [*lines[:-2], {**lines[-2], "actor": "nobody@example.org"}, lines[-1]]}


@twin("release-identified")
def three_promotions(case: Case, seed: int) -> Case:
    """The same ledger with three promotions, all of them there."""
    return {**case, "history": _promoted(case)}


@sabotage("release-file-edited", check="signature-verifies")
def release_file_edited(case: Case) -> Case:
    """One letter of one file of a copy of the release was changed after it was signed."""
    copied, held = _copy(case["release"])
    target = copied.folder / "model.json"
    target.chmod(0o644)
    target.write_bytes(target.read_bytes().replace(b'"threshold":', b'"threshold": ', 1))
    return {**case, "release": copied, "held": held}


@sabotage("release-file-added", check="signature-verifies")
def release_file_added(case: Case) -> Case:
    """A file that nobody signed lies in a copy of the release."""
    copied, held = _copy(case["release"])
    (copied.folder / "extra.json").write_bytes(b"{}")
    return {**case, "release": copied, "held": held}


@sabotage("signed-by-another-key", check="signature-verifies")
def signed_by_another_key(case: Case) -> Case:
    """Whoever signed the release had another key than the project's; inside, everything fits."""
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = stranger.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {**case, "signer": pem}


@sabotage("old-version-gone", check="tables-reopen")
def old_version_gone(case: Case) -> Case:
    """The file behind the first version of a table was deleted."""
    tables = _Versions()
    tables.file(0).unlink()
    return {**case, "tables": tables}


@twin("tables-reopen")
def three_versions(case: Case, seed: int) -> Case:
    """A table of three versions, all there."""
    return {**case, "tables": _Versions()}


class _Held:
    """A temporary folder that vanishes when nothing refers to it any more."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


def _promoted(case: Case) -> list[Line]:
    """The case's ledger, three promotions longer."""
    lines: list[Line] = list(case.get("history") or [])
    before = next((entry["subject"]["release"] for entry in reversed(lines)
                   if entry["subject"].get("alias") == "champion"), "")
    for number in range(3):
        subject = {"alias": "champion", "release": f"{number:064x}", "before": before}
        lines.append(line(lines, actor="approver@example.org", role="approver", action="promote", why="it is better",
                          subject=subject))
        before = subject["release"]
    return lines


def _copy(release: Release) -> tuple[Release, Any]:
    """A copy of a release's folder; it vanishes with the second value."""
    held = _Held()
    folder = Path(held.name) / release.folder.name
    shutil.copytree(release.folder, folder)
    return replace(release, folder=folder), held


@dataclass(frozen=True)
class _Version:
    """One version, as a store's history tells it."""

    version: int
    rows_added: int = 10
    rows_deleted: int = 0
    operation: str = "write"
    pins: tuple[str, ...] = ()


class _Versions:
    """A store with one table, "flights", of three versions, each a Parquet file with all rows so far."""

    def __init__(self) -> None:
        self._held = _Held()
        for number in range(3):
            pq.write_table(pa.table({"n": list(range(10 * (number + 1)))}), self.file(number))

    def file(self, number: int) -> Path:
        return Path(self._held.name) / f"{number}.parquet"

    def names(self) -> list[str]:
        return ["flights"]

    def history(self, name: str) -> list[_Version]:
        """Newest first."""
        return [_Version(number) for number in (2, 1, 0)]

    def read(self, name: str, version: int) -> pa.Table:
        try:
            return pq.read_table(self.file(version))
        except FileNotFoundError as error:
            raise StoreError("the version was cleaned up and cannot be read", where=name,
                             hint="read a newer version") from error
