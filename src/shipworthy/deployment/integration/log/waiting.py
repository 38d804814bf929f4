"""Labels that came before their prediction: which they are, until it is counted too or they are given up.

A label names its prediction by id, or by an entity and a time, of which the last answer is meant. Of the second kind
those that have found an answer are remembered as well: a later one may yet be read that is meant instead.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shipworthy.core.canon import canonical, digest
from shipworthy.core.clock import DAY
from shipworthy.core.table import Ints, Mask, Table

WAIT_DAYS = 30
MOST = 100_000
KEY = ("entity_id", "since", "until")
SCHEMA = pa.schema([("prediction_id", pa.string()), ("entity_id", pa.string()), ("names", pa.string()),
                    ("since", pa.int64()), ("until", pa.int64()), ("arrived", pa.int64()), ("due", pa.bool_())])


@dataclass(frozen=True)
class Waiting:
    """What is remembered of labels, at most 100,000 rows and none for longer than thirty days.

    data: prediction_id, which the label names or means now, empty for none. entity_id, names, since, until: whose
    answer it means, by which columns (JSON), and when, in microseconds; entity_id is empty where it names its
    prediction. arrived: microseconds. due: whether something was counted since that it may mean.
    file: where it is kept as it is; empty where it has changed since.
    """

    data: pa.Table
    file: str = ""

    def __len__(self) -> int:
        return len(self.data)

    @property
    def named(self) -> pa.Table:
        """The labels by entity and time."""
        return self.data.filter(pc.not_equal(self.data["entity_id"], ""))

    @property
    def direct(self) -> pa.Table:
        """The labels that name a prediction that was not counted yet."""
        return self.data.filter(pc.equal(self.data["entity_id"], ""))

    @property
    def orphans(self) -> pa.Table:
        """The labels that mean no prediction yet."""
        return self.data.filter(pa.array(_orphans(self.data)))

    def marked(self, rows: Table) -> Waiting:
        """The same, those due that may mean a row which is being counted. rows: of the log."""
        if not len(self):
            return self
        ids = pa.array(rows.words("prediction_id"), pa.string())
        due = np.asarray(pc.is_in(self.data["prediction_id"], value_set=ids).to_numpy(), np.bool_)
        due &= np.asarray(pc.equal(self.data["entity_id"], "").to_numpy(), np.bool_)
        due |= _touched(self.data, rows)
        before = _mask(self.data["due"])
        return self if not (due & ~before).any() else self._with(_due(self.data, due | before))

    def settled(self, seen: pa.Table, found: Collection[str]) -> Waiting:
        """The same after labels were looked up. seen: prediction_id and arrival of all that name one. found: the ids
        of which there is a prediction.
        """
        ids = seen["prediction_id"]
        rest = self.data.filter(pc.invert(pc.and_(pc.equal(self.data["entity_id"], ""),
                                                  pc.is_in(self.data["prediction_id"], value_set=_flat(ids)))))
        left = seen.filter(pc.invert(pc.is_in(ids, value_set=pa.array(sorted(found), pa.string()))))
        if not len(left) and len(rest) == len(self):
            return self
        last = left.group_by("prediction_id").aggregate([("arrived", "max")])
        return self._with(pa.concat_tables([rest, _table(last["prediction_id"], last["arrived_max"])]))

    def aged(self, now: int) -> tuple[Waiting, int]:
        """The same without those that waited too long or are too many, the oldest first; and how many were given up.

        Those that found a prediction go first, and are no loss. now: microseconds.
        """
        arrived = np.asarray(self.data["arrived"].to_numpy(), np.int64)
        orphan = _orphans(self.data)
        order = np.lexsort((arrived, orphan))
        kept = np.zeros(len(order), np.bool_)
        kept[order[max(0, len(order) - MOST) :]] = True
        kept &= arrived > now - WAIT_DAYS * DAY
        return (self, 0) if kept.all() else (self._with(self.data.filter(pa.array(kept))), int((orphan & ~kept).sum()))

    def without(self, ids: Collection[str]) -> Waiting:
        """The same without labels of these predictions or entities."""
        gone = pa.array(sorted(ids), pa.string())
        hit = pc.or_(*(pc.is_in(self.data[name], value_set=gone) for name in ("prediction_id", "entity_id")))
        return self._with(self.data.filter(pc.invert(hit))) if pc.any(hit).as_py() else self

    def meaning(self, named: pa.Table) -> Waiting:
        """The same with labels by entity as they are now; none is due any more. named: columns of `data`."""
        if not len(named) and not pc.any(self.data["due"]).as_py():
            return self
        last = named.group_by(list(KEY)).aggregate([("prediction_id", "max"), ("names", "max"), ("arrived", "max")])
        known = pa.Table.from_arrays([last[f"{name}_max"] if f"{name}_max" in last.column_names else last[name]
                                      for name in SCHEMA.names[:-1]], SCHEMA.names[:-1])
        known = known.append_column("due", pa.array([False] * len(known), pa.bool_())).cast(SCHEMA)
        fresh = pc.invert(pc.is_in(_keys(self.data), value_set=_keys(known)))
        rest = self.data.filter(fresh)
        return self._with(pa.concat_tables([_due(rest, np.zeros(len(rest), np.bool_)), known]))

    def bytes(self) -> bytes:
        """As a file."""
        made = io.BytesIO()
        pq.write_table(self.data, made)
        return made.getvalue()

    def _with(self, data: pa.Table) -> Waiting:
        return Waiting(data.combine_chunks())


def no_waiting() -> Waiting:
    """Nothing waits."""
    return Waiting(SCHEMA.empty_table())


def read_waiting(raw: bytes, name: str) -> Waiting:
    """What `Waiting.bytes` wrote. Raises pyarrow.ArrowInvalid."""
    return Waiting(pq.read_table(io.BytesIO(raw)).cast(SCHEMA), name)


def known_meaning(waiting: Waiting, named: pa.Table, otherwise: pa.Array) -> pa.Array:
    """The prediction that each label by entity meant when it was counted. named: with `KEY`. otherwise: (n,)."""
    mine = waiting.named
    place = pc.index_in(_keys(named), value_set=_keys(mine))
    return pc.if_else(pc.is_null(place), otherwise, _flat(mine["prediction_id"]).take(pc.fill_null(place, 0))
                      if len(mine) else otherwise)


def _table(ids: pa.ChunkedArray, arrived: pa.ChunkedArray) -> pa.Table:
    """Labels that name their prediction."""
    n = len(ids)
    return pa.table([ids, pa.array([""] * n), pa.array(["[]"] * n), pa.array([0] * n), pa.array([0] * n), arrived,
                     pa.array([False] * n)], schema=SCHEMA) if n else SCHEMA.empty_table()


def _orphans(data: pa.Table) -> Mask:
    return _mask(pc.or_(pc.equal(data["entity_id"], ""), pc.equal(data["prediction_id"], "")))


def _keys(data: pa.Table) -> pa.Array:
    """One word for whose answer a label means and when."""
    return _flat(pc.binary_join_element_wise(data["entity_id"], *(data[name].cast(pa.int64()).cast(pa.string())
                                                                  for name in KEY[1:]), " "))


def _touched(data: pa.Table, rows: Table) -> Mask:
    """Which labels by entity may mean one of the rows: of that entity, in that time."""
    since, until = (np.asarray(data[name].to_numpy(), np.int64) for name in ("since", "until"))
    at: Ints = np.asarray(rows.data["at"].cast(pa.int64()).to_numpy(), np.int64)
    found = np.zeros(len(data), np.bool_)
    near = _mask(pc.not_equal(data["entity_id"], "")) & (since <= at.max(initial=-(2**62))) & \
        (until >= at.min(initial=2**62))
    for names in pc.unique(data["names"].filter(pa.array(near))).to_pylist():
        mine = np.flatnonzero(near & _mask(pc.equal(data["names"], names)))
        inside = np.flatnonzero((at >= since[mine].min()) & (at <= until[mine].max()))
        whose: dict[str, list[int]] = {}
        for place, entity in zip(inside.tolist(), _entities(rows, names, inside), strict=True):
            whose.setdefault(entity, []).append(int(at[place]))
        for place, entity in zip(mine.tolist(), data["entity_id"].take(pa.array(mine)).to_pylist(), strict=True):
            found[place] = any(since[place] <= when <= until[place] for when in whose.get(entity, ()))
    return found


def _entities(rows: Table, names: str, inside: Ints) -> list[str]:
    """The ids of the entities of some rows, as labels have them; empty where a row does not say. names: JSON."""
    columns = json.loads(names)
    if not all(name in rows.schema for name in columns):
        return [""] * len(inside)
    told = list(zip(*(rows.words(name)[inside] for name in columns), strict=True))
    known = {each: "" if None in each else digest(canonical(dict(zip(columns, each, strict=True))).decode())[:32]
             for each in set(told)}
    return [known[each] for each in told]


def _due(data: pa.Table, due: Mask) -> pa.Table:
    return data.set_column(SCHEMA.get_field_index("due"), "due", pa.array(due, pa.bool_()))


def _mask(values: pa.ChunkedArray) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy(),
                      np.bool_)


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
