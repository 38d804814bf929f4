"""Shipworthy takes a table to a model in production, and proves that the model deserves to be there.

    import shipworthy as sw

    sw.init("orders.parquet", "returned")       writes shipworthy.toml: read it, correct what is wrong
    built = sw.build(".")                       table to release candidate
    sw.checklist(".")                           every row: verdict, sentence, and what helps
    sw.waive(".", "data.labelling", by="ann@example.org", reason="checked by hand", until="2027-01-31")
    sw.promote(".", by="ben@example.org", why="the checklist holds")
    sw.predict(".", "new.parquet").decision     answers of the champion, for a file or a data frame
    print(sw.explain(".", "new.parquet", 3))    why row 3 is answered as it is
    sw.report(".")                              one HTML page

"." is the folder that holds shipworthy.toml. `help(sw.build)` says more of one verb; docs/reference/python.md of all
names, those of the nouns (Table, Model, Evidence, …) and of the marks for plugins (check, learner, …) among them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "attest": "cli.attest", "build": "flow", "champion": "flow", "checklist": "flow",
    "discover": "data.collection.discovery", "explain": "cli.explain", "gather": "flow", "init": "cli.init",
    "mitigate": "cli.mitigate", "notice": "cli.notice",
    "open_workspace": "store.workspace", "predict": "cli.predict", "predict_into": "cli.predict",
    "profile": "data.analysis.profile",
    "promote": "flow", "read": "data.collection.read", "recheck": "again", "renew": "flow", "report": "cli.report",
    "rollback": "flow", "waive": "cli.waive", "watch": "flow",
    "Evidence": "core.evidence", "Explanation": "core.explained", "Features": "core.features",
    "Finding": "core.evidence", "Model": "core.model", "Predictions": "core.predictions", "Program": "core.program",
    "Project": "core.project", "Schema": "core.schema", "ShipworthyError": "errors", "Table": "core.table",
    "check": "marks", "connector": "marks", "labeler": "marks", "learner": "marks", "metric": "marks",
    "read_project": "core.project",
}

__all__ = ["attest", "build", "champion", "checklist", "discover", "explain", "gather", "init", "mitigate", "notice",
           "predict", "predict_into", "profile", "promote", "read", "recheck", "renew", "report", "rollback", "waive",
           "watch"]

if TYPE_CHECKING:
    from shipworthy.core.evidence import Evidence as Evidence
    from shipworthy.core.evidence import Finding as Finding
    from shipworthy.core.model import Model as Model
    from shipworthy.core.table import Table as Table


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'shipworthy' has no attribute {name!r}")
    return getattr(import_module(f"shipworthy.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
