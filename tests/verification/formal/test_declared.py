"""Declared properties: what is proved, refuted by a row that is served, or open; and the certificates of a release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import shipworthy_check
from shipworthy.core.evidence import Evidence
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Domain, Project, Property, parse
from shipworthy.core.proof import Proof
from shipworthy.core.release import Identity, Manifest, Release
from shipworthy.core.table import Table
from shipworthy.learning.selection.ladder import train
from shipworthy.verification.formal.claimed import certificate, declared
from shipworthy.verification.formal.declared import certificates, proofs

RISES = "never falls when num1 rises"


def declaring(clean: dict[str, Any], *claims: str | Property, **changes: Any) -> Project:
    properties = tuple(one if isinstance(one, Property) else Property(one) for one in claims)
    return msgspec.structs.replace(clean["project"], property=properties, **changes)


def told(clean: dict[str, Any], model: Model, *claims: str | Property, **changes: Any) -> tuple[Proof, ...]:
    return proofs(declaring(clean, *claims, **changes), model, clean["parts"])


def boosted(clean: dict[str, Any]) -> Model:
    model: Model = clean["steps"].train(clean["parts"].learn)
    return model


def boosted_without(clean: dict[str, Any], column: str) -> Model:
    """A boosted model that could read the column, with no tree that does."""
    model = boosted(clean)
    assert column not in {model.program.inputs[place].name for term in model.program.terms for place in term.places}
    return model


def test_a_project_without_properties_has_none_to_prove(clean: dict[str, Any]) -> None:
    finding = declared(clean["project"], clean["model"], clean["parts"], clean["steps"])
    assert (finding.verdict, finding.sentence) == ("not-applicable", "The project declares no property.")


def test_properties_that_hold_are_proved(clean: dict[str, Any]) -> None:
    project = declaring(clean, RISES, "sex alone never changes the decision")
    finding = declared(project, clean["model"], clean["parts"], clean["steps"])
    assert finding.verdict == "pass"
    assert finding.sentence == f"Proved for all inputs: {RISES}; sex alone never changes the decision."
    assert finding.n == 2


def test_a_column_that_no_part_reads_needs_no_certificate(clean: dict[str, Any]) -> None:
    claim = "sex alone moves the margin by at most 0.2"
    project, model = declaring(clean, claim), boosted_without(clean, "sex")
    assert proofs(project, model, clean["parts"])[0].status == "proved"
    assert certificates(project, model, clean["parts"]) == {}


def test_a_refuted_property_is_shown_by_rows_that_the_server_answers(clean: dict[str, Any]) -> None:
    model = boosted(clean)
    finding = declared(declaring(clean, RISES), model, clean["parts"], clean["steps"])
    assert finding.verdict == "fail"
    assert finding.sentence.startswith(f'Refuted: "{RISES}": the margin falls by 0.0')
    assert finding.sentence.endswith("from one row to another, as the server answers it; 0 of 1 property proved.")
    before, after = finding.counterexample["records"]
    assert before["num1"] < after["num1"]
    assert {name for name in before if before[name] != after[name]} == {"num1"}
    margins = model.program.margin(np.array([model.row(before), model.row(after)]))[:, 0]
    assert margins[1] < margins[0]


@pytest.mark.parametrize("claim, status, why", [
    ("answers stay between 0 and 1", "proved", "no margin whatever is answered with anything else"),
    ("answers stay between 0.4 and 0.6", "refuted", "one row is answered with"),
    ("never rises when num2 rises", "proved", ""),
    ("never falls when num2 rises", "refuted", "the margin falls by"),
    ("cat1 alone never changes the decision", "refuted", "the decision changes on"),
    ("cat1 alone moves the margin by at most 9", "proved", ""),
    ("a missing num4 moves the margin by at most 9", "proved", ""),
    ("a missing num4 moves the margin by at most 0.1", "refuted", "the margin moves by"),
    ("never decides yes when num1 is below -3 and num2 is above 2 and cat1 is a", "proved", ""),
    ("never decides no when num1 is below -3", "refuted", 'one row is decided "no"'),
    ("answers stay below 0.9 when num1 is below -3.5 and num2 is at least 0", "proved", ""),
    ("never falls when income rises", "unknown", 'a property names the column "income", which does not exist'),
    ("never falls when cat1 rises", "unknown", '"cat1" holds words, and does not rise'),
    ("never decides maybe when num1 is above 0", "unknown", '"maybe" is no class of outcome'),
    ("never decides yes when cat1 is z", "unknown", '"z" is no value of cat1 that the model knows'),
])
def test_a_line_is_judged_by_every_sentence(claim: str, status: str, why: str, clean: dict[str, Any]) -> None:
    [found] = told(clean, clean["model"], claim)
    assert (found.status, found.why[: len(why)]) == (status, why)
    assert (found.status == "refuted") == bool(found.records)


def test_errors_of_measurement_are_counted_on_the_holdout(clean: dict[str, Any]) -> None:
    claim = "errors of measurement change at most {} % of decisions"
    few, none = told(clean, boosted(clean), *(Property(claim.format(share), errors={"num1": 0.05, "num2": 0.05})
                                              for share in (50, 0.01)))
    assert few.status == "proved"
    assert none.status == "refuted"
    assert few.why == none.why
    before, after = none.records
    assert abs(before["num1"] - after["num1"]) <= 0.05 + 1e-12
    assert before["num3"] == after["num3"]


def test_a_range_within_which_a_property_speaks_is_said_with_it(clean: dict[str, Any]) -> None:
    wide, narrow = told(clean, clean["model"], "answers stay below 0.8", Property(
        "answers stay below 0.8", within={"num1": (-4.0, -3.0), "num2": (1.0, 3.0)}))
    assert (wide.status, narrow.status) == ("refuted", "proved")
    assert narrow.text == "answers stay below 0.8, num1 from -4 to -3, num2 from 1 to 3"


def test_a_row_that_cannot_be_refutes_nothing(clean: dict[str, Any]) -> None:
    model, claim = boosted(clean), 'never decides yes when num1 is at most -1 and num2 is at least 0.5'
    [free] = told(clean, model, claim)
    [tied] = told(clean, model, claim, domain=Domain(order=(("num2", "num1"),)))
    assert tied.status == "proved"
    assert free.status in ("proved", "refuted")


@pytest.mark.parametrize("learner", ["linear", "boosted", "tree"])
def test_the_checker_accepts_the_certificates_of_a_release(learner: str, clean: dict[str, Any], tmp_path: Path) -> None:
    model: Model = clean["steps"].train(clean["parts"].learn, learner=learner)
    project = declaring(clean, "answers stay between 0.000001 and 0.999999", RISES, "cat2 alone moves the margin by "
                        "at most 9", "a missing num4 moves the margin by at most 9", "never rises when num2 rises")
    files = certificates(project, model, clean["parts"])
    assert len(files) >= (4 if learner == "linear" else 2)
    for name, raw in (model.files() | files).items():
        (tmp_path / name).write_bytes(raw)
    manifest = Manifest("0", "r", "", Identity("", model.digest, ""), {})
    finding = certificate(Release(tmp_path, manifest, model, Evidence(())))
    assert finding.verdict == "pass", finding.sentence
    assert finding.sentence == f"The separate checker accepts all {len(files)} certificates."
    assert all(json.loads(raw)["claims"] for raw in files.values())
    ours = shipworthy_check.read(tmp_path)
    name, raw = next(iter(files.items()))
    document = json.loads(raw)
    document["claims"][0]["goal"] -= 1.0
    with pytest.raises(shipworthy_check.Rejected):
        shipworthy_check.check(json.dumps(document), [ours])


def test_a_release_without_proofs_has_none_to_check(clean: dict[str, Any], tmp_path: Path) -> None:
    manifest = Manifest("0", "r", "", Identity("", "", ""), {})
    finding = certificate(Release(tmp_path, manifest, clean["model"], Evidence(())))
    assert finding.verdict == "not-applicable"


def test_the_provable_profile_keeps_what_the_usual_one_breaks(clean: dict[str, Any]) -> None:
    claims = (RISES, "never rises when num2 rises", "answers stay between 0.000001 and 0.999999")
    parts, status = clean["parts"], {}
    for profile in ("usual", "provable"):
        learning = msgspec.structs.replace(clean["project"].learning, profile=profile)
        project = declaring(clean, *claims, learning=learning)
        model = train(parts.learn, project=project)
        status[profile] = [one.status for one in proofs(project, model, parts)]
    assert status["usual"][0] == "refuted"
    assert status["provable"] == ["proved"] * 3


def test_in_the_provable_profile_a_protected_column_meets_no_other(clean: dict[str, Any]) -> None:
    learning = msgspec.structs.replace(clean["project"].learning, profile="provable")
    learn = clean["parts"].learn
    learn = learn.with_schema(learn.schema.replace("cat2", protected=True))
    model = train(learn, project=declaring(clean, learning=learning))
    place = [one.name for one in model.program.inputs].index("cat2")
    [term] = model.program.terms
    reads = [inputs_of(term.arrays, root) for root in term.arrays["root"].tolist()]
    assert {place} in reads
    assert all(one == {place} for one in reads if place in one)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1.7e9])
def test_an_order_of_a_number_is_proved_whatever_its_size(offset: float) -> None:
    random = np.random.default_rng(0)
    carat, depth = random.random(1_500), random.random(1_500)
    told = {"carat": carat, "depth": depth, "price": offset + 1e4 * carat**2 + 500 * depth + random.normal(size=1_500)}
    table = Table.of(pa.table(told), name="stones")
    table = table.with_schema(table.schema.replace("price", role="target"))
    project = parse('[project]\nname = "stones"\n[data]\ntarget = "price"\n[learning]\nprofile = "provable"\n'
                    '[[property]]\nclaim = "never falls when carat rises"\n'
                    '[[property]]\nclaim = "never rises when carat rises"\n')
    parts = Parts(table.head(1_200), table.head(0), table.take(np.arange(1_200, 1_500)))
    model = train(parts.learn, project=msgspec.structs.replace(project, property=project.property[:1]))
    assert [one.status for one in proofs(project, model, parts)] == ["proved", "refuted"]


def inputs_of(arrays: Any, node: int) -> set[int]:
    """The inputs that a tree reads below a node."""
    if node < 0:
        return set()
    below = (inputs_of(arrays, int(arrays[side][node])) for side in ("left", "right"))
    return {int(arrays["feature"][node])}.union(*below)
