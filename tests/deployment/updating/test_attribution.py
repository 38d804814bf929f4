from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.cleaning import Cleaning, Gap, Numbers
from shipworthy.core.features import Category, Features, Number
from shipworthy.core.model import Model, Sheet
from shipworthy.core.program import Linear, Lookup, Program, Scaling, Term
from shipworthy.core.table import Table
from shipworthy.deployment.updating.attribution import Mix, Side, judged, mixed, replayed, shares
from shipworthy.errors import BadData, Misuse

AXES = ("code", "model", "data")
PLAIN = Cleaning()
WRONG_GAP = Cleaning((Numbers("x", (Gap(0.3, 99.0, "looks like a code"),)),))


def table(n: int = 20_000, *, seed: int = 0, noise: float = 0.0) -> Table:
    random = np.random.default_rng(seed)
    x, place = random.normal(size=n), random.integers(0, 2, n)
    label = random.random(n) < 1 / (1 + np.exp(-2 * x - place))
    label = np.where(random.random(n) < noise, ~label, label)
    found = Table.of({"x": x, "place": pa.array(np.where(place, "south", "north")),
                      "y": pa.array(np.where(label, "yes", "no"))}, name="rows")
    return found.with_schema(found.schema.replace("y", role="target"))


def model(weight: float = 2.0, *, levels: tuple[str, ...] = ("north", "south"), cleaning: Cleaning = PLAIN
          ) -> Model:
    features = Features((Number("x"), Category("place", levels)))
    line = Term(Linear(), {"place": np.array([0]), "fill": np.zeros(1), "weight": np.array([[weight]]),
                           "missing": np.zeros((1, 1)), "intercept": np.zeros(1)})
    south = np.array([0.0, *(float(level == "south") for level in levels)])
    where = Term(Lookup((1,)), {"cuts0": np.zeros(0), "values": south.reshape(-1, 1)})
    program = Program(features.inputs, (line, where), "logistic", ("no", "yes"))
    return Model(Sheet(features, table(20).schema, "binary", "y", ("no", "yes"), cleaning=cleaning), program)


OLD = Side(model(), table(seed=1))


@pytest.mark.parametrize(("new", "axis"), [
    (Side(model(cleaning=WRONG_GAP), table(seed=2)), "code"),
    (Side(model(-1.0), table(seed=2)), "model"),
    (Side(model(), table(seed=2, noise=0.4)), "data"),
], ids=AXES)
def test_a_regression_planted_on_one_axis_is_its_share(new: Side, axis: str) -> None:
    found = replayed(OLD, new)
    assert found.change
    share = found.shares[axis]
    assert share
    assert share.low > 0
    assert 0.95 <= share.value / found.change.value <= 1.05
    told = judged(found)
    assert told.verdict == "fail"
    assert f"most through the {axis}" in told.sentence


@pytest.mark.parametrize("axis", AXES)
def test_on_the_same_rows_all_of_it_is_the_share_of_the_axis_that_changed(axis: str) -> None:
    values = dict.fromkeys(AXES, False) | {axis: True}
    new = Side(model(-1.0 if values["model"] else 2.0, cleaning=WRONG_GAP if values["code"] else Cleaning()),
               table(seed=1, noise=0.4 if values["data"] else 0.0))
    found = replayed(OLD, new)
    assert found.change
    share = found.shares[axis]
    assert share
    assert share.value == pytest.approx(found.change.value)
    assert all(other is not None and other.value == 0 for name, other in found.shares.items() if name != axis)


def test_shares_add_up_to_the_change_also_where_axes_meet() -> None:
    new = Side(model(0.5, cleaning=WRONG_GAP), table(seed=2, noise=0.2))
    found = replayed(OLD, new)
    told = [share for share in found.shares.values() if share]
    assert found.change
    assert sum(share.value for share in told) == pytest.approx(found.change.value)
    assert len(found.losses) == 8


def test_the_shares_by_hand() -> None:
    def value(mix: Mix) -> float:
        return 6.0 * ("code" in mix) + 12.0 * ({"model", "data"} <= mix)

    found = shares(value)
    assert [found.shares[axis].value for axis in AXES if found.shares[axis]] == pytest.approx([6.0, 6.0, 6.0])  # type: ignore[union-attr]
    assert found.change
    assert found.change.value == 18.0
    assert np.isnan(found.change.low)


