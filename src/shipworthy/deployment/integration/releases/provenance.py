"""Who and what made a release: people, data sets with their licences, code, environment, upstream parts.

Source: in-toto Attestation Framework, Statement v1.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shipworthy.core.found import Catalogue
from shipworthy.core.project import Project

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://shipworthy.dev/provenance/v1"
DISTRIBUTIONS = ("shipworthy", "numpy", "pyarrow", "msgspec", "lightgbm", "scikit-learn", "interpret-core", "pandas",
                 "polars", "duckdb", "deltalake")


def provenance(
    project: Project, *, subject: Mapping[str, str], catalogue: Catalogue | None = None, code: str = "",
    generated: Iterable[str] = (), upstream: Iterable[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """An in-toto shaped statement of where a release comes from, as plain JSON values.

    subject: artefact name → SHA-256. code: the commit, or a digest of the files. generated: parts that no person
    wrote. upstream: models built upon, each with name, licence and digest. A data set without owner or licence is
    listed with an empty one, so that it is seen.
    """
    about = project.project
    people = [{"name": name, "role": role} for role, name in
              (("owner", about.owner), ("trainer", about.trainer), ("approver", about.approver)) if name]
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": value}} for name, value in sorted(subject.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "project": about.name, "purpose": about.purpose, "authors": people, "data": _data(project, catalogue),
            "code": code, "settings": project.digest, "generated": list(generated),
            "upstream": list(map(dict, upstream)), "environment": environment(),
        },
    }


def environment() -> dict[str, str]:
    """The versions that decide how a release behaves: Python, system, and the libraries that are installed."""
    found = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine(),
             "byteorder": sys.byteorder}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit(folder: Path) -> str:
    """The commit of a folder's Git work tree, with "+changed" if files differ from it; empty if there is none."""
    head = _git(folder, "rev-parse", "HEAD")
    return head and head + ("+changed" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _data(project: Project, catalogue: Catalogue | None) -> list[dict[str, Any]]:
    named = {source.called: source for source in project.source}
    if catalogue is None:
        return [{"name": name, "address": source.address, "owner": source.owner, "licence": source.licence}
                for name, source in named.items()]
    return [{"name": listed.name, "address": listed.address, "owner": listed.owner, "licence": listed.licence,
             "rows": listed.rows, "digest": {"sha256": listed.digest}} for listed in catalogue.tables]


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10,
                              check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
