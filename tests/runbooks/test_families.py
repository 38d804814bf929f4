"""Families of alarms in the project file: one that never comes would leave its runbook or sink silent for ever."""

from __future__ import annotations

import pytest

from shipworthy.core.project import parse
from shipworthy.core.settings.sinks import FAMILIES
from shipworthy.deployment.monitoring.incident import ACTIONS
from shipworthy.errors import BadProject

PROJECT = '[project]\nname = "x"\n[data]\ntarget = "ill"\n'


@pytest.mark.parametrize("text", [
    '[[runbook]]\nfamily = "drfit"\nstep = "renew"\n', '[[sink]]\nkind = "slack"\nfamilies = ["drfit"]\n'])
def test_a_family_of_alarms_that_never_comes_is_refused(text: str) -> None:
    with pytest.raises(BadProject, match='there is no family of alarms "drfit"') as caught:
        parse(PROJECT + text)
    assert "drift" in str(caught.value)


def test_the_families_of_a_project_file_are_those_that_alarms_have() -> None:
    assert set(FAMILIES) == set(ACTIONS)
    known = parse(PROJECT + '[[runbook]]\nfamily = "meter refunds"\nstep = "renew"\n')
    assert known.runbook[0].family == "meter refunds"
