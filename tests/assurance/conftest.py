"""The clean case with a release of its model, for checks that serve it."""

from __future__ import annotations

from typing import Any

import pytest

from shipworthy.core.evidence import Evidence
from shipworthy.core.release import Identity, Release
from shipworthy.deployment.integration.releases.release import write_release
from shipworthy.deployment.integration.releases.shelf import project_key


@pytest.fixture(scope="session")
def clean_release(make_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder, model = tmp_path_factory.mktemp("clean"), make_case(0)["model"]
    return write_release(folder / "releases", name="clean", model=model, evidence=Evidence(()), extras={},
                         identity=Identity("code", model.digest, "data"), key=project_key(folder / "key.pem"))


@pytest.fixture
def clean(make_case: Any, clean_release: Release) -> dict[str, Any]:
    return {**make_case(0), "release": clean_release}
