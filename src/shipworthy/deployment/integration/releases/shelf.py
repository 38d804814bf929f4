"""The releases of a project: found by id, signed by its key; drafts that can be thrown away."""

from __future__ import annotations

from pathlib import Path

from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.release import open_release
from shipworthy.deployment.integration.releases.sign import Key, make_key, read_key, trusted
from shipworthy.errors import Misuse, one_of


def find_release(folder: Path, release_id: str = "", *, key: Path | None = None) -> Release:
    """A release by id, start of an id, or path; the newest in the folder without one.

    key: the project's private key, which must have signed it; by default whoever signed it will do.
    Raises Misuse where none or several are meant, BadRelease where it is not what was signed.
    """
    found = _meant(folder, release_id)
    return open_release(found, key=trusted(key) if key else None)


def _meant(folder: Path, release_id: str) -> Path:
    if release_id and (Path(release_id) / "release.json").is_file():
        return Path(release_id)
    found = [path.parent for path in folder.glob("*/release.json") if path.parent.name.startswith(release_id[:16])]
    if not found:
        problem = "there is no such release" if release_id else "there is no release yet"
        names = sorted(path.parent.name for path in folder.glob("*/release.json"))
        raise Misuse(problem, where=str(folder),
                     hint=one_of(release_id, names) if names else "make one: shipworthy run")
    if release_id and len(found) > 1:
        raise Misuse(f'{len(found)} releases begin with "{release_id}"', where=str(folder),
                     hint=f"write more of it: {', '.join(sorted(path.name for path in found)[:4])}")
    return max(found, key=lambda path: (path / "release.json").stat().st_mtime_ns)


def project_key(path: Path) -> Key:
    """The key that signs a project's releases, made when it is first needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return read_key(path) if path.exists() else make_key(path)


def unlock(folder: Path) -> None:
    """Let a draft be deleted: releases are read-only."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
