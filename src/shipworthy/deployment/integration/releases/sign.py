"""Signing a set of files and checking the signature, offline, with keys.

Source: OpenSSF Model Signing 1.0 (2025): a Sigstore bundle around a DSSE envelope around an in-toto Statement v1;
key mode, serialization "files" with SHA-256. Signed with ECDSA over P-256; P-384 and P-521 are verified too.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shipworthy.errors import BadRelease, Misuse

SIGNATURE = "model.sig"
MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
IGNORED = (".git", ".gitattributes", ".github", ".gitignore", SIGNATURE)
LOST = "if it is lost, copy shipworthy.toml into a new folder and run there"
TRUSTED = "trusted"
SUMS: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
END = b"-----END PUBLIC KEY-----"
Key = ec.EllipticCurvePrivateKey
Whose = Literal["own", "trusted", "stranger"]


def make_key(path: Path) -> Key:
    """A new private key, kept at `path` for its owner alone, with the public half beside it as `<path>.pub`.

    Raises Misuse when a file is already there: a lost key cannot be made again.
    """
    made = ec.generate_private_key(ec.SECP256R1())
    secret = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Misuse("there is a key already", where=str(path), hint="use it, or choose another name") from error
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
    path.with_name(path.name + ".pub").write_bytes(public_bytes(made))
    return made


def read_key(path: Path) -> Key:
    """The private key of a PEM file. Raises Misuse when there is none or it is of another kind."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Misuse(f"the signing key cannot be read: {error}", where=str(path),
                     hint="restore it from a copy; " + LOST) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Misuse("the signing key is not an elliptic curve key over P-256", where=str(path),
                     hint="restore it from a copy; " + LOST)
    return key


def trusted(path: Path) -> bytes:
    """The public keys (PEM, one after the other) of which one must have signed what a project serves.

    First the project's own, of its private key, else of `<path>.pub`; then those that were trusted by name. path: the
    private key's. Raises BadRelease when there is none.
    """
    public = path.with_name(path.name + ".pub")
    own = public_bytes(read_key(path)) if path.exists() else public.read_bytes() if public.exists() else b""
    if found := own + befriended(path):
        return found
    raise BadRelease("the key that signed the project's releases is not there", where=str(path),
                     hint="restore it, or its .pub, from a copy; " + LOST)


def befriended(path: Path) -> bytes:
    """The public keys of others (PEM, one after the other) that a project trusts; path: its private key's."""
    return b"".join(key.read_bytes() for key in sorted((path.parent / TRUSTED).glob("*.pem")))


def whose(path: Path, public: bytes) -> Whose:
    """Whose a public key (PEM) is, by the keys that a project holds today; path: its private key's.

    Raises Misuse when it cannot be read.
    """
    keys, half = each_key(public), path.with_name(path.name + ".pub")
    if len(keys) != 1:
        return "stranger"
    own = half.read_bytes() if half.exists() else public_bytes(read_key(path)) if path.exists() else b""
    if keys[0] in each_key(own):
        return "own"
    return "trusted" if keys[0] in each_key(befriended(path)) else "stranger"


def each_key(public: bytes) -> list[bytes]:
    """Every public key of a PEM text that may hold several, in order, each in its one usual spelling.

    Raises Misuse when one cannot be read or is no elliptic curve key over P-256, P-384 or P-521.
    """
    found = []
    for part in public.split(END)[:-1]:
        try:
            key = serialization.load_pem_public_key(part.strip() + b"\n" + END + b"\n")
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Misuse(f"a public key cannot be read: {error}", where="the public key",
                         hint="give the PEM file of a public key, such as signing.pem.pub") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in SUMS:
            raise Misuse("a public key is not an elliptic curve key over P-256, P-384 or P-521",
                         where="the public key", hint="ask for the key that signs releases: signing.pem.pub")
        found.append(public_bytes(key))
    return found


def public_bytes(key: Key | ec.EllipticCurvePublicKey) -> bytes:
    """The public half as PEM."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(public: bytes) -> str:
    """SHA-256 in lower hex of a public key's PEM: what two people compare to know that it is the same key."""
    return hashlib.sha256(public).hexdigest()


