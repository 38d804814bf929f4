"""The bars of declared properties: what the provable profile proves on adult, what it costs, and the separate checker.

`fairness/adult` without the education text, order by `default_rng(0).permutation`; the first 30,000 rows train, those
from 32,000 on are held out. Boosted trees of the default settings at rate 0.1: 300 and 100 of 31 leaves, and 100 in the
provable profile.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.frame import ROOT, Bar, no_data, real_data

BARS = (
    Bar("declared properties proved in the provable profile, of 5", None, 5, "higher"),
    Bar("the slowest of these proofs, seconds", None, 2, "lower"),
    Bar("their certificates that the separate checker accepts, of 5", None, 5, "higher"),
    Bar("the slowest of these checks, seconds", None, 20, "lower"),
    Bar("AUC that the profile costs against 100 free trees", None, 0.01, "lower"),
)
CLAIMS = ("never falls when education-num rises", "never falls when capital-gain rises",
          "answers stay between 0.00001 and 0.99999", "sex alone moves the margin by at most 0.6",
          "race alone moves the margin by at most 0.6")
PROJECT = """
[project]
name = "adult"
[data]
target = "income"
positive = ">50K"
protected = ["sex", "race"]
[data.limits]
age = [17, 90]
education-num = [1, 16]
hours-per-week = [1, 99]
capital-gain = [0, 99999]
capital-loss = [0, 4356]
fnlwgt = [12285, 1490400]
[domain]
whole = ["age", "education-num", "hours-per-week", "capital-gain", "capital-loss", "fnlwgt"]
"""


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for each bar."""
    path = real_data("fairness/adult/adult.parquet")
    if path is None:
        return no_data(BARS)
    from sklearn.metrics import roc_auc_score

    from shipworthy.core.project import parse
    from shipworthy.learning.selection.ladder import train
    from shipworthy.verification.formal.declared import proofs

    parts, found = _parts(path), {}
    for name, profile, rounds in (("free", "usual", 100), ("large", "usual", 300), ("provable", "provable", 100)):
        claims = "".join(f'[[property]]\nclaim = "{claim}"\n' for claim in CLAIMS)
        project = parse(f'{PROJECT}{claims}[learning]\nprofile = "{profile}"\n')
        model = train(parts.learn, project=project, settings={"rounds": rounds, "learning_rate": 0.1})
        auc = float(roc_auc_score(model.truth(parts.holdout), model.score(parts.holdout)))
        found[name] = (auc, model, () if name == "free" else proofs(project, model, parts))
    auc, model, proved = found["provable"]
    count = sum(one.status == "proved" for one in proved)
    large = sum(one.status == "proved" for one in found["large"][2])
    accepted, slowest = _checked(model, proved)
    return [(count, f"{large} of 5 at 300 free trees"), (max(one.seconds for one in proved), ""), (accepted, ""),
            (slowest, ""), (found["free"][0] - auc, f"AUC {auc:.4f}, free {found['free'][0]:.4f}")]


def _checked(model: Any, proved: Any) -> tuple[int, float]:
    """How many certificates the checker accepts, and the seconds of the slowest."""
    from benchmarks.frame import python, run

    accepted, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        for file, raw in model.files().items():
            Path(name, file).write_bytes(raw)
        for one in proved:
            Path(name, "proof.json").write_bytes(one.certificate)
            begun = time.perf_counter()
            ran = run(python("-m", "shipworthy_check", f"{name}/proof.json", name), folder=ROOT / "checker" / "src")
            slowest = max(slowest, time.perf_counter() - begun)
            accepted += "accepted" in ran.out
    return accepted, slowest


def _parts(path: Path) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from shipworthy.core.learned import Parts
    from shipworthy.core.table import Table

    raw = pq.read_table(path).drop(["part", "education"])
    raw = raw.cast(pa.schema([pa.field(one.name, pa.string() if pa.types.is_large_string(one.type) else one.type)
                              for one in raw.schema]))
    raw = raw.set_column(raw.schema.get_field_index("income"), "income", pc.utf8_rtrim(raw["income"], "."))
    raw = raw.take(np.random.default_rng(0).permutation(raw.num_rows))
    table = Table.of(raw, name="adult")
    schema = table.schema.replace("income", role="target").replace("sex", protected=True)
    table = table.with_schema(schema.replace("race", protected=True))
    cuts = np.split(np.arange(raw.num_rows), [30_000, 32_000])
    return Parts(*(table.take(cut) for cut in cuts))
