"""https: what uvicorn is told, what is wrong with a certificate, and one real request."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from shipworthy.core.project import Serving
from shipworthy.deployment.integration.access.tls import ending, tls
from shipworthy.errors import Misuse

SERVING = Serving(certificate="cert.pem", key="key.pem")


def write(
    folder: Path, *, begins: float = -1, ends: float = 90, secret: KeySerializationEncryption | None = None,
) -> None:
    """A certificate signed by its own key, for 127.0.0.1. begins, ends: days from now."""
    key, at = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shipworthy test")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(at + timedelta(days=begins)).not_valid_after(at + timedelta(days=ends))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256()))
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret or NoEncryption()))


def refusal(folder: Path, serving: Serving = SERVING) -> tuple[str, str, str]:
    with pytest.raises(Misuse) as told:
        tls(serving, folder)
    assert told.value.hint
    return told.value.problem, Path(told.value.where).name, told.value.hint


def test_without_a_certificate_nothing_is_told(tmp_path: Path) -> None:
    assert tls(Serving(), tmp_path) == {}
    assert ending(Serving(), tmp_path) == ""


def test_a_server_with_a_certificate_is_reached_by_https_and_not_by_http(tmp_path: Path) -> None:
    write(tmp_path)
    up = threading.Event()

    class Told(uvicorn.Server):
        async def startup(self, sockets: list[Any] | None = None) -> None:
            await super().startup(sockets)
            up.set()

    config = uvicorn.Config(hello, port=0, lifespan="off", log_level="critical", **tls(SERVING, tmp_path))
    server = Told(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert up.wait(20)
        port = server.servers[0].sockets[0].getsockname()[1]
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        connection = HTTPSConnection("127.0.0.1", port, context=trusting, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"https"
        connection.close()
        stranger = HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context(), timeout=10)
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("GET", "/")
        plain = HTTPConnection("127.0.0.1", port, timeout=10)
        plain.request("GET", "/")
        with pytest.raises((HTTPException, OSError)):
            plain.getresponse()
        plain.close()
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


async def hello(scope: Mapping[str, Any], receive: Any, send: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


def test_a_file_that_is_missing_or_not_named_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path)[:2] == ("the certificate cannot be read: No such file or directory", "cert.pem")
    write(tmp_path)
    (tmp_path / "key.pem").unlink()
    assert refusal(tmp_path)[:2] == ("the key cannot be read: No such file or directory", "key.pem")
    assert refusal(tmp_path, Serving(certificate="cert.pem")) == (
        "https takes a certificate and its key, and [serve] key is missing", "[serve]",
        'add key = "FILE.pem", or take the other out')
    assert refusal(tmp_path, Serving(key="key.pem"))[0] == (
        "https takes a certificate and its key, and [serve] certificate is missing")


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other")
    (tmp_path / "key.pem").write_bytes((tmp_path / "other" / "key.pem").read_bytes())
    assert refusal(tmp_path)[:2] == ("the key does not fit the certificate", "key.pem")


def test_a_certificate_outside_its_time_is_told(tmp_path: Path) -> None:
    write(tmp_path, begins=-10, ends=-2)
    day = datetime.now(UTC) - timedelta(days=2)
    assert refusal(tmp_path)[:2] == (f"the certificate ended on {day:%Y-%m-%d}", "cert.pem")
    write(tmp_path, begins=2)
    day = datetime.now(UTC) + timedelta(days=2)
    assert refusal(tmp_path)[:2] == (f"the certificate begins only on {day:%Y-%m-%d}", "cert.pem")


def test_a_certificate_that_ends_soon_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path, ends=10.5)
    day = datetime.now(UTC) + timedelta(days=10.5)
    assert ending(SERVING, tmp_path) == f"the certificate ends on {day:%Y-%m-%d}, in 10 days"
    write(tmp_path, ends=30)
    assert ending(SERVING, tmp_path) == ""


def test_a_key_with_a_password_is_told(tmp_path: Path) -> None:
    write(tmp_path, secret=BestAvailableEncryption(b"secret"))
    assert refusal(tmp_path)[:2] == ("the private key needs a password, which a server has not", "key.pem")


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                  b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff\x00"])
def test_a_file_of_something_else_is_told(tmp_path: Path, text: bytes) -> None:
    write(tmp_path)
    good = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(text)
    assert refusal(tmp_path)[:2] == ("the file holds no private key in PEM form", "key.pem")
    (tmp_path / "key.pem").write_bytes(good)
    (tmp_path / "cert.pem").write_bytes(text)
    assert refusal(tmp_path)[:2] == ("the file holds no certificate in PEM form", "cert.pem")
