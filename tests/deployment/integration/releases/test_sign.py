from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from shipworthy.deployment.integration.releases import sign
from shipworthy.errors import BadRelease, Misuse

FILES = {"b.json": hashlib.sha256(b"b").hexdigest(), "a/x.bin": hashlib.sha256(b"a").hexdigest()}


def test_what_was_signed_verifies(key: sign.Key) -> None:
    sign.verify_signature(FILES, sign.sign(FILES, name="ward", key=key), sign.public_bytes(key))


def test_the_bundle_follows_model_signing_1_0(key: sign.Key) -> None:
    bundle = msgspec.json.decode(sign.sign(FILES, name="ward", key=key))
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert bundle["verificationMaterial"] == {
        "publicKey": {"hint": sign.fingerprint(sign.public_bytes(key))}, "tlogEntries": []}
    envelope = bundle["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = msgspec.json.decode(base64.b64decode(envelope["payload"]))
    sums = [FILES["a/x.bin"], FILES["b.json"]]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    assert [entry["name"] for entry in statement["predicate"]["resources"]] == ["a/x.bin", "b.json"]
    assert statement["subject"] == [
        {"name": "ward", "digest": {"sha256": hashlib.sha256(b"".join(map(bytes.fromhex, sums))).hexdigest()}}]


@pytest.mark.parametrize(("change", "problem", "where"), [
    ({"b.json": "0" * 64}, "a file differs from what was signed", "b.json"),
    ({"c.json": "0" * 64}, "a file is not covered by the signature", "c.json"),
])
def test_a_changed_or_added_file_is_named(key: sign.Key, change: dict[str, str], problem: str, where: str) -> None:
    with pytest.raises(BadRelease) as caught:
        sign.verify_signature({**FILES, **change}, sign.sign(FILES, name="ward", key=key), sign.public_bytes(key))
    assert (caught.value.problem, caught.value.where) == (problem, where)


def test_a_missing_file_is_named(key: sign.Key) -> None:
    with pytest.raises(BadRelease) as caught:
        sign.verify_signature({"b.json": "0" * 64}, sign.sign(FILES, name="ward", key=key), sign.public_bytes(key))
    assert (caught.value.problem, caught.value.where) == ("a signed file is missing", "a/x.bin")


def test_another_key_is_told(key: sign.Key, tmp_path: Path) -> None:
    other = sign.public_bytes(sign.make_key(tmp_path / "other.pem"))
    with pytest.raises(BadRelease, match="not made by this key"):
        sign.verify_signature(FILES, sign.sign(FILES, name="ward", key=key), other)


def test_a_rewritten_payload_is_refused(key: sign.Key) -> None:
    bundle = msgspec.json.decode(sign.sign(FILES, name="ward", key=key))
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"ward", b"wart")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(BadRelease, match="not made by this key"):
        sign.verify_signature(FILES, msgspec.json.encode(bundle), sign.public_bytes(key))


@pytest.mark.parametrize("bundle", [b"", b"{}", b"[]", b'{"dsseEnvelope":{"payload":"%%"}}'])
def test_a_bundle_that_is_none_is_refused(key: sign.Key, bundle: bytes) -> None:
    with pytest.raises(BadRelease, match="cannot be read"):
        sign.verify_signature(FILES, bundle, sign.public_bytes(key))


def test_a_key_is_for_its_owner_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    made = sign.make_key(path)
    assert path.stat().st_mode & 0o077 == 0
    public = (tmp_path / "signing.pem.pub").read_bytes()
    assert public == sign.public_bytes(made) == sign.public_bytes(sign.read_key(path))
    with pytest.raises(Misuse, match="there is a key already"):
        sign.make_key(path)
    with pytest.raises(Misuse, match="cannot be read"):
        sign.read_key(tmp_path / "signing.pem.pub")


def signed(key: sign.Key, resources: list[tuple[str, str]], **how: str) -> bytes:
    """A bundle of that key over any list of files, as another tool may make it."""
    root = hashlib.sha256(b"".join(bytes.fromhex(total) for _, total in resources)).hexdigest()
    predicate = {"serialization": {"method": "files", "hash_type": "sha256", **how},
                 "resources": [{"name": name, "algorithm": how.get("hash_type", "sha256"), "digest": total}
                               for name, total in resources]}
    payload = msgspec.json.encode({"_type": sign.STATEMENT, "subject": [{"name": "x", "digest": {"sha256": root}}],
                                   "predicateType": sign.PREDICATE, "predicate": predicate})
    made = key.sign(b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload, ec.ECDSA(hashes.SHA256()))
    return msgspec.json.encode({"mediaType": sign.MEDIA, "dsseEnvelope": {
        "payload": base64.b64encode(payload).decode(), "payloadType": sign.PAYLOAD,
        "signatures": [{"sig": base64.b64encode(made).decode()}]}})


def test_files_are_taken_in_the_order_that_was_signed(key: sign.Key) -> None:
    for order in (["b.json", "a/x.bin"], ["a/x.bin", "b.json"]):
        bundle = signed(key, [(name, FILES[name]) for name in order])
        assert sign.verify_signature(FILES, bundle, sign.public_bytes(key)) == sign.public_bytes(key)


def test_files_are_listed_by_the_parts_of_their_paths(key: sign.Key) -> None:
    files = dict.fromkeys(("a.b", "a/c", "a"), "0" * 64)
    payload = msgspec.json.decode(sign.sign(files, name="x", key=key))["dsseEnvelope"]["payload"]
    listed = msgspec.json.decode(base64.b64decode(payload))["predicate"]["resources"]
    assert [entry["name"] for entry in listed] == ["a", "a/c", "a.b"]


@pytest.mark.parametrize(("resources", "how", "problem"), [
    ([*FILES.items(), ("b.json", "0" * 64)], {}, "it names a file twice"),
    ([*FILES.items()], {"method": "shards"}, "it was signed in shards, or with another sum"),
    ([*FILES.items()], {"hash_type": "blake2b"}, "it was signed in shards, or with another sum"),
])
def test_other_options_of_the_format_are_told(
    key: sign.Key, resources: list[tuple[str, str]], how: dict[str, str], problem: str
) -> None:
    with pytest.raises(BadRelease, match=problem):
        sign.verify_signature(FILES, signed(key, resources, **how), sign.public_bytes(key))


def test_one_of_several_keys_must_have_signed(key: sign.Key, tmp_path: Path) -> None:
    other, bundle = sign.public_bytes(sign.make_key(tmp_path / "o.pem")), sign.sign(FILES, name="ward", key=key)
    assert sign.verify_signature(FILES, bundle, other + sign.public_bytes(key)) == sign.public_bytes(key)
    with pytest.raises(BadRelease, match="the signature cannot be read"):
        sign.verify_signature(FILES, b"[" * 100_000, other)
