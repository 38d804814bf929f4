"""What is mended without labels: other shares of the classes and other rows, on Adult and on house prices.

Five seeds each; boosted trees learn from half of the rows, 15 % each tune and hold out, the rest is traffic, of which
labels are only looked at to measure. Classes: traffic thinned to 60 %, 10 % and the usual 25 % of high incomes. Rows:
older people work longer, or dearer districts, by an exponential tilt, as in Tibshirani et al. (2019), section 2.2.
MAPIE's and crepes' split conformal prediction take no weights of likelihood ratios, so plain split conformal stands
for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import Bar, no_data, real_data

BARS = (
    Bar("60 % of high incomes: error of the share that scores tell, mean", None, 0.02, "lower"),
    Bar("10 % of high incomes: error of the share that scores tell, mean", None, 0.02, "lower"),
    Bar("60 % of high incomes: log loss after correction less before", None, -0.05, "lower"),
    Bar("60 % of high incomes: share of the gain that the true shares would bring", None, 0.9, "higher"),
    Bar("60 % of high incomes: accuracy at one half, after less before", None, 0.02, "higher"),
    Bar("usual incomes: share of seeds in which anything is adapted", None, 0.0, "lower"),
    Bar("other people, who need no correction: log loss after less before", None, 0.001, "lower"),
    Bar("dearer districts: plain split conformal, share covered of 90 %", None, 0.88, "lower"),
    Bar("dearer districts: weighted conformal, distance of the share covered from 90 %", None, 0.03, "lower"),
    Bar("people whom training had none of: share of seeds in which adapting is refused", None, 1.0, "higher"),
)
Measure = tuple[float | None, str]
SEEDS = range(5)
HIGH = ">50K"


def measured() -> list[Measure]:
    """Every bar; not measured where the tables are absent. It takes about a minute."""
    people = real_data("fairness/adult/adult.parquet")
    homes = real_data("regression/california_housing/housing.parquet")
    if people is None or homes is None:
        return no_data(BARS)
    table = adult(people)
    seeds = [_people(table, seed) for seed in SEEDS]
    covered = [_homes(homes, seed) for seed in SEEDS]
    found: list[Measure] = []
    for key in ("error 60", "error 10", "loss", "of the best", "accuracy", "usual", "other"):
        values = [seed[key] for seed in seeds]
        found.append((float(np.mean(values)), f"from {min(values):.4f} to {max(values):.4f}, {len(values)} seeds"))
    plain, weighted = (np.array(each) for each in zip(*covered, strict=True))
    found.append((float(plain.mean()), f"from {plain.min():.3f} to {plain.max():.3f}"))
    found.append((float(abs(weighted.mean() - 0.9)), f"from {weighted.min():.3f} to {weighted.max():.3f} covered"))
    return [*found, (float(np.mean([seed["refused"] for seed in seeds])), "model and calibration of those under 45, "
                                                                          "traffic of those over 65")]


def adult(path: Path) -> Any:
    """Adult with one spelling of each class, without the column that says which file a row is from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table

    table = Table.of(pq.read_table(path), name="adult").drop("part", "education", "fnlwgt")
    table = table.with_column("income", pa.array([str(word).rstrip(".") for word in table.words("income")]))
    return table.with_schema(table.schema.replace("income", role="target"))


