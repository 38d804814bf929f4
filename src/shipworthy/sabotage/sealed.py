"""The fault that the check of encrypted scoring must catch, and its clean twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from shipworthy.marks import sabotage, twin

Case = dict[str, Any]


@twin("encrypted-scoring")
def sealed(case: Case, seed: int) -> Case:
    """A line, and a client that hands over the public context."""
    return _encrypted(case)


@sabotage("a context that carries the secret key", check="encrypted-scoring")
def opened(case: Case) -> Case:
    """The client sends the whole context, its private part with it."""
    case = _encrypted(case)
    return {**case, "steps": replace(case["steps"], client=_Careless)}


class _Careless:
    """Hands over parameters, public part and private part, laid out as TenSEAL does, each with eight bytes inside."""

    public = b"".join(bytes([field << 3 | 2, 8]) + b"\0" * 8 for field in (1, 2, 3))


def _encrypted(case: Case) -> Case:
    """The case with encrypted scoring declared, and a line for a model, fitted quickly."""
    project = case["project"]
    project = msgspec.structs.replace(project, serve=msgspec.structs.replace(project.serve, encrypted=True))
    return {**case, "project": project, "model": case["steps"].train(case["parts"].learn, learner="linear")}