def test_nothing_that_changed_is_no_regression() -> None:
    told = judged(replayed(OLD, Side(model(), table(seed=1))))
    assert told.verdict == "pass"
    assert told.sentence == ("It did not get worse: the loss changed by +0.0000 (95 % interval +0.0000 to +0.0000): "
                             "code +0.0000 (+0.0000 to +0.0000), model +0.0000 (+0.0000 to +0.0000), "
                             "data +0.0000 (+0.0000 to +0.0000).")


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    many = Side(model(), table(200_000, seed=500)), Side(model(1.0), table(200_000, seed=501))
    truth = replayed(*many).shares["model"]
    assert truth
    held = 0
    for seed in range(100):
        share = replayed(Side(model(), table(400, seed=2 * seed)), Side(model(1.0), table(400, seed=2 * seed + 1))
                         ).shares["model"]
        assert share
        held += share.low <= truth.value <= share.high
    assert held >= 89


def test_another_order_of_the_same_words_is_not_another_code() -> None:
    turned = model(levels=("south", "north"))
    found = replayed(OLD, Side(turned, table(seed=1)))
    assert {axis: share and share.value for axis, share in found.shares.items()} == dict.fromkeys(AXES, 0.0)
    rows = table(50, seed=3)
    assert (mixed(model(), turned).score(rows) == turned.score(rows)).all()


def test_a_mix_that_cannot_run_leaves_the_shares_that_need_it_unknown() -> None:
    narrow = Features((Number("x"),))
    program = model().program
    other = Model(msgspec.structs.replace(model(1.0).sheet, features=narrow),
                  Program(narrow.inputs, program.terms[:1], "logistic", ("no", "yes"), Scaling(0.2)))
    found = replayed(OLD, Side(other, table(seed=2)))
    assert found.shares["code"] is None
    assert found.shares["model"] is None
    assert found.change
    told = judged(found)
    assert told.verdict == "fail"
    assert "4 of 8 mixes cannot run: the model does not read what the other code makes: place" in told.sentence


def test_code_and_model_that_only_run_together_share_as_one() -> None:
    narrow = Features((Number("x"),))
    other = Model(msgspec.structs.replace(model(1.0).sheet, features=narrow),
                  Program(narrow.inputs, model().program.terms[:1], "logistic", ("no", "yes"), Scaling(0.2)))
    found = replayed(OLD, Side(other, table(seed=2)))
    data = found.shares["data"]
    assert found.change and found.together and data
    assert set(found.known) == {"code and model", "data"}
    assert found.together.value + data.value == pytest.approx(found.change.value)
    assert found.together.low > 0 and data.low < 0 < data.high
    told = judged(found)
    assert told.sentence.startswith("It got worse, most through the code and model: ")
    assert told.remedy.startswith("shipworthy rollback")


def test_what_serving_adds_to_the_loss_is_the_code_s() -> None:
    found = replayed(OLD, Side(model(), table(seed=2)))
    more = np.random.default_rng(0).normal(0.3, 0.1, found.rows[1])
    after = found.served_otherwise(more)
    code, was = after.shares["code"], found.shares["code"]
    assert found.change and after.change and code and was
    assert code.value == pytest.approx(was.value + more.mean())
    assert code.low < code.value - 1.9 * more.std() / np.sqrt(len(more))
    assert after.change.value == pytest.approx(found.change.value + more.mean())
    assert after.shares["model"] == found.shares["model"]
    assert found.served_otherwise(np.zeros(found.rows[1])) is found


def test_a_mix_that_is_not_begun_says_why() -> None:
    left = [3]

    def ready() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Misuse("time is over", where="", hint="")

    found = replayed(OLD, Side(model(-1.0, cleaning=WRONG_GAP), table(seed=2)), ready=ready)
    assert len(found.losses) == 3
    assert set(found.why.values()) == {"time is over"}
    assert found.change is None and found.known == {}


def test_rows_that_a_model_learnt_from_do_not_count_and_few_rows_are_refused() -> None:
    rows = table(300, seed=7)
    learnt = rows.take(np.arange(280))
    with pytest.raises(Misuse, match="answer different questions"):
        replayed(OLD, Side(model().with_sheet(classes=("a", "b")), rows))
    with pytest.raises(BadData, match="20 rows are too few"):
        replayed(Side(model(), rows), Side(model(), rows, learnt))
