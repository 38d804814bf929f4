"""What a drill found: an act that a check cannot do at every run, done on purpose and kept as evidence."""

from __future__ import annotations

import msgspec


class Drill(msgspec.Struct, frozen=True):
    """One drill. at: UTC. version: of the package. subjects: erased. searched: files.

    hits: where traces of them are, one a file. count: all traces. retrained: whether the model is another one.
    auc, low, high: how well a membership attack tells the erased from rows never seen. waiting: what erasure could not
    do. seconds: of the erasure alone.
    """

    name: str
    at: str
    version: str
    subjects: int
    searched: int
    hits: tuple[str, ...] = ()
    count: int = 0
    retrained: bool = True
    auc: float = 0.5
    low: float = 0.4
    high: float = 0.6
    waiting: tuple[str, ...] = ()
    seconds: float = 0.0
