"""Shipworthy takes a table to a model in production, and proves that the model deserves to be there."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "build": "flow", "champion": "flow", "checklist": "flow", "discover": "data.collection.discovery",
    "gather": "flow", "open_workspace": "store.workspace", "profile": "data.analysis.profile", "promote": "flow",
    "read": "data.collection.read", "recheck": "again", "renew": "flow", "rollback": "flow", "watch": "flow",
    "Evidence": "core.evidence", "Features": "core.features", "Finding": "core.evidence", "Model": "core.model",
    "Predictions": "core.predictions", "Program": "core.program", "Project": "core.project", "Schema": "core.schema",
    "ShipworthyError": "errors", "Table": "core.table", "check": "marks", "connector": "marks", "labeler": "marks",
    "learner": "marks", "metric": "marks", "read_project": "core.project",
}

__all__ = sorted(_PLACES)

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
