"""The program of a release folder, read anew: its inputs, its terms and the digest that a certificate names."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


class Rejected(Exception):
    """Why a certificate does not hold. broken: the files cannot even be read."""

    def __init__(self, why: str, *, broken: bool = False) -> None:
        super().__init__(why)
        self.broken = broken


@dataclass(frozen=True)
class Program:
    """levels: of each input, 0 for a number. terms: (what it is, its arrays) of each. outputs: margins of a row."""

    digest: str
    levels: list[int]
    terms: list[tuple[dict[str, Any], dict[str, np.ndarray]]]
    outputs: int


def read(folder: str | Path) -> Program:
    """The program in program.json and program.npz of a folder. Raises Rejected, broken, when it cannot be read."""
    try:
        raw = (Path(folder) / "program.json").read_bytes()
        head = json.loads(raw)
        with np.load(Path(folder) / "program.npz", allow_pickle=False) as packed:
            arrays = {key: packed[key] for key in packed.files}
        terms = [(kind, {key.split(".", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{n}.")})
                 for n, kind in enumerate(head["terms"])]
        outputs = len(head["classes"]) if head["link"] in ("softmax", "share") else 1
        levels = [int(one.get("levels", 0)) for one in head["inputs"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise Rejected(f"no program can be read in {folder}: {error}", broken=True) from error
    named = [f"{n}.{key}:{_array(own[key])}".encode() for n, (_, own) in enumerate(terms) for key in sorted(own)]
    return Program(_parts([raw, *named]), levels, terms, outputs)


def _array(array: np.ndarray) -> str:
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return _parts([str(little.dtype).encode(), str(little.shape).encode(), little.tobytes()])


def _parts(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hexdigest()
