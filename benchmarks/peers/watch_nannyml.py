"""NannyML's estimates without labels. python watch_nannyml.py FOLDER CAR_LOAN: tables into FOLDER, estimates as JSON.

CAR_LOAN is the folder of the car loans, or empty. The other sets come with NannyML: the US census (CBPE, weighted by
nothing), cards of three classes (CBPE), car prices (DLE, in the unit of the target). The tables it writes have a column
score (of several classes the probability of the decided one), decision and truth, beside those that a model may read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nannyml as nml
import pandas as pd

CHUNKS = {"census": (2_000, 5_000), "loans": (5_000,), "cards": (2_000, 6_000), "prices": (2_000, 6_000)}
NAMES = {"roc_auc": "auc"}
LEFT_OUT = ("id", "timestamp", "year")


def census() -> tuple[Any, Any, dict[str, Any]]:
    """Reference, analysis with truth, and the roles of columns."""
    before, now, truth = nml.load_us_census_ma_employment_data()
    return before, now.merge(truth, on="id"), {"score": "predicted_probability", "decision": "prediction",
                                               "truth": "employed"}


def loans(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    """The car loans that the folder holds."""
    part = {name: pd.read_parquet(folder / f"synthetic_car_loan_{name}.parquet")
            for name in ("reference", "analysis", "analysis_target")}
    now = part["analysis"].merge(part["analysis_target"], on="id").sort_values("timestamp", ignore_index=True)
    return part["reference"], now, {"score": "y_pred_proba", "decision": "y_pred", "truth": "repaid"}


def cards() -> tuple[Any, Any, dict[str, Any]]:
    """Three classes."""
    before, now, truth = nml.load_synthetic_multiclass_classification_dataset()
    score = {name.removeprefix("y_pred_proba_"): name for name in before if name.startswith("y_pred_proba_")}
    return before, now.merge(truth, on="id"), {"score": score, "decision": "y_pred", "truth": "y_true"}


def prices() -> tuple[Any, Any, dict[str, Any]]:
    """A regression."""
    before, now, truth = nml.load_synthetic_car_price_dataset()
    return before, now.merge(truth, on="id"), {"score": "y_pred", "decision": "y_pred", "truth": "y_true"}


def estimates(name: str, before: Any, now: Any, role: dict[str, Any]) -> dict[str, Any]:
    """Chunk size → figure → estimates, by chunk."""
    columns = {"y_pred": role["decision"], "y_true": role["truth"]}
    found: dict[str, Any] = {}
    for size in CHUNKS[name]:
        if name == "prices":
            asked = features(before, role)
            metrics = ["mae"]
            estimator: Any = nml.DLE(feature_column_names=asked, chunk_size=size, metrics=metrics, **columns)
        else:
            many = isinstance(role["score"], dict)
            metrics = ["f1", "accuracy"] if many else ["roc_auc", "f1", "accuracy"]
            estimator = nml.CBPE(y_pred_proba=role["score"], chunk_size=size, metrics=metrics, **columns,
                                 problem_type="classification_multiclass" if many else "classification_binary")
        estimator.fit(before)
        table = estimator.estimate(now).filter(period="analysis").to_df()
        found[str(size)] = {NAMES.get(one, one): table[(one, "value")].tolist() for one in metrics}
    return found


def features(table: Any, role: dict[str, Any]) -> list[str]:
    """The columns that a model may read."""
    scores = role["score"].values() if isinstance(role["score"], dict) else [role["score"]]
    return [name for name in table if name not in (*scores, role["decision"], role["truth"], *LEFT_OUT)]


def told(table: Any, role: dict[str, Any]) -> Any:
    """The table as it is written."""
    score = table[list(role["score"].values())].max(axis=1) if isinstance(role["score"], dict) else table[role["score"]]
    plain = table[features(table, role)]
    plain = plain.assign(**{name: plain[name].astype(str) for name in plain.select_dtypes(["category", "object"])})
    return plain.assign(score=score, decision=table[role["decision"]], truth=table[role["truth"]])


def main() -> None:
    """Print {set: {chunk: {figure: [estimates]}}}."""
    folder, given = Path(sys.argv[1]), sys.argv[2]
    sets = {"census": census(), "cards": cards(), "prices": prices()}
    sets |= {"loans": loans(Path(given))} if given else {}
    found: dict[str, Any] = {"version": nml.__version__}
    for name, (before, now, role) in sets.items():
        found[name] = estimates(name, before, now, role)
        told(before, role).to_parquet(folder / f"{name}.before.parquet")
        told(now, role).to_parquet(folder / f"{name}.now.parquet")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
