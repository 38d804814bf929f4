"""Jobs and who works on them: taken by one atomic update, held by a lease, ended by its holder alone.

Each taking raises the job's token, and whatever a holder writes names the token it was given (a fencing token): a
worker that slept through its lease finds out when it writes, and nothing of what it says is kept. Jobs live in the
index only: they are what is to be done, and what was done is in the records, the releases and the ledger.

Source: Gray and Cheriton (1989), Leases; Kleppmann (2016), How to do distributed locking, on fencing tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from shipworthy.errors import Misuse, StoreError
from shipworthy.store.index import TABLES, Instant, asked, writing
from shipworthy.store.records import new_id, now

State = Literal["queued", "running", "done", "refused", "failed", "cancelled"]
OPEN = ("queued", "running")
ATTEMPTS = 3
LEASE_SECONDS = 60.0

JOBS = sa.Table(
    "jobs", TABLES,
    sa.Column("id", sa.String(160), primary_key=True),
    *[sa.Column(name, sa.Text(), nullable=False) for name in ("verb", "by", "state", "worker", "stopped_by")],
    *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ("attempts", "token", "told")],
    *[sa.Column(name, Instant()) for name in ("started", "ended", "until")],
    sa.Column("created", Instant(), nullable=False),
    sa.Column("settings", sa.JSON(), nullable=False),
    sa.Column("result", sa.JSON(), nullable=False),
    sa.Column("key", sa.Text()),
    sa.Column("asked", sa.Text(), nullable=False),
    sa.Index("ix_jobs_state", "state", "created"),
    sa.Index("ix_jobs_key", "key", unique=True),
)
EVENTS = sa.Table(
    "job_events", TABLES,
    sa.Column("job", sa.String(160), primary_key=True),
    sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("body", sa.JSON(), nullable=False),
)


class LostLease(StoreError):
    """The job is in other hands, or has ended: whoever held it may write nothing more."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do, and how far it is. A worker that was given it by `take` holds it by its token.

    verb, settings: what is to be done. by: who asked. state: queued or running; then done, refused (the evidence says
    no), failed, or cancelled. attempts: takings that count. token: all takings. until: the end of the lease.
    stopped_by: who asked for its end. told: the number of its newest event. key: names the request that asked for it,
    so that asking again makes no second job; asked: digest of what that request said.
    """

    verb: str
    by: str
    id: str = msgspec.field(default_factory=new_id)
    settings: dict[str, Any] = {}
    state: State = "queued"
    created: datetime = msgspec.field(default_factory=now)
    started: datetime | None = None
    ended: datetime | None = None
    attempts: int = 0
    token: int = 0
    worker: str = ""
    until: datetime | None = None
    stopped_by: str = ""
    result: dict[str, Any] = {}
    told: int = 0
    key: str | None = None
    asked: str = ""

    @property
    def open(self) -> bool:
        return self.state in OPEN


class Event(msgspec.Struct, frozen=True):
    """Something told of a job. number: 1, 2, 3, … without a gap. kind: state, progress or log."""

    number: int
    at: datetime
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Jobs:
    """The jobs of one project. clock: the time, in UTC. attempts: takings after which a job that ends none fails."""

    engine: sa.Engine
    clock: Callable[[], datetime] = now
    attempts: int = ATTEMPTS

    def put(self, job: Job) -> Job:
        """The job as it is queued; the one there is if its key is known. Raises Misuse if that asked for another thing.

        Its time of creation is the clock's.
        """
        job = msgspec.structs.replace(job, created=self.clock(), told=1)
        with writing(self.engine) as connection:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(JOBS), [msgspec.structs.asdict(job)])
            except exc.IntegrityError:
                known = _one(connection, JOBS.c.key == job.key)
                if known is None:
                    raise
            else:
                self._told(connection, job.id, 1, [("state", {"state": "queued", "by": job.by})])
                return job
        if known.asked != job.asked:
            raise Misuse("this idempotency key came with another request before", where="idempotency-key",
                         hint="take a new key for a new request")
        return known

    def get(self, id: str) -> Job | None:
        """The job of an id; None if there is none."""
        with asked(self.engine), self.engine.connect() as connection:
            return _one(connection, JOBS.c.id == id)

    def find(self, *, state: str = "", before: str = "", limit: int = 100) -> list[Job]:
        """Jobs, newest first. state: only those in it. before: only those whose id sorts before this one."""
        query = sa.select(JOBS).order_by(JOBS.c.id.desc()).limit(limit)
        query = query.where(JOBS.c.state == state) if state else query
        query = query.where(JOBS.c.id < before) if before else query
        with asked(self.engine), self.engine.connect() as connection:
            return [Job(**row) for row in connection.execute(query).mappings()]

    def open(self) -> int:
        """How many jobs are queued or running."""
        query = sa.select(sa.func.count()).where(JOBS.c.state.in_(OPEN))
        with asked(self.engine), self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def take(self, worker: str, seconds: float = LEASE_SECONDS) -> Job | None:
        """The oldest job that waits or whose lease ran out, now held by this worker for so long; None if there is none.

        A job whose lease ran out at its last attempt fails, and one that was to be stopped is cancelled.
        """
        at = self.clock()
        late = sa.and_(JOBS.c.state == "running", JOBS.c.until < at)
        if not self._waits(sa.or_(JOBS.c.state == "queued", late)):
            return None
        with writing(self.engine) as connection:
            self._close(connection, sa.and_(late, JOBS.c.stopped_by != ""), "cancelled", {})
            self._close(connection, sa.and_(late, JOBS.c.attempts >= self.attempts), "failed", lost(self.attempts))
            due = sa.select(JOBS.c.id).where(sa.or_(JOBS.c.state == "queued", late))
            first = due.order_by(JOBS.c.created, JOBS.c.id).limit(1).with_for_update(skip_locked=True)
            row = connection.execute(sa.update(JOBS).where(JOBS.c.id == first.scalar_subquery()).values(
                state="running", worker=worker, until=at + timedelta(seconds=seconds), token=JOBS.c.token + 1,
                attempts=JOBS.c.attempts + 1, started=sa.func.coalesce(JOBS.c.started, sa.literal(at, Instant())),
                told=JOBS.c.told + 1).returning(JOBS)).mappings().first()
            if row is None:
                return None
            job = Job(**row)
            self._told(connection, job.id, job.told, [
                ("state", {"state": "running", "worker": worker, "attempt": job.attempts})])
        return job

    def renew(self, held: Job, seconds: float = LEASE_SECONDS) -> Job:
        """The job, held for so long from now; its `stopped_by` says whether it is to end. Raises LostLease."""
        with writing(self.engine) as connection:
            return self._write(connection, held, until=self.clock() + timedelta(seconds=seconds))

    def tell(self, held: Job, events: Iterable[tuple[str, Mapping[str, Any]]]) -> Job:
        """The job, after its holder told something of it: (kind, body), … Raises LostLease."""
        told = list(events)
        with writing(self.engine) as connection:
            job = self._write(connection, held, told=JOBS.c.told + len(told))
            self._told(connection, job.id, job.told, told)
        return job

    def finish(self, held: Job, state: State, result: Mapping[str, Any]) -> Job:
        """The job, ended by its holder. Raises LostLease: then nothing is written."""
        with writing(self.engine) as connection:
            return self._end(connection, held, state, result)

    def give_back(self, held: Job, why: str, *, counts: bool) -> Job:
        """The job, queued again by its holder. Raises LostLease.

        counts: whether the attempt does: no for a worker that is told to stop, yes where the work itself broke. A job
        whose last attempt broke fails, and one that was to be stopped is cancelled.
        """
        with writing(self.engine) as connection:
            if held.attempts >= self.attempts and counts:
                return self._end(connection, held, "failed", lost(self.attempts, why))
            job = self._write(connection, held, state="queued", worker="", until=None, told=JOBS.c.told + 1,
                              attempts=JOBS.c.attempts - (0 if counts else 1))
            self._told(connection, job.id, job.told, [("state", {"state": "queued", "why": why})])
            if job.stopped_by:
                self._close(connection, JOBS.c.id == job.id, "cancelled", {})
        return job

    def cancel(self, id: str, by: str) -> Job | None:
        """The job: cancelled if it waited; if it runs, its worker ends it soon. An ended one stays as it is."""
        with writing(self.engine) as connection:
            connection.execute(sa.update(JOBS).where(JOBS.c.id == id, JOBS.c.state.in_(OPEN), JOBS.c.stopped_by == "")
                               .values(stopped_by=by))
            self._close(connection, sa.and_(JOBS.c.id == id, JOBS.c.state == "queued"), "cancelled", {})
            return _one(connection, JOBS.c.id == id)

    def events(self, id: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """What was told of a job after the event of a number, in order."""
        query = sa.select(EVENTS.c.number, EVENTS.c.at, EVENTS.c.kind, EVENTS.c.body)
        query = query.where(EVENTS.c.job == id, EVENTS.c.number > after).order_by(EVENTS.c.number).limit(limit)
        with asked(self.engine), self.engine.connect() as connection:
            return [Event(**row) for row in connection.execute(query).mappings()]

    def forget(self, before: datetime) -> None:
        """Forget the jobs that ended before a time, with their events and keys; what they made stays."""
        old = sa.select(JOBS.c.id).where(JOBS.c.ended < before)
        with writing(self.engine) as connection:
            connection.execute(sa.delete(EVENTS).where(EVENTS.c.job.in_(old)))
            connection.execute(sa.delete(JOBS).where(JOBS.c.ended < before))

    def last(self, id: str, kind: str) -> Event | None:
        """The newest event of a kind; None if there is none."""
        query = sa.select(EVENTS.c.number, EVENTS.c.at, EVENTS.c.kind, EVENTS.c.body)
        query = query.where(EVENTS.c.job == id, EVENTS.c.kind == kind).order_by(EVENTS.c.number.desc()).limit(1)
        with asked(self.engine), self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Event(**row)

    def _waits(self, due: sa.ColumnElement[bool]) -> bool:
        """Asked without a lock, so that idle workers hinder nobody."""
        with asked(self.engine), self.engine.connect() as connection:
            return connection.execute(sa.select(JOBS.c.id).where(due).limit(1)).first() is not None

    def _write(self, connection: sa.Connection, held: Job, **values: Any) -> Job:
        mine = sa.and_(JOBS.c.id == held.id, JOBS.c.token == held.token, JOBS.c.state == "running")
        row = connection.execute(sa.update(JOBS).where(mine).values(**values).returning(JOBS)).mappings().first()
        if row is None:
            raise LostLease("the lease on this job is lost: another worker took it up, or it has ended", where=held.id,
                            hint="nothing was written; give the worker a longer --lease if this happens often")
        return Job(**row)

    def _end(self, connection: sa.Connection, held: Job, state: State, result: Mapping[str, Any]) -> Job:
        job = self._write(connection, held, state=state, result=dict(result), ended=self.clock(), until=None,
                          told=JOBS.c.told + 1)
        self._told(connection, job.id, job.told, [("state", {"state": state, "result": job.result})])
        return job

    def _close(
        self, connection: sa.Connection, which: sa.ColumnElement[bool], state: State, result: Mapping[str, Any]
    ) -> None:
        rows = connection.execute(sa.update(JOBS).where(which).values(
            state=state, result=dict(result), ended=self.clock(), until=None, told=JOBS.c.told + 1).returning(JOBS))
        for row in rows.mappings().all():
            self._told(connection, row["id"], row["told"], [("state", {"state": state, "result": row["result"]})])

    def _told(
        self, connection: sa.Connection, id: str, last: int, told: list[tuple[str, Mapping[str, Any]]]
    ) -> None:
        """Numbered by the job's own row, whose lock they share: nobody sees a later one before an earlier one."""
        at, first = self.clock(), last - len(told) + 1
        if told:
            connection.execute(sa.insert(EVENTS), [
                {"job": id, "number": first + place, "at": at, "kind": kind, "body": dict(body)}
                for place, (kind, body) in enumerate(told)])


def lost(attempts: int, why: str = "its worker was not heard of again") -> dict[str, Any]:
    """The result of a job that no attempt brought to its end."""
    return {"error": {"field": "", "problem": f"{attempts} attempts came to no end: {why}",
                      "hint": "see its log; a machine that runs out of memory ends a worker so"}}


def _one(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Job | None:
    row = connection.execute(sa.select(JOBS).where(which)).mappings().first()
    return None if row is None else Job(**row)
