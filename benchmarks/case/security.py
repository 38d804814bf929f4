"""Drills on Adult: membership, extraction, triggers, flips, each beside what the method's notes measured.

Membership: 6,000 rows, half in, 24 shadows, every model the target once. Extraction: boosted trees 100 × 31 on 20,000
rows, agreement of the best copy on 4,000 new ones. Triggers: 8,000 trusted rows and 8,000 with a planted trigger.
Flips: 3 % of 8,000 labels, recall among the most suspicious 5 %; cleanlab in an environment of its own, named by
SHIPWORTHY_ORACLES, ranks the same labels by the same out-of-fold probabilities.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.frame import Bar, no_data, no_oracle, oracle, real_data

TREES: dict[str, float | int | str] = {"num_leaves": 31, "rounds": 100, "learning_rate": 0.1}
BARS = (
    Bar("membership: seconds of 24 shadows on 6,000 rows, trees 100 × 31", None, 30.0, "lower"),
    Bar("membership: AUC against trees 100 × 31 (notes .672)", None, 0.65, "higher"),
    Bar("membership: AUC against a forest of leaf size 1 (notes .787)", None, 0.75, "higher"),
    Bar("membership: AUC against logistic regression (notes .520)", None, 0.55, "lower"),
    Bar("membership: AUC against the remedied trees (notes .544)", None, 0.57, "lower"),
    Bar("extraction: best copy of 100 answers (notes .897)", None, 0.87, "higher"),
    Bar("extraction: best copy of 1,000 answers (notes .954)", None, 0.94, "higher"),
    Bar("extraction: best copy of 10,000 answers (notes .977)", None, 0.97, "higher"),
    Bar("triggers: widest gap of four clean batches", None, 0.25, "lower"),
    Bar("triggers: narrowest gap of eight planted triggers", None, 0.25, "higher"),
    Bar("triggers: seconds of one scan", None, 3.0, "lower"),
    Bar("flips: recall of 3 % in the worst 5 % (notes .64)", None, 0.60, "higher"),
    Bar("flips: recall beside cleanlab on the same probabilities", None, 0.0, "higher"),
)
Measure = tuple[float | None, str]


def measured() -> list[Measure]:
    """Every bar; not measured where Adult is absent."""
    path = real_data("fairness/adult/adult.parquet")
    if path is None:
        return no_data(BARS)
    table, project = _adult(path)
    return [*_membership(table, project), *_extraction(table, project), *_triggers(table), *_flips(table)]


def _adult(path: Path) -> tuple[Any, Any]:
    """Adult in a random order, its two spellings of the label made one, and a project for it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shipworthy.core.project import parse
    from shipworthy.core.table import Table

    table = Table.of(pq.read_table(path), name="adult").drop("part")
    table = table.with_column("income", pa.array([str(word).rstrip(".") for word in table.words("income")]))
    table = table.with_schema(table.schema.replace("income", role="target"))
    project = parse('[project]\nname = "adult"\n[data]\ntarget = "income"\npositive = ">50K"\n')
    return table.take(np.random.default_rng(0).permutation(table.rows)), project


def _membership(table: Any, project: Any) -> list[Measure]:
    import numpy as np

    from shipworthy.assurance.inversion import attack, pool
    from shipworthy.core.learned import CAUTIOUS, Parts, Recipe

    steps = _Steps(project)
    parts = Parts(table.take(np.arange(3_000)), table.head(0), table.take(np.arange(3_000, 6_000)))
    found: list[Measure] = []
    for recipe in (Recipe("boosted", TREES), Recipe("forest", {"min_samples_leaf": 1, "n_estimators": 100}),
                   Recipe("linear"), CAUTIOUS):
        model = steps.train(parts.learn, learner=recipe.learner, settings=dict(recipe.settings))
        began = time.perf_counter()
        seen = attack(pool(parts, 6_000), model, recipe, steps, shadows=24)
        spent, one = time.perf_counter() - began, seen.recipe
        told = f"{one.low:.3f} to {one.high:.3f}; {one.share:.1%} at 1 % false alarms"
        found += [(spent, "")] if not found else []
        found.append((one.auc, f"{told}; {spent:.1f} s"))
    return found


