from __future__ import annotations

from pathlib import Path

import pytest

from shipworthy.assurance.antipatterns import linter
from shipworthy.assurance.linter import RULES, lint_text
from shipworthy.errors import BadData

SEEDED = {
    "fit-before-split": "Z = scaler.fit_transform(X)\na, b = train_test_split(Z, random_state=0)\n",
    "fit-on-test": "scaler.fit(X_test)\n",
    "shuffled-time": "t = frame.rolling(3)\na, b = train_test_split(t, random_state=0)\n",
    "split-entities": "n = frame.groupby('user_id').size()\na, b = train_test_split(frame, random_state=0)\n",
    "target-among-features": "y = frame['price']\nX = frame[['size', 'price']]\n",
    "holdout-in-search": "for c in grid:\n    m.fit(X_train)\n    s = m.score(X_test, y_test)\n",
    "secret-in-code": "password = 'hunter2hunter2'\n",
    "runs-data": "m = pickle.load(file)\n",
    "swallowed-error": "try:\n    go()\nexcept Exception:\n    pass\n",
    "no-seed": "a, b = train_test_split(X)\n",
    "literal-threshold": "decided = probability > 0.5\n",
    "loose-merge": "both = left.merge(right, on='id')\n",
    "row-loop": "for n, row in frame.iterrows():\n    pass\n",
    "chained-assignment": "frame[frame.a > 1]['b'] = 2\n",
    "absolute-path": "path = '/home/ann/data.csv'\n",
    "dead-branch": "USE_NEW = False\nif USE_NEW:\n    go()\n",
}

CLEAN = {
    "fit-before-split": "a, b = train_test_split(X, random_state=0)\nZ = scaler.fit_transform(a)\n",
    "fit-on-test": "scaler.fit(X_train)\nZ = scaler.transform(X_test)\n",
    "shuffled-time": "t = frame.rolling(3)\na, b = train_test_split(t, shuffle=False, random_state=0)\n",
    "split-entities": "n = frame.groupby('user_id').size()\nf = GroupKFold(5).split(frame, groups=who)\n",
    "target-among-features": "y = frame['price']\nX = frame.drop(columns=['price'])\n",
    "holdout-in-search": "for c in grid:\n    m.fit(X_train)\n    s = m.score(X_tune, y_tune)\n",
    "secret-in-code": "password = os.environ['PASSWORD']\n",
    "runs-data": "m = json.load(file)\nliteral_eval(text)\n",
    "swallowed-error": "try:\n    go()\nexcept KeyError:\n    pass\n",
    "no-seed": "a, b = train_test_split(X, random_state=0)\nfolds = KFold(5)\n",
    "literal-threshold": "decided = probability > threshold\nhalf = length > 0.5\n",
    "loose-merge": "both = left.merge(right, on='id', validate='m:1')\nheap = heapq.merge(a, b)\n",
    "row-loop": "total = frame['a'].sum()\n",
    "chained-assignment": "frame.loc[frame.a > 1, 'b'] = 2\nnested['a']['b'] = 1\n",
    "absolute-path": "path = 'data/houses.csv'\nroute = '/predict'\n",
    "dead-branch": "if settings.use_new:\n    go()\n",
}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_seeded_smell_is_found(rule: str) -> None:
    assert rule in {smell.rule for smell in lint_text(SEEDED[rule])}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_its_clean_twin_is_left_in_peace(rule: str) -> None:
    assert rule not in {smell.rule for smell in lint_text(CLEAN[rule])}


def test_a_reason_accepts_a_line() -> None:
    assert not lint_text("m = pickle.load(file)  # accepted: our own file\n")
    assert lint_text("m = pickle.load(file)  # accepted:\n")


def test_what_is_not_python_is_said() -> None:
    with pytest.raises(BadData, match="not Python"):
        lint_text("def (:")


def test_no_code_means_no_finding(tmp_path: Path) -> None:
    assert linter(()).verdict == "not-applicable"
    (tmp_path / "broken.py").write_text("def (:")
    assert linter((tmp_path / "broken.py",)).verdict == "unknown"
