from __future__ import annotations

import os
from itertools import pairwise
from uuid import UUID

from shipworthy.core.clock import now_us
from shipworthy.deployment.integration.log.ids import Ids, new_id, new_ids

AT = 1_700_000_000_000_000
DAY = 86_400_000_000


def test_ids_are_version_7_and_carry_their_millisecond() -> None:
    ids = Ids()
    found = [UUID(ids.one(at)) for at in range(AT, AT + 5_000, 250)]
    assert {place.version for place in found} == {7}
    assert {place.variant for place in found} == {"specified in RFC 4122"}
    assert [place.int >> 80 for place in found] == [at // 1_000 for at in range(AT, AT + 5_000, 250)]
    assert found == sorted(found)


def test_ids_of_one_moment_are_unique_in_order_and_not_just_counted_up() -> None:
    found = new_ids(20_000, now_us())
    assert len({*found, new_id(now_us())}) == 20_001
    assert found == sorted(found)
    single = [new_id(AT) for _ in range(1_000)]
    steps = [UUID(b).int - UUID(a).int for a, b in pairwise(single)]
    assert len(set(steps)) > 950
    widths = {UUID(b).int - UUID(a).int for a, b in (new_ids(3, AT)[1:] for _ in range(100))}
    assert len(widths) > 95
    assert new_ids(0, AT) == []


def test_a_clock_that_jumps_leaves_ids_unique_and_in_order() -> None:
    ids = Ids()
    found = [ids.one(at) for at in (AT, AT + 1_000, AT - DAY, AT - DAY + 1_000, AT + 365 * DAY, AT, AT + 2_000)]
    assert found == sorted(set(found))
    assert UUID(found[3]).int >> 80 == AT // 1_000 + 1


def test_a_clock_that_stands_still_never_runs_out_of_ids() -> None:
    ids = Ids()
    found = [ids.one(AT) for _ in range(140_000)]
    assert all(a < b for a, b in pairwise(found))
    assert UUID(found[-1]).int >> 80 > AT // 1_000


def test_a_forked_process_gives_out_ids_of_its_own() -> None:
    at = now_us()
    new_id(at)
    into, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(out, "".join(new_ids(50, at)).encode())
        os._exit(0)
    own = new_ids(50, at)
    os.waitpid(child, 0)
    raw = os.read(into, 50 * 36).decode()
    theirs = [raw[place : place + 36] for place in range(0, len(raw), 36)]
    os.close(into)
    os.close(out)
    assert len({*own, *theirs}) == 100
