"""Fairness on Adult by sex, beside what the method's notes measured, and explanations beside shap.

45,222 rows without gaps, one-hot, 70 % to learn from by outcome, seed 0; boosted trees 100 × 15, a reduction's 40 × 15
with bound 0.02 and 12 rounds. Contributions: of the same trees, against the interventional values of shap for the same
reference row. Recourse and notices: native categories, 100 × 31. fairlearn and shap live in an environment of their
own, named by SHIPWORTHY_ORACLES, and are given the same rows, decisions and trees.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.frame import Bar, no_data, no_oracle, oracle, real_data

BARS = (
    Bar("trees: accuracy (notes .872)", None, 0.865, "higher"),
    Bar("trees: gap of rates added to that of base rates (notes -.016)", None, 0.02, "lower"),
    Bar("sex left out: how little the gap of rates moves (notes .003)", None, 0.01, "lower"),
    Bar("reweighing: gap of rates (notes .100)", None, 0.12, "lower"),
    Bar("reweighing: accuracy (notes .864)", None, 0.86, "higher"),
    Bar("thresholds, equal rates: gap of rates (notes .003)", None, 0.012, "lower"),
    Bar("thresholds, equal rates: accuracy (notes .845)", None, 0.84, "higher"),
    Bar("thresholds, equal rates: gap of odds, which it wrecks (notes .325)", None, 0.25, "higher"),
    Bar("thresholds, equal odds: gap of odds (notes .014)", None, 0.033, "lower"),
    Bar("thresholds, equal odds: accuracy (notes .856)", None, 0.855, "higher"),
    Bar("reduction, equal rates: gap of rates (notes .039)", None, 0.045, "lower"),
    Bar("reduction, equal rates: accuracy (notes .848)", None, 0.845, "higher"),
    Bar("reduction, equal odds: gap of odds (notes .045)", None, 0.05, "lower"),
    Bar("reduction, equal odds: accuracy (notes .863)", None, 0.86, "higher"),
    Bar("all seven prices: seconds", None, 60.0, "lower"),
    Bar("rates and odds: largest difference from fairlearn on the same decisions", None, 1e-9, "lower"),
    Bar("thresholds: least accuracy beside fairlearn's at the same rule", None, -0.005, "higher"),
    Bar("reductions: least accuracy beside fairlearn's at the same rule", None, -0.01, "higher"),
    Bar("contributions: largest difference from shap, 200 rows", None, 1e-6, "lower"),
    Bar("contributions: largest failure to add up, 200 rows", None, 1e-9, "lower"),
    Bar("notices: share of 300 that hold", None, 1.0, "higher"),
    Bar("recourse: share of 100 refused rows decided", None, 0.95, "higher"),
    Bar("recourse: milliseconds a row, median", None, 50.0, "lower"),
    Bar("explainability: score of a line (notes 97)", None, 91.0, "higher"),
    Bar("explainability: score of trees 30 × 7 (notes 94)", None, 91.0, "higher"),
    Bar("explainability: score of trees 100 × 31 (notes 81)", None, 81.0, "higher"),
    Bar("explainability: score of trees 400 × 63 (notes 81)", None, 80.0, "higher"),
    Bar("explainability: seconds of the slowest", None, 5.0, "lower"),
)
Measure = tuple[float | None, str]
CHANGE = {"education-num": "up", "hours-per-week": "either", "capital-gain": "up", "occupation": "either"}


class Ground(NamedTuple):
    """One-hot rows: inputs (n, d), outcome and sex (n,) as 0 and 1, which are learnt from, and the columns of sex."""

    inputs: Any
    outcome: Any
    sex: Any
    learn: Any
    without: list[int]


def measured() -> list[Measure]:
    """Every bar; not measured where Adult, or the environment of the oracles, is absent."""
    path = real_data("fairness/adult/adult.parquet")
    if path is None:
        return no_data(BARS)
    table = _table(path)
    ground = _ground(table)
    own, found = _prices(ground)
    return [*own, *_beside(ground, found), *_reasons(table), *_scores(table)]


def _table(path: Path) -> Any:
    """Adult without gaps and without the column that says which file a row is from; one spelling of each class."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shipworthy.core.table import Table

    table = Table.of(pq.read_table(path), name="adult").drop("part", "education")
    table = table.with_column("income", pa.array([str(word).rstrip(".") for word in table.words("income")]))
    words = [table.words(name) for name in table.schema.names]
    whole = np.all([[word not in (None, "?") for word in column] for column in words], axis=0)
    table = table.take(np.flatnonzero(whole))
    schema = table.schema.replace("income", role="target").replace("sex", protected=True)
    return table.with_schema(schema).take(np.random.default_rng(0).permutation(table.rows))


