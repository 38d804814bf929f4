"""The keeper of a project: one process beside its servers that counts what they served and looks at the rollout.

It is what takes libraries and time, so it is apart from those that answer. Killed, it loses nothing: counts are known
by their place in the log, and a rollout by its lines in the ledger. Run as a module, with the project's folder.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from shipworthy import renewals, rollouts, watching
from shipworthy.core.project import read_project
from shipworthy.core.registry import Registry
from shipworthy.deployment.integration.erasure.expire import forget
from shipworthy.deployment.integration.log.tally import Tallied
from shipworthy.deployment.integration.rollout.rollout import rolling
from shipworthy.errors import ShipworthyError
from shipworthy.server.imported import changed, imported
from shipworthy.server.watcher import Watcher, until_stopped
from shipworthy.store.workspace import Workspace, open_workspace

RENEWER = "shipworthy.server.renewer"
COUNT_SECONDS, LOOK_SECONDS = 5.0, 60.0
Tell = Callable[[str], None]


class Keeper:
    """What one project needs done again and again. tell: of what went wrong, which is tried again.

    The project file and its plugin files are read anew when they change, so it counts as `shipworthy watch` does.
    """

    def __init__(self, place: Workspace, tell: Tell) -> None:
        self.place, self.tell = place, tell
        self._imported: dict[str, str] = {}
        self._watcher: Watcher | None = None
        self._stale = ""
        self._open(place, place.registry)
        self._forgot = date.min
        self._renewer: subprocess.Popen[bytes] | None = None

    def count(self) -> Tallied:
        """Move what is sealed into the store, and count every row and label that came since the last time."""
        return watching.count(self.place, self._known) if self.current() else Tallied()

    def current(self) -> bool:
        """Whether it goes by the project and its plugins as they are on disk, after it read anew what can be.

        Raises BadProject, Misuse where they cannot be read.
        """
        stale = changed(self._imported)
        if stale and stale != self._stale:
            self.tell(f"plugin code has changed since it was imported: {stale}; what is served waits in the log, and "
                      "is counted once shipworthy serve was restarted")
        self._stale = stale
        if not stale:
            place = replace(self.place, project=read_project(self.place.folder))
            known = place.registry
            if place.project != self.place.project or known is not self._registry:
                self._open(place, known)
        return not stale

    def _open(self, place: Workspace, known: Registry) -> None:
        minutes = place.project.watch.every
        if self._watcher is None or minutes != self.place.project.watch.every:
            self._watcher = Watcher(place, self.tell, minutes=minutes) if minutes else None
        elif self._watcher is not None:
            self._watcher.place = place
        self.place, self._registry = place, known
        self._known = watching.counters(place, self.tell)
        self._imported = imported(place.folder, place.plugins()) | self._imported

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
        if self._watcher is not None and self.current():
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
