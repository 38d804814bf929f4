"""Jobs are taken once, held by a lease, ended by their holder alone, and told of in order; in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from shipworthy.errors import Misuse
from shipworthy.store import Job, Jobs, LostLease, migrations, open_store

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
TAKER = """
from shipworthy.store import Jobs, open_store
jobs = Jobs(open_store(sys.argv[1], url=sys.argv[2] or None).metadata.engine)
while job := jobs.take(sys.argv[3]):
    jobs.tell(job, [("log", {"text": "at work"})])
    jobs.finish(job, "done", {})
    print(job.id)
"""


ASKER = """
from shipworthy.store import Job, Jobs, open_store
jobs = Jobs(open_store(sys.argv[1], url=sys.argv[2] or None).metadata.engine)
print(*{jobs.put(Job(verb="run", by="ann", key=f"k{n}")).id for n in range(20)})
"""


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def on(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres")) if request.param == "postgresql" else ""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(tmp_path: Path, url: str, clock: Clock) -> Jobs:
    return Jobs(open_store(tmp_path, url=url or None).metadata.engine, clock=clock)


def told(jobs: Jobs, id: str) -> list[Any]:
    return [event.body.get("state") or event.body for event in jobs.events(id)]


def test_a_job_is_queued_taken_and_ended_and_all_of_it_is_told(jobs: Jobs, clock: Clock) -> None:
    put = jobs.put(Job(verb="run", by="ann", settings={"seconds": 2.0}))
    assert jobs.get(put.id) == put
    clock.on(1)
    held = jobs.take("w1", 60)
    assert held is not None
    assert (held.state, held.worker, held.attempts, held.token) == ("running", "w1", 1, 1)
    assert (held.started, held.until) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=61))
    assert jobs.take("w2") is None
    jobs.tell(held, [("progress", {"step": "cleaning"}), ("log", {"text": "☃"})])
    ended = jobs.finish(held, "done", {"release": "ab"})
    assert (ended.state, ended.result, ended.until, ended.open) == ("done", {"release": "ab"}, None, False)
    assert jobs.take("w1") is None
    events = jobs.events(put.id)
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.kind for event in events] == ["state", "state", "progress", "log", "state"]
    assert events[4].body == {"state": "done", "result": {"release": "ab"}}
    assert jobs.events(put.id, after=2, limit=1) == [events[2]]


def test_the_oldest_job_is_taken_first(jobs: Jobs, clock: Clock) -> None:
    ids = []
    for verb in ("run", "watch", "renew"):
        ids.append(jobs.put(Job(verb=verb, by="ann")).id)
        clock.on(1)
    assert [job.id for job in jobs.find()] == ids[::-1]
    assert [job.id for job in jobs.find(before=ids[2], limit=1)] == [ids[1]]
    assert jobs.open() == 3
    assert [job.id for job in (jobs.take("w"), jobs.take("w"), jobs.take("w")) if job] == ids
    assert len(jobs.find(state="running")) == 3
    assert jobs.find(state="queued") == []


def test_a_renewed_lease_is_kept_and_one_that_ran_out_is_taken_up_by_another(jobs: Jobs, clock: Clock) -> None:
    jobs.put(Job(verb="run", by="ann"))
    held = jobs.take("w1", 60)
    assert held
    clock.on(50)
    jobs.renew(held, 60)
    clock.on(50)
    assert jobs.take("w2", 60) is None
    clock.on(11)
    again = jobs.take("w2", 60)
    assert again
    assert (again.id, again.worker, again.attempts, again.started) == (held.id, "w2", 2, NOON)


def test_a_worker_that_lost_its_lease_may_write_nothing(jobs: Jobs, clock: Clock) -> None:
    id = jobs.put(Job(verb="run", by="ann")).id
    first = jobs.take("w1", 60)
    clock.on(61)
    second = jobs.take("w1", 60)  # even one of the same name
    assert first and second
    for act in (
        lambda: jobs.finish(first, "done", {}), lambda: jobs.renew(first), lambda: jobs.tell(first, [("log", {})]),
        lambda: jobs.give_back(first, "stopping", counts=False),
    ):
        with pytest.raises(LostLease, match="the lease on this job is lost"):
            act()
    assert told(jobs, id) == ["queued", "running", "running"]
    jobs.finish(second, "failed", {})
    with pytest.raises(LostLease):
        jobs.finish(second, "done", {})
    assert jobs.get(id).state == "failed"  # type: ignore[union-attr]


def test_a_late_worker_keeps_a_job_that_nobody_else_took(jobs: Jobs, clock: Clock) -> None:
    jobs.put(Job(verb="run", by="ann"))
    held = jobs.take("w1", 60)
    assert held
    clock.on(3_600)
    assert jobs.finish(held, "done", {}).state == "done"


def test_a_job_whose_workers_all_died_fails_with_the_reason(jobs: Jobs, clock: Clock) -> None:
    id = jobs.put(Job(verb="run", by="ann")).id
    for attempt in (1, 2, 3):
        held = jobs.take("w", 60)
        assert held and held.attempts == attempt
        clock.on(61)
    assert jobs.take("w", 60) is None
    failed = jobs.get(id)
    assert failed and failed.state == "failed"
    assert failed.result["error"]["problem"] == "3 attempts came to no end: its worker was not heard of again"
    assert told(jobs, id) == ["queued", "running", "running", "running", "failed"]


def test_a_job_that_is_given_back_is_as_before_and_one_whose_work_broke_has_one_attempt_less(jobs: Jobs) -> None:
    id = jobs.put(Job(verb="run", by="ann")).id
    held = jobs.take("w")
    assert held
    back = jobs.give_back(held, "the worker was told to stop", counts=False)
    assert (back.state, back.worker, back.attempts, back.until) == ("queued", "", 0, None)
    states = []
    for _ in range(3):
        held = jobs.take("w")
        assert held
        states.append(jobs.give_back(held, "the process ended with signal 9", counts=True).state)
    assert states == ["queued", "queued", "failed"]
    ended = jobs.get(id)
    assert ended and ended.token == 4
    assert ended.result["error"]["problem"] == "3 attempts came to no end: the process ended with signal 9"


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_by_its_worker(jobs: Jobs) -> None:
    waiting = jobs.put(Job(verb="run", by="ann"))
    assert jobs.cancel(waiting.id, "ben").state == "cancelled"  # type: ignore[union-attr]
    assert jobs.take("w") is None
    running = jobs.put(Job(verb="run", by="ann"))
    held = jobs.take("w")
    asked = jobs.cancel(running.id, "ben")
    assert held and asked
    assert (asked.state, asked.stopped_by) == ("running", "ben")
    assert jobs.renew(held).stopped_by == "ben"
    jobs.finish(held, "cancelled", {})
    assert jobs.cancel(running.id, "cem").stopped_by == "ben"  # type: ignore[union-attr]
    assert told(jobs, running.id) == ["queued", "running", "cancelled"]
    assert jobs.cancel("nothing", "ben") is None


def test_a_cancelled_job_whose_worker_died_or_gave_it_back_is_not_taken_up(jobs: Jobs, clock: Clock) -> None:
    died, gave = jobs.put(Job(verb="run", by="ann")), jobs.put(Job(verb="run", by="ann"))
    held = [jobs.take("w", 60), jobs.take("w", 60)]
    for job in (died, gave):
        jobs.cancel(job.id, "ben")
    jobs.give_back(next(job for job in held if job and job.id == gave.id), "stopping", counts=False)
    clock.on(61)
    assert jobs.take("w") is None
    assert [job.state for job in jobs.find()] == ["cancelled", "cancelled"]


def test_a_request_that_comes_twice_makes_one_job(jobs: Jobs) -> None:
    first = jobs.put(Job(verb="run", by="ann", key="k", asked="digest"))
    assert jobs.put(Job(verb="run", by="ann", key="k", asked="digest")) == first
    with pytest.raises(Misuse, match="this idempotency key came with another request before"):
        jobs.put(Job(verb="watch", by="ann", key="k", asked="another"))
    jobs.put(Job(verb="run", by="ann"))
    jobs.put(Job(verb="run", by="ann"))
    assert len(jobs.find()) == 3
    assert told(jobs, first.id) == ["queued"]


def test_requests_that_come_at_once_make_one_job_a_key(tmp_path: Path, url: str, jobs: Jobs, spawn: Any) -> None:
    made = [process.communicate() for process in [spawn(ASKER, tmp_path, url) for _ in range(3)]]
    assert [err for _, err in made] == ["", "", ""]
    assert set(made[0][0].split()) == set(made[1][0].split()) == set(made[2][0].split())
    assert len(jobs.find()) == 20


def test_what_ended_long_ago_is_forgotten(jobs: Jobs, clock: Clock) -> None:
    old = jobs.put(Job(verb="run", by="ann", key="k"))
    jobs.cancel(old.id, "ann")
    waiting = jobs.put(Job(verb="run", by="ann"))
    clock.on(3_600)
    new = jobs.put(Job(verb="run", by="ann", key="l"))
    jobs.cancel(new.id, "ann")
    jobs.forget(NOON + timedelta(minutes=1))
    assert [job.id for job in jobs.find()] == [new.id, waiting.id]
    assert jobs.events(old.id) == []
    assert len(jobs.events(new.id)) == 2
    assert jobs.put(Job(verb="watch", by="ann", key="k")).verb == "watch"


def test_text_from_outside_is_only_text(jobs: Jobs) -> None:
    hostile = "'; DROP TABLE jobs; -- %s %(x)s :y ☃"
    put = jobs.put(Job(verb=hostile, by=hostile, settings={hostile: hostile}, key=hostile))
    assert jobs.get(put.id) == put
    assert jobs.get(hostile) is None


def test_workers_at_once_take_every_job_once(tmp_path: Path, url: str, jobs: Jobs, spawn: Any) -> None:
    ids = {jobs.put(Job(verb="run", by="ann")).id for _ in range(30)}
    taken: list[str] = []
    for process in [spawn(TAKER, tmp_path, url, name) for name in ("ada", "ben", "cem")]:
        out, err = process.communicate()
        assert err == ""
        taken += out.split()
    assert len(taken) == 30
    assert set(taken) == ids
    assert {job.attempts for job in jobs.find()} == {1}


def test_an_index_from_before_there_were_jobs_is_brought_forward(tmp_path: Path) -> None:
    engine = open_store(tmp_path).metadata.engine
    settings = migrations.configuration()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0001")
    jobs = Jobs(open_store(tmp_path).metadata.engine)
    assert jobs.find() == []
    assert (tmp_path / ".shipworthy" / "index.db.before-upgrade-from-0001").exists()