def _ground(table: Any) -> Ground:
    import numpy as np

    columns, names = [], []
    for column in table.schema.columns:
        if column.name == "income":
            continue
        if column.kind == "number":
            columns.append(table.numbers(column.name))
            names.append(column.name)
            continue
        words = np.array(table.words(column.name), object)
        for level in sorted(set(words)):
            columns.append((words == level).astype(np.float64))
            names.append(f"{column.name}={level}")
    outcome = np.array([word == ">50K" for word in table.words("income")], np.int64)
    sex = np.array([word == "Male" for word in table.words("sex")], np.int64)
    learn, random = np.zeros(len(outcome), np.bool_), np.random.default_rng(0)
    for code in (0, 1):
        rows = random.permutation(np.flatnonzero(outcome == code))
        learn[rows[: int(0.7 * len(rows))]] = True
    return Ground(np.stack(columns, axis=1), outcome, sex, learn,
                  [at for at, name in enumerate(names) if name.startswith("sex=")])


def _fit(trees: int) -> Any:
    def fit(inputs: Any, outcome: Any, weights: Any) -> Any:
        model = _booster(inputs, outcome, weights, trees)
        return lambda asked: model.predict(asked, raw_score=True)

    return fit


def _booster(inputs: Any, outcome: Any, weights: Any, trees: int) -> Any:
    import lightgbm

    return lightgbm.train({"objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20,
                           "verbose": -1, "num_threads": 1, "seed": 0},
                          lightgbm.Dataset(inputs, outcome, weight=weights), trees)


def _prices(ground: Ground) -> tuple[list[Measure], dict[str, Any]]:
    import numpy as np

    from shipworthy.learning.selection.mitigation import PLAIN, WITHOUT, Rows, prices

    rows = Rows(ground.inputs, ground.outcome, ground.sex)
    began = time.perf_counter()
    found = {one.method: one for one in prices(rows.only(ground.learn), rows.only(~ground.learn), ground.without,
                                               (_fit(100), _fit(40)))}
    spent = time.perf_counter() - began
    plain, judge = found[PLAIN], rows.only(~ground.learn)
    base = np.ptp([judge.outcome[judge.group == code].mean() for code in (0, 1)])
    told = {name: f"accuracy {one.accuracy:.3f}, gap {one.gap:.3f}, ratio {one.ratio:.2f}, odds {one.odds:.3f}"
            for name, one in found.items()}
    wanted = [(PLAIN, "accuracy"), (PLAIN, ""), (WITHOUT, ""), ("reweighing", "gap"), ("reweighing", "accuracy"),
              *((f"thresholds by group, equal {rule}", kind) for rule, kinds in
                (("rates", ("gap", "accuracy", "odds")), ("odds", ("odds", "accuracy"))) for kind in kinds),
              *((f"reduction, equal {rule}", kind) for rule, kinds in
                (("rates", ("gap", "accuracy")), ("odds", ("odds", "accuracy"))) for kind in kinds)]
    special = {PLAIN: plain.gap - float(base), WITHOUT: abs(found[WITHOUT].gap - plain.gap)}
    return [*((float(getattr(found[name], kind)) if kind else special[name], told[name]) for name, kind in wanted),
            (spent, "")], found


