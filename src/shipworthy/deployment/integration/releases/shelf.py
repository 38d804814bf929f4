"""The releases of a project: found by id, signed by its key, listed; drafts that can be thrown away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipworthy.core.evidence import Evidence
from shipworthy.core.ledger import Line, pointers
from shipworthy.core.release import Identity, Manifest, Release
from shipworthy.deployment.integration.releases import folder as folders
from shipworthy.deployment.integration.releases.book import BRING
from shipworthy.deployment.integration.releases.release import SIGNER, open_release, read_manifest
from shipworthy.deployment.integration.releases.sign import Key, Whose, make_key, read_key, trusted, whose
from shipworthy.deployment.integration.releases.use import MANIFEST
from shipworthy.errors import BadRelease, Misuse, StoreError, one_of


class Shelved(msgspec.Struct, frozen=True):
    """One release of the list. verdict: as it was judged when it was made. aliases: the names that point to it now.

    learner: what made its model. signer: whose key is in it. bytes: of all its files. problem: why it cannot be read.
    """

    folder: str
    bytes: int
    id: str = ""
    name: str = ""
    created: str = ""
    identity: Identity = Identity("", "", "")
    learner: str = ""
    verdict: str = ""
    aliases: tuple[str, ...] = ()
    signer: str = ""
    problem: str = ""


def shelf(releases: Path, lines: Sequence[Line], key: Path) -> list[Shelved]:
    """Every release of a folder, newest first, without proving it: what its files say of it.

    lines: of the ledger, for the aliases. key: where the project's private key lies.
    """
    names: dict[str, list[str]] = {}
    for alias, subject in pointers(lines).items():
        names.setdefault(subject["release"], []).append(alias)
    return [_shelved(folder, names, key) for folder in placed(releases)]


def placed(releases: Path) -> list[Path]:
    """The folders that hold a release, newest first by what their manifests say: a copy has other times of files.

    One that is just being written or taken away is none; what cannot be read comes last.
    """
    found = [path.parent for path in releases.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")]
    return sorted(found, key=_made, reverse=True)


def size(folder: Path) -> int:
    """The bytes of all files of a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def find_release(folder: Path, release_id: str = "", *, key: Path | None = None) -> Release:
    """A release by id, start of an id, or path; without one the newest in the folder, of those with a trusted key.

    key: where the project's private key lies, which, or one that it trusts, must have signed it; by default whoever
    signed it will do.
    Raises Misuse where none or several are meant, BadRelease where it is not what was signed.
    """
    found = _meant(folder, release_id, key)
    if key and _signer(found, key) == "stranger":
        raise BadRelease("it is signed by a stranger: with no key that this project has or trusts", where=str(found),
                         hint="trust it: shipworthy releases trust KEY --by YOU --why REASON; or make a release: "
                              "shipworthy run; if it is the project's own, bring .shipworthy/keys back from a copy")
    return open_release(found, key=trusted(key) if key else None)


def project_key(path: Path) -> Key:
    """The key that signs a project's releases, made when it is first needed.

    Raises StoreError where its public half shows that there was one: what it signed would be a stranger's.
    """
    if not path.exists() and path.with_name(path.name + ".pub").exists():
        raise StoreError("this copy has no key to sign releases", where=str(path), hint=BRING)
    path.parent.mkdir(parents=True, exist_ok=True)
    return read_key(path) if path.exists() else make_key(path)


def unlock(folder: Path) -> None:
    """Let a draft be deleted: releases are read-only. A link that somebody put there is not followed."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def remove(folder: Path) -> None:
    """Delete a release's folder, which is read-only, if it is there."""
    if folder.exists():
        unlock(folder)
        shutil.rmtree(folder)


def _meant(folder: Path, release_id: str, key: Path | None) -> Path:
    if release_id and (Path(release_id) / MANIFEST).is_file():
        return Path(release_id)
    every = placed(folder)
    found = [path for path in every if path.name.startswith(release_id[:16])]
    if key and not release_id:  # a stranger's is never taken unasked, though it came last
        found = [path for path in found if _signer(path, key) != "stranger"] or found
    if not found:
        problem = "there is no such release" if release_id else "there is no release yet"
        names = sorted(path.name for path in every)
        raise Misuse(problem, where=str(folder),
                     hint=one_of(release_id, names) if names else "make one: shipworthy run")
    if release_id and len(found) > 1:
        raise Misuse(f'{len(found)} releases begin with "{release_id}"', where=str(folder),
                     hint=f"write more of it: {', '.join(sorted(path.name for path in found)[:4])}")
    return found[0]


def _made(folder: Path) -> tuple[datetime, str]:
    """When a release was made, and its id, as its manifest says, so that the order is one whatever was copied."""
    try:
        manifest = read_manifest(folder)
        return datetime.fromisoformat(manifest.created).astimezone(UTC), manifest.id
    except (BadRelease, ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC), folder.name


def _shelved(folder: Path, names: dict[str, list[str]], key: Path) -> Shelved:
    try:
        made: Manifest = read_manifest(folder)
        verdict = msgspec.json.decode(folders.read(folder / "evidence.json", "evidence.json"), type=Evidence)
        label = msgspec.json.decode(folders.read(folder / "program.json", "program.json"), type=_Label).label
    except (BadRelease, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Shelved(folder.name, size(folder), problem=getattr(error, "problem", "") or str(error))
    return Shelved(folder.name, size(folder), made.id, made.name, made.created, made.identity, label,
                   "fit" if verdict.fit else "not fit", tuple(sorted(names.get(made.id, ()))), _signer(folder, key))


def _signer(folder: Path, key: Path) -> Whose:
    try:
        return whose(key, folders.read(folder / SIGNER, SIGNER))
    except (BadRelease, Misuse):
        return "stranger"


class _Label(msgspec.Struct, frozen=True):
    label: str = ""
