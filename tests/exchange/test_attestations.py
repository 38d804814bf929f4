"""Evidence in the words of other tools says what the checklist says, and no more."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shipworthy.assurance.law.packs import load
from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.release import Identity, Manifest
from shipworthy.deployment.integration.releases.sign import PAYLOAD, envelope, make_key, public_bytes
from shipworthy.exchange.attestations import declarations, result_statement, summary_statement

ABOUT = Judged("c" * 64, "a" * 64, "b" * 64)
MANIFEST = Manifest("f" * 64, "loans", "2026-11-23T00:00:00+00:00", Identity("c" * 64, "a" * 64, "b" * 64), {})
NOW = datetime.now(UTC)


def finding(check: str, row: str, verdict: str, **facts: object) -> Finding:
    return msgspec.convert({"check": check, "row": row, "verdict": verdict, "sentence": f"It is {verdict}.",
                            "judged": ABOUT, "at": NOW.isoformat(timespec="seconds"), **facts}, Finding)


EVIDENCE = Evidence((
    finding("auc", "verification.performance", "pass", value=0.8, low=0.78, high=0.82, limit=0.75, n=1000,
            settings={"limit": 0.75}),
    finding("fairness", "ethics.fairness", "fail", value=0.6),
    finding("attestations", "law.non-technical", "attested", until=date(2027, 1, 31)),
    finding("retention", "law.legislation", "unknown"),
), required=("verification.performance", "ethics.fairness"))


def written(folder: Path) -> None:
    """The three files that `shipworthy evidence export` writes."""
    key = make_key(folder / "key.pem")
    statements = [result_statement(EVIDENCE, MANIFEST), summary_statement(EVIDENCE, MANIFEST)]
    documents = [*(envelope(one, key=key) for one in statements),
                 declarations(EVIDENCE, MANIFEST, packs=[load("gdpr"), load("nist-ai-rmf")], by="owner@example.org")]
    names = ("test-result.intoto.json", "verification-summary.intoto.json", "declarations.cdx.json")
    for name, document in zip(names, documents, strict=True):
        (folder / name).write_bytes(msgspec.json.encode(document))


def test_unknown_and_attested_are_warnings_and_one_fail_fails_the_whole() -> None:
    told = result_statement(EVIDENCE, MANIFEST)["predicate"]
    assert told["result"] == "FAILED"
    assert told["passedTests"] == ["verification.performance/auc"]
    assert told["failedTests"] == ["ethics.fairness/fairness"]
    assert told["warnedTests"] == ["law.legislation/retention", "law.non-technical/attestations"]


def test_what_counts_no_longer_is_a_warning_and_no_pass() -> None:
    other = msgspec.structs.replace(EVIDENCE, findings=EVIDENCE.findings[:1],
                                    current=msgspec.structs.replace(ABOUT, model="0" * 64))
    assert result_statement(other, MANIFEST)["predicate"]["result"] == "WARNED"
    assert summary_statement(other, MANIFEST)["predicate"]["verificationResult"] == "FAILED"


def test_the_summary_passes_exactly_when_the_gate_does() -> None:
    assert summary_statement(EVIDENCE, MANIFEST)["predicate"]["verificationResult"] == "FAILED"
    fit = msgspec.structs.replace(EVIDENCE, required=("verification.performance",))
    told = summary_statement(fit, MANIFEST)["predicate"]
    assert (told["verificationResult"], told["verifiedLevels"]) == ("PASSED", ["SHIPWORTHY_FIT"])
    assert told["policy"]["digest"] != summary_statement(EVIDENCE, MANIFEST)["predicate"]["policy"]["digest"]


def test_the_statements_are_of_the_release_and_of_its_model() -> None:
    for told in (result_statement(EVIDENCE, MANIFEST), summary_statement(EVIDENCE, MANIFEST)):
        assert [one["digest"]["sha256"] for one in told["subject"]] == ["f" * 64, "a" * 64]


def test_every_reference_of_a_declaration_leads_somewhere_and_is_unique() -> None:
    told = declarations(EVIDENCE, MANIFEST, packs=[load("gdpr")], by="owner@example.org")
    text = json.dumps(told)
    refs = _refs(told)
    assert len(refs) == len(set(refs))
    for place in told["declarations"]["attestations"][0]["map"]:
        assert {place["requirement"], *place["claims"], *place["counterClaims"]} <= set(refs)
    assert '"gdpr:9"' in text


def test_a_clause_without_all_its_evidence_does_not_conform() -> None:
    told = declarations(EVIDENCE, MANIFEST, packs=[load("gdpr")])
    scores = {one["requirement"]: one["conformance"]["score"] for one in told["declarations"]["attestations"][0]["map"]}
    clauses = [clause.ref for clause in load("gdpr").clauses]
    assert scores[f"gdpr:{clauses.index('6')}"] == 1.0
    assert scores[f"gdpr:{clauses.index('17')}"] == 0.0
    assert scores[f"gdpr:{clauses.index('35')}"] == 0.0


def test_evidence_expires_with_its_last_day() -> None:
    told = declarations(EVIDENCE, MANIFEST)["declarations"]["evidence"]
    assert [one["expires"][:10] for one in told if "attestations" in one["bom-ref"]] == ["2027-01-31"]


def test_an_envelope_is_signed_over_what_it_holds(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key.pem")
    made = envelope(result_statement(EVIDENCE, MANIFEST), key=key)
    payload = base64.b64decode(made["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
    public = serialization.load_pem_public_key(public_bytes(key))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(base64.b64decode(made["signatures"][0]["sig"]), message, ec.ECDSA(hashes.SHA256()))


def test_a_finding_is_stale_by_exactly_what_changed() -> None:
    old = (NOW - timedelta(days=200)).isoformat(timespec="seconds")
    findings = (finding("a", "law.country", "pass", judged=msgspec.structs.replace(ABOUT, pack="1" * 64)),
                finding("b", "data.cleaning", "pass"), finding("c", "data.cleaning", "pass", at=old))
    whole = Evidence(findings, current=msgspec.structs.replace(ABOUT, pack="2" * 64))
    causes = {cause: [one.check for one in some] for cause, some in whole.causes().items()}
    assert causes == {"pack": ["a"], "age": ["c"]}
    moved = msgspec.structs.replace(whole, current=msgspec.structs.replace(ABOUT, data="0" * 64, pack="1" * 64))
    assert set(moved.causes()) == {"data"}


def _refs(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["bom-ref"]] if "bom-ref" in value else []
        return own + [ref for one in value.values() for ref in _refs(one)]
    return [ref for one in value for ref in _refs(one)] if isinstance(value, list) else []
