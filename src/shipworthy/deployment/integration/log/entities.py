"""Which answer a label means that is given by entity and time: the last one for the entity in that time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from shipworthy.core.lazy import Lazy
from shipworthy.core.table import Ints, Mask, Table, to_words
from shipworthy.deployment.integration.log.tables import codes

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Lazy("pyarrow")

OWN = ("entity", "entity_id", "since", "until")


def joined(named: pa.Table, served: Table) -> tuple[pa.Table, pa.Table]:
    """Labels of predictions, and those that mean none yet, with why: "none" or "several".

    named: from `entity_rows`. served: predictions.
    """
    ids = np.full(len(named), "", object)
    why = np.full(len(named), "none", object)
    texts = named["entity"].to_numpy(zero_copy_only=False)
    entities = {text: json.loads(text) for text in set(texts)}
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(tuple(entities[text]), []).append(row)
    for names, rows in groups.items():
        if all(name in served.schema for name in names):
            asked = {name: [entities[texts[row]][name] for row in rows] for name in names}
            place, several = _meant(asked, named.take(pa.array(rows)), served)
            found = np.flatnonzero((place >= 0) & ~several)
            ids[np.array(rows)[found]] = served.words("prediction_id")[place[found]]
            why[np.array(rows)[several]] = "several"
    known = ids != ""
    direct = named.set_column(0, "prediction_id", pa.array(ids, pa.string())).filter(pa.array(known))
    left = named.append_column("why", pa.array(why, pa.string())).filter(pa.array(~known))
    return direct.drop_columns(list(OWN)), left


def _meant(asked: dict[str, list[str]], named: pa.Table, served: Table) -> tuple[Ints, Mask]:
    """For every label the row of the answer that it means, -1 for none; and whether several could be meant."""
    words = {name: to_words(served.column(name)) for name in asked}
    rows = np.flatnonzero(np.all([word != None for word in words.values()], axis=0))  # noqa: E711 - elementwise
    whose = codes(pa.table({name: pa.array([*words[name][rows], *values], pa.string())
                            for name, values in asked.items()}), tuple(asked))
    at = _micros(served.data["at"])[rows]
    until, since, n = _micros(named["until"]), _micros(named["since"]), len(rows)
    is_label = np.arange(len(whose)) >= n
    order = np.lexsort((is_label, np.append(at, until), whose))  # by entity, then time, answers before labels
    last = np.maximum.accumulate(np.where(is_label[order], -1, np.arange(len(order))))
    places = np.flatnonzero(is_label[order])
    label, before = order[places] - n, last[places]
    answer = np.where(before >= 0, order[before], 0)
    good = (before >= 0) & (n > 0)
    good &= whose[answer] == whose[order[places]]
    when = np.append(at, until)[answer]
    good &= when >= since[label]
    twin = order[np.maximum(before - 1, 0)]
    same = good & (before > 0) & (whose[twin] == whose[answer]) & (np.append(at, until)[twin] == when) & (twin < n)
    meant, several = np.full(len(named), -1, np.int64), np.zeros(len(named), np.bool_)
    meant[label[good]] = rows[answer[good]]
    several[label] = same
    return meant, several


def _micros(values: pa.ChunkedArray) -> Ints:
    return np.asarray(values.cast(pa.int64()).to_numpy(), np.int64)
