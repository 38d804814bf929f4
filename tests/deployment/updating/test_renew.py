from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.features import fit
from shipworthy.core.found import Breach, Contract, Rule
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Program, Term
from shipworthy.core.project import parse
from shipworthy.core.table import Table
from shipworthy.deployment.updating.contest import compare
from shipworthy.deployment.updating.renew import admit, next_rows, next_training, renewed
from shipworthy.deployment.updating.unbiased import WEIGHT

GIVEN = """
[project]
name = "p"
[data]
target = "y"
identifiers = ["id"]
set_aside = ["sex"]
[[source]]
address = "p.csv"
"""

START = 1_720_000_000_000_000


def table(n: int, *, seed: int = 0, turn: float = 1.0) -> Table:
    random = np.random.default_rng(seed)
    x, z = random.normal(size=n), random.normal(size=n)
    label = random.random(n) < 1 / (1 + np.exp(-2 * turn * x))
    found = Table.of({"x": x, "z": z, "when": pa.array(START + np.arange(n), pa.timestamp("us", "UTC")),
                      "y": pa.array(np.where(label, "yes", "no"))})
    schema = found.schema.replace("when", role="time").replace("y", role="target")
    return found.with_schema(schema)


def model(weight: float) -> Model:
    rows = table(50)
    features = fit(rows, rows.schema.replace("when", role="ignored"))
    term = Term(Linear(), {"place": np.array([0, 1]), "fill": np.zeros(2), "weight": np.array([[weight], [0.0]]),
                           "missing": np.zeros((2, 1)), "intercept": np.zeros(1)})
    program = Program(features.inputs, (term,), "logistic", ("no", "yes"))
    return Model(Sheet(features, rows.schema, "binary", "y", ("no", "yes")), program)


def served(rows: Table, *, sources: int = 3) -> tuple[Table, Table]:
    n = rows.rows
    ids = pa.array([f"p{k}" for k in range(n)])
    at = pa.array(START + np.arange(n) * 600_000_000, pa.timestamp("us", "UTC"))
    answer = model(2.0).predict(rows)
    log = Table.of({"prediction_id": ids, "at": at, "score": answer.score, "decision": pa.array(list(answer.decision)),
                    "x": rows.column("x"), "z": rows.column("z")})
    labels = Table.of({"prediction_id": ids, "label": rows.column("y"), "observed_at": at,
                       "source": pa.array([f"site {k % sources}" for k in range(n)])})
    return log, labels


def fine(contract: Contract, batch: Table) -> tuple[Breach, ...]:
    return ()


def fresh_rows(rows: Table, **options: int) -> Table:
    return next_rows(*served(rows, **options), model(2.0), table(10))


def test_new_rows_have_the_columns_of_the_training_table_and_the_labels_of_their_own_ids() -> None:
    rows = table(200, seed=1)
    log, labels = served(rows)
    found = next_rows(log, labels.take(np.arange(199, 49, -1)), model(2.0), table(10))
    assert found.schema.names == ("x", "z", "when", "y", "label_source", "label_week", "loop_weight")
    assert found.rows == 150
    assert found.words("y").tolist() == rows.words("y")[50:].tolist()
    assert found.schema["y"].role == "target"


def test_rows_without_propensity_are_never_trained_on() -> None:
    log, labels = served(table(100, seed=1))
    logged = log.with_column("propensity", pa.array([0.5] * 60 + [0.0] * 20 + [None] * 20, pa.float64()))
    assert next_rows(logged, labels, model(2.0), table(10)).rows == 60


def test_the_newest_rows_are_kept_back_for_the_contest() -> None:
    history = table(500)
    learn, tail = next_training(history, fresh_rows(table(200, seed=1)))
    assert (learn.rows, tail.rows) == (640, 60)
    assert learn.schema == history.schema
    assert tail.numbers("when").min() > 0


def test_clean_rows_are_admitted() -> None:
    found = admit(model(2.0), Contract(()), fresh_rows(table(3_000, seed=2)), validate=fine)
    assert found.verdict == "pass"
    assert found.sentence == "No source contradicts the model more than the others (3,000 labels of 3 sources)."


@pytest.mark.parametrize("share", [0.03, 0.10])
def test_a_batch_with_targeted_flips_is_refused(share: float) -> None:
    rows = fresh_rows(table(6_000, seed=3))
    words, score = rows.words("y"), model(2.0).score(rows)
    inside = np.flatnonzero(rows.words("label_source") == "site 1")
    surest = inside[np.argsort(-np.abs(score[inside] - 0.5))[: int(share * len(inside))]]
    for row in surest:
        words[row] = "no" if words[row] == "yes" else "yes"
    found = admit(model(2.0), Contract(()), rows.with_column("y", pa.array(words, pa.string())), validate=fine)
    assert found.verdict == "fail"
    assert found.counterexample == {"source": "site 1"}


