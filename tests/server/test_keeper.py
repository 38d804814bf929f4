"""The keeper of a project: it counts what was served, looks at the rollout, tells what went wrong, and tries again."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shipworthy import flow, rollouts, watching
from shipworthy.core.meters import own_meters
from shipworthy.core.tallies import Sums
from shipworthy.deployment.integration.log.counts import BOOK, COUNTS, read_counts
from shipworthy.deployment.integration.log.tally import Tallied, counter
from shipworthy.deployment.integration.rollout.rollout import rolling
from shipworthy.deployment.integration.serving.app import app
from shipworthy.deployment.monitoring import counting
from shipworthy.server.keeper import RENEWER, Keeper
from shipworthy.store.workspace import Workspace, open_workspace

from ..cli.conftest import fill, rows, text
from ..deployment.integration.conftest import ask

RECORD = {"size": 0.5, "noise": 0.1, "colour": "a"}
WHO = {"by": "eve@example.org", "why": "it is newer"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion and a newer candidate, made once."""
    folder = fill(tmp_path_factory.mktemp("kept") / "project")
    place = open_workspace(folder)
    flow.build(place, flow.gather(place))
    flow.promote(place, **WHO)
    (folder / "t.csv").write_text(text(rows()[:-10]))
    flow.build(place, flow.gather(place))
    return folder


@pytest.fixture
def two(trained: Path, tmp_path: Path) -> Workspace:
    """A copy of it, to be changed."""
    return open_workspace(shutil.copytree(trained, tmp_path / "project"))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def keeper(two: Workspace, told: list[str]) -> Keeper:
    return Keeper(two, told.append)


@pytest.fixture
def answer(two: Workspace) -> Iterator[Callable[[int], None]]:
    """Has the champion answer so many rows."""
    champion = flow.champion(two)
    assert champion
    served = app(champion, two.log, two.project)

    def serve(count: int) -> None:
        assert ask(served, "POST", "/v1/predict", [RECORD] * count)[0] == 200

    yield serve
    served.arms.close()
    served.log.close()


class Turns(threading.Event):
    """Lets a keeper have one turn after each of these acts, and then tells it to stop; nobody waits."""

    def __init__(self, acts: Sequence[Callable[[], Any]]) -> None:
        super().__init__()
        self.acts = list(acts)

    def wait(self, timeout: float | None = None) -> bool:
        if not self.acts:
            return True
        self.acts.pop(0)()
        return False


def nothing() -> None:
    """No act."""


def counted(place: Workspace) -> int:
    """Rows that were counted of the champion."""
    champion = flow.champion(place)
    assert champion
    how = counter(champion, place.project)
    assert how
    seen = read_counts(place.store.home / COUNTS).tallies(champion.id, counting.nothing(how.how))
    return int(seen.rows.whole.total("rows")[0])


def tallied(place: Workspace) -> Sums:
    """What was counted of the champion's rows, its own meters too."""
    champion = flow.champion(place)
    assert champion
    how = counter(champion, place.project, own_meters(open_workspace(place.folder).registry))
    assert how
    return read_counts(place.store.home / COUNTS).tallies(champion.id, counting.nothing(how.how)).rows.whole


def test_every_row_that_was_served_is_counted_once(
    keeper: Keeper, two: Workspace, answer: Callable[[int], None]
) -> None:
    answer(3)
    assert keeper.count().rows == 3
    assert keeper.count().rows == 0
    answer(2)
    assert Keeper(two, keeper.tell).count().rows == 2  # another one goes on where the first was
    assert counted(two) == 5


def test_rows_of_a_release_that_is_not_there_are_told_once_and_others_go_on(
    keeper: Keeper, two: Workspace, answer: Callable[[int], None], told: list[str]
) -> None:
    answer(1)
    champion = flow.champion(two)
    assert champion
    away = champion.folder.rename(two.folder / "away")
    assert keeper.count().rows == 0
    assert keeper.count().rows == 0
    assert len(told) == 1
    assert told[0].startswith(f"answers of {champion.id[:12]} are not counted: ")
    away.rename(champion.folder)
    assert keeper.count().rows == 1
    assert len(told) == 1


PLUGIN = """
from shipworthy.marks import meter

@meter("rows seen", of="rows", cells=1, value=float)
def rows_seen(table):
    return [{each} * table.rows]
"""


def with_plugin(place: Workspace, each: int, *, more: str = "") -> None:
    """Write a plugin that counts so much for each row, and name it in the project file."""
    (place.folder / "own.py").write_text(more + PLUGIN.replace("{each}", str(each)))
    file = place.folder / "shipworthy.toml"
    told = file.read_text()
    if "own.py" not in told:
        file.write_text(told.replace("[project]", '[project]\nplugins = ["own.py"]', 1))


