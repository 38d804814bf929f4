"""Two programs over the same inputs: places and codes of both written anew, so that one row is read by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shipworthy.core.features import Category, Encoder, Input
from shipworthy.core.model import Model
from shipworthy.core.program import Dense, Linear, Lookup, Program, Term, Trees
from shipworthy.errors import BadModel
from shipworthy.verification.formal.additive import Nodes
from shipworthy.verification.formal.cells import coded, listed


@dataclass(frozen=True)
class Alike:
    """Two programs that read the same inputs, and how these are made."""

    one: Program
    other: Program
    encoders: tuple[Encoder, ...]


def alike(one: Model, other: Model) -> Alike:
    """Both programs over the inputs of either. A level that one of them does not know is missing to it.

    Raises BadModel where one reads as a number what the other reads as words.
    """
    found: dict[str, Encoder] = {}
    for encoder in (*one.features.encoders, *other.features.encoders):
        known = found.get(encoder.name)
        if known is None:
            found[encoder.name] = encoder
        elif isinstance(encoder, Category) and isinstance(known, Category):
            more = tuple(level for level in encoder.levels if level not in known.levels)
            found[encoder.name] = Category(encoder.column, known.levels + more)
        elif encoder != known:
            raise BadModel(f'the one model reads "{encoder.name}" as words, the other as a number', where="features",
                           hint="compare models of the same columns")
    encoders = tuple(found.values())
    return Alike(_over(one, encoders), _over(other, encoders), encoders)


def _over(model: Model, encoders: Sequence[Encoder]) -> Program:
    """The program of a model over other inputs that hold its own."""
    names = [one.name for one in encoders]
    places, codes = [names.index(one.name) for one in model.features.encoders], dict[int, list[int]]()
    for place, own in enumerate(model.features.encoders):
        wide = encoders[places[place]]
        if isinstance(own, Category) and isinstance(wide, Category):
            codes[place] = [wide.levels.index(level) for level in own.levels]
    inputs = tuple(Input(one.name, len(one.levels) if isinstance(one, Category) else 0) for one in encoders)
    terms = tuple(_term(term, places, codes, inputs) for term in model.program.terms)
    return replace(model.program, inputs=inputs, terms=terms)


def _term(term: Term, places: Sequence[int], codes: Mapping[int, list[int]], inputs: Sequence[Input]) -> Term:
    arrays: dict[str, Any] = dict(term.arrays)
    at = np.asarray(places, np.int64)
    if isinstance(term.kind, Lookup):
        values = np.asarray(arrays["values"], np.float64)
        for axis, place in enumerate(term.kind.places):
            if not len(arrays[f"cuts{axis}"]):
                cells = np.zeros(1 + inputs[places[place]].levels, np.int64)
                cells[[1 + code for code in codes[place][: values.shape[axis] - 1]]] = np.arange(
                    1, min(values.shape[axis], 1 + len(codes[place])))
                values = np.take(values, cells, axis=axis)
        return Term(Lookup(tuple(places[place] for place in term.kind.places)), {**arrays, "values": values})
    if isinstance(term.kind, Linear):
        return Term(term.kind, {**arrays, "place": at[np.asarray(arrays["place"], np.int64)]})
    return _trees(term, at, codes) if isinstance(term.kind, Trees) else _dense(term, at, codes, inputs)


def _trees(term: Term, at: Any, codes: Mapping[int, list[int]]) -> Term:
    feature, nodes = np.asarray(term.arrays["feature"], np.int64), Nodes()
    threshold, words = np.array(term.arrays["threshold"], np.float64), np.array(term.arrays["words"], np.int32)
    for node in np.flatnonzero(coded(term)).tolist():
        own = codes[int(feature[node])]
        left = [own[code] for code in listed(term, node) if code < len(own)]
        threshold[node], words[node] = nodes.listed(left) if left else (0.0, 0)
    return Term(term.kind, {**term.arrays, "feature": at[feature].astype(np.int32), "threshold": threshold,
                            "words": words, "bits": np.array(nodes.bits, np.uint32)})


def _dense(term: Term, at: Any, codes: Mapping[int, list[int]], inputs: Sequence[Input]) -> Term:
    assert isinstance(term.kind, Dense)
    a, first, rows = term.arrays, np.asarray(term.arrays["weight0"], np.float64), list[Any]()
    levels, start = np.array(a["levels"], np.int64), 0
    for number, (place, count) in enumerate(zip(a["place"].tolist(), a["levels"].tolist(), strict=True)):
        own = first[start : start + (count or 2)]
        start += count or 2
        if count:
            levels[number] = inputs[int(at[place])].levels
            wide = np.zeros((levels[number], first.shape[1]))
            wide[codes[place][:count]] = own[: len(codes[place])]
            own = wide
        rows.append(own)
    return Term(term.kind, {**a, "place": at[np.asarray(a["place"], np.int64)], "levels": levels,
                            "weight0": np.concatenate(rows)})
