"""The tool of OpenSSF Model Signing and this project accept each other's signatures, and refuse what was altered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shipworthy.core.evidence import Evidence
from shipworthy.core.features import Features, Number
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.release import Identity, Release
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases import folder, sign
from shipworthy.deployment.integration.releases.release import verify, write_release
from shipworthy.errors import BadRelease

MORE = {"card.md": b"# doses\n", "notes/a.md": b"a", "notes.md": b"sorted by the parts of its path", "notes/é.md": b"e"}
CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}


@pytest.fixture
def release(tmp_path: Path) -> Release:
    table = Table.of(pa.table({"dose": [0.5, 1.0]}), name="doses", origin="doses.csv")
    features = Features((Number("dose"),))
    term = Term(Linear(), {"place": np.array([0]), "fill": np.array([0.7]), "weight": np.array([[2.0]]),
                           "missing": np.array([[0.0]]), "intercept": np.array([1.0])})
    program = Program(features.inputs, (term,), "identity", (), None, "by hand")
    model = Model(Sheet(features, table.schema, "regression", "harm", ()), program)
    return write_release(tmp_path / "releases", name="doses", model=model, evidence=Evidence(()), extras=MORE,
                         identity=Identity("c0de", model.digest, table.digest),
                         key=sign.make_key(tmp_path / "signing.pem"))


def test_the_real_tool_accepts_a_release(client: Callable[..., Any], release: Release, tmp_path: Path) -> None:
    told = client("model_signing", "verify", "key", release.folder, "--signature", release.folder / "model.sig",
                  "--public_key", tmp_path / "signing.pem.pub")
    assert (told.returncode, told.stdout) == (0, "Verification succeeded\n")


@pytest.mark.parametrize("change", ["altered", "added", "removed", "another key"])
def test_the_real_tool_refuses_what_we_refuse(
    client: Callable[..., Any], release: Release, tmp_path: Path, change: str
) -> None:
    card, public = release.folder / "card.md", tmp_path / "signing.pem.pub"
    card.chmod(0o644)
    if change == "altered":
        card.write_bytes(b"# other doses\n")
    elif change == "added":
        (release.folder / "more.md").write_bytes(b"more")
    elif change == "removed":
        card.unlink()
    else:
        public = tmp_path / "other.pem.pub"
        sign.make_key(tmp_path / "other.pem")
    told = client("model_signing", "verify", "key", release.folder, "--signature", release.folder / "model.sig",
                  "--public_key", public)
    assert told.returncode != 0
    ours = {what: ok for what, ok, _ in verify(release.folder, key=public.read_bytes())}
    assert not ours["signature"]


@pytest.mark.parametrize("curve", sorted(CURVES))
def test_we_accept_what_the_real_tool_signed(
    client: Callable[..., Any], release: Release, tmp_path: Path, curve: str
) -> None:
    key = ec.generate_private_key(getattr(ec, CURVES[curve])())
    secret = tmp_path / "theirs.pem"
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()))
    bundle = tmp_path / "theirs.sig"
    told = client("model_signing", "sign", "key", release.folder, "--signature", bundle, "--private_key", secret,
                  "--ignore-paths", release.folder / "model.sig")
    assert told.returncode == 0, told
    files = folder.digests(folder.read_all(release.folder))
    del files["model.sig"]
    public = sign.public_bytes(key.public_key())
    assert sign.verify_signature(files, bundle.read_bytes(), public) == public
    with pytest.raises(BadRelease, match="a file differs from what was signed"):
        sign.verify_signature({**files, "notes/é.md": "0" * 64}, bundle.read_bytes(), public)
