"""What the log says of chance and of influence, and that what was stored before it did is still read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa

from shipworthy.core.canon import canonical
from shipworthy.deployment.integration.log.answers import Explored, ExploredRow, Heading, Served, ServedRow, answers
from shipworthy.deployment.integration.log.drain import drain
from shipworthy.deployment.integration.log.log import Log
from shipworthy.deployment.integration.log.read import predictions
from shipworthy.deployment.integration.log.tables import FIRST_OWN, OWN, PLACE, Layout
from shipworthy.deployment.integration.serving.record import Field
from shipworthy.store import open_store

AT = 1_700_000_000_000_000
FIELDS = (Field("age", "f0", "number", True),)
HEADING = Heading("r" * 64, ("no", "yes"), FIELDS, ("yes",))


def plain(name: str, decision: str = "no") -> ServedRow:
    return ServedRow(name, AT, "champion", 0.99, 0.25, decision, False, (63.0,))


def test_a_row_without_chance_takes_no_more_bytes_than_it_has_fields() -> None:
    packed = msgspec.msgpack.encode(plain("a"))
    assert msgspec.msgpack.decode(packed) == ["a", AT, "champion", 0.99, 0.25, "no", False, [63.0]]


def test_blocks_with_and_without_chance_are_read_alike() -> None:
    drawn = ExploredRow("b", AT, "holdback", 0.01, 0.25, "yes", False, (64.0,), 0.0, True)
    noisy = Explored(["c", "d"], AT, "champion", 1.0, [0.1, 0.2], ["no"] * 2, [False] * 2, [[1.0, 2.0]], [0.5, -0.5])
    many = Served(["e"], AT, "champion", 1.0, [0.5], ["no"], [False], [[3.0]])
    found = answers(map(msgspec.msgpack.encode, (plain("a"), drawn, noisy, many)))
    assert (found.ids, found.noise) == (["a", "b", "c", "d", "e"], [0.0, 0.0, 0.5, -0.5, 0.0])
    assert found.explored == [False, True, False, False, False]


def test_a_label_owes_itself_to_a_declared_decision_unless_chance_made_it(tmp_path: Path) -> None:
    log = Log(tmp_path, HEADING)
    log.served(plain("a", "yes"))
    log.served(plain("b"))
    log.served(ExploredRow("c", AT, "holdback", 0.01, 0.25, "yes", False, (64.0,), 0.0, True))
    assert predictions(tmp_path).column("influenced").to_pylist() == [True, False, False]


def test_every_label_owes_itself_to_the_decision_where_all_is_declared(tmp_path: Path) -> None:
    log = Log(tmp_path, msgspec.structs.replace(HEADING, influenced="all"))
    log.served(plain("a"))
    assert predictions(tmp_path).column("influenced").to_pylist() == [True]


def test_what_was_stored_before_chance_was_logged_is_read_beside_what_is(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    folder = store.home / "log"
    old = Layout(FIELDS, True)
    folder.mkdir(parents=True)
    assert b"own" not in canonical(old)  # so that its table keeps its name
    (folder / f"{old.name}.json").write_bytes(canonical(old))
    row = {"prediction_id": ["a"], "at": pa.array([AT]).cast(pa.timestamp("us", "UTC")), "release": ["r" * 64],
           "arm": ["champion"], "propensity": [1.0], "score": [0.25], "decision": ["no"], "abstain": [False],
           "age": [63.0], "segment": ["s"], "offset": [1]}
    assert [*row] == [*FIRST_OWN, "age", *PLACE]
    store.tables.write(old.table("predictions"), pa.table(row))
    log = Log(folder, HEADING)
    log.served(plain("b", "yes"))
    log.close()
    drain(folder, store.tables)
    found = predictions(folder, store.tables)
    assert found.column("prediction_id").to_pylist() == ["a", "b"]
    assert found.column("influenced").to_pylist() == [None, True]
    assert set(found.schema.names) == {*OWN, "age"}
    assert predictions(folder, store.tables, arm="holdback").rows == 0


def test_a_decision_that_no_class_is_says_nothing_of_any_label(tmp_path: Path) -> None:
    log = Log(tmp_path, msgspec.structs.replace(HEADING, influenced=("yes", "accepted")))
    log.served(plain("a", "yes"))
    assert predictions(tmp_path).column("influenced").to_pylist() == [None]
