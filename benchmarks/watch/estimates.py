"""Performance without labels: how far an estimate lies from the truth, chunk by chunk, beside NannyML's.

US census (68,785 reference rows of 2015, 208,892 of the three years after), three kinds of card and car prices come
with NannyML, in its own environment (benchmarks/peers/watch_nannyml.py); the car loans lie in the data folder. Every
figure is the mean distance from the truth over chunks, and is held to that of NannyML in the same run. Ours reads
counts by score cell, and a sample of 20,000 reference rows for the density ratio; beside it the same without weights,
and the constant of the reference. The loss of a regression is cut at its 99 % point; the truth it is held to is not.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import ROOT, Bar, no_peer, peer, real_data

Measured = tuple[float | None, str]
FIGURES = ("auc", "f1", "accuracy")
WITHIN = {"census": "the US census", "loans": "the car loans", "cards": "cards of three classes",
          "prices": "car prices"}
ASKED = (*(("census", size, figure) for size in (2_000, 5_000) for figure in FIGURES),
         *(("loans", 5_000, figure) for figure in FIGURES),
         *(("cards", size, figure) for size in (2_000, 6_000) for figure in ("f1", "accuracy")),
         ("prices", 2_000, "mae"), ("prices", 6_000, "mae"))
BARS = (*(Bar(f"{WITHIN[name]}, {size:,} rows a chunk: distance of {figure} from the truth over NannyML's", None, 1,
              "lower") for name, size, figure in ASKED),
        *(Bar(f"the car loans, 5,000 rows a chunk: distance of {figure} from the truth, without weights", None, most,
              "lower") for figure, most in zip(FIGURES, (0.0021, 0.0026, 0.0031), strict=True)))


def measured() -> list[Measured]:
    """A value and a note for every bar."""
    loans, python = real_data("monitoring/nannyml_car_loan"), peer("nannyml")
    if python is None:
        return [(None, no_peer("nannyml"))] * len(BARS)
    with tempfile.TemporaryDirectory() as name:
        words = [str(python), "-W", "ignore", str(ROOT / "benchmarks/peers/watch_nannyml.py"), name, str(loans or "")]
        ran = subprocess.run(words, text=True, check=True, capture_output=True)
        theirs = json.loads(ran.stdout.splitlines()[-1])
        sets = {one: opened(Path(name), one) for one in WITHIN if one in theirs}
        found: list[Measured] = []
        for one, size, figure in ASKED:
            found.append(_beside(sets[one], theirs[one][str(size)][figure], size, figure) if one in sets
                         else (None, "not measured: the car loans are not here"))
        plain = sets.get("loans")
        return found + [(plain.distance(5_000, figure, "plain"), "") if plain else
                        (None, "not measured: the car loans are not here") for figure in FIGURES]


def _beside(data: Data, theirs: list[float], size: int, figure: str) -> Measured:
    peer_distance = float(np.abs(np.array(theirs) - data.truth(size, figure)).mean())
    ours = {how: data.distance(size, figure, how) for how in data.hows}
    told = ", ".join(f"{how} {value:.{data.digits}f}" for how, value in ours.items())
    return ours[data.hows[0]] / peer_distance, f"NannyML {peer_distance:.{data.digits}f}; {told}"


@dataclass
class Data:
    """One set. reference: of its reference rows. now: the later rows. hows: our ways, the first is the product's."""

    reference: Any
    now: Any
    hows: tuple[str, ...]
    kept: dict[Any, Any]
    digits: int = 5

    def chunks(self, size: int) -> list[Any]:
        """The rows of every chunk."""
        return [np.arange(start, min(start + size, self.now.rows)) for start in range(0, self.now.rows, size)]

    def truth(self, size: int, figure: str) -> Any:
        """The true figure of every chunk."""
        score, said, came = (self.now.column(one).to_numpy() for one in ("score", "decision", "truth"))
        return np.array([TRUE[figure](score[rows], said[rows], came[rows]) for rows in self.chunks(size)])

    def distance(self, size: int, figure: str, how: str) -> float:
        """Mean distance of our estimates from the truth."""
        if (size, how) not in self.kept:
            self.kept[size, how] = [self.estimate(rows, how) for rows in self.chunks(size)]
        ours = np.array([each[figure] for each in self.kept[size, how]])
        return float(np.abs(ours - self.truth(size, figure)).mean())

    def estimate(self, rows: Any, how: str) -> Mapping[str, float]:
        """The figures of one chunk."""
        from shipworthy.core.grid import cells_of
        from shipworthy.deployment.monitoring.estimate import figures, shifted
        from shipworthy.deployment.monitoring.expected import modelled_loss
        from shipworthy.deployment.monitoring.joint import density_ratio

        reference, chunk = self.reference, self.now.take(rows)
        where, cells = _where(reference.plan, chunk), cells_of(chunk, reference.plan)
        if reference.plan.value:
            if "loss" not in self.kept:
                every, there = cells_of(self.now, reference.plan), _where(reference.plan, self.now)
                self.kept["loss"] = modelled_loss(reference, np.stack([*every.values(), there], axis=1))
            loss = self.kept["loss"][rows] if how == "loss model" else reference.sample[:, -1] / 2**20
            return {"mae": reference.facts.cap * float(loss.mean())}
        counted = (reference.outcomes[:, 0] if how == "constant" else
                   np.bincount(where, minlength=reference.plan.score_cells))
        weights = None
        if how == "weighted":
            ratio = density_ratio(reference, np.stack([cells[one] for one in reference.plan.names], axis=1))
            weights = ratio.weights if ratio is not None and ratio.usable else None
        return figures(reference, counted.astype(float), _decided(reference, chunk, where),
                       shifted(reference, reference.expected, weights))