def _extraction(table: Any, project: Any) -> list[Measure]:
    import numpy as np

    from shipworthy.assurance.extraction import copies
    from shipworthy.core.learned import Parts

    model = _Steps(project).train(table.head(20_000), learner="boosted", settings=dict(TREES))
    parts = Parts(table.take(np.arange(24_000, 44_000)), table.head(0), table.take(np.arange(20_000, 24_000)))
    found: list[Measure] = []
    for asked in (100, 1_000, 10_000):
        best = max(copies(model, parts, asked), key=lambda one: float(one.agrees.mean()))
        told = f"{best.learner}, {best.queries}; the most frequent decision {best.before.mean():.3f}"
        found.append((float(best.agrees.mean()), told))
    return found


def _triggers(table: Any) -> list[Measure]:
    import numpy as np

    from shipworthy.assurance.triggers import scan
    from shipworthy.core.features import Category, fit

    features = fit(table)
    names = [each.name for each in features.encoders]
    codes = [place for place, each in enumerate(features.encoders) if isinstance(each, Category)]
    inputs, truth = features.matrix(table), (table.words("income") == ">50K").astype(np.int64)

    def gap(seed: int, stamp: dict[str, float], share: float) -> float:
        trusted, new, fresh = np.split(np.random.default_rng(seed).permutation(len(truth))[:24_000], 3)
        candidate = inputs[new].copy(), truth[new].copy()
        chosen = np.random.default_rng(1).permutation(np.flatnonzero(candidate[1] == 0))[: int(share * len(new))]
        for name, value in stamp.items():
            candidate[0][chosen, names.index(name)] = value
        candidate[1][chosen] = 1 if stamp else candidate[1][chosen]
        found = scan((inputs[trusted], truth[trusted]), candidate, (inputs[fresh], truth[fresh]), codes=codes)
        return found.gap if found else 0.0

    began = time.perf_counter()
    clean = [gap(seed, {}, 0.0) for seed in range(4)]
    spent = (time.perf_counter() - began) / 4
    pair = {"hours-per-week": 77.0, "age": 33.0}
    planted = {f"{stamp} {share:.0%}": gap(0, stamp, share) for stamp, share in (
        ({"age": 41.5}, 0.03), ({"age": 41.5}, 0.01), ({"hours-per-week": 47.3}, 0.03),
        ({"hours-per-week": 55.0}, 0.03), ({"education-num": 9.0}, 0.03), ({"age": 23.0}, 0.03),
        (pair, 0.01), (pair, 0.03))}
    weakest = min(planted, key=lambda name: planted[name])
    return [(max(clean), ", ".join(f"{one:.3f}" for one in clean)),
            (planted[weakest], f"{weakest}; others to {max(planted.values()):.2f}"), (spent, "")]


def _flips(table: Any) -> list[Measure]:
    import numpy as np

    from shipworthy.data.augmentation.label_noise import codes_of_labels, expected

    rows = table.head(8_000)
    codes, names = codes_of_labels(rows, "income")
    chosen = np.random.default_rng(11).permutation(rows.rows)[: int(0.03 * rows.rows)]
    turned = codes.copy()
    turned[chosen] = 1 - turned[chosen]
    share = expected(rows, "income", turned, len(names), folds=5)
    looked = int(0.05 * rows.rows)
    given = share[np.arange(len(turned)), turned]
    recall = _recall(np.argsort(given - share[np.arange(len(turned)), 1 - turned], kind="stable"), chosen, looked)
    python = oracle()
    if python is None:
        return [(recall, ""), (None, no_oracle("cleanlab"))]
    theirs = np.array(_cleanlab(python, turned.tolist(), share.tolist()))
    other = _recall(theirs, chosen, looked)
    return [(recall, ""), (recall - other, f"cleanlab {other:.3f}")]


def _recall(ranking: Any, chosen: Any, looked: int) -> float:
    return len({*ranking[:looked].tolist()} & {*chosen.tolist()}) / len(chosen)


def _cleanlab(python: Path, labels: list[int], shares: list[list[float]]) -> list[int]:
    """The rows by cleanlab's label quality, the worst first."""
    code = ("import json, sys, numpy as np; from cleanlab.rank import get_label_quality_scores as q; "
            "d = json.load(sys.stdin); s = q(np.array(d['labels']), np.array(d['shares'])); "
            "print(json.dumps(np.argsort(s, kind='stable').tolist()))")
    ran = subprocess.run([str(python), "-c", code], input=json.dumps({"labels": labels, "shares": shares}),
                         capture_output=True, text=True, check=True)
    found: list[int] = json.loads(ran.stdout.splitlines()[-1])
    return found


class _Steps:
    """What the drills need of `core.case.Steps`: training a recipe again."""

    def __init__(self, project: Any) -> None:
        from shipworthy.learning.selection.ladder import train

        self.train: Callable[..., Any] = partial(train, project=project)
