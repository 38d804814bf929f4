"""A release as one file, safe to open from a stranger: plain data, read by one rule, proved before it is kept.

The file is a ZIP archive that any tool opens, of stored (not compressed) files, in one order, without dates. Equal
releases give equal bytes, so a parcel is read by writing it again: whatever differs by one bit is refused. There is
nothing to inflate, so no bomb; links, other attributes, comments, second names and hidden bytes have no spelling.
Source: PKWARE (2022), APPNOTE 6.3.10; Fifield (2019), A better zip bomb, on what readers must not trust.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from shipworthy.core.ledger import IMPORT, trainings
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases import folder as folders
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.book import Home, held, put, signing_key
from shipworthy.deployment.integration.releases.release import SIGNER, checked
from shipworthy.deployment.integration.releases.shelf import remove
from shipworthy.deployment.integration.releases.use import MANIFEST
from shipworthy.errors import BadRelease, Misuse

SUFFIX = ".shipworthy"
LOCAL, CENTRAL, LAST = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
MADE, NEEDS, UTF8, DAY, MODE = 3 << 8 | 20, 20, 1 << 11, 1 << 5 | 1, 0o100444 << 16
SPARE = 1 << 20


class Imported(msgspec.Struct, frozen=True):
    """What came in. signer: fingerprint of the key that signed it. whose: the project's own key, one that was trusted
    by name, or a stranger's. new: False when it was here already.
    """

    release: str
    folder: str
    name: str
    signer: str
    whose: sign.Whose
    new: bool


def export_release(release: Release, target: Path, *, force: bool = False) -> Path:
    """The file just written, which holds every file of a release. force: write over a file that is there.

    Raises BadRelease, StoreError; Misuse when the target is there already.
    """
    from shipworthy.store.files import write_bytes  # here: a server opens releases without the store's libraries

    files = folders.read_all(release.folder)
    raw = pack(checked(release.folder, files).id[:16], files)
    if target.exists() and not (force and target.is_file()):
        raise Misuse("the file is there already", where=str(target),
                     hint="choose another name: --output; or write over a file: --force")
    write_bytes(target, raw)
    return target


def import_release(store: Home, releases: Path, source: Path, *, by: str, key: bytes | None = None) -> Imported:
    """What came in from one file: proved in memory, then whole on the shelf and on record, or not at all.

    key: the public key (PEM) that must have signed it; without one anybody may have, and is told. A stranger's release
    can be looked at, and is not promoted. Raises BadRelease, Misuse, StoreError.
    """
    if key is not None and not sign.each_key(key):
        raise Misuse("there is no public key in it", where="--key", hint="give a PEM file, such as signing.pem.pub")
    top, files = unpack(_read(source))
    release = checked(releases / top, files, key=key)
    if release.id[:16] != top:
        raise BadRelease("the folder in it is not named by the release's id", where=str(source), hint=_AGAIN)
    sums = folders.digests({name: raw for name, raw in files.items() if name != sign.SIGNATURE})
    signer = sign.verify_signature(sums, files[sign.SIGNATURE], key or files.get(SIGNER, b""))
    whose, told = sign.whose(signing_key(store), signer), sign.fingerprint(signer)
    with held(store) as lines, ExitStack() as undo:
        new = _shelved(release, files, undo)
        if not [one for one in trainings(lines, release.id) if one.get("evidence") == release.evidence.digest]:
            put(store, lines, actor=by, role="importer", action=IMPORT, evidence=release.evidence.digest,
                subject={"release": release.id, "signer": told, "trainer": _trainer(files)},
                why=f"from {source.name}, signed by {_WHO[whose]}")
        undo.pop_all()
    return Imported(release.id, str(release.folder), release.manifest.name, told, whose, new)


def pack(top: str, files: Mapping[str, bytes]) -> bytes:
    """The archive of a folder called `top`: equal names and bytes give equal bytes. Raises BadRelease for a bad name.
    """
    folders.check_names(files)
    return b"".join(_pieces(top, files))


def unpack(raw: bytes) -> tuple[str, dict[str, bytes]]:
    """The folder's name, and name → bytes of its files, of an archive that `pack` wrote. Raises BadRelease."""
    found: dict[str, bytes] = {}
    tops, at = set(), 0
    while raw.startswith(b"PK\3\4", at) and len(found) <= folders.MAX_FILES:
        try:
            *_, size, length, extra = LOCAL.unpack_from(raw, at)
            start = at + LOCAL.size + length
            top, _, name = raw[start - length : start].decode().partition("/")
        except (struct.error, UnicodeDecodeError):
            break
        at = start + extra + size
        found[name] = raw[start + extra : at]
        tops.add(top)
    if len(found) > folders.MAX_FILES:
        raise BadRelease(f"it holds more than {folders.MAX_FILES:,} files", where="the file", hint=_AGAIN)
    folders.check_names(found)
    if MANIFEST not in found or len(tops) != 1 or not _is(raw, _pieces(top := tops.pop(), found)):
        raise BadRelease("it is not a release as export writes it, or was altered, or is not whole", where="the file",
                         hint=_AGAIN)
    return top, found


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise Misuse("there is no such file", where=str(path), hint=f"name the file that export wrote: ID{SUFFIX}")
    if path.stat().st_size > folders.MAX_BYTES + SPARE:
        raise BadRelease(f"it is larger than {folders.MAX_BYTES >> 30} GiB", where=str(path), hint=_AGAIN)
    return folders.read(path, str(path))