def opened(folder: Path, name: str) -> Data:
    """A set as NannyML's script wrote it."""
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table

    before, now = (Table.of(pq.read_table(folder / f"{name}.{part}.parquet")) for part in ("before", "now"))
    value = name == "prices"
    hows = ("loss model", "constant") if value else ("weighted", "plain", "constant")
    return Data(_reference(before, value=value), now, hows, {}, 2 if value else 5)


def _reference(before: Any, *, value: bool) -> Any:
    """What a release keeps of these rows."""
    from shipworthy.core.grid import FIXED, Facts, Grid, Reference, cells_of, plan
    from shipworthy.deployment.monitoring.reference import SAMPLE_ROWS, calibrated

    score, said, came = (before.column(one).to_numpy() for one in ("score", "decision", "truth"))
    classes = () if value else tuple(str(one) for one in np.unique(came.astype(int) if came.dtype == float else came))
    schema = before.schema.only([one for one in before.schema.names if one not in ("score", "decision", "truth")])
    planned = plan(before, schema, classes=classes, scores=score if value else None)
    error = np.abs(came - score) if value else np.zeros(0)
    cap = float(np.quantile(error, 0.99)) if value else 1.0
    outcome = np.minimum(error / cap, 1) if value else (came == said if len(classes) > 2 else came).astype(float)
    loss = outcome if value else (came != said).astype(float)
    where, cells = _where(planned, before), cells_of(before, planned)
    outcomes = np.stack([np.bincount(where, weights=part, minlength=planned.score_cells)
                         for part in (np.ones(len(where)), np.rint(outcome * FIXED))], axis=1).astype(np.int64)
    kept = np.random.default_rng(0).permutation(before.rows)[:SAMPLE_ROWS]
    rows = np.stack([*(cell[kept] for cell in cells.values()), where[kept],
                     np.rint(loss[kept] * FIXED).astype(np.int64)], axis=1)
    counts = Grid(planned.digest, {}, outcomes[:, 0], before.rows)
    code = [np.searchsorted(classes, part.astype(str)) if len(classes) > 2 else np.zeros(0, int)
            for part in (said, came)]
    many = len(classes) if len(classes) > 2 else 0
    told = np.bincount(code[0] * many + code[1], minlength=many * many).reshape(many, many)
    return Reference(Facts(planned, (), before.rows, int(loss.sum()), cap=cap), counts, counts, outcomes,
                     np.rint(calibrated(outcomes, planned) * FIXED).astype(np.int64), np.zeros(1, np.int64), rows,
                     np.rint(outcome[kept] * FIXED).astype(np.int64), told)


def _where(planned: Any, table: Any) -> Any:
    from shipworthy.core.grid import score_cells

    said = table.column("decision").to_numpy()
    second = said.astype(np.int64) if len(planned.classes) == 2 else np.zeros(table.rows, np.int64)
    return score_cells(planned, table.numbers("score"), second)


def _decided(reference: Any, table: Any, where: Any) -> Any:
    from shipworthy.deployment.monitoring.figures import PAIR

    if len(reference.plan.classes) == 2:
        return np.zeros(0, np.int64)
    code = np.searchsorted(reference.plan.classes, table.column("decision").to_numpy().astype(str))
    return np.bincount(code * PAIR + where * PAIR // 256, minlength=len(reference.plan.classes) * PAIR)


def _auc(score: Any, said: Any, came: Any) -> float:
    from shipworthy.metrics.classification import auc

    return float(auc(came, score))


def _f1(score: Any, said: Any, came: Any) -> float:
    right = [2 * ((said == one) & (came == one)).sum() / ((said == one).sum() + (came == one).sum())
             for one in np.unique(came)]
    return float(right[1] if len(right) == 2 else np.mean(right))


TRUE: dict[str, Callable[[Any, Any, Any], float]] = {
    "auc": _auc, "f1": _f1, "accuracy": lambda score, said, came: float((said == came).mean()),
    "mae": lambda score, said, came: float(np.abs(came - score).mean())}