def sign(files: Mapping[str, str], *, name: str, key: Key) -> bytes:
    """The signature bundle, as JSON, over files. files: relative path → SHA-256 in lower hex."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(files[path] for path in _in_order(files))}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False,
                              "ignore_paths": list(IGNORED)},
            "resources": [{"name": path, "algorithm": "sha256", "digest": files[path]} for path in _in_order(files)],
        },
    }
    return msgspec.json.encode({
        "mediaType": MEDIA,
        "verificationMaterial": {"publicKey": {"hint": fingerprint(public_bytes(key))}, "tlogEntries": []},
        "dsseEnvelope": envelope(statement, key=key),
    })


def envelope(statement: Mapping[str, Any], *, key: Key, keyid: str = "") -> dict[str, Any]:
    """An in-toto statement in a DSSE envelope, signed. Source: DSSE 1.0, protocol and envelope."""
    payload = msgspec.json.encode(statement)
    signature = key.sign(_envelope(payload), ec.ECDSA(hashes.SHA256()))
    return {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": keyid}]}


def verify_signature(files: Mapping[str, str], bundle: bytes, public: bytes) -> bytes:
    """The key, of those given, whose signature over exactly these files the bundle is.

    files: relative path → SHA-256 of what is there now. public: one or several keys as PEM.
    Raises BadRelease naming the first file that differs, is missing or was not signed.
    """
    signed, signer = _signed(bundle, public)
    for path in sorted(set(signed) | set(files)):
        if path not in files:
            raise BadRelease("a signed file is missing", where=path,
                             hint="restore the release from a copy, or build it again: shipworthy run")
        if path not in signed:
            raise BadRelease("a file is not covered by the signature", where=path, hint="delete it, or sign again")
        if signed[path] != files[path]:
            raise BadRelease("a file differs from what was signed", where=path,
                             hint="do not use it: restore the release from a copy, or build it again")
    return signer


def _signed(bundle: bytes, public: bytes) -> tuple[dict[str, str], bytes]:
    """The files that a bundle vouches for, and the key that vouches, once signature and sums hold."""
    try:
        told = msgspec.json.decode(bundle)
        envelope = told["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        if told["mediaType"] != MEDIA or envelope["payloadType"] != PAYLOAD:
            raise ValueError("another kind of bundle or payload")
        signer = _signer(each_key(public), signature, _envelope(payload))
        files = _resources(msgspec.json.decode(payload)) if signer else {}
    except (msgspec.MsgspecError, Misuse, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadRelease(f"the signature cannot be read: {error}", where=SIGNATURE,
                         hint="do not use it: restore the release from a copy, or build it again") from error
    if not signer:
        known = " or ".join(fingerprint(key)[:16] for key in each_key(public)) or "none, for there is no key"
        raise BadRelease("the signature was not made by this key", where=SIGNATURE,
                         hint="do not use it: take a release that this key signed, or make one: shipworthy run; the "
                              f"key has the fingerprint {known}")
    return files, signer


def _signer(keys: Iterable[bytes], signature: bytes, message: bytes) -> bytes:
    """The first of the keys that made a signature; empty if none did."""
    for public in keys:
        key = serialization.load_pem_public_key(public)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            key.verify(signature, message, ec.ECDSA(SUMS[key.curve.name]))
        except InvalidSignature:
            continue
        return public
    return b""


def _resources(statement: Any) -> dict[str, str]:
    if statement["_type"] != STATEMENT or statement["predicateType"] != PREDICATE:
        raise ValueError("another kind of statement")
    how, found = statement["predicate"]["serialization"], statement["predicate"]["resources"]
    if how["method"] != "files" or {entry["algorithm"] for entry in found} - {"sha256"}:
        raise ValueError("it was signed in shards, or with another sum than SHA-256")
    files = {entry["name"]: entry["digest"] for entry in found}
    root = _root(entry["digest"] for entry in found)
    if len(statement["subject"]) != 1 or statement["subject"][0]["digest"]["sha256"] != root:
        raise ValueError("its sum does not fit its files")
    if len(files) != len(found):
        raise ValueError("it names a file twice")
    return files


def _in_order(files: Iterable[str]) -> list[str]:
    """As the format lists them: by the parts of their paths, so that a/b comes before a.b."""
    return sorted(files, key=PurePosixPath)


def _root(sums: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, sums))).hexdigest()


def _envelope(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is really signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
