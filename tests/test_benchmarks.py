"""A benchmark is run by hand, so nobody sees at once when what it measures was renamed: its imports are read here."""

from __future__ import annotations

import ast
from importlib import import_module, util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for path in sorted((ROOT / "benchmarks").rglob("*.py")) if "peers" not in path.parts]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_whatever_a_benchmark_imports_of_ours_is_there(path: Path) -> None:
    asked = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    lost = [f"{node.module}.{one.name}" for node in asked if (node.module or "").split(".")[0] == "shipworthy"
            for one in node.names if not there(str(node.module), one.name)]
    assert lost == []


def there(module: str, name: str) -> bool:
    """Whether a module has a name, or a module of that name."""
    if util.find_spec(module) is None:
        return False
    found = import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and util.find_spec(f"{module}.{name}") is not None)
