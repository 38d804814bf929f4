"""Five tables of the flights that left New York in 2013: the demo's raw data."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def folder() -> Path:
    """The folder that holds flights, airlines, airports, planes and weather as Parquet, and two project files."""
    return Path(str(files(__name__)))
