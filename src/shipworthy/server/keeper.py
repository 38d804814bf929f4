"""The keeper of a project: one process beside its servers that counts what they served and looks at the rollout.

It is what takes libraries and time, so it is apart from those that answer. Killed, it loses nothing: counts are known
by their place in the log, and a rollout by its lines in the ledger. Run as a module, with the project's folder.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from shipworthy import renewals, rollouts, watching
from shipworthy.deployment.integration.erasure.expire import forget
from shipworthy.deployment.integration.log.tally import Tallied
from shipworthy.deployment.integration.rollout.rollout import rolling
from shipworthy.errors import ShipworthyError
from shipworthy.server.watcher import Watcher, until_stopped
from shipworthy.store.workspace import Workspace, open_workspace

RENEWER = "shipworthy.server.renewer"
COUNT_SECONDS, LOOK_SECONDS = 5.0, 60.0
Tell = Callable[[str], None]


class Keeper:
    """What one project needs done again and again. tell: of what went wrong, which is tried again."""

    def __init__(self, place: Workspace, tell: Tell) -> None:
        self.place, self.tell = place, tell
        self._known = watching.counters(place, tell)
        minutes = place.project.watch.every
        self._watcher = Watcher(place, tell, minutes=minutes) if minutes else None
        self._forgot = date.min
        self._renewer: subprocess.Popen[bytes] | None = None

    def count(self) -> Tallied:
        """Move what is sealed into the store, and count every row and label that came since the last time."""
        return watching.count(self.place, self._known)

    def look(self) -> None:
        """One look at the rollout that is under way, at the traffic if it is time, at what has expired, and at whether
        the champion is due for renewal; and what follows from each. One that fails keeps no other from its turn.
        """
        for act in (self.roll, self.watch, self.forget, self.renew):  # a renewal takes long
            self.tried(act)

    def tried(self, act: Callable[[], object]) -> None:
        """Do something, or tell why it could not be done."""
        try:
            act()
        except ShipworthyError as error:
            self.tell(str(error))

    def roll(self) -> None:
        """One look at the rollout that is under way."""
        rollouts.forget(self.place)
        known = rolling(self.place.store)
        if known is not None and not known.ended:
            found = rollouts.step(self.place)
            if found.action != "hold":
                self.tell(f"rollout of {known.challenger.release[:12]}: {found.action}, {found.reason}")

    def watch(self) -> None:
        """One look at the traffic, where the project says how often and it is time."""
        if self._watcher is not None:
            self._watcher.turn()

    def renew(self) -> None:
        """A renewal, where the project wants one and the champion is due: in a process of its own, as it takes long."""
        if self._renewer is not None and self._renewer.poll() is None:
            return
        self._renewer = None
        if renewals.wanted(self.place) is not None:
            self._renewer = subprocess.Popen([sys.executable, "-m", RENEWER, str(self.place.folder)],
                                             stdin=subprocess.PIPE)

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
                self.tried(act)
            due = look if due <= 0 else due
        if self._renewer is not None:
            self._renewer.kill()  # as if it had not begun: a release is whole or not there
            self._renewer.wait()


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
