"""Explainability, membership, poisoning, licences, plugins: the parts they are made of."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.assurance.authorship import licences
from shipworthy.assurance.explainability import parsimony
from shipworthy.assurance.inversion import membership, ratio
from shipworthy.assurance.poisoning import reachable
from shipworthy.assurance.surrogate import fit_surrogate
from shipworthy.assurance.tooling import conformity
from shipworthy.core.found import Catalogue, Listed
from shipworthy.sabotage.assurance import HONEST


def test_a_tree_of_depth_four_tells_sixteen_steps() -> None:
    x = np.linspace(0, 16, 3_000, endpoint=False)[:, None]
    guess = fit_surrogate(x, np.floor(x[:, 0] / 4))(x)
    assert np.abs(guess - np.floor(x[:, 0] / 4)).mean() < 0.05


def test_a_surrogate_answers_missing_values() -> None:
    x = np.array([[np.nan]] * 50 + [[1.0]] * 50)
    assert fit_surrogate(x, np.repeat([3.0, 5.0], 50))(np.array([[np.nan], [1.0]])).tolist() == [3.0, 5.0]


def test_parsimony_counts_the_inputs_that_carry_the_rest() -> None:
    assert parsimony(np.array([[1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]])) == 1.0
    assert parsimony(np.ones((3, 12))) == pytest.approx(6 / 11)


def test_a_member_that_fits_its_shadows_has_the_higher_ratio() -> None:
    random = np.random.default_rng(0)
    held = random.random((20, 50)) < 0.5
    shadow = np.where(held, 3.0, 1.0) + random.normal(0, 0.2, held.shape)
    target = np.concatenate([np.full(25, 3.0), np.full(25, 1.0)])
    found = ratio(target, shadow, held)
    assert found[:25].min() > found[25:].max()


def test_nobody_can_be_recognised_among_things(clean: dict[str, Any]) -> None:
    project = clean["project"]
    thing = msgspec.structs.replace(project, project=msgspec.structs.replace(project.project, subject="thing"),
                                    data=msgspec.structs.replace(project.data, personal=()))
    judged = membership(thing, clean["model"], clean["recipe"], clean["parts"], clean["steps"])
    assert judged.verdict == "not-applicable"


def test_a_noisy_target_hides_its_flips(clean: dict[str, Any]) -> None:
    model, learn = clean["model"], clean["parts"].learn
    sharp = model.with_program(_sharpened(model.program))
    assert reachable(model, learn, 0.03, 0.05) < 0.5
    assert reachable(sharp, learn, 0.03, 0.05) > 0.9


def _sharpened(program: Any) -> Any:
    from dataclasses import replace

    from shipworthy.core.program import Term

    terms = tuple(Term(term.kind, {key: array * 40 if key in ("weight", "missing", "intercept", "values") else array
                                   for key, array in term.arrays.items()}) for term in program.terms)
    return replace(program, terms=terms)


@pytest.mark.parametrize(("licence", "verdict"), [
    ("CC0-1.0", "pass"), ("cc-by-4.0", "pass"), ("Proprietary", "pass"), ("ODbL-1.0", "pass"), ("", "fail"),
    ("CC-BY-NC-4.0", "fail"), ("CC-BY-ND-4.0", "fail"), ("trust me", "fail")])
def test_a_licence_is_known_or_refused(licence: str, verdict: str, clean: dict[str, Any]) -> None:
    catalogue = Catalogue((Listed("t", "elsewhere.csv", 1, ("a",), owner="ann", licence=licence),), trace={"a": "t"})
    project = msgspec.structs.replace(clean["project"], source=())
    assert licences(project, catalogue).verdict == verdict
    assert licences(project, catalogue, accept=(licence,)).verdict == ("pass" if licence else "fail")


def test_a_column_from_nowhere_has_no_licence(clean: dict[str, Any]) -> None:
    catalogue = Catalogue((), trace={"a": "unlisted"})
    project = msgspec.structs.replace(clean["project"], source=())
    assert "unlisted has no owner" in licences(project, catalogue).sentence


def test_an_honest_plugin_conforms_and_each_lie_is_told() -> None:
    assert conformity(HONEST) == ([], 2)
    bad = HONEST.replace('row="data.variance"', 'row="data.varianc"').replace("table: Table", "tabel: Table")
    problems, _ = conformity(bad)
    assert any("data.varianc" in one and "data.variance" in one for one in problems)
    assert any('judges "tabel"' in one and 'did you mean "table"' in one for one in problems)
