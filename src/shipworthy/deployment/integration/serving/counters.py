"""What the processes of one server count about themselves, as Prometheus text; labels are bounded and never data.

The cells are 64-bit whole numbers in memory that all workers share: each writes only its own, any of them adds up all.
Source: Prometheus exposition format 0.0.4; the names `model_infer_…` and `rest_server_…` are those of MLServer 1.7.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator

from shipworthy.deployment.integration.rollout.calls import EDGES

SHOWN = 8  # of the fine edges every eighth is shown: each twice the one before
ROUTES = ("predict", "infer", "invocations", "labels", "overrides", "other")
ANSWERS = ROUTES[:3]
STATUSES = (200, 400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 429, 431, 500, 503)
OWN = {"shipworthy_labels_total": ("counter", "Labels kept."),
       "shipworthy_overload_refusals_total": ("counter", "Requests refused with 429."),
       "shipworthy_shadows_left_out_total": ("counter", "Requests that the challenger was too busy to shadow."),
       "rest_server_requests_in_progress": ("gauge", "Requests under way.")}
PER_RELEASE = {"shipworthy_predictions_total": "Rows answered.",
               "shipworthy_unseen_categories_total": "Values new to the model.",
               "shipworthy_outside_limits_total": "Numbers beyond what is declared, or else expected.",
               "shipworthy_abstentions_total": "Rows without a decision.",
               "shipworthy_unusable_scores_total": "Rows whose score is no finite number.",
               "shipworthy_release_failures_total": "Requests that a release failed to answer."}
LABELS, REFUSED, LEFT_OUT, IN_PROGRESS = range(len(OWN))
ROWS, UNSEEN, OUTSIDE, ABSTAINED, UNUSABLE, FAILED = range(len(PER_RELEASE))
_REQUESTS = len(OWN)
_GENERAL = _REQUESTS + len(ROUTES) * len(STATUSES)
_SECONDS = len(PER_RELEASE)
_NAME = _SECONDS + 1 + len(EDGES) + 1
_RELEASE = _NAME + 2
RELEASES = 8
_SIZE = _GENERAL + RELEASES * _RELEASE
_PLACE = {(route, status): _REQUESTS + n for n, (route, status) in enumerate(
    (route, status) for route in ROUTES for status in STATUSES)}
_UNKNOWN = STATUSES.index(500)


class Board:
    """The cells of every worker of a server. handle: of a file that they share; -1 for a server of one process."""

    def __init__(self, workers: int = 1, handle: int = -1) -> None:
        size = workers * _SIZE * 8
        self._memory = mmap.mmap(handle, size)  # with -1: of this process alone
        self._cells = memoryview(self._memory).cast("q")
        self.workers = workers

    @staticmethod
    def size(workers: int) -> int:
        """How many bytes the shared file holds."""
        return workers * _SIZE * 8

    def counters(self, worker: int = 0) -> Counters:
        """The cells of one worker; what it had under way when it was killed is over."""
        own = self._cells[worker * _SIZE : (worker + 1) * _SIZE]
        own[IN_PROGRESS] = 0
        return Counters(own, self)

    def totals(self) -> tuple[list[int], dict[str, list[int]]]:
        """The general cells, and those of every release by the start of its id, added over all workers."""
        general: list[int] = [0] * _GENERAL
        releases: dict[str, list[int]] = {}
        for worker in range(self.workers):
            own = self._cells[worker * _SIZE : (worker + 1) * _SIZE].tolist()
            general = [a + b for a, b in zip(general, own, strict=False)]
            for at in range(_GENERAL, _SIZE, _RELEASE):
                block = own[at : at + _RELEASE]
                name = _unpacked(block[_NAME:])
                if name:
                    known = releases.setdefault(name, [0] * _NAME)
                    releases[name] = [a + b for a, b in zip(known, block, strict=False)]
        return general, dict(sorted(releases.items()))

    def text(self) -> str:
        """The figures of all workers in the exposition format."""
        general, releases = self.totals()
        return "\n".join([*_of_releases(releases), *_of_requests(general), *_histogram(releases)]) + "\n"


class Counters:
    """What one worker counts: `general[LABELS] += 1`. Made by `Board.counters`."""

    def __init__(self, cells: memoryview[int], board: Board) -> None:
        self.board, self._cells = board, cells
        self.general = cells[:_GENERAL]
        self._held: list[str] = []
        self._given: list[list[int]] = []

    def release(self, release_id: str) -> memoryview[int]:
        """The cells of a release: `ROWS` and its like, and its times. They are its own until it is `let_go` as often
        as it was asked for; then they stay until a ninth release needs the room of the one that was asked for longest
        ago. Where none of eight was let go, the cells are not on the board.
        """
        name = _packed(release_id)
        blocks = [self._cells[at : at + _RELEASE] for at in range(_GENERAL, _SIZE, _RELEASE)]
        names = [block[_NAME:].tolist() for block in blocks]
        held = [_packed(each) for each in self._held]
        self._held.append(release_id)
        given = self._given = [*(each for each in self._given if each != name), name]
        if name in names:
            return blocks[names.index(name)]
        free = [place for place, known in enumerate(names) if known not in held]
        if not free:
            return memoryview(bytearray(8 * _RELEASE)).cast("q")
        place = min(free, key=lambda n: (bool(names[n][0]), given.index(names[n]) if names[n] in given else -1))
        for at, value in enumerate([0] * _NAME + name):
            blocks[place][at] = value
        return blocks[place]

    def let_go(self, release_id: str) -> None:
        """Say that a release is not counted any more."""
        if release_id in self._held:
            self._held.remove(release_id)

    def done(self, route: str, status: int) -> None:
        """Count one request. route: one of `ROUTES`, never the path that was asked."""
        self.general[_PLACE.get((route, status), _PLACE[route, STATUSES[_UNKNOWN]])] += 1


def timed(release: memoryview[int], seconds: float) -> None:
    """Count the time that a request to a release took."""
    release[_SECONDS] += int(seconds * 1e9)
    release[_SECONDS + 1 + bisect_left(EDGES, seconds)] += 1


def spent(release: memoryview[int]) -> tuple[int, list[int]]:
    """Requests to a release that failed so far, and all of them by the time that they took, (edges + 1,)."""
    return release[FAILED], release[_SECONDS + 1 : _NAME].tolist()


def _packed(release_id: str) -> list[int]:
    """The first 16 hexadecimal digits as two numbers, moved by one so that no release is nothing."""
    return [int(release_id[:8] or "0", 16) + 1, int(release_id[8:16] or "0", 16)]


def _unpacked(name: list[int]) -> str:
    return f"{name[0] - 1:08x}{name[1]:08x}" if name[0] else ""


def _of_releases(releases: dict[str, list[int]]) -> Iterator[str]:
    for place, (name, text) in enumerate(PER_RELEASE.items()):
        yield from (f"# HELP {name} {text}", f"# TYPE {name} counter")
        yield from (f'{name}{{release="{release}"}} {cells[place]}' for release, cells in releases.items())


def _of_requests(general: list[int]) -> Iterator[str]:
    for place, (name, (kind, text)) in enumerate(OWN.items()):
        yield from (f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {general[place]}")
    count = {key: general[place] for key, place in _PLACE.items()}
    good = sum(n for (route, status), n in count.items() if route in ANSWERS and status < 400)
    bad = sum(n for (route, status), n in count.items() if route in ANSWERS and status >= 400)
    for name, text, value in (("model_infer_request_success", "answered", good),
                              ("model_infer_request_failure", "refused", bad)):
        yield from (f"# HELP {name} Requests for answers that were {text}.", f"# TYPE {name} counter",
                    f"{name} {value}")
    yield from ("# HELP rest_server_requests Requests by route and status.", "# TYPE rest_server_requests counter")
    yield from (f'rest_server_requests{{path="{route}",status_code="{status}"}} {n}'
                for (route, status), n in count.items() if n)


def _histogram(releases: dict[str, list[int]]) -> Iterator[str]:
    name = "rest_server_requests_duration_seconds"
    yield from (f"# HELP {name} Time to answer, by the release that answered.", f"# TYPE {name} histogram")
    for release, cells in releases.items():
        buckets, total = cells[_SECONDS + 1 : _NAME], 0
        for place, count in enumerate(buckets[:-1]):
            total += count
            if place % SHOWN == 0:
                yield f'{name}_bucket{{release="{release}",le="{EDGES[place]:.6g}"}} {total}'
        total += buckets[-1]
        yield f'{name}_bucket{{release="{release}",le="+Inf"}} {total}'
        yield f'{name}_sum{{release="{release}"}} {cells[_SECONDS] / 1e9:.9f}'
        yield f'{name}_count{{release="{release}"}} {total}'
