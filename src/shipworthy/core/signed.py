"""Signing: Ed25519 over canonical JSON, so that a statement names the key of whoever made it.

Source: RFC 8032; the `cryptography` library does the arithmetic.
"""

from __future__ import annotations

from typing import Any

from shipworthy.core.canon import canonical
from shipworthy.errors import Misuse

KEY_BYTES = 32


def new_key() -> bytes:
    """A new private key, 32 random bytes from the operating system. Whoever reads it can sign in its owner's name."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return bytes(Ed25519PrivateKey.generate().private_bytes_raw())


def public_of(key: bytes) -> str:
    """The public half of a private key, in hex. Raises Misuse unless the key has 32 bytes."""
    return str(_private(key).public_key().public_bytes_raw().hex())


def sign(statement: Any, key: bytes) -> str:
    """The signature of a statement's canonical JSON, in hex."""
    return str(_private(key).sign(canonical(statement)).hex())


def verifies(statement: Any, signature: str, public: str) -> bool:
    """Whether a signature is that of the public key over the statement; malformed hex is simply no."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), canonical(statement))
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(key: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(key) != KEY_BYTES:
        raise Misuse(f"a private key has {KEY_BYTES} bytes, this one {len(key)}", where="private key",
                     hint="make one with new_key()")
    return Ed25519PrivateKey.from_private_bytes(key)
