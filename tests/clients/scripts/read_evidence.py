"""Reads exported evidence as others do: in-toto's own messages, and the schema of CycloneDX; prints what is wrong."""

import base64
import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2
from in_toto_attestation.v1 import statement_pb2

folder = Path(sys.argv[1])
wrong = {}
KINDS = {"test-result.intoto.json": test_result_pb2.TestResult,
         "verification-summary.intoto.json": vsa_pb2.VerificationSummary}
for name, message in KINDS.items():
    statement = json.loads(base64.b64decode(json.loads((folder / name).read_text())["payload"]))
    levels = statement["predicate"].get("verifiedLevels")
    if levels:  # an array by SLSA v1.1; the message of in-toto-attestation 0.9.3 wrongly declares one string
        assert isinstance(levels, list)
        statement["predicate"]["verifiedLevels"] = levels[0]
    try:
        json_format.ParseDict(statement, statement_pb2.Statement())
        json_format.ParseDict(statement["predicate"], message())
    except json_format.ParseError as error:
        wrong[name] = str(error)
found = JsonStrictValidator(SchemaVersion.V1_6).validate_str((folder / "declarations.cdx.json").read_text())
if found:
    wrong["declarations.cdx.json"] = str(found)
print(json.dumps(wrong))
