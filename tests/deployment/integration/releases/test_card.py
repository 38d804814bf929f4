from __future__ import annotations

from datetime import UTC, datetime

from shipworthy.core.evidence import Evidence, Finding, Waiver
from shipworthy.core.project import parse
from shipworthy.deployment.integration.releases.card import model_card

from ..conftest import small_model

PROJECT = parse('[project]\nname = "ward <b>"\npurpose = "find the ill"\nowner = "o@example.org"\nsubject = "person"\n'
                '[data]\ntarget = "ill"\n[[source]]\naddress = "patients.csv"\nlicence = "CC0-1.0"\n')
TODAY = datetime.now(UTC).date()
EVIDENCE = Evidence(
    (Finding("auc", "verification.performance", "pass", "AUC holds | mostly", value=0.8, low=0.75, high=0.85),
     Finding("outage", "verification.simulation", "unknown", "Too few rows.")),
    required=("verification.performance", "ethics.bias"),
    waivers=(Waiver("ethics.bias", "ann", "pilot", TODAY, TODAY),),
    missing={"ethics.bias": "waits for: table"})


def test_a_card_says_what_holds_what_is_unknown_and_what_was_accepted() -> None:
    card = model_card(small_model(), EVIDENCE, PROJECT)
    assert card.startswith("---\nlibrary_name: shipworthy\ntags: [tabular-classification]\nlicense: cc0-1.0\n---\n")
    assert "**Fit: 1 of 2 required rows hold, 1 accepted by name (1 unknown). All rows: " in card
    assert "| verification.performance | auc | pass | AUC holds \\| mostly | 0.8 [0.75, 0.85] |" in card
    assert "- `verification.simulation`: Too few rows." in card
    assert "- `ethics.bias`: waits for: table" in card
    assert f"- `ethics.bias` by ann until {TODAY}: pilot" in card
    assert "## What the project changed\n\n- the gate does not require data.discovery\n" in card


def test_values_from_data_cannot_write_markup() -> None:
    card = model_card(small_model(), EVIDENCE, PROJECT)
    assert "<b>" not in card
    assert "ward &lt;b&gt;" in card


def test_a_release_that_is_not_fit_says_so_first() -> None:
    card = model_card(small_model(()), Evidence((), required=("ethics.bias",)), PROJECT)
    assert "**Not fit: ethics.bias; 0 of 1 required rows hold." in card
    assert "tabular-regression" in card
