"""Every wrong call and every unusable table ends in problem, where, hint and exit code 2, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipworthy.cli import fault


def ends_well(told: Any, *words: str) -> None:
    """Problem, where and hint are all said, and nothing else but progress."""
    assert told.code == 2, told
    assert "Traceback" not in told.err
    assert told.problem.count("\n") == 2, told.err
    assert "\n  at: " in told.problem and "\n  hint: " in told.problem
    for word in words:
        assert word in told.problem, told.problem


def nothing_made(folder: Path) -> None:
    assert not list(folder.glob("releases/*"))
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("args, words", [
    (("prmote",), ('there is no verb "prmote"', 'did you mean "promote"?')),
    (("xyzzy",), ('there is no verb "xyzzy"', "shipworthy --help")),
    (("run", "--projct", "x"), ("No such option '--projct'", "shipworthy run", "did you mean --project?")),
    (("init", "t.csv"), ("Missing option '--target'", "shipworthy init --help")),
    (("explain", "t.csv", "--row", "one"), ("'one' is not a valid integer",)),
    (("profile", "nowhere.csv"), ("there is no such file", "nowhere.csv")),
    (("discover", "nowhere"), ("there is no such folder",)),
    (("run", "-p", "nowhere"), ("there is no project file", "shipworthy init TABLE --target COLUMN")),
    (("run", "../bike"), ("unexpected extra argument", "name the project's folder so: shipworthy run -p ../bike")),
    (("profile", "notes.md"), ("there is no such file", "notes.md")),
    (("verify", "nowhere"), ("the folder is not a release", "release.json")),
    (("waive", "data.labeling", "--by", "a", "--reason", "b", "--until", "2027-01-01", "-p", "."),
     ("there is no project file",)),
    (("sabotage", "--check", "no-leek"), ('there is no check "no-leek"', 'did you mean "no-leak"?')),
])
def test_a_wrong_call_is_told_what_is_wrong(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    ends_well(call(*args), *words)
    assert not list(tmp_path.iterdir())


def test_the_bare_command_shows_the_verbs(call: Any) -> None:
    told = call()
    assert told.code == 2
    assert "checklist" in told.err and "error:" not in told.err


def test_arguments_are_shown_by_what_they_are(call: Any) -> None:
    for verb in ("init", "profile", "predict", "explain"):
        assert call(verb, "--help").out.splitlines()[0].endswith(" TABLE")
    assert call("discover", "--help").out.splitlines()[0].endswith("[FOLDER]")


def test_a_misspelt_target_is_told_the_nearest_column(call: Any, project: Callable[..., Path], tmp_path: Path) -> None:
    told = call("init", project() / "t.csv", "--target", "buoght", "-p", tmp_path / "new")
    ends_well(told, 'column "buoght" is missing', "t.csv", 'did you mean "bought"?')
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("old, new, words", [
    ("seconds = 2", 'seconds = "two"', ('Expected "float", got "str" - at "learning.seconds"', "type float")),
    ('address = "t.csv"', 'address = "t.csv"\nrows = -1', ('Expected "int" >= 0', "write a value of type int >= 0")),
    ("[learning]", '[data.same]\nyep = "yes"\nyes = "y"\n[learning]', ('"yep" means "yes", which means "y"',)),
    ("seconds = 2", "secnds = 2", ('there is no setting "secnds"', 'did you mean "seconds"?')),
    ("[learning]", "[learnin]", ('there is no setting "learnin"', 'did you mean "learning"?')),
    ('target = "bought"', 'target = "boght"', ('column "boght" is missing', 'did you mean "bought"?')),
    ('positive = "yes"', 'positive = "yess"', ('"yess" is not a value of bought', 'did you mean "yes"?')),
    ('positive = "yes"', "positive = 1", ('at "data.positive"', 'write it as text: positive = "1"')),
    ("[learning]", '[split]\nkind = "stratifed"\n[learning]',
     ("'stratifed'", 'did you mean "stratified"? choose one of: random, stratified, grouped, time')),
    ('positive = "yes"', 'kinds = {size = "nmber"}', ("choose one of: number, category, text, boolean, timestamp",)),
    ('positive = "yes"', 'target_rule = {colum = "size", above = 1}', ('"colum"', 'did you mean "column"?')),
    ('positive = "yes"', 'group = "siz"', ('column "siz" is missing', "[data] group", 'did you mean "size"?')),
    ('positive = "yes"', 'time = "size"', ('the time column "size" holds number values', "[data] time")),
    ('positive = "yes"', 'kinds = {size = "timestamp"}', ('column "size" holds double values', "[data.kinds]")),
    ('"linear"', '"linaer"', ('there is no learner "linaer"', 'did you mean "linear"?')),
    ('address = "t.csv"', 'address = "tt.csv"', ("there is no such file", 'did you mean "t.csv"?')),
    ("[learning]", "[checks.no-leek]\nlimit = 1\n[learning]", ('no check "no-leek"', 'did you mean "no-leak"?')),
])
def test_a_wrong_setting_is_named(
    call: Any, project: Callable[..., Path], old: str, new: str, words: tuple[str, ...]
) -> None:
    folder = project()
    path = folder / "shipworthy.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    ends_well(call("run", "-p", folder), *words)
    nothing_made(folder)


def test_a_column_is_found_by_a_word_of_its_name(call: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",".join([*"abcdefgh", "default payment next month"]) + "\n" + "1," * 8 + "1\n")
    told = call("init", tmp_path / "t.csv", "--target", "default", "-p", tmp_path / "new")
    ends_well(told, 'column "default" is missing', 'did you mean "default payment next month"?')


def test_a_file_of_another_kind_is_answered_with_the_kinds_that_are_read(call: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("a,b\n1,2\n")
    ends_well(call("profile", tmp_path / "notes.md"), 'no connector reads ".md"', "these are read: .csv", ".parquet")


def test_a_project_file_that_is_not_text_is_refused(call: Any, project: Callable[..., Path]) -> None:
    folder = project()
    (folder / "shipworthy.toml").write_bytes(b"\xff\xfe\x00")
    ends_well(call("run", "-p", folder), "the file is not text in UTF-8", "shipworthy.toml")


HEADER = "size,noise,colour,bought\n"
UNUSABLE = {
    "empty": (lambda rows: b"", "the file is empty"),
    "header only": (lambda rows: HEADER, "the file has a header but no rows"),
    "one row": (lambda rows: HEADER + "1,2,a,yes\n", "1 rows are too few"),
    "one class": (lambda rows: HEADER + "".join(f"{n},2,a,yes\n" for n in range(99)), 'target "bought" has 1 value\n'),
    "a class of one": (
        lambda rows: HEADER + "0,2,a,no\n" + "".join(f"{n},2,a,yes\n" for n in range(99)), 'all with the answer "yes"'),
    "no answers": (lambda rows: HEADER + "".join(f"{n},2,a,\n" for n in range(99)), 'target "bought" has 0 values'),
    "no values": (
        lambda rows: HEADER + "".join(f",,,{'yes' if n % 2 else 'no'}\n" for n in range(99)), "no column is left"),
    "one name twice": (lambda rows: "size,size,colour,bought\n1,2,a,yes\n", 'two columns are named "size"'),
    "one name in two cases": (
        lambda rows: "size,Size,colour,bought\n" + "".join(f"{n},2,a,yes\n" for n in range(99)), "differ only in case"),
    "binary": (lambda rows: bytes(range(256)) * 20, "the file is binary"),
    "binary without a zero": (lambda rows: b"\x81\x8d\x01" * 900, "the file is neither UTF-8 nor any other text"),
    "a picture": (lambda rows: b"\x89PNG\r\n" + bytes(99), "the file is a picture"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_table_that_cannot_be_learnt_from_is_told_why(call: Any, project: Callable[..., Path], what: str) -> None:
    table, problem = UNUSABLE[what]
    folder = project(table(None))
    ends_well(call("run", "-p", folder), problem)
    nothing_made(folder)


def test_ten_thousand_columns_are_refused_at_once(call: Any, project: Callable[..., Path]) -> None:
    names = ",".join(f"c{n}" for n in range(10_000))
    wide = f"{names},bought\n" + "".join(f"{'1,' * 10_000}{'yes' if n % 2 else 'no'}\n" for n in range(40))
    told = call("run", "-p", project(wide))
    ends_well(told, "the table has 10,001 columns, more than 5,000", "keep those that may matter")


def test_a_missing_plugin_file_is_named(call: Any, project: Callable[..., Path]) -> None:
    folder = project()
    path = folder / "shipworthy.toml"
    path.write_text(path.read_text().replace('name = "tiny"', 'name = "tiny"\nplugins = ["missing.py"]'))
    ends_well(call("run", "-p", folder), "the plugin file does not exist", "missing.py")


def test_a_fault_of_the_program_says_so_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("odd")
    except KeyError as error:
        fault(error)
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "error: the program failed: KeyError: 'odd'" in told
    assert "hint: please report this" in told


def test_rows_are_drawn_once_asked_for(call: Any, project: Callable[..., Path], tmp_path: Path) -> None:
    table = project() / "t.csv"
    assert call("profile", table, "--rows", "100").out.startswith("100 rows, 4 columns")
    told = call("init", table, "--target", "bought", "--rows", "100", "-p", tmp_path / "new")
    assert told.code == 0, told.err
    assert "\nrows = 100 " in (tmp_path / "new" / "shipworthy.toml").read_text()
    ends_well(call("profile", table, "--rows", "-3"), "-3 is not in the range")