def test_the_limit_of_the_project_decides_what_is_poison() -> None:
    rows = fresh_rows(table(3_000, seed=3))
    words = rows.words("y").copy()
    bad = (rows.words("label_source") == "site 1") & (np.random.default_rng(1).random(rows.rows) < 0.2)
    words[bad] = np.where(words[bad] == "yes", "no", "yes")
    turned = rows.with_column("y", pa.array(words, pa.string()))
    verdicts = [admit(model(2.0), Contract(()), turned, validate=fine, limit=limit).verdict for limit in (0.01, 0.5)]
    assert verdicts == ["fail", "pass"]


def test_a_changed_relation_everywhere_is_not_called_poison() -> None:
    found = admit(model(2.0), Contract(()), fresh_rows(table(3_000, seed=4, turn=0.5)), validate=fine)
    assert found.verdict == "pass"
    assert "the relation has changed" in found.sentence


def test_swapped_labels_are_refused() -> None:
    found = admit(model(2.0), Contract(()), fresh_rows(table(1_000, seed=5, turn=-1.0), sources=1), validate=fine)
    assert found.verdict == "fail"
    assert "they look swapped" in found.sentence


def test_clean_batches_are_rarely_refused() -> None:
    refused = [admit(model(2.0), Contract(()), fresh_rows(table(900, seed=100 + k)), validate=fine).verdict
               for k in range(40)].count("fail")
    assert refused <= 1


def test_a_broken_contract_refuses_before_anything_is_fitted() -> None:
    breach = Breach(Rule("type", "x"), "text", "x holds text, numbers were promised.")
    found = admit(model(2.0), Contract(()), fresh_rows(table(300)), validate=lambda c, b: (breach,))
    assert (found.verdict, found.sentence) == (
        "fail", "The new rows break the contract: x holds text, numbers were promised.")


def test_every_column_that_breaks_the_contract_is_named() -> None:
    told = "is missing in 100.0% of rows, against 0.0% before"
    breaches = tuple(Breach(Rule("null-share", name), "100%", f"{name} {told}") for name in ("x", "z", "x"))
    found = admit(model(2.0), Contract(()), fresh_rows(table(300)), validate=lambda c, b: breaches)
    assert found.sentence == (
        "The new rows break the contract in x, z: x is missing in 100.0% of rows, against 0.0% before.")


def test_what_the_server_never_receives_is_not_held_to_the_contract() -> None:
    rules = [Rule(kind, name) for name in ("x", "y", "id", "sex") for kind in ("present", "null-share", "quantile")]
    seen: list[tuple[str, str]] = []

    def validate(contract: Contract, batch: Table) -> tuple[Breach, ...]:
        seen.extend((rule.kind, rule.column) for rule in contract.rules)
        return ()

    assert admit(model(2.0), Contract(tuple(rules)), fresh_rows(table(300)), validate=validate).verdict == "pass"
    assert seen == [("present", "x"), ("null-share", "x"), ("present", "y"), ("null-share", "y")]


def test_the_project_s_own_weights_go_on_beside_those_of_new_rows() -> None:
    old = table(300).with_column("worth", pa.array(np.repeat([1.0, 3.0], 150)))
    new = fresh_rows(table(200, seed=1)).with_column("worth", pa.nulls(200, pa.float64()))
    rows, _ = next_training(old, new, weight="worth")
    assert rows.numbers(WEIGHT)[:300].tolist() == [0.5] * 150 + [1.5] * 150
    assert np.isfinite(rows.numbers(WEIGHT)).all()
    assert "worth" in renewed(parse(GIVEN.replace("[data]", '[data]\nweight = "worth"'))).data.set_aside


def test_new_rows_alone_are_tuned_on_and_held_out() -> None:
    cut = renewed(parse(GIVEN), share=0.2).split
    assert (cut.tune, cut.holdout, cut.newest) == (0.05, 0.05, 0.2)
    few = renewed(parse(GIVEN), share=0.01).split
    assert few.newest == pytest.approx(3 * few.holdout)


def test_in_a_renewal_identifiers_are_set_aside() -> None:
    data = renewed(parse(GIVEN)).data
    assert (data.table, data.identifiers, data.set_aside) == ("renewed", (), ("sex", "id"))


def test_the_better_model_wins_and_the_same_one_does_not() -> None:
    tail = table(2_000, seed=6, turn=-1.0)
    better = compare(model(2.0), model(-2.0), tail)
    assert better.verdict == "pass"
    assert better.sentence.startswith("The challenger is better than the champion: -")
    assert compare(model(-2.0), model(2.0), tail).verdict == "fail"
    assert compare(model(2.0), model(2.0), table(2_000, seed=6)).verdict == "unknown"
    assert compare(model(2.0), model(2.0), table(20)).verdict == "unknown"


def test_a_challenger_must_beat_as_last_time() -> None:
    rows = table(400, seed=7)
    blocks = rows.with_column("y", pa.array(["yes"] * 200 + ["no"] * 200))
    found = compare(model(-2.0), model(2.0), blocks)
    assert found.verdict == "fail"
    assert found.sentence.startswith('The challenger does not beat "as last time": ')
