"""Being reached by https: the certificate and key of [serve], looked at before the server starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipworthy.core.project import Serving
from shipworthy.errors import Misuse

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SOON = timedelta(days=21)


def tls(serving: Serving, folder: Path) -> dict[str, Any]:
    """What uvicorn must be told to answer by https; nothing where [serve] names no certificate.

    folder: that of the project, from which paths are read. Raises Misuse where a file is missing or unreadable, where
    the key does not fit or needs a password, and outside the certificate's time.
    """
    if not (serving.certificate or serving.key):
        return {}
    for name, value in (("certificate", serving.certificate), ("key", serving.key)):
        if not value:
            raise Misuse(f"https takes a certificate and its key, and [serve] {name} is missing", where="[serve]",
                         hint=f'add {name} = "FILE.pem", or take the other out')
    certificate, key = folder / serving.certificate, folder / serving.key
    found = _certificate(certificate)
    _fits(found, certificate, key)
    _in_time(found, certificate, datetime.now(UTC))
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def ending(serving: Serving, folder: Path) -> str:
    """A sentence if the certificate ends within three weeks; else empty. After `tls`."""
    if not serving.certificate:
        return ""
    until = _certificate(folder / serving.certificate).not_valid_after_utc
    left = until - datetime.now(UTC)
    return f"the certificate ends on {until:%Y-%m-%d}, in {left.days} days" if left < SOON else ""


def _certificate(path: Path) -> Certificate:
    """The server's own, which stands first in its file."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(_bytes(path, "certificate"))[0]
    except ValueError as error:
        raise Misuse("the file holds no certificate in PEM form", where=str(path),
                     hint="it begins with -----BEGIN CERTIFICATE-----; turn others with: openssl x509") from error


def _fits(found: Certificate, certificate: Path, path: Path) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    raw = _bytes(path, "key")
    try:
        key = load_pem_private_key(raw, None)
    except TypeError as error:
        raise Misuse("the private key needs a password, which a server has not", where=str(path),
                     hint="keep it without one, for the server alone: openssl pkey -in KEY -out PLAIN") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misuse("the file holds no private key in PEM form", where=str(path),
                     hint="it begins with -----BEGIN PRIVATE KEY-----") from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != found.public_key().public_bytes(*form):
        raise Misuse("the key does not fit the certificate", where=str(path),
                     hint=f"it is the key of another; {certificate.name} must hold the server's own certificate first")


def _in_time(found: Certificate, path: Path, at: datetime) -> None:
    if at >= found.not_valid_after_utc:
        raise Misuse(f"the certificate ended on {found.not_valid_after_utc:%Y-%m-%d}", where=str(path),
                     hint="get a new one, and put it in its place")
    if at < found.not_valid_before_utc:
        raise Misuse(f"the certificate begins only on {found.not_valid_before_utc:%Y-%m-%d}", where=str(path),
                     hint="look whether the clock of this machine is right")


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misuse(f"the {what} cannot be read: {error.strerror}", where=str(path),
                     hint=f"[serve] {what} is a path from the project folder") from error
