"""The keeper of a project: one process beside its servers that counts what they served and looks at the rollout.

It is what takes libraries and time, so it is apart from those that answer. Killed, it loses nothing: counts are known
by their place in the log, and a rollout by its lines in the ledger. Run as a module, with the project's folder.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from shipworthy import rollouts, watching
from shipworthy.deployment.integration.erasure.expire import forget
from shipworthy.deployment.integration.log.tally import Tallied
from shipworthy.deployment.integration.rollout.rollout import rolling
from shipworthy.errors import ShipworthyError
from shipworthy.store.workspace import Workspace, open_workspace

COUNT_SECONDS, LOOK_SECONDS = 5.0, 60.0
Tell = Callable[[str], None]


class Keeper:
    """What one project needs done again and again. tell: of what went wrong, which is tried again."""

    def __init__(self, place: Workspace, tell: Tell) -> None:
        self.place, self.tell = place, tell
        self._known = watching.counters(place, tell)
        self._forgot = date.min

    def count(self) -> Tallied:
        """Move what is sealed into the store, and count every row and label that came since the last time."""
        return watching.count(self.place, self._known)

    def look(self) -> None:
        """One look at the rollout, if one is under way, and what follows from it."""
        rollouts.forget(self.place)
        known = rolling(self.place.store)
        if known is not None and not known.ended:
            found = rollouts.step(self.place)
            if found.action != "hold":
                self.tell(f"rollout of {known.challenger.release[:12]}: {found.action}, {found.reason}")
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


def main(folder: str) -> None:
    """Keep a project until SIGTERM, or until the process that started it is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def orphaned() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=orphaned, daemon=True).start()
    keeper = Keeper(open_workspace(Path(folder)), lambda text: print(f"keeper: {text}", file=sys.stderr, flush=True))
    keeper.run(stop)


if __name__ == "__main__":
    main(sys.argv[1])
