"""The whole way on the clean world: built once, then judged again, promoted, refused, rolled back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner

from shipworthy import flow, watching
from shipworthy.again import opened_holdout
from shipworthy.cli.sabotage import bank
from shipworthy.cli.verify import command as verify
from shipworthy.cli.waive import waive
from shipworthy.core.clock import now_us
from shipworthy.core.project import FILE, Feedback
from shipworthy.core.rows import also_in
from shipworthy.core.settings.sinks import Metered
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log.answers import Explored, Heading
from shipworthy.deployment.integration.log.drain import drained_log
from shipworthy.deployment.integration.log.log import Log
from shipworthy.deployment.integration.releases.declared import declared
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.deployment.integration.serving.record import Shape
from shipworthy.deployment.integration.serving.replay import replay
from shipworthy.errors import BadProject, Misuse, NotFit
from shipworthy.sabotage.world import PROJECT, world
from shipworthy.store.workspace import Workspace, code_digest, open_workspace


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("world")
    (folder / FILE).write_text(PROJECT, encoding="utf-8")
    return open_workspace(folder)


@pytest.fixture(scope="module")
def built(place: Workspace) -> flow.Built:
    return flow.build(place, {"world": world(3)})


def test_every_row_with_a_check_has_a_finding_and_no_check_fails_on_the_clean_world(built: flow.Built) -> None:
    evidence = built.release.evidence
    assert len({finding.row for finding in evidence.findings}) >= 30
    wrong = {f.check: f.sentence for f in evidence.findings if f.verdict == "fail"}
    assert set(wrong) <= {"extraction"}, wrong  # its server is without a budget, and that is told


def test_a_release_judged_again_from_its_own_folder_says_the_same(built: flow.Built) -> None:
    results = flow.recheck(built.release.folder)
    assert len(results) > 15
    assert [told for told in results if not told[1]] == []


def test_the_book_counts_models_and_holdouts_and_knows_the_best_before(place: Workspace, built: flow.Built) -> None:
    holdout, model = built.case["parts"].holdout, built.case["model"]
    own = opened_holdout(place, holdout, model)
    assert (own.models, own.holdouts, own.best) == (1, 1, None)
    other = opened_holdout(place, holdout, model.with_sheet(threshold=0.123))
    assert other.models == 2
    assert other.best is not None
    assert other.best.digest == model.digest


def test_the_trainer_may_not_promote_and_a_stranger_to_the_gate_is_named(place: Workspace, built: flow.Built) -> None:
    soon = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    for row in built.release.evidence.refusals:
        waive(place, row=row, by="owner@example.org", reason="a small world", until=soon)
    with pytest.raises(NotFit, match=r"trainer@example\.org trained this model and may not approve it"):
        flow.promote(place, by="trainer@example.org", why="mine")
    release = flow.promote(place, by="approver@example.org", why="the checklist holds")
    standing = flow.champion(place)
    assert standing is not None
    assert standing.id == release.id == built.release.id
    with pytest.raises(Misuse, match="no earlier champion"):
        flow.rollback(place, by="approver@example.org", why="to see")


def test_the_served_log_is_drained_and_watched_from_where_the_last_look_ended(
    place: Workspace, built: flow.Built
) -> None:
    assert flow.checklist(place).missing["deployment.feedback-loops"] == "waits for: beside, tallies"
    assert flow.watch(place).rows == 0
    with Server(built.release, place.log, place.project) as server:
        replay(world(3, rows=300), server.address, label="outcome", batch=50)
    first, again = flow.watch(place), flow.watch(place)
    assert (first.rows, again.rows) == (300, 300)
    assert not list(place.log.glob("*.log"))
    assert (again.state.m, again.state.until) == (first.state.m, first.state.until)
    assert [path.stem for path in (place.store.home / "watch").iterdir()] == [built.release.id[:16]]
    log, labels = drained_log(place.log, place.store.tables)
    assert (log.rows, labels.rows) == (300, 300)
    assert flow.checklist(place).missing["deployment.feedback-loops"].startswith(
        "the last watch: unknown: The log does not say which labels depended on the decision")


def test_what_the_previous_champion_answered_is_counted_beside(place: Workspace, built: flow.Built) -> None:
    shape = Shape(built.release.model, declared(built.release).columns)
    asked = [{name: row[name] for name in shape.names} for row in world(9, rows=40).records()]
    log = Log(place.log, Heading("0" * 64, built.release.model.classes, shape.fields))
    log.served(Explored([f"{n:036d}" for n in range(40)], now_us(), "holdback", 0.02, [0.5] * 40, ["no"] * 40,
                        [False] * 40, list(shape.columns(shape.convert(asked)).values()), [], True))
    log.close()
    rules = msgspec.structs.replace(place.project, feedback=Feedback(holdback=0.02))
    beside = watching.held_back(replace(place, project=rules), built.release, since=0)
    assert beside is not None
    assert beside.rows.whole.total("rows")[0] == 40
    assert watching.held_back(place, built.release, since=0) is None
    assert flow.watch(replace(place, project=rules)).rows == 300


def test_limits_of_a_meter_that_nobody_counts_are_told(place: Workspace, built: flow.Built) -> None:
    project = msgspec.structs.replace(place.project, meter=(Metered("basket", at_most=3.0),))
    with pytest.raises(BadProject, match='no plugin counts a meter "basket"'):
        flow.watch(replace(place, project=project))


@pytest.mark.parametrize("verb", [flow.watch, flow.renew])
def test_a_wrong_setting_of_a_check_is_told_before_traffic_is_judged(place: Workspace, verb: Any) -> None:
    project = msgspec.structs.replace(place.project, checks={"no-poison": {"limt": 0.1}})
    with pytest.raises(BadProject, match='the check "no-poison" has no setting "limt"'):
        verb(replace(place, project=project))


def test_a_second_run_on_the_same_rows_learns_nothing_again(place: Workspace, built: flow.Built) -> None:
    again = flow.prepare(place, {"world": world(3)})
    assert again["learned"].cost == built.learned.cost
    assert again["model"].digest == built.case["model"].digest
    assert "library" not in again


def test_rows_that_only_move_the_split_are_learnt_anew(tmp_path: Path) -> None:
    """Rows without a label are dropped, but the split is drawn over all: a kept model would have seen the holdout."""
    quick = PROJECT.replace("seconds = 4.0", "seconds = 1.0").replace(
        '"trivial", "linear", "tree", "additive", "boosted"', '"trivial", "linear"')
    (tmp_path / FILE).write_text(quick, encoding="utf-8")
    place, table = open_workspace(tmp_path), world(7, rows=900)
    unlabelled = world(8, rows=5).with_column("outcome", pa.nulls(5, pa.string()))
    more = Table.of(pa.concat_tables([table.data, unlabelled.data.cast(table.data.schema)]), name="world")
    first, again = flow.prepare(place, {"world": table}), flow.prepare(place, {"world": more})
    assert first["table"].digest == again["table"].digest
    assert first["parts"].holdout.digest != again["parts"].holdout.digest
    assert "library" in again


def test_a_later_run_knows_which_rows_the_champion_learnt_from(place: Workspace, built: flow.Built) -> None:
    learnt, cut = flow.prepare(place, {"world": world(3)})["learnt"], built.case["parts"]
    assert learnt.rows == cut.learn.rows + cut.tune.rows
    assert also_in(cut.learn, learnt).all()
    assert not also_in(cut.holdout, learnt).any()


def test_a_row_that_does_not_exist_cannot_be_required(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(PROJECT + '\n[gate]\nalso = ["data.discovry"]\n', encoding="utf-8")
    with pytest.raises(BadProject) as caught:
        flow.build(open_workspace(tmp_path), {"world": world(0, rows=300)})
    assert caught.value.hint == 'did you mean "data.discovery"?'


# ── with code of the project's own ───────────────────────────────────────────────────────────────────────────────

OWN = """
[project]
name = "own"
subject = "thing"
plugins = ["my_checks.py"]

