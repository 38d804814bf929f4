"""Predictions that another system served: their columns under our names, and what to say where one is lacking."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite

import numpy as np
import pyarrow as pa

from shipworthy.core.model import Model
from shipworthy.core.table import Table, to_words
from shipworthy.errors import BadData, Misuse, nearest, one_of

ALIKE = {
    "prediction_id": ("prediction id", "id", "request_id", "inference_id", "event_id", "uuid", "row_id"),
    "at": ("timestamp", "time", "served_at", "created_at", "predicted_at", "event_time", "datetime", "date"),
    "score": ("probability", "proba", "y_pred_proba", "prediction_score", "predicted_probability", "p", "prediction"),
    "decision": ("predicted", "y_pred", "prediction", "class", "predicted_class", "predicted_label", "output"),
    "label": ("y_true", "target", "outcome", "truth", "actual", "ground_truth", "y"),
    "observed_at": ("label_time", "labelled_at", "timestamp", "time", "arrived_at", "created_at", "date"),
}
SHOWN = 60
SERVED, CAME = ("prediction_id", "at", "score", "decision"), ("prediction_id", "label", "observed_at")


def renamed(table: Table, columns: Iterable[str], *, strict: bool = True) -> Table:
    """The table with some columns under other names. columns: "ours=theirs" each. strict: theirs must be there.

    Raises Misuse for a pair that is none, or names a column that is not there, or a name that is there already.
    """
    for pair in columns:
        ours, found, theirs = pair.partition("=")
        if not (ours and found and theirs):
            raise Misuse(f'"{pair[:80]}" is no pair of names', where="--column",
                         hint="say what it is called here and there: --column at=served_at")
        if theirs not in table.schema:
            if strict and ours not in table.schema:
                raise Misuse(f'there is no column "{theirs}"', where=table.origin or table.name,
                             hint=one_of(theirs, table.schema.names))
            continue
        if ours in table.schema:
            raise Misuse(f'the table has a column "{ours}" already', where=table.origin or table.name,
                         hint=f"leave out --column {pair}")
        names = [ours if name == theirs else name for name in table.data.column_names]
        table = Table.of(table.data.rename_columns(names), name=table.name, origin=table.origin)
    return table


def fitting(log: Table, labels: Table | None, model: Model) -> Table:
    """A log that can be counted: without labels a row number will do for an id, and a score decides by the threshold.

    A decision is the word of its class, as in a server's own log, whatever type it has in the table. Raises BadData
    that names all missing columns at once, with the columns that are probably meant.
    """
    if labels is None and "prediction_id" not in log.schema:
        log = log.with_column("prediction_id", pa.array([f"row-{place}" for place in range(log.rows)]))
    if "decision" not in log.schema and "score" in log.schema and len(model.classes) == 2:
        codes = model.decide(np.nan_to_num(log.numbers("score")))
        log = log.with_column("decision", pa.array([model.classes[int(code)] for code in codes]))
    _must(log, SERVED if model.classes else SERVED[:3])
    if model.classes:
        log = log.with_column("decision", pa.array(to_words(log.column("decision")), pa.string()))
    known = [name for name in model.features.columns if name in log.schema]
    if not known:
        raise BadData("the log holds none of the model's columns", where=log.origin or log.name,
                      hint=f"it may be of another model; this one reads {', '.join(model.features.columns[:3])}, and " +
                      _hint([(name, guess(name, log)) for name in model.features.columns[:3]], log))
    return log


def answering(labels: Table, log: Table, model: Model) -> Table:
    """The labels, if they can be of that log: what says nothing else would be dropped, and a look see no harm.

    labels: spelt as the model's classes are; a null is a label that has not come yet. Raises BadData for a column that
    is lacking, a label that is none of the model's, and where not one names a prediction of the log.
    """
    _must(labels, CAME)
    where, said = labels.origin or labels.name, labels.words("label")
    odd = [place for place, word in enumerate(said) if word is not None and not _is_label(word, model.classes)]
    if odd:
        word = said[odd[0]]
        raise BadData(f"{len(odd):,} of {labels.rows:,} labels are none of this model: {word[:SHOWN]!r} in row "
                      f"{odd[0] + 1:,}" + (" is the first" if len(odd) > 1 else ""), where=f"{where}, label",
                      hint=nearest(word, model.classes) or f"write {' or '.join(model.classes) or 'a number'}")
    ids, served = labels.words("prediction_id"), log.words("prediction_id")
    if len(ids) and len(served) and not set(ids) & set(served):
        raise BadData(f"no label of {labels.rows:,} is of a prediction in the log", where=f"{where}, prediction_id",
                      hint=f'the ids of the log look like "{str(served[0])[:SHOWN]}", those of the labels like '
                           f'"{str(ids[0])[:SHOWN]}"; name the log that they belong to: --log')
    return labels


def _is_label(word: str, classes: tuple[str, ...]) -> bool:
    if classes:
        return word in classes
    try:
        return isfinite(float(word))
    except ValueError:
        return False


def _must(table: Table, needed: Iterable[str]) -> None:
    missing = [name for name in needed if name not in table.schema]
    if missing:
        word = "columns" if len(missing) > 1 else "column"
        raise BadData(f"the table lacks the {word} {', '.join(missing)}", where=table.origin or table.name,
                      hint=_hint([(name, guess(name, table)) for name in missing], table))


def guess(name: str, table: Table) -> str:
    """The column that is probably meant: by name, or the only one with times; empty where none comes to mind."""
    by_fold = {column.casefold(): column for column in table.schema.names}
    for word in (name, *ALIKE.get(name, ())):
        if word in by_fold:
            return by_fold[word]
    close = get_close_matches(name.casefold(), list(by_fold), n=1, cutoff=0.6)
    if close:
        return by_fold[close[0]]
    times = [column for column in table.data.column_names if pa.types.is_timestamp(table.data[column].type)]
    return times[0] if name in ("at", "observed_at") and len(times) == 1 else ""


def _hint(pairs: list[tuple[str, str]], table: Table) -> str:
    known = " ".join(f"--column {name}={found}" for name, found in pairs if found)
    if known:
        return f"say what they are called there: {known}"
    name = pairs[0][0]
    return f"say what it is called there: --column {name}=…, one of: {', '.join(table.schema.names[:8])}"
