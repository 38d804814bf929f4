"""Lines between machines: TLS in which each end knows the other by the certificate that it was handed before.

No authority vouches for anybody: a certificate is its own, and only those that were named are taken.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shipworthy.errors import BadProject, Misuse

DAYS = 365


def make_key(name: str, folder: Path) -> tuple[Path, Path]:
    """NAME.pem, the private key with its certificate, for its holder alone, and NAME.crt, to be handed to others.

    Raises Misuse where one of them exists, or where the name is that of no file.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if not name or name != Path(name).name or len(name) > 64:
        raise Misuse(f'"{name}" cannot be the name of a party', where="shipworthy party key",
                     hint="letters, digits and hyphens, at most 64")
    secret, public = folder / f"{name}.pem", folder / f"{name}.crt"
    for path in (secret, public):
        if path.exists():
            raise Misuse("the file exists", where=str(path), hint="take another name, or move it away")
    key, at = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (x509.CertificateBuilder().subject_name(own).issuer_name(own).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(at - timedelta(hours=1))
            .not_valid_after(at + timedelta(days=DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, SHA256()))
    certificate = made.public_bytes(Encoding.PEM)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate)
    public.write_bytes(certificate)
    return secret, public


def context(key: Path, others: Sequence[Path], *, server: bool) -> ssl.SSLContext:
    """TLS 1.3 with this key, that takes these certificates and no other. Raises BadProject for a file that is not one.

    key, others: as `make_key` writes them.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_REQUIRED
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    for path in (key, *others):
        try:
            (made.load_cert_chain if path is key else made.load_verify_locations)(str(path))
        except OSError as error:
            raise BadProject("the file is missing, or holds no key or certificate in PEM form", where=str(path),
                             hint="make both: shipworthy party key NAME") from error
    return made


def pinned(line: ssl.SSLSocket, others: Sequence[Path]) -> int:
    """Which of the named certificates the other end has; -1 for one that was merely signed by its holder."""
    found = line.getpeercert(binary_form=True)
    known = [ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii")) for path in others]
    return known.index(found) if found in known else -1


def address(text: str, where: str) -> tuple[str, int]:
    """Host and port of "host:port". Raises BadProject."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadProject(f'"{text}" is no address', where=where, hint='write host:port, as in "0.0.0.0:7443"')
    return host.strip("[]"), int(port)


def ready(line: socket.socket, seconds: float) -> socket.socket:
    """The line, which gives up after so many silent seconds and sends at once what it is given."""
    line.settimeout(seconds)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line
