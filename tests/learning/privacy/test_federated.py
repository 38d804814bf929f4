"""Parties send sums only; the sums are exact, one message is noise, and a lost party ends the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from shipworthy.core.features import Features, fit
from shipworthy.core.private import Others
from shipworthy.core.project import Federated
from shipworthy.core.table import Table
from shipworthy.errors import BadData, BadProject
from shipworthy.learning.privacy.federated.asked import Cells, Leaf, Pull, Spread, Start
from shipworthy.learning.privacy.federated.federation import Federation, gathered
from shipworthy.learning.privacy.federated.learners import fit_additive, fit_linear, fit_trees
from shipworthy.learning.privacy.federated.masks import Seeds, opened
from shipworthy.learning.privacy.federated.party import answering, from_table
from shipworthy.learning.privacy.federated.rungs import federated_additive
from shipworthy.metrics.classification import auc
from shipworthy.sabotage.world import world

from ..conftest import job, with_roles

CLASSES = ("no", "yes")
FITS = [fit_linear, fit_additive, fit_trees]


def agreed(parties: int) -> list[Seeds]:
    made = [Seeds() for _ in range(parties)]
    publics = {number: one.public for number, one in enumerate(made)}
    for number, one in enumerate(made):
        one.agree(number, publics)
    return made


def federation(tables: list[Table], features: Features) -> Federation:
    """The same parties without processes between them."""
    answers = [answering(lambda asked, table=table: from_table(table, asked)) for table in tables]  # type: ignore[misc]
    made = Federation(lambda requests: [one(each) for one, each in zip(answers, requests, strict=True)], len(tables))
    made.start(features, "outcome", CLASSES)
    return made


@pytest.fixture(scope="module")
def ready(clean: dict[str, Any]) -> tuple[Table, Features, list[tuple[float, float]]]:
    table = with_roles(world(3, rows=3_000), clean["project"])
    features = fit(table.drop("when", "entity"))
    bounds = [(0.0, 0.0) if kind.categorical else (0.0, 1.0) if kind.name == "flag" else (-5.0, 5.0)
              for kind in features.inputs]
    return table, features, bounds


def test_masks_cancel_in_the_sum() -> None:
    values = [np.array([1.5, -2.25, 1e6]), np.array([0.5, 0.125, -1e6]), np.array([3.0, 2.0, 7.0])]
    sent = [seeds.masked(each, 4) for seeds, each in zip(agreed(3), values, strict=True)]
    np.testing.assert_allclose(opened(sent), [5.0, -0.125, 7.0], atol=1e-6)


def test_one_message_is_uniform_noise_whatever_it_holds() -> None:
    """Every byte of zeros and of large numbers alike, by chi-square at one in a million."""
    from scipy.stats import chi2

    for values in (np.zeros(40_000), np.full(40_000, 123_456.0)):
        counts = np.bincount(agreed(3)[0].masked(values, 1).view(np.uint8), minlength=256)
        expected = counts.sum() / 256
        assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-6, 255)


def test_two_turns_have_different_masks() -> None:
    seeds = agreed(3)[0]
    assert not np.array_equal(seeds.masked(np.zeros(8), 1), seeds.masked(np.zeros(8), 2))


def test_numbers_too_large_to_add_are_refused() -> None:
    with pytest.raises(BadData, match="not finite or too large"):
        agreed(3)[0].masked(np.array([np.inf]), 1)


@pytest.mark.parametrize("fit_one", FITS)
def test_parties_learn_what_one_learns_from_all_rows(fit_one: Any, ready: Any) -> None:
    table, features, bounds = ready
    cut = np.array_split(np.argsort(table.numbers("num1")), 4)  # parties that differ as much as can be
    apart = fit_one(federation([table.take(np.sort(rows)) for rows in cut], features), features, bounds, CLASSES)
    mixed = fit_one(federation([table.take(np.arange(n, 3_000, 3)) for n in range(3)], features), features, bounds,
                    CLASSES)
    inputs = features.matrix(table)
    np.testing.assert_allclose(apart.score(inputs), mixed.score(inputs), atol=1e-3)
    assert auc((table.words("outcome") == "yes").astype(np.int64), apart.score(inputs)) > 0.8


def test_no_message_grows_with_the_rows(ready: Any) -> None:
    table, features, bounds = ready
    lengths = []
    for rows in (600, 3_000):
        asked = federation([table.take(np.arange(n, rows, 3)) for n in range(3)], features)
        fit_trees(asked, features, bounds, CLASSES, trees=2)
        lengths.append([(one.about, one.values, one.asked) for one in asked.transcript if one.about != "pull"])
    spread = [one for one in lengths[0] if one[0] == "spread"]
    assert spread == [one for one in lengths[1] if one[0] == "spread"]
    assert all(values == asked for each in lengths for _, values, asked in each)


def test_a_party_that_sends_rows_is_refused(ready: Any) -> None:
    table, features, bounds = ready
    asked = federation([table] * 3, features)
    carry = asked._carry
    asked._carry = lambda requests: [*carry(requests)[:2], b"\0" * 8 * 12_000]
    with pytest.raises(BadData, match="party 2 sent 12,000 values where a sum has 28,674"):
        asked.ask(Spread(tuple(bounds), 4096), 28_674)
    assert asked.transcript[-1].values == 12_000


def test_two_parties_are_too_few(ready: Any) -> None:
    table, features, _ = ready
    with pytest.raises(BadData, match="2 parties are too few"):
        federation([table] * 2, features)


def test_processes_answer_over_sockets_and_a_lost_one_ends_the_training(ready: Any, tmp_path: Path) -> None:
    table, features, bounds = ready
    files = [tmp_path / f"{n}.parquet" for n in range(3)]
    for n, path in enumerate(files):
        pq.write_table(table.take(np.arange(n, 3_000, 3)).data, path)
    rules = Federated(tuple(map(str, files)))
    with gathered(rules) as asked:
        asked.start(features, "outcome", CLASSES)
        found = fit_additive(asked, features, bounds, CLASSES, rounds=2)
        assert found.label == "federated-additive"
    files[1].unlink()
    with pytest.raises(BadData, match="is lost, and without it no sum can be opened"), gathered(
            rules) as asked:
        asked.start(features, "outcome", CLASSES)


def test_a_federated_rung_is_an_ordinary_fit(ready: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    table, features, bounds = ready
    files = [tmp_path / f"{n}.parquet" for n in range(2)]
    for n, path in enumerate(files):
        pq.write_table(table.take(np.arange(n, 3_000, 3)).data, path)
    own = table.take(np.arange(2, 3_000, 3))
    told = Others(Federated(tuple(map(str, files))), features, "outcome", tuple(bounds))
    truth = (own.words("outcome") == "yes").astype(np.int64)
    asked = replace(job("binary", rounds=2), inputs=features.inputs, classes=CLASSES, others=told)
    made = federated_additive(features.matrix(own), truth, asked)
    assert {one.party for one in made.transcript} == {0, 1, 2}
    with pytest.raises(BadProject, match="a federated learner needs other parties"):
        federated_additive(features.matrix(own), truth, replace(asked, others=None))


def test_only_sums_are_answered() -> None:
    from shipworthy.core.features import Input
    from shipworthy.errors import Misuse
    from shipworthy.learning.privacy.federated.rows import Rows

    rows = Rows(np.zeros((2, 1)), np.array([0, 1]), (Input("a"),))
    assert rows.answer(Cells(((0.5,),))).tolist() == [2.0]
    assert rows.answer(Pull(0)).shape == (6,)
    assert rows.answer(Leaf((), (0.0,))).tolist() == [2.0]
    with pytest.raises(Misuse, match="a party does not answer Start"):
        rows.answer(Start(0, {}, b"", "y", ()))
