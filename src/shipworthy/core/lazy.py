"""Modules that are imported at their first use: a server that never needs Arrow does not carry its 40 MB."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazy:
    """Stands for a module; what is asked of it once is kept, so that asking again costs an attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._name), name)
        setattr(self, name, found)
        return found
