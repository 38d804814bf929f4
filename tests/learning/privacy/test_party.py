"""A party elsewhere calls by TLS and is known by its certificate; a stranger is hung up on."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from shipworthy.cli.party import command
from shipworthy.core.features import fit
from shipworthy.core.project import Federated
from shipworthy.core.table import Table
from shipworthy.errors import BadData, BadProject, Misuse
from shipworthy.learning.privacy.federated.asked import Pull, Slope, Start
from shipworthy.learning.privacy.federated.federation import gathered
from shipworthy.learning.privacy.federated.learners import fit_linear
from shipworthy.learning.privacy.federated.lines import address, context, make_key
from shipworthy.learning.privacy.federated.party import answering, from_table, read
from shipworthy.sabotage.world import world

from ..conftest import with_roles


@pytest.fixture(scope="module")
def ready(clean: dict[str, Any]) -> Any:
    table = with_roles(world(3, rows=900), clean["project"])
    features = fit(table.drop("when", "entity"))
    bounds = [(0.0, 0.0) if kind.categorical else (0.0, 1.0) if kind.name == "flag" else (-5.0, 5.0)
              for kind in features.inputs]
    return table, features, bounds


def rules_of(folder: Path, table: Table, callers: int) -> tuple[Federated, list[list[str]]]:
    """The rules of a project with so many callers and one party of this machine, and the commands of the callers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        listen = f"127.0.0.1:{door.getsockname()[1]}"
    project = make_key("project", folder)
    pq.write_table(table.take(np.arange(1, 900, 3)).data, folder / "near.parquet")
    pq.write_table(table.take(np.arange(2, 900, 3)).data, folder / "far.parquet")
    keys = [make_key(f"caller-{n}", folder) for n in range(callers)]
    begin = [sys.executable, "-c", "from shipworthy.cli import main; raise SystemExit(main())", "party", "join"]
    begin += ["--data", str(folder / "far.parquet"), "--connect", listen, "--project", str(project[1])]
    commands = [[*begin, "--seconds", "10", "--key", str(secret)] for secret, _ in keys]
    rules = Federated((str(folder / "near.parquet"),), tuple(str(public) for _, public in keys), listen,
                      str(project[0]), 30.0)
    return rules, commands


def test_a_caller_by_tls_is_a_party_as_any_other(ready: Any, tmp_path: Path) -> None:
    table, features, bounds = ready
    rules, commands = rules_of(tmp_path, table, 1)
    own = answering(lambda asked: from_table(table.take(np.arange(0, 900, 3)), asked))
    caller = subprocess.Popen(commands[0], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with gathered(rules, own=own) as parties:
            parties.start(features, "outcome", ("no", "yes"))
            found = fit_linear(parties, features, bounds, ("no", "yes"))
        told, talk = caller.communicate(timeout=60)
    finally:
        caller.kill()
    assert (caller.returncode, told) == (0, "1\n"), talk
    assert {one.party for one in parties.transcript} == {0, 1, 2}
    assert found.label == "federated-linear"


def test_a_stranger_is_hung_up_on_and_the_named_one_is_waited_for(ready: Any, tmp_path: Path) -> None:
    rules, commands = rules_of(tmp_path, ready[0], 2)
    known = msgspec.structs.replace(rules, parties=(), callers=rules.callers[:1], seconds=4.0)
    stranger = subprocess.Popen(commands[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with pytest.raises(BadData, match="party 1 of the others is lost"), gathered(known):
            pass
        told, talk = stranger.communicate(timeout=60)
    finally:
        stranger.kill()
    assert told in ("", "0\n"), talk


def test_keys_are_for_their_holder_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["key", "clinic-b"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "clinic-b.pem").stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in (tmp_path / "clinic-b.crt").read_bytes()
    with pytest.raises(Misuse, match="the file exists"):
        make_key("clinic-b", tmp_path)
    with pytest.raises(Misuse, match="cannot be the name of a party"):
        make_key("../clinic", tmp_path)


@pytest.mark.parametrize("text", ["", "host", "host:", ":7443", "host:0", "host:70000", "host:x"])
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(BadProject, match="is no address"):
        address(text, "--connect")


def test_a_file_that_is_no_key_or_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no key", encoding="utf-8")
    with pytest.raises(BadProject, match="holds no key or certificate") as told:
        context(tmp_path / "x.pem", [], server=False)
    assert told.value.where == str(tmp_path / "x.pem")
    with pytest.raises(BadData, match="missing or no Parquet"):
        read(tmp_path / "x.pem")


def test_paths_are_read_from_the_project_folder(tmp_path: Path) -> None:
    from shipworthy.core.project import parse
    from shipworthy.store.workspace import Workspace

    text = '[project]\nname = "a"\n[data]\ntarget = "y"\n[federated]\nparties = ["b.parquet", "/c.parquet"]\n' \
           'callers = ["d.crt"]\nkey = "a.pem"\n'
    place = Workspace(tmp_path, parse(text), None)  # type: ignore[arg-type]
    found = place.located().federated
    assert found.parties == (str(tmp_path / "b.parquet"), "/c.parquet")
    assert (found.callers, found.key) == ((str(tmp_path / "d.crt"),), str(tmp_path / "a.pem"))
    written = place.portable(place.located()).federated
    assert written == place.project.federated


@pytest.mark.parametrize("request_, said", [
    (b"\xc1", "a request cannot be understood: "), (b"hello", "a request cannot be understood: "),
    (msgspec.msgpack.encode({"type": "everything"}), "a request cannot be understood: "),
    (msgspec.msgpack.encode(Start(0, {}, b"no features", "outcome", ())), "a request does not fit these rows: "),
    (msgspec.msgpack.encode(Start(0, {1: b"short"}, b"", "outcome", ())), "a request does not fit these rows: "),
])
def test_a_request_that_is_malformed_is_refused_in_words(request_: bytes, said: str, ready: Any) -> None:
    table, _, _ = ready
    with pytest.raises(BadData) as caught:
        answering(lambda asked: from_table(table, asked))(request_)
    assert caught.value.problem.startswith(said)
    assert caught.value.hint


def test_a_request_that_fits_other_rows_is_refused_in_words(ready: Any) -> None:
    table, features, _ = ready
    answer = answering(lambda asked: from_table(table, asked))
    answer(msgspec.msgpack.encode(Start(0, {}, msgspec.json.encode(features), "outcome", ("no", "yes"))))
    with pytest.raises(BadData, match="a request does not fit these rows"):
        answer(msgspec.msgpack.encode(Slope((1.0,), (0.0,), (1.0,))))
    with pytest.raises(BadData, match="a request does not fit these rows"):
        answer(msgspec.msgpack.encode(Pull(99)))
