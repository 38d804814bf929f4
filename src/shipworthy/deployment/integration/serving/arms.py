"""The releases that a server process has warm: the champion, and beside it a challenger; changed without a pause.

The next releases are opened, verified and warmed beside those that answer; then the names move, between two requests.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shipworthy.core.project import Feedback, Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.log.answers import Heading, Served
from shipworthy.deployment.integration.log.log import Log
from shipworthy.deployment.integration.log.recent import Recent
from shipworthy.deployment.integration.log.told import Rules
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.releases.release import open_release
from shipworthy.deployment.integration.releases.sign import trusted
from shipworthy.deployment.integration.releases.use import in_use
from shipworthy.deployment.integration.rollout.calls import Calls, Sampler, add_calls
from shipworthy.deployment.integration.serving.answerer import Answerer, Batch, Contributions, answerer
from shipworthy.deployment.integration.serving.counters import (
    ABSTAINED,
    FAILED,
    LEFT_OUT,
    OUTSIDE,
    ROWS,
    UNSEEN,
    UNUSABLE,
    Counters,
    spent,
    timed,
)
from shipworthy.deployment.integration.serving.exploring import Drawn, exploring
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.deployment.integration.serving.standing import Stand, Standing, place, read_standing, stamp
from shipworthy.errors import BadRelease, ShipworthyError

CLOSE_SECONDS, AGAIN_SECONDS = 30.0, 2.0
APART = 256
NOTHING = Feedback()
MOST_WAITING = 1_000


class Arm:
    """One release that is ready to answer, and its place in the log. log: open already, or the folder of a new one."""

    def __init__(
        self, release: Release, log: Log | Path, project: Project | Serving, counters: Counters,
        contributions: Contributions | None = None,
    ) -> None:
        serving = project.serve if isinstance(project, Project) else project
        told = declared(release, project if isinstance(project, Project) else None)
        self.release, self.id, self.name = release, release.id[:16], release.manifest.name
        self._used = in_use(release.folder)
        self.answers: Answerer = answerer(release.model, serving, contributions=contributions, told=told)
        shape = self.answers.shape
        self.rules = Rules(release.model.classes, told.same, shape.entity, serving.label_days, serving.max_rows)
        _warm(self.answers)
        rules = project.feedback if isinstance(project, Project) else Feedback()
        heading = Heading(release.id, release.model.classes, shape.fields, rules.influenced)
        self.log = log if isinstance(log, Log) else Log(log, heading, mode=serving.log)
        self.kept = self.log.arm(heading) if isinstance(log, Log) else self.log.champion
        self.recent = Recent(self.log.folder, shape.entity)
        self._shadow = self.log.arm(heading, shadow=True)
        self.cells, self._counters = counters.release(release.id), counters
        self._sampler = Sampler()
        self.calls("", 0)  # what it has in its cells already was counted before

    def calls(self, name: str, at: int) -> Calls | None:
        """What was asked of it since the last time, under the name of an arm. at: microseconds since 1970 UTC."""
        found = self._sampler.taken("", at, *spent(self.cells))
        return None if found is None else msgspec.structs.replace(found, arm=name)

    async def durable(self) -> None:
        """Wait until the disk has what was kept, where the log is to outlive a power cut. Raises StoreError."""
        await self.kept.durable()

    def close(self) -> None:
        """Seal its files, and let go of the release and its cells."""
        self.kept.close()
        self._shadow.close()
        self._counters.let_go(self.release.id)
        self._used.close()

    def keep(
        self, batch: Batch, ids: list[str], at: int, name: str, chance: float, *, blocks: Sequence[Served] = ()
    ) -> None:
        """Log the answers that it gave under the name of an arm, and count them. Raises StoreError.

        blocks: of the log, where they are not all of one chance.
        """
        abstain = [answer["abstain"] for answer in batch.answers]
        if ids:
            place = self._shadow if name == "shadow" else self.kept
            for block in blocks or (Served(ids, at, name, chance, batch.score, [a["prediction"] for a in batch.answers],
                                           abstain, list(batch.columns.values())),):
                place.served(block)
        cells = self.cells
        for cell, value in ((ROWS, len(ids)), (UNSEEN, batch.unseen), (OUTSIDE, batch.outside),
                            (ABSTAINED, sum(abstain)), (UNUSABLE, sum(s - s != 0 for s in batch.score))):
            cells[cell] += value


class Arms:
    """Who answers whom in this process, as the servers were told last.

    home: the `.shipworthy` folder of the project that is followed; none for one release for ever. rules: what is left
    to chance. cause: why the newest telling could not be followed, empty once it is.
    """

    def __init__(
        self, champion: Arm, make: Callable[[Release], Arm], counters: Counters, home: Path | None,
        rules: Feedback = NOTHING,
    ) -> None:
        self.champion, self._rules = champion, rules
        self.challenger: Arm | None = None
        self.previous: Arm | None = None
        self.standing = Standing(0, Stand(champion.release.id, str(champion.release.folder)))
        self.share, self.shadowed, self.cause = 0.0, False, ""
        self._make, self._home, self._general = make, home, counters.general
        self._seen: tuple[int, int] | None = None
        self._again = 0.0
        self._lacks = ""
        self._old: list[Arm] = []
        self._calls = champion.log.folder / f"calls-{time.time_ns()}-{os.getpid()}.jsonl"
        self._waiting: deque[tuple[Sequence[Any], list[str], int, Shape]] = deque()
        self._draw_anew()

    @property
    def all(self) -> tuple[Arm, ...]:
        """The arms that are warm, the champion first."""
        return tuple(arm for arm in (self.champion, self.challenger, self.previous) if arm is not None)

    def draw(self, record: Any, prediction_id: str) -> Drawn:
        """Who answers a record that the champion's type decoded, by the entity it is of; see `Standing`."""
        if self._alone is not None:
            return self._alone
        parts = [getattr(record, key) for key in self._keys]
        own = not parts or None in parts  # nobody is named, so the request stands for itself
        entity = prediction_id if own else "\x1f".join(map(str, parts))
        if self.exploring is not None:
            return self.exploring.drawn(entity)
        if self.challenger is not None and place(entity, self.standing.salt) < self.share:
            return Drawn(self.challenger, "challenger", self.share)
        return Drawn(self.champion, "champion", 1.0 - self.share)

    def parts(self, records: Sequence[Any], ids: Sequence[str]) -> list[tuple[Drawn, list[int]]]:
        """Who answers which of several records."""
        if self._alone is not None:
            return [(self._alone, list(range(len(records))))]
        found: dict[str, tuple[Drawn, list[int]]] = {}
        for at, (record, own) in enumerate(zip(records, ids, strict=True)):
            drawn = self.draw(record, own)
            found.setdefault(drawn.name, (drawn, []))[1].append(at)
        return list(found.values())

    def shadow(self, records: Sequence[Any], ids: list[str], at: int, shape: Shape) -> None:
        """Ask the challenger too, between other requests, what the champion has answered; shape: of the records.

        Where many wait to be asked, or many rows at once, it is left out, and that is counted.
        """
        if len(self._waiting) >= MOST_WAITING or len(records) > APART:
            self._general[LEFT_OUT] += 1
            return
        self._waiting.append((records, ids, at, shape))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._ask_challenger)

    def _ask_challenger(self) -> None:
        records, ids, at, shape = self._waiting.popleft()
        arm, began = self.challenger, time.perf_counter()
        if arm is not None:
            try:
                arm.keep(arm.answers.batch(arm.answers.shape.adapted(records, shape)), ids, at, "shadow", 1.0)
            except Exception:  # the edge: what the challenger cannot answer is counted, and harms nobody
                arm.cells[FAILED] += 1
            timed(arm.cells, time.perf_counter() - began)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._ask_challenger)

    def version(self, name: str) -> Arm | None:
        """The warm release of an id, or of a start of it with at least 8 digits."""
        return next((arm for arm in self.all if len(name) >= 8 and arm.release.id.startswith(name)), None)

    async def follow(self) -> bool:
        """Look whether the servers were told anew; whether that moved something.

        What cannot be followed changes nothing and is told as `cause`; it is tried again until it can, or until
        something else is told, a broken release only then.
        """
        seen = stamp(self._home) if self._home is not None and time.monotonic() >= self._again else None
        if self._home is None or seen is None or seen == self._seen:
            return False
        try:
            told = read_standing(self._home)
            if told is not None and told != self.standing:
                self._move(told, *await asyncio.to_thread(self._opened, told))
        except (ShipworthyError, OSError) as error:
            self.cause = f"cannot change to what was told: {error}"
            self._again = time.monotonic() + AGAIN_SECONDS
            self._seen = seen if isinstance(error, BadRelease) else self._seen
            return False
        self._seen, self.cause = seen, self._lacks
        return told is not None and self.standing == told

    def counted(self, at: int) -> None:
        """Write down what was asked of each arm since the last time, for whoever watches a rollout."""
        named = (("champion", self.champion), ("challenger", self.challenger))
        found = [arm.calls(name, at) for name, arm in named if arm is not None]
        add_calls(self._calls, [each for each in found if each is not None])

    def close(self) -> None:
        """Seal the files of every arm."""
        for arm in (*self.all, *self._old):
            arm.close()

    def _opened(self, told: Standing) -> tuple[Arm, Arm | None, Arm | None]:
        """Champion, challenger, and who answers what is held back; nothing is, where that one cannot be opened."""
        assert self._home is not None
        home = self._home

        def arm(stand: Stand) -> Arm:
            warm = next((arm for arm in self.all if arm.release.id == stand.release), None)
            return warm or self._make(signed(home, stand))

        champion = arm(told.champion)
        try:
            challenger = None if told.challenger is None else arm(told.challenger)
        except ShipworthyError:
            if champion not in self.all:
                champion.close()
            raise
        self._lacks, previous = "", None
        wanted = self._rules.holdback and self._rules.policy == "previous" and told.mode == "alone"
        try:
            previous = arm(told.previous) if wanted and told.previous else None
        except ShipworthyError as error:
            self._lacks = f"nothing is held back: {error}"
        return champion, challenger, previous

    def _draw_anew(self) -> None:
        """By what the next requests are drawn; `_alone` where there is nothing to draw."""
        alone = self.standing.mode == "alone"
        self.exploring = exploring(self.champion, self.previous, self._rules) if alone else None
        self._alone = None if self.exploring or self.share else Drawn(self.champion, "champion", 1.0)
        keys = {field.name: field.key for field in self.champion.answers.shape.fields}
        unit = self._rules.unit if self.exploring else self.standing.unit
        self._keys = [keys[name] for name in unit if name in keys]

    def _move(self, told: Standing, champion: Arm, challenger: Arm | None, previous: Arm | None) -> None:
        before = self.all
        self.champion, self.challenger, self.previous, self.standing = champion, challenger, previous, told
        self.share = told.share if told.mode == "canary" and challenger else 0.0
        self.shadowed = told.mode == "shadow" and challenger is not None
        self._draw_anew()
        gone = [arm for arm in before if arm not in self.all]
        self._old += gone
        if gone:  # a batch that a thread still works on writes to the log of the arm that it asked
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._retire, gone)

    def _retire(self, gone: list[Arm]) -> None:
        for arm in gone:
            arm.close()
            self._old.remove(arm)


def signed(home: Path, stand: Stand) -> Release:
    """The release of a project that a standing names, signed by a key that the project trusts. Raises BadRelease."""
    folder = home.parent / stand.folder
    release = open_release(folder, key=trusted(home / "keys" / "signing.pem"))
    if release.id != stand.release:
        raise BadRelease("another release lies there than was told", where=str(folder),
                         hint="promote it again, or restore the release from a copy")
    return release


def _warm(answers: Answerer) -> None:
    """Answer one row and a few, so that a release that cannot answer never becomes ready."""
    nothing = {field.name: None for field in answers.shape.fields}
    answers.answer([nothing])
    answers.answer([nothing] * 8)
