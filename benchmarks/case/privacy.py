"""Private learning on Adult: what privacy costs, whether the bound agrees with an oracle, parity of federated learning,
and encrypted scoring.

70 % of the rows in a random order are learnt from, the others judge; the mean of two trainings. The notes have
accuracy/AUC .830/.877 at epsilon .1, .830/.885 at .5, .830/.885 at 1 and .831/.886 at 8 for a line, and .786/.881,
.799/.888 and .808/.892 at .5, 1 and 4 for InterpretML's private boosting. dp-accounting and TenSEAL are in an
environment of their own, whose python is in SHIPWORTHY_ORACLES (a folder made by venv).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.frame import Bar, data_folder, no_data, no_oracle, oracle, real_data

LIMITS = {"age": (17, 90), "fnlwgt": (0, 1_500_000), "education-num": (1, 16), "capital-gain": (0, 100_000),
          "capital-loss": (0, 5_000), "hours-per-week": (1, 99)}
HEAVY = ("capital-gain", "capital-loss", "fnlwgt")
PLACES = ((0.1, 0.830, 0.877), (0.5, 0.830, 0.885), (1.0, 0.833, 0.886), (8.0, 0.833, 0.888))
TABLES = ((0.5, 0.786, 0.881), (1.0, 0.799, 0.888), (4.0, 0.808, 0.892))
SIGMAS = (20.489, 4.7477, 2.61984, 0.76695)
CLASSES = ("<=50K", ">50K")
FITS = ("linear", "additive", "trees")
BARS = (
    *(Bar(f"line at epsilon {one[0]:g}: {what}", None, limit, "higher") for one in PLACES
      for what, limit in zip(("accuracy", "AUC"), one[1:], strict=True)),
    *(Bar(f"tables at epsilon {one[0]:g}: {what}", None, limit, "higher") for one in TABLES
      for what, limit in zip(("accuracy", "AUC"), one[1:], strict=True)),
    Bar("line at epsilon 1: points of accuracy below no privacy", None, 1.0, "lower"),
    Bar("epsilon reckoned again, over that of dp-accounting's losses", None, 1.03, "lower"),
    Bar("epsilon reckoned again, under that of dp-accounting's losses", None, 0.0, "lower"),
    *(Bar(f"federated {name}, 4 parties: AUC away from one of all rows", None, 0.01, "lower") for name in FITS),
    Bar("encrypted: largest error of a margin, 1,000 rows", None, 1e-3, "lower"),
    Bar("encrypted: decisions that differ, 1,000 rows", None, 0, "lower"),
    Bar("encrypted: milliseconds of the server for a row of 20 numbers", None, 18.0, "lower"),
)
Measure = tuple[float | None, str]
ADULT = "fairness/adult/adult.parquet"


def measured() -> list[Measure]:
    """Every bar; not measured where Adult or an oracle is absent."""
    if real_data(ADULT) is None:
        return no_data(BARS)
    lines = {epsilon: _private("private-linear", epsilon) for epsilon, _, _ in PLACES}
    tables = {epsilon: _private("private-additive", epsilon) for epsilon, _, _ in TABLES}
    found: list[Measure] = [(value, "") for each in (*lines.values(), *tables.values()) for value in each]
    plain = _open_line()
    found.append(((plain[0] - lines[1.0][0]) * 100, f"without privacy {plain[0]:.3f}/{plain[1]:.3f}"))
    return [*found, *_reckoned(), *_federated(), *_encrypted()]


@cache
def _adult() -> tuple[Any, Any, Any, Any]:
    """Learnt and judged tables, the features that declared limits and levels give, and a project file."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shipworthy.core.project import parse
    from shipworthy.core.table import Table
    from shipworthy.learning.privacy.declared import declared

    table = Table.of(pq.read_table(data_folder() / ADULT), name="adult").drop("part")
    table = table.with_column("income", pa.array([str(word).rstrip(".") for word in table.words("income")]))
    levels = {column.name: sorted({word for word in table.words(column.name) if word not in (None, "?")})
              for column in table.schema.columns if column.kind == "category" and column.name != "income"}
    text = ('[project]\nname = "adult"\n[data]\ntarget = "income"\npositive = ">50K"\n[split]\nkind = "random"\n'
            "[data.limits]\n"
            + "".join(f"{name} = {list(each)}\n" for name, each in LIMITS.items())
            + f"[privacy]\nheavy = {list(HEAVY)}\n[privacy.levels]\n".replace("'", '"')
            + "".join(f"{name} = {json.dumps(each)}\n" for name, each in levels.items()))
    project = parse(text)
    order = np.random.default_rng(0).permutation(table.rows)
    cut = int(0.7 * table.rows)
    return table.take(order[:cut]), table.take(order[cut:]), declared(table.schema, project), project