ORACLE = """
import json, sys
import lightgbm, numpy as np, shap
from fairlearn.metrics import demographic_parity_ratio, equalized_odds_difference
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import DemographicParity, EqualizedOdds, ExponentiatedGradient
from sklearn.metrics import accuracy_score
d = np.load(sys.argv[1])
X, y, g, learn, decided = (d[k] for k in ("inputs", "outcome", "sex", "learn", "decided"))
def trees(n):
    return lightgbm.LGBMClassifier(n_estimators=n, num_leaves=15, learning_rate=0.1, min_child_samples=20, n_jobs=1,
                                   verbose=-1, random_state=0)
out = {"ratio": demographic_parity_ratio(y[~learn], decided, sensitive_features=g[~learn]),
       "odds": equalized_odds_difference(y[~learn], decided, sensitive_features=g[~learn])}
plain = trees(100).fit(X[learn], y[learn])
for rule, name in (("demographic_parity", "rates"), ("equalized_odds", "odds")):
    cut = ThresholdOptimizer(estimator=plain, constraints=rule, prefit=True, predict_method="predict_proba")
    cut.fit(X[learn], y[learn], sensitive_features=g[learn])
    said = [cut.predict(X[~learn], sensitive_features=g[~learn], random_state=s) for s in range(5)]
    out["thresholds " + name] = float(np.mean([accuracy_score(y[~learn], one) for one in said]))
for rule, name in ((DemographicParity(difference_bound=0.02), "rates"), (EqualizedOdds(difference_bound=0.02), "odds")):
    reduced = ExponentiatedGradient(trees(40), rule, eps=0.02, max_iter=12).fit(X[learn], y[learn],
                                                                                 sensitive_features=g[learn])
    said = [reduced.predict(X[~learn], random_state=s) for s in range(5)]
    out["reduction " + name] = float(np.mean([accuracy_score(y[~learn], one) for one in said]))
explainer = shap.TreeExplainer(lightgbm.Booster(model_file=sys.argv[2]), data=d["reference"][None],
                               feature_perturbation="interventional")
found = explainer.shap_values(d["asked"])
found = found[1] if isinstance(found, list) else found
np.save(sys.argv[3], found)
print(json.dumps(out))
"""


def _beside(ground: Ground, found: dict[str, Any]) -> list[Measure]:
    """What fairlearn and shap say of the same rows, decisions and trees."""
    import numpy as np

    from shipworthy.core.contributions import contributions
    from shipworthy.core.features import Input
    from shipworthy.core.program import Program
    from shipworthy.learning.training.lower_trees import lower_lightgbm
    from shipworthy.metrics.fairness import equalised_odds_difference, impact_ratio

    learn = ground.learn
    booster = _booster(ground.inputs[learn], ground.outcome[learn], None, 100)
    decided = (booster.predict(ground.inputs[~learn], raw_score=True) >= 0).astype(np.int64)
    asked, reference = ground.inputs[~learn][:200], np.median(ground.inputs[learn], axis=0)
    program = Program(tuple(Input(f"x{at}") for at in range(asked.shape[1])),
                      (lower_lightgbm(booster.model_to_string()),), "logistic", ("0", "1"))
    shares = contributions(program, asked, reference)
    missing = program.margin(asked)[:, 0] - program.margin(reference[None])[0, 0] - shares.sum(axis=1)
    added: Measure = (float(np.abs(missing).max()), "")
    python = oracle()
    if python is None:
        return [*[(None, no_oracle("fairlearn, shap and lightgbm"))] * 4, added]
    with tempfile.TemporaryDirectory() as place:
        booster.save_model(f"{place}/trees.txt")
        np.savez(f"{place}/rows.npz", inputs=ground.inputs, outcome=ground.outcome, sex=ground.sex, learn=learn,
                 decided=decided, asked=asked, reference=reference)
        ran = subprocess.run([python, "-c", ORACLE, f"{place}/rows.npz", f"{place}/trees.txt",
                              f"{place}/shap.npy"], capture_output=True, text=True, check=True)
        theirs, values = json.loads(ran.stdout.splitlines()[-1]), np.load(f"{place}/shap.npy")
    outcome, sex = ground.outcome[~learn], ground.sex[~learn]
    apart = max(abs(impact_ratio(decided, sex) - theirs["ratio"]),
                abs(equalised_odds_difference(outcome, decided, sex) - theirs["odds"]))
    told: list[Measure] = [(apart, "")]
    for ours, name in (("thresholds by group", "thresholds"), ("reduction", "reduction")):
        gains = {rule: found[f"{ours}, equal {rule}"].accuracy - theirs[f"{name} {rule}"] for rule in ("rates", "odds")}
        told.append((min(gains.values()), ", ".join(f"equal {rule}: fairlearn {theirs[f'{name} {rule}']:.3f}"
                                                    for rule in gains)))
    return [*told, (float(np.abs(values - shares).max()), ""), added]