def _people(table: Any, seed: int) -> dict[str, float]:
    from shipworthy.deployment.updating.mitigation import corrected

    model, grid, cut, traffic = _champion(table, "income", HIGH, seed)
    came, found = np.asarray(model.truth(traffic)), {}
    for share in (0.6, 0.1):
        rows = traffic.take(_thinned(came, share))
        made, priors = _adapted(model, grid, cut, rows)
        found[f"error {share:.0%}".rstrip("%")] = abs(priors.after[1] - float(np.mean(model.truth(rows))))
        if share == 0.6:
            true = corrected(model, np.array([1 - share, share]) / priors.before)
            before, after, best = (_loss(one, rows) for one in (model, made or model, true))
            found |= {"loss": after - before, "of the best": (before - after) / (before - best),
                      "accuracy": _right(made or model, rows) - _right(model, rows)}
    found["usual"] = float(_adapted(model, grid, cut, traffic)[0] is not None)
    random = np.random.default_rng([7, seed])
    tilt = np.exp(0.03 * traffic.numbers("age") + 0.03 * traffic.numbers("hours-per-week"))
    rows = traffic.take(random.choice(traffic.rows, traffic.rows // 2, replace=False, p=tilt / tilt.sum()))
    made = _adapted(model, grid, cut, rows, "rows")[0]
    found["other"] = _loss(made or model, rows) - _loss(model, rows)
    age = table.numbers("age")
    young, old = table.take(age < 45), table.take(age > 65)
    model, grid, cut, _ = _champion(young, "income", HIGH, seed)
    return found | {"refused": float(_adapted(model, grid, cut, old, "rows")[0] is None)}


def _homes(path: Path, seed: int) -> tuple[float, float]:
    """The share covered by plain and by weighted split conformal intervals, on tilted rows."""
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table
    from shipworthy.deployment.updating.mitigation import importance, weighted_edge

    table = Table.of(pq.read_table(path), name="homes")
    table = table.with_schema(table.schema.replace("median_house_value", role="target"))
    model, _, cut, traffic = _champion(table, "median_house_value", "", seed)
    random = np.random.default_rng([8, seed])
    tilt = np.exp(1.0 * np.minimum(traffic.numbers("median_income"), 8.0))
    rows = traffic.take(random.choice(traffic.rows, traffic.rows // 3, p=tilt / tilt.sum()))
    known = importance(model.inputs(cut.holdout), model.inputs(rows))
    score, truth = model.score(cut.holdout), model.truth(cut.holdout)
    made = weighted_edge(model, score, truth, known.weights, most=known.most)
    error = np.abs(model.score(rows) - np.asarray(model.truth(rows), np.float64))
    return float(np.mean(error <= model.sheet.conformal)), float(np.mean(error <= made.sheet.conformal))


def _champion(table: Any, target: str, positive: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """A model with its reference, its parts, and the rows kept back as traffic."""
    from shipworthy.core.learned import Parts
    from shipworthy.core.project import parse
    from shipworthy.deployment.monitoring.reference import reference
    from shipworthy.learning.selection.calibrate import calibration
    from shipworthy.learning.selection.finish import conformal_edge
    from shipworthy.learning.selection.ladder import train

    wish = f'positive = "{positive}"\n' if positive else ""
    project = parse(f'[project]\nname = "shifted"\n[data]\ntarget = "{target}"\n{wish}')
    order = np.random.default_rng(seed).permutation(table.rows)
    ends = np.cumsum([round(share * table.rows) for share in (0.5, 0.15, 0.15)])
    learn, tune, holdout, traffic = (table.take(part) for part in np.split(order, ends))
    model = train(learn, project=project, learner="boosted", seed=seed)
    after = calibration(model.score(tune), model.truth(tune), model.task)
    model = model.with_program(model.program.calibrated(after))
    model = model.with_sheet(conformal=conformal_edge(model.score(tune), model.truth(tune), model))
    cut = Parts(learn, tune, holdout)
    return model, reference(model, tune, holdout, learnt=learn), cut, traffic


def _adapted(model: Any, grid: Any, cut: Any, rows: Any, shift: Any = "auto") -> tuple[Any, Any]:
    """The adapted model or None, and the classes' shares that were read from scores."""
    import pyarrow as pa

    from shipworthy.deployment.updating.adapt import adapted, class_shift

    answer = model.predict(rows)
    log = rows.drop(model.sheet.target).with_column("score", pa.array(answer.score)).with_column(
        "decision", pa.array(list(answer.decision)))
    return adapted(model, grid, cut, log, shift=shift).model, class_shift(model, grid, cut.holdout, log)[1]


def _thinned(came: Any, share: float) -> Any:
    """Rows of which so many are of the second class."""
    ones, noughts = np.flatnonzero(came == 1), np.flatnonzero(came == 0)
    many = min(len(ones), round(len(noughts) * share / (1 - share)))
    return np.sort(np.r_[ones[:many], noughts[: round(many * (1 - share) / share)]])


def _loss(model: Any, rows: Any) -> float:
    from shipworthy.metrics.losses import row_losses

    return float(row_losses(model.score(rows), model.truth(rows), model.task).mean())


def _right(model: Any, rows: Any) -> float:
    return float(np.mean((model.score(rows) >= 0.5) == np.asarray(model.truth(rows))))
