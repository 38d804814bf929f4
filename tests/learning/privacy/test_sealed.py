"""Encrypted scoring: the server gets no key; what cannot be shown is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from shipworthy.core.evidence import Finding
from shipworthy.core.registry import registry
from shipworthy.learning.privacy.encrypted import Client, carries_secret
from shipworthy.sabotage import private_learning as faults


def judge(case: dict[str, Any]) -> Finding:
    found = registry().checks["encrypted-scoring"]
    finding: Finding = found.function(*(case[subject] for subject in found.subjects))
    return finding


@pytest.fixture(scope="module")
def case(clean: dict[str, Any]) -> dict[str, Any]:
    return {**clean, "steps": replace(clean["steps"], client=Client)}


def test_a_context_with_the_secret_key_fails(case: dict[str, Any]) -> None:
    finding = judge(faults.opened(case))
    assert (finding.verdict, finding.sentence) == (
        "fail", "The context that a client hands to the server carries its secret key, so the server can read every "
        "row.")
    assert finding.remedy == "send Client.public, and make new keys: these are not secret"


def test_a_public_context_passes(case: dict[str, Any]) -> None:
    pytest.importorskip("tenseal", reason="TenSEAL is not installed: pip install 'shipworthy[encrypted]'")
    finding = judge(faults.sealed(case, 1))
    assert (finding.verdict, finding.remedy, finding.n) == ("pass", "", 20)


def test_it_does_not_apply_where_nothing_is_scored_encrypted(case: dict[str, Any]) -> None:
    assert judge(case).sentence == "The project does not score encrypted: [serve] encrypted is not set."
    assert judge(case).verdict == "not-applicable"


def test_without_tenseal_it_is_unknown_and_says_what_to_install(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tenseal", None)
    finding = judge(faults.sealed(case, 1))
    assert (finding.verdict, finding.sentence, finding.remedy) == (
        "unknown", "Nothing was scored encrypted: encrypted scoring needs TenSEAL.",
        "pip install 'shipworthy[encrypted]'")


def test_a_model_that_is_no_line_fails(case: dict[str, Any]) -> None:
    case = faults.sealed(case, 1)
    trees = case["steps"].train(case["parts"].learn, learner="tree")
    finding = judge({**case, "model": trees})
    assert (finding.verdict, finding.remedy) == ("fail", 'learn a line: [learning] learners = ["linear"]')


@pytest.mark.parametrize(("context", "secret"), [
    (b"\x0a\x01a\x12\x01b", False), (b"\x0a\x01a\x12\x01b\x1a\x00", True), (b"\x1a\x02\x0a\x00", True),
    (b"\x0a\x80\x01" + b"k" * 128, False), (b"\x0a\x05a", True), (b"\x08\x01", True), (b"\x0a", True),
])
def test_a_private_part_is_found_in_the_bytes(context: bytes, secret: bool) -> None:
    assert carries_secret(context) is secret


def test_the_server_refuses_it_before_it_is_opened(case: dict[str, Any]) -> None:
    from shipworthy.errors import Misuse
    from shipworthy.learning.privacy.encrypted import Server

    model = faults.sealed(case, 1)["model"]
    with pytest.raises(Misuse, match="the context carries the client's secret key"):
        Server(model.program, faults.opened(case)["steps"].client.public)


def test_the_setting_is_read() -> None:
    from shipworthy.core.project import Serving

    assert msgspec.convert({"encrypted": True}, Serving).encrypted
