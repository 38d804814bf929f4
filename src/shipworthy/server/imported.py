"""Code of plugins that a running process cannot read anew: what Python has imported stays as it was.

Plugin files that a project names are read and run again when their text is new. Modules that they import from the
project's folder, and installed plugins, are not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from shipworthy.core.canon import digest
from shipworthy.core.registry import GROUP


def imported(folder: Path, plugins: tuple[str, ...] = ()) -> dict[str, str]:
    """The files of imported plugin code and their SHA-256 as they are now. folder: of the project, in which there may
    be an environment of Python too.

    plugins: files that are read anew, and left out.
    """
    packages = {point.value.split(":")[0].split(".")[0] for point in entry_points(group=GROUP)} - {"shipworthy"}
    elsewhere = Path(sys.prefix), Path(sys.base_prefix), Path(str(files("shipworthy")))
    found = {}
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "")
        beside = file.is_relative_to(folder) and not any(map(file.is_relative_to, elsewhere))
        if (beside or name.split(".")[0] in packages) and str(file) not in plugins and file.is_file():
            found[str(file)] = digest(file.read_bytes())
    return found


def changed(files: Mapping[str, str]) -> str:
    """A file that is another one on disk than when it was imported; empty where there is none. files: path → SHA-256.
    """
    for file, known in files.items():
        path = Path(file)
        if not path.is_file() or digest(path.read_bytes()) != known:
            return file
    return ""
