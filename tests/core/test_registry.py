"""The plugin door: what is found, what is refused when it is loaded, and that nothing runs unasked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.assurance.tooling import conformity
from shipworthy.core.canon import digest
from shipworthy.core.features import fit
from shipworthy.core.project import Requirement
from shipworthy.core.registry import Plugin, registry
from shipworthy.data.collection.read import read
from shipworthy.errors import BadData, Misuse
from shipworthy.learning.selection.ladder import learn, train
from shipworthy.sabotage.bank import run_bank
from shipworthy.verification.requirements.required import requirements

HEAD = "from shipworthy.marks import check, connector, labeler, learner, metric, sabotage, twin\n"


@pytest.fixture
def guide(tmp_path: Path, plugin_text: str) -> str:
    path = tmp_path / "my_checks.py"
    path.write_text(plugin_text, encoding="utf-8")
    return str(path)


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(HEAD + text, encoding="utf-8")
    return str(path)


def refused(folder: Path, text: str) -> Misuse:
    with pytest.raises(Misuse) as caught:
        registry((written(folder, text),))
    return caught.value


# ── what works from a file ───────────────────────────────────────────────────────────────────────────────────────


def test_a_file_brings_every_kind_of_mark(guide: str, plugin_text: str) -> None:
    known = registry((guide,))
    assert known.plugins == (Plugin("my_checks.py", digest(plugin_text.encode()), (
        ("connector", "logfmt"), ("learner", "centroids"), ("metric", "g_mean"), ("meter", "doubtful"),
        ("sink", "file"), ("panel", "abstentions"), ("check", "doubts"),
        ("sabotage", "a model that doubts everything"))),)
    assert {"doubts", "requirements"} <= set(known.checks)
    assert {"centroids", "boosted"} <= set(known.of("learner"))
    assert {"g_mean", "auc"} <= set(known.metrics)
    assert registry().plugins == ()
    assert "doubts" not in registry().checks


def test_the_guide_s_file_keeps_the_contract_of_a_plugin(plugin_text: str) -> None:
    assert conformity(plugin_text) == ([], 8)


def test_a_plugin_s_connector_reads_its_suffix(guide: str, tmp_path: Path) -> None:
    source = tmp_path / "orders.logfmt"
    source.write_text('price=2.5 shop="High Street"\nshop=Mill price=3\n', encoding="utf-8")
    with pytest.raises(BadData, match=r'no connector reads "\.logfmt"'):
        read(source)
    table = read(source, plugins=(guide,))
    assert table.records() == [{"price": 2.5, "shop": "High Street"}, {"price": 3.0, "shop": "Mill"}]
    assert (table.name, table.schema["price"].kind) == ("orders", "number")


def test_a_plugin_s_connector_goes_before_a_built_in_one(tmp_path: Path) -> None:
    mine = written(tmp_path, '@connector("a-csv", suffixes=(".csv",))\ndef mine(address, *, name=""):\n'
                             '    from shipworthy.core.table import Table\n    return Table.of({"own": [1]})\n')
    source = tmp_path / "a.csv"
    source.write_text("x\n1\n", encoding="utf-8")
    assert read(source, plugins=(mine,)).schema.names == ("own",)
    assert read(source).schema.names == ("x",)


def test_a_plugin_s_learner_is_a_rung_of_the_ladder_and_equal_to_its_program(
    guide: str, clean: dict[str, Any]
) -> None:
    learners = registry((guide,)).of("learner")
    rules = msgspec.structs.replace(clean["project"].learning, learners=("centroids", "trivial"), seconds=3.0)
    project = msgspec.structs.replace(clean["project"], learning=rules)
    learned, _ = learn(clean["parts"], fit(clean["parts"].learn), project, learners=learners)
    assert [one.learner for one in learned.candidates] == ["trivial", "centroids"]
    assert learned.chosen.learner == "centroids"
    assert learned.chosen.figures.library_difference < 1e-9
    model = train(clean["parts"].learn, project=project, learners=learners, learner="centroids")
    assert model.program.label == "centroids"


def test_a_plugin_s_metric_can_be_required(guide: str, clean: dict[str, Any]) -> None:
    project = msgspec.structs.replace(clean["project"], requirement=(Requirement("g_mean", at_least=0.5),))
    finding = requirements(project, clean["model"], clean["parts"], registry((guide,)).metrics, draws=200)
    assert finding.verdict == "pass"
    assert finding.sentence.startswith("g_mean is 0.")
    assert finding.low is not None
    assert finding.low > 0.5


def test_the_bank_plants_a_plugin_s_fault(guide: str, clean: dict[str, Any]) -> None:
    results = run_bank(lambda seed: clean, registry((guide,)), twins=1, only=("doubts",))
    assert [(one.check, one.caught, one.false_alarms) for one in results] == [("doubts", True, 0)]


# ── when it is run ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_file_is_run_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    sys.modules.pop("counted", None)
    text = ("import types, sys\nseen = sys.modules.setdefault('counted', types.SimpleNamespace(runs=0))\n"
            "seen.runs += 1\n")
    path = written(tmp_path, text)
    registry((path,))
    registry((path,))
    assert sys.modules["counted"].runs == 1
    before = registry((path,)).code
    registry((written(tmp_path, text + "# changed\n"),))
    assert sys.modules.pop("counted").runs == 2
    assert registry((path,)).code != before


def test_no_cached_bytecode_is_written_beside_a_plugin(guide: str) -> None:
    registry((guide,))
    assert list(Path(guide).parent.glob("__pycache__")) == []


def test_a_file_of_another_digest_is_refused_before_any_is_run(guide: str, plugin_text: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    other = written(tmp_path, f"open({str(mark)!r}, 'w').close()\n", "other.py")
    recorded = digest(plugin_text.encode())
    with pytest.raises(Misuse) as caught:
        registry((other, guide), trusted=[recorded])
    assert caught.value.problem == "the plugin file is another one than was recorded; it was not run"
    assert caught.value.where == other
    assert caught.value.hint.endswith(f"recorded: {recorded[:16]}")
    assert not mark.exists()
    assert registry((guide,), trusted=[recorded]).plugins[0].file == "my_checks.py"


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="the plugin file does not exist"):
        registry((str(tmp_path / "none.py"),))


def test_a_file_that_fails_is_named_with_its_error(tmp_path: Path) -> None:
    assert refused(tmp_path, "1 / 0\n").problem == "the plugin cannot be imported: ZeroDivisionError: division by zero"
    assert refused(tmp_path, "def (\n").problem.startswith("the plugin cannot be imported: SyntaxError: ")


def test_an_installed_plugin_that_fails_is_named_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, package = tmp_path / "stranger-1.dist-info", tmp_path / "stranger"
    facts.mkdir()
    package.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n", "utf-8")
    (facts / "entry_points.txt").write_text("[shipworthy]\nstranger = stranger\n", "utf-8")
    (package / "__init__.py").write_text("", "utf-8")
    (package / "checks.py").write_text("1 / 0\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = refused(tmp_path, "")
    assert found.problem == "the plugin cannot be imported: ZeroDivisionError: division by zero"
    assert (found.where, found.hint) == ("stranger.checks", "update or uninstall it")


FUNCTIONS = {
    '@learner("mine", tasks=("binary",))\ndef mine(inputs, truth): ...\n':
        'the learner "mine" is called with (inputs, truth, job), and takes (inputs, truth): '
        "too many positional arguments",
    '@connector("mine", suffixes=(".x",))\ndef mine(address): ...\n':
        'the connector "mine" is called with (address, *, name=""), and takes (address): '
        "got an unexpected keyword argument 'name'",
    '@metric("mine", tasks=("binary",), direction="up", needs="value")\ndef mine(truth, prediction): ...\n':
        'the metric "mine" names the direction "up", which does not exist; there are higher, lower',
    '@metric("auc", tasks=("binary",), direction="higher", needs="probability")\ndef mine(truth, score): ...\n':
        'the metric "auc" has the name of a built-in metric',
    '@learner("mine", tasks=("binry",))\ndef mine(inputs, truth, job): ...\n':
        'the learner "mine" names the task "binry", which does not exist; did you mean "binary"?',
    '@labeler("mine")\ndef mine(): ...\n':
        'the labeler "mine" is called with (table), and takes (): too many positional arguments',
    '@check("mine", row="data.cleaning")\ndef mine(tabel): ...\n':
        'the check "mine" judges "tabel", which is no subject; did you mean "table"?',
    '@check("mine", row="data.cleaning")\ndef mine(table, *, limit): ...\n':
        'the check "mine" has the setting "limit" without a default',
    '@check("mine", row="data.cleaning")\ndef mine(*nouns): ...\n':
        'the check "mine" takes *nouns, which hides what it judges',
    '@check("mine", row="data.clean")\ndef mine(table): ...\n':
        'the check "mine" names the row "data.clean", which does not exist; did you mean "data.cleaning"?',
    '@sabotage("a fault", check="label-nose")\ndef mine(case): ...\n':
        'a sabotage is of the check "label-nose", which does not exist',
    '@twin("label-noise")\ndef mine(case): ...\n':
        'the twin "label-noise" is called with (case, seed), and takes (case): too many positional arguments',
    '@labeler("mine")\nclass Mine: ...\n': 'the labeler "mine" is no function',
}


@pytest.mark.parametrize("text", FUNCTIONS, ids=lambda text: text.split("(")[0][1:])
def test_a_wrong_signature_is_refused_when_the_file_is_loaded(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).problem == FUNCTIONS[text]


def test_a_refusal_says_file_and_line(tmp_path: Path) -> None:
    error = refused(tmp_path, "\n\n" + next(iter(FUNCTIONS)))
    assert error.where == f"{tmp_path / 'mine.py'}, line 4"


def test_two_functions_of_one_name_are_refused(tmp_path: Path, guide: str) -> None:
    again = written(tmp_path, '@labeler("x")\ndef a(table): ...\n@labeler("x")\ndef b(table): ...\n')
    with pytest.raises(Misuse, match='two labelers are named "x"'):
        registry((again,))
