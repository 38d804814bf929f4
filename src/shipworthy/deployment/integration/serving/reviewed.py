"""One answer overruled for real: a server, two tokens, a ledger, all in a folder that is gone afterwards."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from shipworthy.core.case import Reviewed
from shipworthy.core.ledger import OVERRIDE, broken
from shipworthy.core.project import Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.log.overrides import overrides
from shipworthy.deployment.integration.releases.book import ledger
from shipworthy.deployment.integration.releases.example import example
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.review import PREDICTIONS, Where

REVIEWER, WHY = "reviewer@example.org", "a drill: the reviewer saw more than the model"
PLAIN: dict[str, Any] = {"certificate": "", "key": "", "traces": "", "requests": "none", "log": "kept", "open": None,
                         "rows_a_minute": 0, "rows_a_day": 0}


def reviewed(release: Release, project: Project) -> Reviewed:
    """What came of overruling one served answer: asked with a token that may, and before with one that may not.

    Raises StoreError when the server does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        where = Where(Path(folder) / ".shipworthy", Path(folder))
        able, unable = (create(where, REVIEWER, scopes, by="the drill")[0]
                        for scopes in (["predict", "approve"], ["predict"]))
        serving = msgspec.structs.replace(project.serve, **PLAIN)
        with (Server(release, where.home / "log", serving, home=where.home) as server,
              Connection(server.address, token=able) as reviewer, Connection(server.address, token=unable) as other):
            _, answer = reviewer.post("/v1/predict", msgspec.json.encode(example(release.model)))
            served = msgspec.json.decode(answer)
            decision = _otherwise(release.model.classes, served["prediction"])
            asked = msgspec.json.encode({"prediction_id": served["prediction_id"], "decision": decision, "why": WHY})
            refused, _ = other.post("/v1/overrides", asked)
            status, _ = reviewer.post("/v1/overrides", asked)
            stands = reviewer.json(f"{PREDICTIONS}{served['prediction_id']}")
        lines = ledger(where)
        logged = [one.decision for one in overrides(where.home / "log", served["prediction_id"])]
    told = [line for line in lines if line["action"] == OVERRIDE
            and line["subject"].get("prediction") == served["prediction_id"]]
    return Reviewed(served["prediction"], decision, status, refused, stands.get("decision"), tuple(logged),
                    tuple(str(line["actor"]) for line in told), tuple(broken(lines)))


def _otherwise(classes: tuple[str, ...], served: Any) -> Any:
    return next(name for name in classes if name != served) if classes else float(served or 0.0) + 1.0