[data]
target = "outcome"
positive = "yes"
identifiers = ["entity"]

[[source]]
address = "world.logfmt"

[learning]
seconds = 3.0
search = false
learners = ["trivial", "centroids"]

[[requirement]]
metric = "g_mean"
at_least = 0.5
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, plugin_text: str) -> Workspace:
    folder = tmp_path_factory.mktemp("own")
    (folder / FILE).write_text(OWN, encoding="utf-8")
    (folder / "my_checks.py").write_text(plugin_text, encoding="utf-8")
    rows = world(5, rows=1_500).drop("when", "sex").records()
    lines = [" ".join(f"{key}={value}" for key, value in row.items() if value is not None) for row in rows]
    (folder / "world.logfmt").write_text("\n".join(lines), encoding="utf-8")
    return open_workspace(folder)


@pytest.fixture(scope="module")
def owned(own: Workspace) -> flow.Built:
    return flow.build(own)


def test_a_project_s_own_connector_learner_metric_and_check_take_part_in_a_run(owned: flow.Built) -> None:
    assert [one.learner for one in owned.learned.candidates] == ["trivial", "centroids"]
    assert owned.release.model.program.label == "centroids"
    evidence = owned.release.evidence
    told = {name: evidence.find(name) for name in ("doubts", "requirements", "plugins-conform")}
    assert {name: finding.verdict for name, finding in told.items() if finding} == {
        "doubts": "pass", "requirements": "pass", "plugins-conform": "pass"}


