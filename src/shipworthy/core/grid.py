"""The grid: a frozen plan of cells per column, and integer counts over it that merge by addition.

One grid answers drift, missing values, unseen categories, outliers and performance without labels.
A number has the cells: far below, below the minimum, body, above the maximum, far above, −∞, +∞, NaN, null.
A category or boolean: its frequent values, RARE, UNSEEN, null. A score: 256 equal cells × predicted class,
unusable, null. "Far" is more than one full range outside what training held.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from shipworthy.core.canon import canonical, digest
from shipworthy.core.lazy import Lazy
from shipworthy.core.npz import read_arrays
from shipworthy.core.program import Program, read_program
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Floats, Ints, Table, to_words
from shipworthy.errors import BadData, BadModel, BadRelease, Misuse

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa, pc = Lazy("pyarrow"), Lazy("pyarrow.compute")

FIXED = 2**20
SCORE_CELLS = 256
BODY = 64
TAILS = (0.001, 0.01, 0.99, 0.999)
KNOWN_VALUES = 10_000
FAR_BELOW, BELOW, FIRST = 0, 1, 2
MINUS_INF, PLUS_INF, NAN, NULL = -4, -3, -2, -1
RARE, UNSEEN = -3, -2
_LARGEST = 1.7e308
_FULL = 2**62
FORMAT = 1


class Cells(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cells of one column.

    edges: of a number, ascending: far below, just below the minimum, body cuts, maximum, far above; minimum and
    maximum are those of all rows that the model learnt from or was tuned on.
    values: of a category, most frequent first. rare: values that training had but that have no cell of their own.
    unit: of a number, where it is known.
    """

    name: str
    kind: Literal["number", "category"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    unit: str = ""

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self.edges) + 5 if self.kind == "number" else len(self.values) + 3

    @property
    def special(self) -> npt.NDArray[np.bool_]:
        """(size,) true for cells that have no neighbours: missing, infinite, rare, unseen, outside the body."""
        marks = np.zeros(self.size, np.bool_)
        if self.kind == "number":
            marks[[FAR_BELOW, BELOW, -6, -5, MINUS_INF, PLUS_INF, NAN, NULL]] = True
        else:
            marks[[RARE, UNSEEN, NULL]] = True
        return marks


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cells of every column, and of the score. classes: of the model; value: the cells of a regression's score."""

    columns: tuple[Cells, ...]
    classes: tuple[str, ...] = ()
    value: Cells | None = None

    @property
    def digest(self) -> str:
        return digest(self)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def score_cells(self) -> int:
        return self.value.size if self.value else 2 * SCORE_CELLS + 2


