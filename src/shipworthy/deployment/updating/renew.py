"""Renewal: may these rows be learnt from, and what is the next training set."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Breach, Contract
from shipworthy.core.grid import Reference, cells_of
from shipworthy.core.model import Model
from shipworthy.core.project import RENEWED, Project, Source, Splitting
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.outliers import FEWEST_CALIBRATION, outlier_p
from shipworthy.deployment.monitoring.reference import strangeness
from shipworthy.deployment.updating.poison import TARGETED, judged, labelled
from shipworthy.deployment.updating.unbiased import WEIGHT, unbiased
from shipworthy.errors import BadData

BROKEN_RULES = ("present", "type", "null-share", "range", "unseen-share", "pattern")
STRANGE_LIMIT = 0.2
TAIL_SHARE = 0.3
HELD, LEAST_HELD = 0.15, 0.03
EXTRA = ("label_source", "label_week", WEIGHT)


def next_rows(log: Table, labels: Table, model: Model, table: Table) -> Table:
    """The logged rows that have a label, oldest first, in the columns of a training table as it arrived.

    They are as they were asked, so that the challenger's own cleaning is fitted on them like on the others; only what
    does not fit a column of `table` is read by the model's cleaning.
    Every column of `table` is there: the target from the labels, the time column from the log's `at` where the log
    lacks it, null where nothing is known; then label_source, label_week and loop_weight, as `unbiased` has it.
    """
    found = unbiased(labelled(model, log, labels)).rows
    read = model.cleaned(found)
    for column in table.schema.columns:
        kind = table.column(column.name).type
        if column.name in found.schema and column.role != "identifier":  # kept to join labels, not to learn from
            one = found if found.column(column.name).type == kind or pa.types.is_string(kind) else read
            values = _cast(one.column(column.name), kind, column.name)
        elif column.role == "time" and pa.types.is_timestamp(kind):
            values = _cast(found.column("at"), kind, column.name)
        else:
            values = pa.nulls(found.rows, kind)
        found = found.with_column(column.name, values)
    chosen = found.select(list(dict.fromkeys((*table.schema.names, *EXTRA))))
    schema = chosen.schema
    for column in table.schema.columns:
        schema = schema.replace(column.name, kind=column.kind, role=column.role, protected=column.protected,
                                integer=column.integer, unit=column.unit, meaning=column.meaning)
    for name in EXTRA:
        schema = schema.replace(name, role="ignored")
    return chosen.with_schema(schema)


def admit(
    model: Model, contract: Contract, fresh: Table, *,
    validate: Callable[[Contract, Table], tuple[Breach, ...]], grid: Reference | None = None, limit: float = TARGETED,
) -> Finding:
    """Whether new labelled rows may be learnt from; fail refuses them before anything is fitted.

    fresh: from `next_rows`. Refused: rows that break the contract outright, a fifth or more strange rows, labels
    of one source that contradict the model more than the others do (limit: of `no-poison`), labels that look swapped.
    Only what a request must hold, and the label, is held to the contract: identifiers and columns that are set aside
    never reach the server.
    """
    plain = model.cleaned(fresh.drop(*EXTRA))
    reach = {*model.features.columns, model.sheet.target}
    asked = Contract(tuple(rule for rule in contract.rules if rule.kind in BROKEN_RULES and rule.column in reach))
    breaches = validate(asked, plain)
    if breaches:
        names = list(dict.fromkeys(breach.rule.column for breach in breaches))
        where = f" in {', '.join(names)}" if len(names) > 1 else ""
        return say("fail", f"The new rows break the contract{where}: {breaches[0].sentence.rstrip('.')}.", n=fresh.rows,
                   value=float(len(breaches)), limit=0.0, remedy="repair the source, then renew again",
                   counterexample={"breaches": [breach.sentence for breach in breaches[:10]]})
    if grid is not None and len(grid.strange) >= FEWEST_CALIBRATION and fresh.rows:
        score = strangeness(grid.plan, grid.planned, cells_of(plain, grid.plan))
        share = float((outlier_p(np.rint(score * 2**20).astype(np.int64), grid.strange) <= 0.01).mean())
        if share > STRANGE_LIMIT:
            return say("fail", f"{share:.0%} of {fresh.rows:,} new rows are stranger than 99 % of the reference (at "
                               f"most {STRANGE_LIMIT:.0%} is allowed).", value=share, limit=STRANGE_LIMIT, n=fresh.rows,
                       remedy="look at the rows before learning from them")
    return judged(model, fresh, limit=limit)


def next_training(
    table: Table, fresh: Table, *, tail: float = TAIL_SHARE, weight: str = ""
) -> tuple[Table, Table]:
    """What the challenger learns from, and the newest labelled rows on which it must win.

    The newest share `tail` of `fresh` is kept back; the rest follows the rows of `table`. fresh: oldest first. weight:
    column by which the rows of `table` weigh, 1 at the mean; without it, where those of `fresh` weigh unequally, they
    weigh 1 each.
    """
    if WEIGHT in fresh.schema and WEIGHT not in table.schema and fresh.rows:
        if weight in table.schema.names:
            own = table.numbers(weight)
            table = table.with_column(WEIGHT, pa.array(own / own.mean()))
        elif np.ptp(fresh.numbers(WEIGHT)) > 0:
            table = table.with_column(WEIGHT, pa.array(np.ones(table.rows)))
    plain = fresh.select(list(table.schema.names))
    kept = plain.rows - round(tail * plain.rows)
    older, newest = plain.head(kept), plain.take(np.arange(kept, plain.rows))
    joined = pa.concat_tables([table.data, older.data.cast(table.data.schema)])
    return Table(joined, table.schema, table.name, table.origin, table.notes), newest


def renewed(project: Project, *, share: float = 1.0) -> Project:
    """The project of a challenger: one table, collected already, split as the champion's was, but judged on new rows.

    share: of new rows among all, the last ones of the table. The newest are held out where that split is in time, and
    any of the new ones where it is not; never more of them than leave half to learn from. Identifiers are set aside:
    newer rows have none, so that they tell newer rows from older ones and nothing else; so is the project's own column
    of weights, which `next_training` has read.
    """
    about = project.source[0]
    source = Source(RENEWED, RENEWED, about.owner, about.licence)
    own = (project.data.weight,) if project.data.weight else ()
    aside = tuple(dict.fromkeys((*project.data.set_aside, *project.data.identifiers, *own)))
    data = msgspec.structs.replace(project.data, table=RENEWED, target_rule=None, identifiers=(), set_aside=aside,
                                   weight=WEIGHT)
    kept = min(HELD, max(LEAST_HELD, share / 4))
    cut = Splitting(kind=project.split.kind, tune=kept, holdout=kept, seed=project.split.seed,
                    newest=min(1.0, max(share, 3 * kept)))
    return msgspec.structs.replace(project, source=(source,), join=(), data=data, split=cut)


def _cast(values: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    try:
        return pc.cast(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadData(f'column "{name}" of the log does not fit the training table', where="log",
                      hint=str(error).splitlines()[0]) from error
