from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.releases import sign
from shipworthy.deployment.integration.releases.collect import collect
from shipworthy.deployment.integration.releases.history import signing_key
from shipworthy.deployment.integration.releases.shelf import find_release, placed
from shipworthy.errors import BadRelease, Misuse
from shipworthy.store import Store


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
    with pytest.raises(BadRelease, match="it is signed by a stranger"):
        find_release(release.folder.parent, key=tmp_path / "own.pem")


def test_the_newest_is_the_one_made_last_whatever_the_times_of_its_files(
    make_release: Callable[..., Release], store: Store
) -> None:
    made = [make_release(seed=seed) for seed in range(4)]
    for age, release in zip((3, 1, 0, 2), made, strict=True):
        os.utime(release.folder / "release.json", ns=(10**18 - age, 10**18 - age))
    home = made[0].folder.parent
    assert [path.name for path in placed(home)] == [one.id[:16] for one in reversed(made)]
    assert find_release(home, key=signing_key(store)).id == made[-1].id
    fates = collect(store, home, store.home / "log", keep=1, by="gc")
    assert [fate.release for fate in fates if fate.stays] == [made[-1].id]


def test_what_cannot_be_read_as_a_release_is_never_the_newest(make_release: Callable[..., Release]) -> None:
    made = make_release()
    other = made.folder.parent / "f" / "release.json"
    other.parent.mkdir()
    other.write_text("{", encoding="utf-8")
    assert [path.name for path in placed(made.folder.parent)] == [made.id[:16], "f"]
