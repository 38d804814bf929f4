"""Secure sums: every party adds masks that only pairs of parties know, and that cancel when all are added.

Whoever adds up learns the sum and, of fewer than all messages, nothing: one of them alone is uniform noise.
Source: Bonawitz et al. (2017), "Practical Secure Aggregation for Privacy-Preserving Machine Learning", section 4,
without its recovery of lost parties: a lost one ends the round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shipworthy.core.table import Floats
from shipworthy.errors import BadData

Words = npt.NDArray[np.uint64]
SCALE = 2.0**24
LARGEST = 2.0**61


class Seeds:
    """The seeds that one party shares with every other; a key pair for one training only, never stored."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self._seeds: dict[int, bytes] = {}
        self.public = self._private.public_key().public_bytes_raw()

    def agree(self, own: int, publics: Mapping[int, bytes]) -> None:
        """Make the seeds. own: this party's number. publics: the keys of all parties by number."""
        self._own = own
        for number, public in publics.items():
            if number != own:
                secret = self._private.exchange(X25519PublicKey.from_public_bytes(public))
                self._seeds[number] = HKDF(SHA256(), 32, salt=None, info=b"masks of a federated sum").derive(secret)

    def masked(self, values: Floats, turn: int) -> Words:
        """The values as fixed-point integers modulo 2⁶⁴, 24 bits behind the point, under this turn's masks.

        A turn's masks are used once. Raises BadData for values that are not finite or too large to add up.
        """
        if not np.all(np.abs(values) * SCALE < LARGEST):
            raise BadData("a sum is not finite or too large to be added in secret", where="federated sum",
                          hint="declare tighter [data.limits]")
        total = np.rint(values * SCALE).astype(np.int64).view(np.uint64)
        for number, seed in self._seeds.items():
            mask = _stream(seed, turn, len(values))
            total = total + mask if self._own < number else total - mask
        return total


def opened(messages: Sequence[Words]) -> Floats:
    """The sum of what all parties masked in one turn."""
    total = np.sum(np.stack(messages), axis=0, dtype=np.uint64)
    return np.asarray(total.view(np.int64) / SCALE, np.float64)


def _stream(seed: bytes, turn: int, count: int) -> Words:
    """`count` words of a key stream that only the two holders of a seed can make. Source: RFC 8439."""
    nonce = b"\0" * 4 + turn.to_bytes(12, "little")
    made = Cipher(algorithms.ChaCha20(seed, nonce), None).encryptor().update(b"\0" * (8 * count))
    return np.frombuffer(made, "<u8").astype(np.uint64)