def test_a_release_holds_the_digest_of_its_plugins_and_none_of_their_code(owned: flow.Built, plugin_text: str) -> None:
    files = [path for path in owned.release.folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix == ".py"] == []
    assert hashlib.sha256(plugin_text.encode()).hexdigest() in (owned.release.folder / "plugins.json").read_text()
    assert [path.name for path in files if b"def doubts" in path.read_bytes()] == []


def test_without_their_file_a_project_s_own_checks_are_said_not_to_be_verified(
    owned: flow.Built, plugin_text: str
) -> None:
    begins = hashlib.sha256(plugin_text.encode()).hexdigest()[:16]
    said = CliRunner().invoke(verify, [str(owned.release.folder), "--json"])
    told = {one["what"]: one["sentence"] for one in json.loads(said.stdout) if not one["ok"]}
    assert told["ethics.decisions/doubts"] == (
        "was pass, not judged again: it is code of the project's, run only if you name its file: "
        f"--plugin my_checks.py (SHA-256 {begins}…)")
    assert told["verification.performance/requirements"].startswith(
        'was pass, is unknown: The check could not judge: there is no metric "g_mean"')
    assert set(told) <= {"ethics.decisions/doubts", "verification.performance/requirements",
                         "security.stealing/ownership", "security.inversion/membership",
                         "security.poisoning/source-influence",
                         "deployment.custom-tooling/meters-conform"}  # the learner is of the same file
    assert said.exit_code == 1


def test_with_their_file_a_project_s_own_checks_are_judged_again(own: Workspace, owned: flow.Built) -> None:
    said = CliRunner().invoke(verify, [str(owned.release.folder), "--plugin", own.plugins()[0]])
    assert [line for line in said.stdout.splitlines() if not line.startswith("✓")] == []
    assert said.exit_code == 0
    assert "✓ ethics.decisions/doubts: pass again" in said.stdout
    assert "✓ deployment.custom-tooling/plugins-conform: pass again" in said.stdout


def test_a_file_that_the_release_was_not_judged_by_is_not_run(
    owned: flow.Built, tmp_path: Path, plugin_text: str
) -> None:
    other = tmp_path / "my_checks.py"
    other.write_text(plugin_text + f"\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    with pytest.raises(Misuse, match="the plugin file is another one than was recorded; it was not run"):
        flow.recheck(owned.release.folder, plugins=(str(other),))
    assert not (tmp_path / "ran").exists()


def test_the_bank_of_a_project_plants_its_own_faults_in_the_clean_world(own: Workspace) -> None:
    results = bank(folder=own.folder, twins=1, only=("doubts",))
    assert [(one.check, one.caught, one.false_alarms) for one in results] == [("doubts", True, 0)]
    with pytest.raises(Misuse, match='there is no check "doubts"'):
        bank(only=("doubts",))


def test_steps_kept_by_other_plugin_code_are_not_used(own: Workspace, owned: flow.Built, plugin_text: str) -> None:
    assert owned.release.manifest.identity.code == code_digest(own.registry)
    assert "library" not in flow.prepare(own, flow.gather(own))
    path = own.folder / "my_checks.py"
    path.write_text(plugin_text + "\n# changed\n", encoding="utf-8")
    assert owned.release.manifest.identity.code != code_digest(own.registry)
    assert "library" in flow.prepare(own, flow.gather(own))
