from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.errors import BadRelease, Misuse


def test_a_release_is_found_by_id_by_the_start_of_one_and_by_its_path(make_release: Callable[..., Release]) -> None:
    first, second = make_release(), make_release(seed=1)
    home = first.folder.parent
    for name in (first.id, first.id[:16], first.short, str(first.folder)):
        assert find_release(home, name).id == first.id
    assert find_release(home).id == second.id


def test_a_start_that_several_releases_have_is_refused(make_release: Callable[..., Release]) -> None:
    made = [make_release(seed=seed) for seed in range(17)]
    starts = [one.id[0] for one in made]
    start = next(one for one in starts if starts.count(one) > 1)
    with pytest.raises(Misuse, match=f'releases begin with "{start}"') as caught:
        find_release(made[0].folder.parent, start)
    assert caught.value.hint.startswith("write more of it: ")
    with pytest.raises(Misuse, match="there is no such release"):
        find_release(made[0].folder.parent, "nothing")


def test_a_release_of_another_key_is_not_found_for_a_project(
    make_release: Callable[..., Release], tmp_path: Path
) -> None:
    release = make_release()
    sign.make_key(tmp_path / "own.pem")
    with pytest.raises(BadRelease, match="the signature was not made by this key"):
        find_release(release.folder.parent, key=tmp_path / "own.pem")
