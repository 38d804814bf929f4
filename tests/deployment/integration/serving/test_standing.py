import pytest

from shipworthy.deployment.integration.serving.standing import (
    FILE,
    Stand,
    Standing,
    place,
    read_standing,
    write_standing,
)
from shipworthy.errors import StoreError


def test_nobody_was_told_before_the_first_time(tmp_path):
    assert read_standing(tmp_path) is None


def test_what_was_told_is_what_is_read(tmp_path):
    told = Standing(3, Stand("a" * 64, "releases/a"), Stand("b" * 64, "releases/b"), "canary", 0.25, "s", ("customer",))
    write_standing(tmp_path, told)
    assert read_standing(tmp_path) == told


def test_a_damaged_file_is_said_with_its_place(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(StoreError) as caught:
        read_standing(tmp_path)
    assert FILE in caught.value.where


def test_growing_the_share_only_adds_entities():
    places = [place(str(n), "salt") for n in range(4_000)]
    assert all(0 <= at < 1 for at in places)
    for share in (0.01, 0.05, 0.25, 0.5):
        assert abs(sum(at < share for at in places) / 4_000 - share) < 4 * (share / 4_000) ** 0.5


def test_another_salt_draws_anew():
    moved = sum((place(str(n), "one") < 0.5) != (place(str(n), "two") < 0.5) for n in range(1_000))
    assert 400 < moved < 600
