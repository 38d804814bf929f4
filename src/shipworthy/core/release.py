"""A release: an immutable folder whose every file is digested and signed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import msgspec

from shipworthy.core.evidence import Evidence
from shipworthy.core.model import Model


class Identity(msgspec.Struct, frozen=True):
    """code × model × data: what exactly this release is."""

    code: str
    model: str
    data: str


class Manifest(msgspec.Struct, frozen=True):
    """`release.json`. files: path → SHA-256 of every file but the signature. id: SHA-256 of identity and files."""

    id: str
    name: str
    created: str
    identity: Identity
    files: dict[str, str]
    environment: dict[str, str] = {}
    requires: tuple[str, ...] = ()
    format: int = 2


@dataclass(frozen=True)
class Release:
    """An opened, verified release."""

    folder: Path
    manifest: Manifest
    model: Model
    evidence: Evidence

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def short(self) -> str:
        return self.manifest.id[:12]

    def __repr__(self) -> str:
        return f"Release({self.manifest.name} {self.short}, {'fit' if self.evidence.fit else 'not fit'})"

    def _repr_html_(self) -> str:
        verdict = "fit" if self.evidence.fit else "not fit"
        return f"<p><b>{escape(self.manifest.name)}</b> {escape(self.short)}: {verdict}</p>"
