"""What an incident says: always its gravest evidence, and how it began."""

from __future__ import annotations

from shipworthy.deployment.monitoring.incident import ACTIONS, Alarm, joined_by, opened


def test_what_joins_an_incident_and_is_graver_leads_its_sentence_and_action() -> None:
    first = opened((Alarm("bias", "week", 0, 40.0),), "no", "r1", "0.17 of 0.21 allowed")
    assert first.sentence == "Outcomes differ from what the model expects; harm: 0.17 of 0.21 allowed."
    more = (Alarm("broken", "day", 60, 90.0, ("temp",)), Alarm("drift", "day", 60, 50.0, ("wind",)))
    later = joined_by(first, more, "no")
    assert later.sentence == f"Broken input in temp; at first: {first.sentence}"
    assert (later.action, later.severity, later.columns) == (ACTIONS["broken"], "high", ("temp", "wind"))
    same = joined_by(later, (Alarm("bias", "week", 120, 41.0),), "no")
    assert same.sentence == later.sentence
