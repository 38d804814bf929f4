"""Signed tables: a small file beside each says who sent it, so that a batch from nobody is refused unread.

Source: RFC 8032, Ed25519, over the SHA-256 of the file's bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

import msgspec

from shipworthy.core.address import divide
from shipworthy.core.canon import canonical
from shipworthy.core.signed import public_of, sign, verifies
from shipworthy.data.collection.folder import parts_of
from shipworthy.errors import BadData

SUFFIX = ".signature"


class Signature(msgspec.Struct, frozen=True):
    """Who signed a file, and when (UTC). digest: SHA-256 of its bytes. public, signature: Ed25519, in hex."""

    name: str
    digest: str
    by: str
    at: str
    public: str = ""
    signature: str = ""


def sign_table(path: Path, *, key: bytes, by: str) -> Path:
    """The file beside a table that now holds its signature. key: 32 bytes, see core.signed.new_key. Raises BadData."""
    bare = Signature(path.name, _digest(path), by, datetime.now(UTC).isoformat(timespec="seconds"), public_of(key))
    beside = path.with_name(path.name + SUFFIX)
    beside.write_bytes(canonical(msgspec.structs.replace(bare, signature=sign(bare, key))))
    return beside


def check_signed(address: str, signer: str) -> None:
    """Nothing, when every file of an address is signed by the key that is declared for it. Raises BadData.

    address: a file, a folder or a pattern. signer: the public key, in hex.
    """
    if "://" in address:
        raise BadData("a source that is no file cannot be signed", where=address,
                      hint="take out its signer, or export it to a file and sign that")
    place = divide(address)[0]
    several = any(mark in place for mark in "*?") or Path(place).is_dir()
    for part in [path for path in parts_of(place) if not str(path).endswith(SUFFIX)] if several else [place]:
        _check(Path(part), signer)


def _check(path: Path, signer: str) -> None:
    beside = path.with_name(path.name + SUFFIX)
    if not beside.is_file():
        raise BadData("the table is not signed, and its source must be", where=str(path),
                      hint=f"its sender makes {beside.name} by: shipworthy sign {path.name} --key KEY --by NAME")
    try:
        found = msgspec.json.decode(beside.read_bytes(), type=Signature)
    except msgspec.MsgspecError as error:
        raise BadData(f"this is no signature: {error}", where=str(beside),
                      hint="ask the sender to sign the table again") from error
    if found.public != signer:
        raise BadData(f"the table is signed by another key, {found.public[:16]}…", where=str(path),
                      hint="if the sender has a new key, write it into shipworthy.toml: [[source]] signer")
    if not verifies(msgspec.structs.replace(found, signature=""), found.signature, signer):
        raise BadData("the signature does not fit", where=str(beside), hint="ask the sender to sign the table again")
    if found.digest != _digest(path):
        raise BadData("the table is not the one that was signed", where=str(path),
                      hint="do not use it: ask its sender for the table again")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadData(f"the table cannot be read: {error.strerror}", where=str(path),
                      hint="check the path and the permissions") from error
