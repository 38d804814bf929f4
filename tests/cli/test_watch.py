"""What `shipworthy watch` prints: sentences and what to do, never a structure."""

from __future__ import annotations

import msgspec

from shipworthy.cli.watch import lines
from shipworthy.core.evidence import Finding
from shipworthy.deployment.monitoring.incident import Alarm, opened
from shipworthy.deployment.monitoring.watch import State, Watched

FINDING = Finding("harm", "deployment.monitoring", "fail", "The model does harm.")
INCIDENT = opened((Alarm("harm", "day", 1_700_000_000_000_000, 1e6),), "yes", "r" * 64, "the labels prove it",
                  (12.5, "EUR"))


def test_a_page_says_what_happened_what_it_costs_and_what_to_do() -> None:
    found = lines(Watched((FINDING,), (INCIDENT,), (), State(incident=INCIDENT), 10))
    assert found == [
        "fail           harm: The model does harm.",
        "PAGE (high, since 2023-11-14T22:13:20+00:00): The model does harm: the labels prove it. "
        "Extra errors cost 12.50 EUR per 1,000 decisions, by the labels up to 2023-11-14.",
        "      → roll back if a release came before it, then renew: shipworthy rollback; shipworthy renew",
        "      → Shipworthy's guide of runbooks, docs/guides/runbooks.md#harm",
        "somebody is called: an incident was opened; once it is dealt with: shipworthy watch --close REASON --by YOU "
        "(exit code 1)",
    ]


def test_an_incident_of_an_earlier_look_is_open_and_not_paged_again() -> None:
    medium = msgspec.structs.replace(INCIDENT, severity="medium", loss=None)
    found = lines(Watched((), (), (), State(incident=medium), 10))
    assert found[0] == "OPEN (medium, since 2023-11-14T22:13:20+00:00): The model does harm: the labels prove it."
    assert found[-1].startswith("somebody is called: an incident is open") and len(found) == 4


def test_without_rows_it_says_how_to_get_some() -> None:
    assert lines(Watched((), (), (), State())) == [
        "no data yet: nothing was served since the promotion; start it with: shipworthy serve"]


def test_what_is_to_be_known_of_the_counts_is_said() -> None:
    assert lines(Watched((), (), (), State(), 10, note="counted anew on 2024-05-01"))[0] == (
        "note           counted anew on 2024-05-01")
