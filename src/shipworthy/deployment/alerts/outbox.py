"""The outbox: every message lies in the store until its sink has taken it, so a sink that is down loses nothing.

A message is put there under the lock of the look that found it, by a name that is the same the next time, so a look
that is killed and repeated sends it once. Deliveries are tried again, each time after twice as long, in their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import msgspec

from shipworthy.core.clock import HOUR, MINUTE, now_us
from shipworthy.core.settings.sinks import Sink
from shipworthy.deployment.alerts.message import Message, wanted
from shipworthy.deployment.integration.releases.history import Home, can_sign, record
from shipworthy.errors import FAULTS, ShipworthyError, StoreError
from shipworthy.store.files import lock, read_bytes, told, write_bytes

FIRST_WAIT, LONGEST_WAIT = MINUTE, 6 * HOUR
COMPLAIN = 5
KEPT_RECEIPTS = 1_000
Deliver = Callable[[Message, Sink], None]


class Letter(msgspec.Struct, frozen=True):
    """A message for one sink. made, due: microseconds, UTC. attempts: that failed. error: of the last."""

    sink: str
    message: Message
    made: int
    due: int
    attempts: int = 0
    error: str = ""


class Posted(msgspec.Struct, frozen=True):
    """What a delivery came to. delivered: letters. waiting: those that no sink has taken yet."""

    delivered: tuple[Letter, ...] = ()
    waiting: tuple[Letter, ...] = ()


def put(store: Home, sinks: Iterable[Sink], messages: Iterable[Message], *, now: int = 0) -> None:
    """Lay messages into the outbox, for every sink that wants them; what lies there, or was delivered, stays as it is.

    Raises StoreError.
    """
    now, folder = now or now_us(), _folder(store)
    for message in messages:
        for sink in sinks:
            path = folder / f"{_name(sink, message)}.json"
            if wanted(sink, message) and not path.exists() and not _receipt(store, path).exists():
                write_bytes(path, _written(Letter(sink.called, message, now, now)))


def deliver(
    store: Home, sinks: Iterable[Sink], kinds: Mapping[str, Deliver], *, now: int = 0
) -> Posted:
    """Hand out what is due, oldest first; after one failure the sink is left in peace until its next turn.

    kinds: kind of a sink → what delivers to it. Nothing is thrown away: a letter whose sink is gone from the project
    file waits until it is back, or somebody deletes the letter. The fifth failure of a letter goes on record.
    Raises StoreError where the outbox cannot be read or written.
    """
    now, delivered = now or now_us(), []
    with lock(store.home / "locks" / "outbox.lock"):
        known, tired = {sink.called: sink for sink in sinks}, set()
        for path, letter in _letters(store):
            sink = known.get(letter.sink)
            if sink is None or letter.sink in tired or letter.due > now:
                tired.add(letter.sink)
                continue
            error = _tried(letter, sink, kinds)
            if error:
                tired.add(letter.sink)
                _failed(store, path, letter, error, now)
            else:
                delivered.append(letter)
                write_bytes(_receipt(store, path), _written(letter))
                path.unlink(missing_ok=True)
        _forget(store)
        return Posted(tuple(delivered), tuple(letter for _, letter in _letters(store)))


def waiting(store: Home) -> tuple[Letter, ...]:
    """The letters that no sink has taken yet, oldest first. Raises StoreError."""
    return tuple(letter for _, letter in _letters(store))


def _tried(letter: Letter, sink: Sink, kinds: Mapping[str, Deliver]) -> str:
    """Why a letter did not arrive; nothing where it did."""
    if sink.kind not in kinds:
        return f'there is no kind of sink "{sink.kind}"; there are {", ".join(sorted(kinds))}'
    try:
        kinds[sink.kind](letter.message, sink)
    except ShipworthyError as error:
        return f"{error.problem} ({error.where})" if error.where else error.problem
    except (OSError, HTTPException, *FAULTS) as error:  # the network, or a plugin's sink
        return f"{type(error).__name__}: {error}"
    return ""


def _failed(store: Home, path: Path, letter: Letter, error: str, now: int) -> None:
    attempts = letter.attempts + 1
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 20))
    write_bytes(path, _written(msgspec.structs.replace(letter, attempts=attempts, due=now + wait, error=error[:500])))
    if attempts == COMPLAIN and can_sign(store):
        record(store, actor="watch", role="monitor", action="not delivered", why=error[:500],
               subject={"sink": letter.sink, "message": letter.message.id, "release": letter.message.release})


def _letters(store: Home) -> list[tuple[Path, Letter]]:
    found = []
    for path in _folder(store).glob("*.json") if _folder(store).is_dir() else ():
        try:
            found.append((path, msgspec.json.decode(read_bytes(path), type=Letter)))
        except msgspec.MsgspecError as error:
            raise StoreError(f"a letter of the outbox cannot be read: {error}", where=str(path),
                             hint="delete that file") from error
    return sorted(found, key=lambda pair: (pair[1].made, pair[0].name))


def _forget(store: Home) -> None:
    """Keep the newest receipts; an older message is never sent again, for its incident is long over."""
    receipts = sorted((_folder(store) / "delivered").glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in receipts[:-KEPT_RECEIPTS]:
        with told(path), suppress(FileNotFoundError):
            path.unlink()


def _folder(store: Home) -> Path:
    return store.home / "outbox"


def _receipt(store: Home, path: Path) -> Path:
    return _folder(store) / "delivered" / path.name


def _name(sink: Sink, message: Message) -> str:
    return hashlib.sha256(f"{sink.called}\0{message.id}".encode()).hexdigest()[:32]


def _written(letter: Letter) -> bytes:
    return msgspec.json.format(msgspec.json.encode(letter), indent=1)