def test_a_release_that_is_promoted_while_it_runs_is_counted(
    keeper: Keeper, two: Workspace, told: list[str]
) -> None:
    newer = flow.promote(two, **WHO)
    served = app(newer, two.log, two.project)
    assert keeper.count().rows == 0
    away = newer.folder.rename(two.folder / "away")
    keeper.run(Turns([lambda: ask(served, "POST", "/v1/predict", [RECORD] * 2), lambda: away.rename(newer.folder),
                      nothing]))
    served.arms.close()
    served.log.close()
    assert (counted(two), len(told)) == (2, 1)


def test_a_changed_project_file_or_plugin_is_gone_by_without_a_restart(
    keeper: Keeper, two: Workspace, answer: Callable[[int], None]
) -> None:
    answer(2)
    keeper.count()
    for each in (3, 5):
        with_plugin(two, each)
        keeper.count()
        now = open_workspace(two.folder)
        assert watching.count(now) == Tallied()  # whoever comes next agrees
        seen = tallied(now)
        meters = [name for name, _ in seen.layout if name.startswith("meter rows seen")]
        assert [int(seen.total(name).sum()) for name in meters] == [2 * each]


def test_code_that_a_plugin_imports_takes_a_restart_which_is_told_once(
    two: Workspace, told: list[str], answer: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(two.folder)
    helper = two.folder / "kept_helper.py"
    helper.write_text("ONE = 1\n")
    with_plugin(two, 1, more="import kept_helper\n")
    keeper = Keeper(open_workspace(two.folder), told.append)
    answer(1)
    assert keeper.count().rows == 1
    helper.write_text("ONE = 2\n")
    answer(1)
    keeper.run(Turns([nothing] * 2))
    assert tallied(two).total("rows")[0] == 1
    assert told == [f"plugin code has changed since it was imported: {helper}; what is served waits in the log, and is "
                    "counted once shipworthy serve was restarted"]
    helper.write_text("ONE = 1\n")
    assert keeper.count().rows == 1
    sys.modules.pop("kept_helper")


def test_a_look_without_a_rollout_or_with_nothing_to_say_tells_nothing(
    keeper: Keeper, two: Workspace, told: list[str]
) -> None:
    keeper.look()
    rollouts.start(two, **WHO)
    keeper.look()
    assert told == []


def test_what_a_look_comes_to_is_done_and_told(keeper: Keeper, two: Workspace, told: list[str]) -> None:
    begun = rollouts.start(two, **WHO)
    flow.promote(two, by="eve@example.org", why="every guardrail held", release_id=begun.challenger.release)
    keeper.look()
    assert told == [f"rollout of {begun.challenger.release[:12]}: done, it is the champion"]
    ended = rolling(two.store)
    assert ended
    assert ended.ended


def test_what_one_turn_could_not_do_is_told_and_the_next_does(
    keeper: Keeper, two: Workspace, answer: Callable[[int], None], told: list[str]
) -> None:
    answer(2)
    counts = two.store.home / COUNTS
    counts.mkdir()
    book = counts / BOOK
    keeper.run(Turns([lambda: book.write_text("{"), nothing, book.unlink]))
    assert len(told) == 2
    assert told[0] == told[1]
    assert str(book) in told[0]
    assert counted(two) == 2


def test_what_fails_in_a_look_keeps_nothing_else_from_its_turn(
    keeper: Keeper, two: Workspace, told: list[str]
) -> None:
    (two.store.home / "ledger.jsonl").write_text("{\n")
    keeper.look()
    assert len(told) == 2  # of the rollout, and of the renewal nevertheless


def test_it_looks_as_often_as_it_is_asked_to(keeper: Keeper, two: Workspace, told: list[str]) -> None:
    (two.store.home / "ledger.jsonl").write_text("{\n")
    keeper.run(Turns([nothing] * 4), every=1.0, look=2.5)
    assert len(told) == 4  # of the rollout and the renewal, at the first turn and at the fourth


def test_a_renewal_is_begun_only_where_the_project_wants_one(keeper: Keeper, two: Workspace) -> None:
    keeper.renew()
    assert keeper._renewer is None
    done = subprocess.run([sys.executable, "-B", "-m", RENEWER, str(two.folder)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert (done.returncode in (0, 2), done.stdout) == (True, "")


def test_it_ends_with_the_pipe_from_the_process_that_started_it(two: Workspace) -> None:
    child = subprocess.Popen([sys.executable, "-B", "-m", "shipworthy.server.keeper", str(two.folder)],
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, err = child.communicate()  # which closes the pipe
    assert (child.returncode, err) == (0, "")