def _judged(program: Any, features: Any, table: Any) -> tuple[float, float]:
    """Accuracy at one half, and AUC."""
    import numpy as np

    from shipworthy.metrics.classification import auc

    truth = (table.words("income") == CLASSES[1]).astype(np.int64)
    score = program.score(features.matrix(table))
    return float(((score >= 0.5) == truth).mean()), float(auc(truth, score))


def _private(name: str, epsilon: float) -> tuple[float, float]:
    import msgspec
    import numpy as np

    from shipworthy.core.learned import Job
    from shipworthy.learning.privacy import learners
    from shipworthy.learning.privacy.declared import private

    learn, judge, features, project = _adult()
    project = msgspec.structs.replace(project, privacy=msgspec.structs.replace(project.privacy, epsilon=epsilon))
    job = Job("binary", CLASSES, features.inputs, private=private(features, project))
    truth = (learn.words("income") == CLASSES[1]).astype(np.int64)
    fit = {"private-linear": learners.private_linear, "private-additive": learners.private_additive}[name]
    found = [_judged(fit(features.matrix(learn), truth, job).program, features, judge) for _ in range(2)]
    return float(np.mean([one[0] for one in found])), float(np.mean([one[1] for one in found]))


def _open_line() -> tuple[float, float]:
    """The same columns on the same scales without privacy: logistic regression on the design of the private line."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    from shipworthy.core.learned import Job
    from shipworthy.learning.privacy.declared import private
    from shipworthy.learning.privacy.learners import design
    from shipworthy.metrics.classification import auc

    learn, judge, features, project = _adult()
    job, told = Job("binary", CLASSES, features.inputs), private(features, project)
    sides = [design(features.matrix(table), job, told) for table in (learn, judge)]
    truth = [(table.words("income") == CLASSES[1]).astype(np.int64) for table in (learn, judge)]
    score = LogisticRegression(max_iter=500).fit(sides[0], truth[0]).predict_proba(sides[1])[:, 1]
    return float(((score >= 0.5) == truth[1]).mean()), float(auc(truth[1], score))


ORACLE = """
import json, sys
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, pld
found = []
for sigma in json.load(sys.stdin):
    one = pld.PLDAccountant()
    one.compose(PoissonSampledDpEvent(0.03, GaussianDpEvent(sigma)), 400)
    found.append(one.get_epsilon(1e-5))
