"""Human review of one answer: what stands under a prediction id, and somebody's decision in place of the model's.

An override is a line of the audit ledger first, then a record of the log, then the answer: what was acknowledged is on
record. It is off the path of predictions: it reads files, waits for a lock, and runs in a thread.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from shipworthy.core.clock import now_us
from shipworthy.core.ledger import OVERRIDE
from shipworthy.core.table import word
from shipworthy.deployment.integration.access.gate import Caller
from shipworthy.deployment.integration.log.overrides import Answered, Override, answered, keep, overrides
from shipworthy.deployment.integration.releases.book import record
from shipworthy.deployment.integration.serving.refusals import Refused
from shipworthy.errors import BadData, nearest

PREDICTIONS = "/v1/predictions/"
FORM = "send prediction_id, decision and why"
LONGEST = 2_000
Json = dict[str, Any]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an override."""

    prediction_id: str
    decision: str | float
    why: str


class Where(NamedTuple):
    """The `.shipworthy` folder of a project, and the project's own."""

    home: Path
    folder: Path


class Reviews:
    """The reviews of one server. home: the `.shipworthy` folder with the ledger; without one nobody can overrule."""

    def __init__(self, log: Path, home: Path | None) -> None:
        self._log, self._home = log, home

    def standing(self, prediction_id: str) -> Json:
        """What stands under a prediction id: the decision, what was served, who overruled it. Raises Refused (404)."""
        served = self._served(prediction_id)
        told = overrides(self._log, prediction_id)
        return _standing(prediction_id, served, told)

    def overrule(self, body: bytes, caller: Caller) -> Json:
        """What stands after somebody decided otherwise; saying again what stands changes nothing.

        Raises Refused (403, 404), BadData naming the field, StoreError when the ledger cannot be written.
        """
        told = _read(body)
        if not caller.token or self._home is None:
            raise Refused(403, "nobody is known here, so nobody may overrule", field="authorization",
                          hint="serve a project, and make a token: shipworthy token create --scope approve")
        served = self._served(told.prediction_id)
        decision = _decision(told.decision, served)
        before = overrides(self._log, told.prediction_id)
        stands = before[-1].decision if before else served.decision
        if decision != stands:
            record(Where(self._home, self._home.parent), actor=caller.name, role="reviewer", action=OVERRIDE, subject={
                "prediction": told.prediction_id, "release": served.release, "decision": word(decision) or "",
                "before": word(stands) or ""}, why=told.why.strip())
            made = Override(told.prediction_id, served.release, decision, stands, caller.name, told.why.strip(),
                            now_us())
            keep(self._log, made)
            before = [*before, made]
        return _standing(told.prediction_id, served, before)

    def _served(self, prediction_id: str) -> Answered:
        found = answered(self._log, prediction_id) if len(prediction_id) == 36 else None
        if found is None:
            raise Refused(404, "no answer of this id is here", field="prediction_id",
                          hint="send the prediction_id of an answer; one that was drained into a table is "
                          "no longer known to the server")
        return found


def _read(body: bytes) -> Told:
    try:
        told = msgspec.json.decode(body, type=Told)
    except msgspec.ValidationError as error:
        raise BadData(f"the override cannot be read: {error}", where="body", hint=FORM) from error
    if not told.why.strip() or len(told.why) > LONGEST:
        raise BadData("an override needs a reason", where="why", hint=f"say why, in at most {LONGEST} characters")
    return told


def _decision(given: str | float, served: Answered) -> str | float:
    if served.classes:
        said = word(given) or ""
        if said not in served.classes:
            raise BadData(f"{said[:60]!r} is no decision of this model", where="decision",
                          hint=nearest(said, served.classes) or f"send {' or '.join(served.classes)}")
        return said
    if isinstance(given, str) or not abs(given) < float("inf"):
        raise BadData(f"{str(given)[:60]!r} is no decision of this model", where="decision", hint="send a number")
    return float(given)


def _standing(prediction_id: str, served: Answered, told: list[Override]) -> Json:
    return {"prediction_id": prediction_id, "release": served.release[:16], "at": _utc(served.at),
            "decision": told[-1].decision if told else served.decision, "served": served.decision,
            "abstain": served.abstain,
            "overrides": [{"decision": one.decision, "before": one.before, "by": one.by, "why": one.why,
                           "at": _utc(one.at)} for one in told]}


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat().replace("+00:00", "Z")
