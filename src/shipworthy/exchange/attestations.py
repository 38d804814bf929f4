"""Evidence in the words of other tools: in-toto test results, SLSA verification summaries, CycloneDX declarations.

Sources: in-toto Attestation Framework, Statement v1 and Test Result v0.1; SLSA v1.1, Verification Summary Attestation;
CycloneDX 1.6 (ECMA-424), declarations and definitions.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shipworthy import __version__
from shipworthy.core.canon import digest
from shipworthy.core.evidence import VALID_DAYS, Evidence, Finding
from shipworthy.core.pack import Pack
from shipworthy.core.release import Manifest
from shipworthy.survey import BY_ID

STATEMENT = "https://in-toto.io/Statement/v1"
RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://shipworthy.dev/verifier"
CONFORMS = {"pass": 1.0, "attested": 1.0, "not-applicable": 1.0, "unknown": 0.0, "fail": 0.0}


def result_statement(evidence: Evidence, manifest: Manifest) -> dict[str, Any]:
    """An in-toto statement of what the checks of a release said; a finding that counts no longer is a warning.

    Unknown and attested are warnings, as nothing was proved by them.
    """
    named: dict[str, list[str]] = {"passed": [], "warned": [], "failed": []}
    for finding in evidence.findings:
        named[_word(finding, evidence)].append(finding.id)
    result = "FAILED" if named["failed"] else "WARNED" if named["warned"] else "PASSED"
    settings = [{"name": f"{finding.check}.settings", "digest": {"sha256": digest(finding.settings)}}
                for finding in evidence.findings if finding.settings]
    return {"_type": STATEMENT, "subject": _subject(manifest), "predicateType": RESULT,
            "predicate": {"result": result, "configuration": [
                {"name": "code", "digest": {"sha256": manifest.identity.code}},
                {"name": "data", "digest": {"sha256": manifest.identity.data}}, *settings],
                **{f"{word}Tests": sorted(names) for word, names in named.items()}}}


def summary_statement(evidence: Evidence, manifest: Manifest, *, at: datetime | None = None) -> dict[str, Any]:
    """A SLSA statement of whether every required row of a release holds today. at: UTC.

    policy: the digest of the rows that are required.
    """
    fit = evidence.fit
    return {"_type": STATEMENT, "subject": _subject(manifest), "predicateType": SUMMARY, "predicate": {
        "verifier": {"id": VERIFIER}, "timeVerified": _time(at),
        "resourceUri": f"urn:shipworthy:release:{manifest.id}",
        "policy": {"uri": "urn:shipworthy:gate", "digest": {"sha256": digest(list(evidence.required))}},
        "inputAttestations": [{"uri": f"urn:shipworthy:evidence:{manifest.id}", "digest": {"sha256": evidence.digest}}],
        "verificationResult": "PASSED" if fit else "FAILED",
        "verifiedLevels": ["SHIPWORTHY_FIT"] if fit else ["FAILED"], "slsaVersion": "1.1"}}


def declarations(
    evidence: Evidence, manifest: Manifest, *, packs: Sequence[Pack] = (), by: str = "", at: datetime | None = None
) -> dict[str, Any]:
    """A CycloneDX 1.6 document: each row and each clause a requirement, each finding a claim with its evidence.

    by: the owner, who is the assessor. Conformance is 1 for what holds, 0 for what does not or nobody knows; confidence
    is 1 for what was measured and 0.5 for what a person signed or what counts no longer.
    """
    time = _time(at)
    model = {"type": "machine-learning-model", "name": manifest.name, "version": manifest.id[:16], "bom-ref": "model",
             "hashes": [{"alg": "SHA-256", "content": manifest.identity.model}]}
    rows = [row for row, _, findings in evidence.rows() if findings]
    claims = [_claim(finding, evidence) for finding in evidence.findings]
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, manifest.id)}",
        "metadata": {"timestamp": time, "component": model, "tools": {"components": [
            {"type": "application", "name": "shipworthy", "version": __version__}]}},
        "declarations": {
            "assessors": [{"bom-ref": "assessor", "thirdParty": False, "organization": {"name": by or "unnamed"}}],
            "attestations": [{"summary": evidence.standing, "assessor": "assessor", "map": [
                *(_mapped(f"row:{row.id}", evidence.of(row.id), evidence) for row in rows),
                *(_clause(pack, place, evidence) for pack in packs for place in range(len(pack.clauses)))]}],
            "claims": [claim for claim, _ in claims], "evidence": [proof for _, proof in claims],
            "targets": {"components": [{**model, "bom-ref": "target"}]},
        },
        "definitions": {"standards": [
            {"bom-ref": "survey", "name": "Rows of Shipworthy", "version": __version__, "requirements": [
                {"bom-ref": f"row:{row.id}", "identifier": row.id, "title": row.title, "text": BY_ID[row.id].question}
                for row in rows]},
            *map(_standard, packs)]},
    }


def _word(finding: Finding, evidence: Evidence) -> str:
    if finding.verdict == "fail":
        return "failed"
    return "passed" if finding.verdict in ("pass", "not-applicable") and not evidence.staleness(finding) else "warned"


def _subject(manifest: Manifest) -> list[dict[str, Any]]:
    return [{"name": f"{manifest.name}/{manifest.id[:16]}", "digest": {"sha256": manifest.id}},
            {"name": "model", "digest": {"sha256": manifest.identity.model}}]


def _claim(finding: Finding, evidence: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    made = datetime.fromisoformat(finding.at) if finding.at else datetime.now(UTC)
    ends = made + timedelta(days=VALID_DAYS)
    until = min(ends, datetime.combine(finding.until, ends.timetz())) if finding.until else ends
    name, side = f"evidence:{finding.id}", "evidence" if finding.fine else "counterEvidence"
    stale = evidence.staleness(finding)
    claim = {"bom-ref": f"claim:{finding.id}", "target": "target", "predicate": finding.sentence, side: [name],
             "reasoning": f"verdict {finding.verdict}{f'; {stale}' if stale else ''}"}
    figures = {"value": finding.value, "low": finding.low, "high": finding.high, "limit": finding.limit, "n": finding.n}
    told = "; ".join(f"{key} {value:g}" for key, value in figures.items() if value is not None)
    judged = {axis: getattr(finding.judged, axis) for axis in ("code", "model", "data", "pack")}
    said = "; ".join(f"{axis} sha256:{value}" for axis, value in judged.items() if value)
    proof = {"bom-ref": name, "propertyName": f"shipworthy:{finding.check}", "created": _time(made),
             "description": f"{told or 'no figure'}. {said}".strip(), "expires": _time(until)}
    return claim, proof


def _mapped(requirement: str, findings: Sequence[Finding], evidence: Evidence) -> dict[str, Any]:
    fine = [f"claim:{finding.id}" for finding in findings if finding.fine]
    other = [f"claim:{finding.id}" for finding in findings if not finding.fine]
    score = min((CONFORMS[finding.verdict] for finding in findings), default=0.0)
    sure = all(finding.verdict != "attested" and not evidence.staleness(finding) for finding in findings)
    told = "; ".join(finding.verdict for finding in findings) or "unjudged"
    return {"requirement": requirement, "claims": fine, "counterClaims": other,
            "conformance": {"score": score, "rationale": told},
            "confidence": {"score": 1.0 if sure and findings else 0.5}}


def _clause(pack: Pack, place: int, evidence: Evidence) -> dict[str, Any]:
    names = pack.clauses[place].evidence
    found = [finding for finding in evidence.findings if finding.row in names or finding.check in names]
    mapped = _mapped(f"{pack.id}:{place}", found, evidence)
    heard = {finding.row for finding in found} | {finding.check for finding in found}
    if not set(names) <= heard:
        mapped["conformance"] = {"score": 0.0, "rationale": "not everything that the clause asks for was judged"}
    return mapped


def _standard(pack: Pack) -> Mapping[str, Any]:
    words = f"{pack.note} As of {pack.as_of}, {pack.status}. {pack.source}"
    return {"bom-ref": f"pack:{pack.id}", "name": pack.title, "version": str(pack.as_of), "description": words,
            "owner": pack.jurisdiction, "requirements": [
                {"bom-ref": f"{pack.id}:{place}", "identifier": clause.ref, "title": clause.ref, "text": clause.text}
                for place, clause in enumerate(pack.clauses)]}


def _time(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