print(json.dumps(found))
"""


def _reckoned() -> list[Measure]:
    from shipworthy.core.private import Step
    from shipworthy.learning.privacy.convolution import epsilon_again

    python = oracle()
    if python is None:
        return [(None, no_oracle("dp-accounting"))] * 2
    done = subprocess.run([python, "-c", ORACLE], input=json.dumps(SIGMAS), text=True,
                          capture_output=True, check=False)
    if done.returncode:
        return [(None, f"not measured: {done.stderr.strip().splitlines()[-1][:80]}")] * 2
    theirs = json.loads(done.stdout)
    ours = [epsilon_again([Step("a sum", "learn", sigma, 0.03, 400)], 1e-5) for sigma in SIGMAS]
    told = ", ".join(f"{a:.4f} and {b:.4f}" for a, b in zip(ours, theirs, strict=True))
    return [(max(a / b for a, b in zip(ours, theirs, strict=True)), told),
            (max(0.0, *(b - a for a, b in zip(ours, theirs, strict=True))), "")]


def _federated() -> list[Measure]:
    import numpy as np
    import pyarrow.parquet as pq

    from shipworthy.core.project import Federated
    from shipworthy.learning.privacy.declared import private
    from shipworthy.learning.privacy.federated import learners
    from shipworthy.learning.privacy.federated.federation import gathered

    learn, judge, features, project = _adult()
    bounds = private(features, project).bounds
    found: list[Measure] = []
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name) / f"{n}.parquet" for n in range(4)]
        for rows, path in zip(np.array_split(np.argsort(learn.numbers("age")), 4), files, strict=True):
            pq.write_table(learn.take(rows).data, path)
        for kind, central in zip(FITS, _central(), strict=True):
            begun = time.perf_counter()
            with gathered(Federated(parties=tuple(map(str, files)))) as asked:
                asked.start(features, "income", CLASSES)
                program = getattr(learners, f"fit_{kind}")(asked, features, bounds, CLASSES)
            reached = _judged(program, features, judge)[1]
            found.append((abs(reached - central), f"{reached:.4f}, {central:.4f} by one; "
                          f"{len(asked.transcript):,} messages, {time.perf_counter() - begun:.0f} s"))
    return found


def _central() -> tuple[float, float, float]:
    """AUC of scikit-learn's line, and its boosted trees without and with interactions, on all rows at once."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    from shipworthy.core.learned import Job
    from shipworthy.learning.training.linear import linear
    from shipworthy.metrics.classification import auc

    learn, judge, features, _ = _adult()
    truth = [(table.words("income") == CLASSES[1]).astype(np.int64) for table in (learn, judge)]
    line = linear(features.matrix(learn), truth[0], Job("binary", CLASSES, features.inputs)).program
    coded = [n for n, kind in enumerate(features.inputs) if kind.categorical]
    found = [_judged(line, features, judge)[1]]
    for how in ({"interaction_cst": "no_interactions", "max_iter": 200, "learning_rate": 0.1},
                {"max_depth": 4, "max_iter": 60, "learning_rate": 0.2}):
        model = HistGradientBoostingClassifier(categorical_features=coded, early_stopping=False, random_state=0, **how)
        model.fit(features.matrix(learn), truth[0])
        found.append(float(auc(truth[1], model.predict_proba(features.matrix(judge))[:, 1])))
    return found[0], found[1], found[2]


def _encrypted() -> list[Measure]:
    import numpy as np

    from shipworthy.core.features import Input
    from shipworthy.core.program import Linear, Program, Term
    from shipworthy.learning.privacy.encrypted import Client, Server

    python = oracle()
    sys.path.extend(map(str, python.parents[1].glob("lib/python*/site-packages")) if python else ())
    try:
        import tenseal  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return [(None, "not measured: TenSEAL is not installed, here or in SHIPWORTHY_ORACLES")] * 3
    random = np.random.default_rng(0)
    kinds = tuple(Input(f"x{n}") for n in range(20))
    program = Program(kinds, (Term(Linear(), {
        "place": np.arange(20), "fill": np.zeros(20), "weight": random.normal(size=(20, 1)),
        "missing": np.zeros((20, 1)), "intercept": np.array([0.3])}),), "logistic", CLASSES)
    inputs, client = random.normal(size=(1_000, 20)), Client()
    server, scores, spent = Server(program, client.public), [], []
    for row in inputs:
        asked = client.encrypt(row, kinds)
        begun = time.perf_counter()
        answer = server.score(asked)
        spent.append(time.perf_counter() - begun)
        scores.append(client.decrypt(answer))
    found, plain = np.array(scores), program.margin(inputs)[:, 0]
    return [(float(np.abs(found - plain).max()), ""), (float(((found >= 0) != (plain >= 0)).sum()), ""),
            (float(np.median(spent)) * 1e3, f"{len(client.public) / 1e6:.0f} MB of public context")]