@dataclass(frozen=True)
class Grid:
    """Counts of rows by cell. plan: digest of the plan. columns: name → (cells,) int64. score: (cells,) int64."""

    plan: str
    columns: Mapping[str, Ints]
    score: Ints
    rows: int


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON part of a reference. weights: importance of every planned column, sum 1. rows: reference rows.

    wrong: rows decided wrongly (of a regression 0). cap: absolute error at which a regression's loss is 1.
    bias: mean of what came true less what was expected, with its standard error. model: digest of the model.
    by_coin: wrong counts decisions by a coin of the model's probability, not by its threshold. seasons: hour or day of
    the week → Cohen's w of every planned column among learnt rows of it, where known. groups: cells of protected
    categories that the model does not read, for counting traffic apart.
    """

    plan: Plan
    weights: tuple[float, ...]
    rows: int
    wrong: int
    cap: float = 1.0
    bias: float = 0.0
    bias_error: float = 0.0
    model: str = ""
    planned_rows: int = 0
    by_coin: bool = False
    seasons: dict[str, tuple[float, ...]] = {}
    groups: tuple[Cells, ...] = ()
    format: int = FORMAT


NO_FOREST = Program((), (), "identity")


@dataclass(frozen=True)
class Reference:
    """What a release looked like when it was judged; live traffic is compared with this and nothing else.

    planned: counts of the split that made the edges; it decides pooling and outlier scores.
    grid: counts of the reference sample. outcomes: (score cells, 2) rows, and fixed-point sum of what came true
    (1 for the second class of a binary model, 1 for a right answer among many classes, the loss of a regression).
    calibration: fixed-point expected outcome per score cell (256 of a classification). strange, isolated: (m,)
    ascending outlier scores of the sample, by columns and by the forest; without a forest there are none by it.
    sample: (r, columns + 2) cells of up to 20,000 reference rows, their score cell, and their fixed-point loss.
    came: (r,) what came true of them, fixed point, as in `outcomes`; of a regression the signed error, as a share of
    `cap`. told: (classes, classes) of more than two classes, rows by decided and true class.
    """

    facts: Facts
    planned: Grid
    grid: Grid
    outcomes: Ints
    calibration: Ints
    strange: Ints
    sample: Ints
    came: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    told: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    isolated: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    forest: Program = NO_FOREST

    @property
    def plan(self) -> Plan:
        return self.facts.plan

    @cached_property
    def expected(self) -> Floats:
        """The expected outcome of a row in every calibration cell."""
        return self.calibration / FIXED

    @property
    def digest(self) -> str:
        return digest([digest(raw) for raw in self.files().values()])

    def files(self) -> dict[str, bytes]:
        """The reference as `grid.json` and `grid.npz`, and its forest as `forest.json` and `forest.npz`; no pickle."""
        packed = io.BytesIO()
        arrays: dict[str, Any] = {"outcomes": self.outcomes, "calibration": self.calibration,
                                  "strange": self.strange, "isolated": self.isolated, "sample": self.sample,
                                  "came": self.came, "told": self.told}
        for side, grid in (("planned", self.planned), ("grid", self.grid)):
            arrays[f"{side}.score"] = grid.score
            arrays |= {f"{side}.{place}": grid.columns[name] for place, name in enumerate(self.plan.names)}
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        forest = self.forest.files()
        return {"grid.json": canonical(self.facts), "grid.npz": packed.getvalue(),
                "forest.json": forest["program.json"], "forest.npz": forest["program.npz"]}


def read_grid(files: Mapping[str, bytes]) -> Reference:
    """A reference from its four files.

    Raises BadRelease when one is malformed, of another format, holds objects, or does not fit its plan.
    """
    try:
        facts = msgspec.json.decode(files["grid.json"], type=Facts)
        arrays = {key: np.asarray(array, np.int64) for key, array in read_arrays(files["grid.npz"]).items()}
        sides = [_side(facts, arrays, side) for side in ("planned", "grid")]
        kept = ("outcomes", "calibration", "strange", "sample", "isolated", "came", "told")
        found = Reference(facts, sides[0], sides[1], **{key: arrays[key] for key in kept}, forest=_forest(files))
    except (BadModel, msgspec.MsgspecError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise BadRelease("the reference grid cannot be read", where="grid.json, grid.npz", hint=str(error)) from error
    _audit(found)
    return found


def _forest(files: Mapping[str, bytes]) -> Program:
    return read_program({"program.json": files["forest.json"], "program.npz": files["forest.npz"]})


def _side(facts: Facts, arrays: Mapping[str, Ints], side: str) -> Grid:
    columns = {name: arrays[f"{side}.{place}"] for place, name in enumerate(facts.plan.names)}
    rows = facts.planned_rows if side == "planned" else facts.rows
    return Grid(facts.plan.digest, columns, arrays[f"{side}.score"], rows)


def _audit(found: Reference) -> None:
    facts, plan = found.facts, found.plan
    fits = all(len(grid.columns[cells.name]) == cells.size for grid in (found.planned, found.grid)
               for cells in plan.columns)
    fits = fits and len(facts.weights) == len(plan.columns) and found.outcomes.shape == (plan.score_cells, 2)
    fits = fits and (len(found.forest.inputs) == 2 * len(plan.columns) or not len(found.isolated))
    fits = fits and found.sample.ndim == 2 and found.sample.shape[1] == len(plan.columns) + 2
    fits = fits and found.came.shape == found.sample.shape[:1]
    many = len(plan.classes) if len(plan.classes) > 2 else 0
    fits = fits and found.told.shape == (many, many)
    if facts.format != FORMAT or not fits:
        raise BadRelease("the reference grid does not fit its plan", where="grid.json, grid.npz",
                         hint="restore the release from a copy, or build it again: shipworthy run")


def plan(
    table: Table, schema: Schema, *, cells: int = BODY, categories: int = 255,
    classes: tuple[str, ...] = (), scores: Floats | None = None, learnt: Table | None = None,
) -> Plan:
    """The cells of every feature column of a schema, cut where this table's rows lie.

    table: a split that is not the reference sample. scores: (n,) predictions of a regression on it. learnt: rows that
    the model learnt from: what lies among them is neither outside nor unseen, whatever this table holds.
    Timestamps and free text have no cells.
    """
    both = (table, learnt or table)
    found = [_plan(both, column, cells, categories) for column in schema.features
             if column.kind in ("number", "boolean", "category")]
    value = _numeric("score", scores, cells, scores) if scores is not None else None
    return Plan(tuple(found), classes, value)


def _plan(both: tuple[Table, Table], column: Column, cells: int, categories: int) -> Cells:
    table, learnt = both
    if column.kind == "number":
        found = _numeric(column.name, _loose(table.column(column.name))[0], cells,
                         _loose(learnt.column(column.name))[0])
        return msgspec.structs.replace(found, unit=column.unit)
    frequent = _by_count(table.column(column.name))
    known = dict.fromkeys((*frequent[categories:], *_by_count(learnt.column(column.name))))
    rare = [word for word in known if word not in set(frequent[:categories])]
    return Cells(column.name, "category", values=frequent[:categories], rare=tuple(rare[:KNOWN_VALUES]))


def _by_count(values: pa.ChunkedArray) -> tuple[str, ...]:
    """The words of a column, the most frequent first."""
    words = pc.value_counts(_strings(values).drop_null())
    counted = sorted(((-int(n), str(v)) for v, n in zip(words.field(0).to_pylist(), words.field(1).to_pylist(),
                                                       strict=True)))
    return tuple(word for _, word in counted)


def _numeric(name: str, values: Floats, cells: int, learnt: Floats) -> Cells:
    finite = values[np.isfinite(values)]
    reach = np.append(finite, learnt[np.isfinite(learnt)])
    if not reach.size:
        return Cells(name, "number", edges=(-1.0, float(np.nextafter(0.0, -1.0)), 0.0, 1.0))
    finite = finite if finite.size else reach
    low, high = float(reach.min()), float(reach.max())
    span = min(high - low, _LARGEST) or abs(low) or 1.0
    cuts = np.quantile(finite, sorted({*np.arange(1, cells) / cells, *TAILS}), method="inverted_cdf")
    inner = np.unique([*cuts, float(finite.max()), high])
    outer = (max(low - span, -_LARGEST), float(np.nextafter(low, -np.inf)))
    return Cells(name, "number", edges=(*outer, *map(float, inner), min(high + span, _LARGEST)))


def cells_of(table: Table, plan: Plan) -> dict[str, Ints]:
    """The cell of every row in every planned column, (rows,) each. A column that is absent counts as null."""
    return {cells.name: _place(table, cells) for cells in plan.columns}


def _place(table: Table, cells: Cells) -> Ints:
    if cells.name not in table.schema:
        return np.full(table.rows, cells.size - 1, np.int64)
    column = table.column(cells.name)
    if cells.kind == "number":
        return number_cells(*_loose(column), cells)
    words = _strings(column)
    codes = pc.index_in(words, value_set=pa.array([*cells.values, *cells.rare], pa.string()))
    codes = np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), np.int64)
    kept = len(cells.values)
    codes = np.where(codes < 0, cells.size + UNSEEN, np.where(codes >= kept, cells.size + RARE, codes))
    return np.where(np.asarray(words.is_null().to_numpy(zero_copy_only=False), np.bool_), cells.size - 1, codes)


def number_cells(values: Floats, null: npt.NDArray[np.bool_], cells: Cells) -> Ints:
    """The cell of every number, (n,); body cell k holds (edge k−1, edge k]."""
    found = np.searchsorted(np.asarray(cells.edges), values, side="left").astype(np.int64)
    found[values == -np.inf] = cells.size + MINUS_INF
    found[values == np.inf] = cells.size + PLUS_INF
    found[np.isnan(values)] = cells.size + NAN
    found[null] = cells.size + NULL
    return found


def score_cells(plan: Plan, score: Floats, decision: Ints) -> Ints:
    """The score cell of every row, (n,). decision: (n,) 1 where the second class of a binary model was decided."""
    if plan.value:
        return number_cells(score, np.zeros(len(score), np.bool_), plan.value)
    usable = np.isfinite(score) & (score >= 0) & (score <= 1)
    place = np.minimum((np.where(usable, score, 0) * SCORE_CELLS).astype(np.int64), SCORE_CELLS - 1)
    second = SCORE_CELLS * decision if len(plan.classes) == 2 else 0
    return np.where(usable, place + second, 2 * SCORE_CELLS).astype(np.int64)


def count(table: Table, plan: Plan) -> Grid:
    """The counts of a table over a plan; the score too where the table holds `score` and `decision`."""
    columns = {cells.name: np.bincount(_place(table, cells), minlength=cells.size).astype(np.int64)
               for cells in plan.columns}
    score = np.zeros(plan.score_cells, np.int64)
    if {"score", "decision"} <= set(table.schema.names):
        score = np.bincount(score_cells(plan, table.numbers("score"), decided(table, plan.classes)),
                            minlength=plan.score_cells).astype(np.int64)
    return Grid(plan.digest, columns, score, table.rows)


def decided(table: Table, classes: tuple[str, ...]) -> Ints:
    """(n,) 1 where the column `decision` names the second class, else 0."""
    return np.asarray(table.words("decision") == classes[1], np.int64) if classes else np.zeros(table.rows, np.int64)


def add(left: Grid, right: Grid) -> Grid:
    """The counts of both: exact, in any order. Raises Misuse for different plans or a count near 2⁶³."""
    if left.plan != right.plan:
        raise Misuse("grids of different plans cannot be added", where=f"{left.plan[:12]} and {right.plan[:12]}",
                     hint="add grids that one reference made")
    if max(left.rows, right.rows) >= _FULL:
        raise Misuse("the counts are too large to add", where="grid", hint="start a new grid")
    columns = {name: left.columns[name] + right.columns[name] for name in left.columns}
    return Grid(left.plan, columns, left.score + right.score, left.rows + right.rows)


def _strings(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    return values if pa.types.is_string(values.type) else pa.chunked_array([pa.array(to_words(values), pa.string())])


def _loose(values: pa.ChunkedArray) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Values as float64 and where they are null; text that is no number is NaN, so one bad value hides no other."""
    null = np.asarray(values.is_null().to_numpy(), np.bool_)
    if pa.types.is_temporal(values.type):
        raise BadData("a timestamp has no cells", where="grid", hint="grid the features made from it")
    try:
        numbers = pc.cast(values, pa.float64()).to_numpy().astype(np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers = np.array([_parsed(word) for word in to_words(values)], np.float64)
    return numbers, null


def _parsed(word: str | None) -> float:
    try:
        return float(word) if word is not None else float("nan")
    except ValueError:
        return float("nan")
