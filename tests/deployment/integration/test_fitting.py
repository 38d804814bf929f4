"""The settings of a project against a release that is about to be served or watched."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from shipworthy.core.project import Feedback, Project
from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases.fitting import check_release
from shipworthy.errors import BadProject


def test_a_release_is_neither_served_nor_watched_by_settings_that_do_not_fit_it(
    make_release: Callable[..., Release], project: Project
) -> None:
    release = make_release()
    wrong = msgspec.structs.replace(project, feedback=Feedback(influenced=("accepted",)))
    for served in (True, False):
        check_release(project, release, served=served)
        with pytest.raises(BadProject, match='no decision is called "accepted"; the classes are'):
            check_release(wrong, release, served=served)
    nobody = msgspec.structs.replace(project, feedback=Feedback(holdback=0.05, unit=("nobody",)))
    with pytest.raises(BadProject, match='no column "nobody"'):
        check_release(nobody, release, served=True)
