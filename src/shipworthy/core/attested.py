"""What only a person can say: a signed, dated, expiring statement about one row."""

from __future__ import annotations

import msgspec

from shipworthy.core.signed import public_of, sign, verifies


class Attestation(msgspec.Struct, frozen=True):
    """One statement. row: an id of the survey. topic: which duty of the row. by, role: who says so, and as what.

    at, expires: UTC dates. public, signature: Ed25519 over all other fields, in hex. The signature shows that the
    holder of the key said it, and that nothing was changed since; whose key it is, people must agree on.
    """

    row: str
    topic: str
    by: str
    role: str
    sentence: str
    at: str
    expires: str
    public: str = ""
    signature: str = ""


def signed_by(statement: Attestation, key: bytes) -> Attestation:
    """The statement with the key's public half and its signature."""
    named = msgspec.structs.replace(statement, public=public_of(key), signature="")
    return msgspec.structs.replace(named, signature=sign(named, key))


def genuine(statement: Attestation) -> bool:
    """Whether the signature fits the statement and its key."""
    return verifies(msgspec.structs.replace(statement, signature=""), statement.signature, statement.public)
