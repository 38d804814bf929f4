"""Looking again and again: by the keeper beside a server, or alone with `shipworthy watch --follow`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

from shipworthy import runbooks
from shipworthy.deployment.alerts.outbox import Letter
from shipworthy.errors import ShipworthyError
from shipworthy.runbooks import Attended
from shipworthy.store.workspace import Workspace

TURN_SECONDS = 60.0
EVERY_MINUTES = 60.0


class Watcher:
    """Whose turn it is to look: every so many minutes; between two looks it only sends what is due.

    tell: of what went wrong, which is tried again. clock: seconds, which never go back.
    """

    def __init__(
        self, place: Workspace, tell: Callable[[str], None], *, minutes: float,
        clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place, self._tell, self._clock = place, tell, clock
        self._wait, self._due = minutes * 60, clock()
        self._troubles: set[str] = set()

    def turn(self) -> Attended | None:
        """A look if it is due, else None; the next is due from its beginning on, whatever came of it."""
        if self._clock() < self._due:
            self._told(runbooks.post(self.place).waiting)
            return None
        self._due = self._clock() + self._wait
        found = runbooks.attend(self.place)
        for step in found.done:
            self._tell(step)
        self._told(found.posted.waiting)
        return found

    def follow(self, stop: threading.Event, show: Callable[[Attended], None], *, every: float = TURN_SECONDS) -> None:
        """Until told to stop; a look under way is finished first. every: seconds between two turns."""
        while True:
            try:
                found = self.turn()
                if found is not None:
                    show(found)
            except ShipworthyError as error:
                self._tell(str(error))
            if stop.wait(min(every, max(0.0, self._due - self._clock()) or every)):
                return

    def _told(self, waiting: tuple[Letter, ...]) -> None:
        """Say once of every sink that it does not take its messages."""
        now = {f"sink {letter.sink} takes no messages: {letter.error}" for letter in waiting if letter.attempts}
        for trouble in sorted(now - self._troubles):
            self._tell(trouble)
        self._troubles = now


def until_stopped() -> threading.Event:
    """An event that SIGTERM or SIGINT sets; for the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