def _pieces(top: str, files: Mapping[str, bytes]) -> Iterator[bytes]:
    """The archive, piece by piece: every file behind its header, then the index."""
    index, at = b"", 0
    for name in sorted(files):
        raw, path = files[name], f"{top}/{name}".encode()
        about = NEEDS, UTF8, 0, 0, DAY, zlib.crc32(raw), len(raw), len(raw), len(path), 0
        index += CENTRAL.pack(b"PK\1\2", MADE, *about, 0, 0, 0, MODE, at) + path
        at += LOCAL.size + len(path) + len(raw)
        yield from (LOCAL.pack(b"PK\3\4", *about), path, raw)
    yield from (index, LAST.pack(b"PK\5\6", 0, 0, len(files), len(files), len(index), at, 0))


def _is(raw: bytes, pieces: Iterable[bytes]) -> bool:
    """Whether these bytes are just the pieces, without joining them."""
    at = 0
    for piece in pieces:
        if not raw.startswith(piece, at):
            return False
        at += len(piece)
    return at == len(raw)


def _shelved(release: Release, files: Mapping[str, bytes], undo: ExitStack) -> bool:
    """Whether it was not there before; what was written is taken away again unless `undo` is emptied."""
    from shipworthy.store.files import write_folder  # here: a server opens releases without the store's libraries

    if release.folder.exists():
        if folders.read_all(release.folder) != files:
            raise BadRelease("another release lies in its place", where=str(release.folder), hint="move it away first")
        return False
    undo.callback(remove, release.folder)
    write_folder(release.folder, files)
    for path in folders.walk(release.folder).values():
        path.chmod(0o444)
    return True


def _trainer(files: Mapping[str, bytes]) -> str:
    """Who trained it, by its own project file; whoever that is may not approve it here either."""
    try:
        return msgspec.json.decode(files.get("project.json", b"{}"), type=_Project).project.trainer[:200]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


class _Named(msgspec.Struct, frozen=True):
    trainer: str = ""


class _Project(msgspec.Struct, frozen=True):
    project: _Named = _Named()


_AGAIN = "do not use it: fetch it again, or ask whoever sent it for: shipworthy releases export ID"
_WHO = {"own": "the project's own key", "trusted": "a trusted key", "stranger": "a stranger"}
