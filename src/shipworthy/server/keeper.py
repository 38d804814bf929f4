"""The keeper of a project: one process beside its servers that counts what they served and looks at the rollout.

It is what takes libraries and time, so it is apart from those that answer. Killed, it loses nothing: counts are known
by their place in the log, and a rollout by its lines in the ledger. Run as a module, with the project's folder.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from shipworthy import rollouts
from shipworthy.deployment.integration.erasure.expire import forget
from shipworthy.deployment.integration.log.counts import COUNTS
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.tally import Counting, Tallied, counting, tally
from shipworthy.deployment.integration.releases.shelf import find_release
from shipworthy.deployment.integration.rollout.rollout import rolling
from shipworthy.errors import ShipworthyError
from shipworthy.server.watcher import Watcher, until_stopped
from shipworthy.store.workspace import Workspace, open_workspace

COUNT_SECONDS, LOOK_SECONDS = 5.0, 60.0
Tell = Callable[[str], None]


class Keeper:
    """What one project needs done again and again. tell: of what went wrong, which is tried again."""

    def __init__(self, place: Workspace, tell: Tell) -> None:
        self.place, self.tell = place, tell
        self._known: dict[str, Counting | None] = {}
        minutes = place.project.watch.every
        self._watcher = Watcher(place, tell, minutes=minutes) if minutes else None
        self._forgot = date.min

    def count(self) -> Tallied:
        """Move what is sealed into the store, and count every row that was served since the last time."""
        store = self.place.store
        drain(self.place.log, store.tables)
        done = tally(self.place.log, store.home / COUNTS, self._releases(()), store.tables)
        if set(done.unknown) - set(self._known):
            done = tally(self.place.log, store.home / COUNTS, self._releases(done.unknown), store.tables)
        return done

    def look(self) -> None:
        """One look at the rollout, if one is under way, and at the traffic, if it is time; and what follows from it."""
        rollouts.forget(self.place)
        known = rolling(self.place.store)
        if known is not None and not known.ended:
            found = rollouts.step(self.place)
            if found.action != "hold":
                self.tell(f"rollout of {known.challenger.release[:12]}: {found.action}, {found.reason}")
        if self._watcher is not None:
            self._watcher.turn()
        self.forget()

    def forget(self) -> None:
        """Once a day, remove the rows that have expired, where the project says how long it keeps them."""
        today = datetime.now(UTC).date()
        if self.place.project.data.retention_days and self._forgot < today:
            forget(self.place)
            self._forgot = today

    def run(self, stop: threading.Event, *, every: float = COUNT_SECONDS, look: float = LOOK_SECONDS) -> None:
        """Until told to stop; what one turn could not do, the next tries again. every, look: seconds."""
        due = 0.0
        while not stop.wait(every):
            due -= every
            for act in (self.count, *((self.look,) if due <= 0 else ())):
                try:
                    act()
                except ShipworthyError as error:
                    self.tell(str(error))
            due = look if due <= 0 else due

    def _releases(self, more: tuple[str, ...]) -> Mapping[str, Counting]:
        for release_id in more:
            try:
                self._known[release_id] = counting(find_release(self.place.releases, release_id))
            except ShipworthyError as error:
                self._known[release_id] = None
                self.tell(f"answers of {release_id[:12]} are not counted: {error}")
        return {name: how for name, how in self._known.items() if how is not None}


def main(folder: str) -> None:
    """Keep a project until SIGTERM, or until the process that started it is gone."""
    stop = until_stopped()

    def orphaned() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=orphaned, daemon=True).start()
    keeper = Keeper(open_workspace(Path(folder)), lambda text: print(f"keeper: {text}", file=sys.stderr, flush=True))
    keeper.run(stop)


if __name__ == "__main__":
    main(sys.argv[1])