def _reasons(table: Any) -> list[Measure]:
    """Notices and recourse of boosted trees with native categories."""
    import numpy as np

    from shipworthy.assurance.reasons import faults
    from shipworthy.core.contributions import shares
    from shipworthy.core.notices import just_accepted, notices
    from shipworthy.core.recourse import changes, recourse

    learn, rest = table.head(30_000), table.take(np.arange(30_000, table.rows))
    model = _train(learn, "boosted", {"num_leaves": 31, "rounds": 100, "learning_rate": 0.1})
    inputs = model.inputs(rest)
    refused = inputs[model.decide(model.program.score(inputs)) == 0]
    usual = just_accepted(model, learn)
    told = notices(model, refused[:300], usual, wish=1, shares=shares, codes={})
    held = 1 - len(faults(model, refused[:300], usual, told, 1, coded=False)) / 300
    allowed = changes(model, learn, CHANGE)  # type: ignore[arg-type]
    spent, verdicts = [], []
    for row in refused[:100]:
        began = time.perf_counter()
        verdicts.append(recourse(model, row, allowed).verdict)
        spent.append(1e3 * (time.perf_counter() - began))
    counted = {verdict: verdicts.count(verdict) for verdict in ("found", "none", "unknown")}
    return [(held, f"{np.mean([len(one) for one in told]):.1f} reasons each"),
            (1 - counted["unknown"] / 100, ", ".join(f"{count} {verdict}" for verdict, count in counted.items())),
            (float(np.median(spent)), f"at most {max(spent):.0f}")]


def _scores(table: Any) -> list[Measure]:
    """The explainability score of four models; shares are exact."""
    import numpy as np

    from shipworthy.assurance.explainability import scored
    from shipworthy.core.learned import Parts

    parts = Parts(table.head(30_000), table.head(0), table.take(np.arange(30_000, table.rows)))
    found: list[Measure] = []
    slowest = 0.0
    for learner, leaves, rounds in (("linear", 0, 0), ("boosted", 7, 30), ("boosted", 31, 100), ("boosted", 63, 400)):
        settings = {"num_leaves": leaves, "rounds": rounds, "learning_rate": 0.1} if leaves else {}
        model = _train(parts.learn, learner, settings)
        began = time.perf_counter()
        score = scored(model, parts, _Steps(), parts.holdout.head(400), 5)
        slowest = max(slowest, time.perf_counter() - began)
        told = ", ".join(f"{name} {value:.2f}" for name, value in score.parts.items())
        by_size = ", ".join(f"{name} {value:.2f}" for name, value in score.by_size.items())
        found.append((score.total, f"{told}; by size alone: {by_size}"))
    return [*found, (slowest, "")]


def _train(table: Any, learner: str, settings: dict[str, Any], seed: int = 0) -> Any:
    from shipworthy.core.project import parse
    from shipworthy.learning.selection.ladder import train

    project = parse('[project]\nname = "adult"\n[data]\ntarget = "income"\npositive = ">50K"\n')
    return train(table, project=project, learner=learner, settings=settings, seed=seed)


class _Steps:
    """What the score needs of `core.case.Steps`."""

    def train(self, table: Any, *, learner: str, seed: int, settings: dict[str, Any]) -> Any:
        return _train(table, learner, settings, seed)

    def contributions(self, model: Any, inputs: Any) -> Any:
        from shipworthy.core.contributions import shares

        return shares(model, inputs)
