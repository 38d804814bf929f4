"""Nouns as named bytes and Arrow tables, and back, so that a kept step can hand them on after a restart."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.canon import canonical, digest
from shipworthy.core.found import Ledger
from shipworthy.core.learned import Candidate, Cost, Figures, Gain, Learned
from shipworthy.core.model import read_model
from shipworthy.core.private import Message, Spent
from shipworthy.core.schema import Schema
from shipworthy.core.table import Table

Pack = dict[str, Any]


class _About(msgspec.Struct, frozen=True):
    schema: Schema
    name: str
    origin: str
    notes: dict[str, str]


class _Rung(msgspec.Struct, frozen=True):
    learner: str
    glass_box: bool
    figures: Figures
    settings: dict[str, float | int | str]
    bounds: dict[str, tuple[float, float]]
    private: Spent | None = None
    transcript: tuple[Message, ...] = ()
    way: str = ""


class _Ladder(msgspec.Struct, frozen=True):
    rungs: tuple[_Rung, ...]
    chosen: int
    why: str
    cost: Cost
    course: tuple[Gain, ...]


def pack_table(table: Table, key: str = "table") -> Pack:
    """Two entries: the Arrow data and what it means."""
    about = _About(table.schema, table.name, table.origin, table.notes)
    return {key: table.data, f"{key}.about": canonical(about)}


def unpack_table(pack: Mapping[str, Any], key: str = "table") -> Table:
    """The table of `pack_table`."""
    about = msgspec.json.decode(pack[f"{key}.about"], type=_About)
    data: pa.Table = pack[key]
    return Table(data, about.schema, about.name, about.origin, about.notes)


def whole(table: Table) -> str:
    """The digest of a table's values and of what its columns are."""
    return digest([table.digest, table.schema])


def pack_ledger(ledger: Ledger) -> Pack:
    """One entry: every change as JSON."""
    return {"ledger": canonical(ledger)}


def unpack_ledger(pack: Mapping[str, Any]) -> Ledger:
    """The ledger of `pack_ledger`."""
    return msgspec.json.decode(pack["ledger"], type=Ledger)


def pack_learned(learned: Learned) -> Pack:
    """One entry for the ladder, one for the scores, and the files of every candidate's model."""
    rungs = tuple(_Rung(c.learner, c.glass_box, c.figures, c.settings, c.bounds, c.private, c.transcript, c.way)
                  for c in learned.candidates)
    place = next(n for n, candidate in enumerate(learned.candidates) if candidate is learned.chosen)
    scores: dict[str, Any] = {str(n): candidate.scores for n, candidate in enumerate(learned.candidates)}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **scores)
    ladder = canonical(_Ladder(rungs, place, learned.why, learned.cost, learned.course))
    models = {f"model.{n}.{name}": raw for n, c in enumerate(learned.candidates)
              for name, raw in c.model.files().items()}
    return {"ladder": ladder, "scores": packed.getvalue(), **models}


def unpack_learned(pack: Mapping[str, Any]) -> Learned:
    """The outcome of learning of `pack_learned`."""
    ladder = msgspec.json.decode(pack["ladder"], type=_Ladder)
    with np.load(io.BytesIO(pack["scores"]), allow_pickle=False) as packed:
        scores = [packed[str(n)] for n in range(len(ladder.rungs))]
    candidates = tuple(Candidate(rung.learner, rung.glass_box, read_model(_files(pack, n)), rung.figures, scores[n],
                                 rung.settings, rung.bounds, rung.private, rung.transcript, rung.way)
                       for n, rung in enumerate(ladder.rungs))
    return Learned(candidates, candidates[ladder.chosen], ladder.why, ladder.cost, ladder.course)


def _files(pack: Mapping[str, Any], place: int) -> dict[str, bytes]:
    start = f"model.{place}."
    return {name.removeprefix(start): raw for name, raw in pack.items() if name.startswith(start)}
