"""PostgreSQL: rows of one moment, types as the server says, nothing written, no password in any word."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from shipworthy.core.project import parse
from shipworthy.data.collection.read import read
from shipworthy.errors import BadData, BadProject, Misuse
from shipworthy.store.postgres import arguments, connect, shown

Run = Callable[..., None]


@pytest.fixture
def run(postgres: str) -> Run:
    def act(*statements: str) -> None:
        with closing(connect(postgres)) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
            connection.commit()

    return act


def refused(address: str) -> BadData:
    with pytest.raises(BadData) as caught:
        read(address)
    return caught.value


def server(address: str) -> str:
    """What may be shown of a test's address."""
    return re.sub(r":\w+@", "@", address)


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────

TYPES = {
    "whole int8": ("9007199254740993", "number", 9007199254740993),
    "small int2": ("-3", "number", -3),
    "money_like numeric(12,2)": ("1234.50", "number", 1234.5),
    "share float8": ("0.1", "number", 0.1),
    "flag bool": ("true", "boolean", True),
    "word text": ("'ü, \"x\"\nnext'", "category", 'ü, "x"\nnext'),
    "at timestamptz": ("'2024-03-31 02:30:00.25+02'", "timestamp", datetime(2024, 3, 31, 0, 30, 0, 250000, UTC)),
    "naive timestamp": ("'2024-01-01 12:00'", "timestamp", datetime(2024, 1, 1, 12, tzinfo=UTC)),
    "day date": ("'2024-02-29'", "timestamp", datetime(2024, 2, 29, tzinfo=UTC)),
    "facts jsonb": ("'{\"a\": 1}'", "category", '{"a": 1}'),
    "raw bytea": (r"'\x00ff'", "category", r"\x00ff"),
    "long interval": ("'1 day 2 hours'", "category", "P1DT2H"),
}


def test_types_are_the_server_s_and_null_is_null(postgres: str, run: Run) -> None:
    values = ", ".join(literal for literal, *_ in TYPES.values())
    run(f"CREATE TABLE facts ({', '.join(TYPES)})", f"INSERT INTO facts VALUES ({values})",
        f"INSERT INTO facts VALUES ({', '.join(['NULL'] * len(TYPES))})")
    table = read(f"{postgres}#facts")
    first, second = table.records()
    names = [column.split()[0] for column in TYPES]
    assert first == dict(zip(names, (value for *_, value in TYPES.values()), strict=True))
    assert second == dict.fromkeys(names)
    kinds = {column.name: column.kind for column in table.schema.columns}
    assert {name: kinds[name] for name in ("whole", "flag", "at")} == {
        "whole": "number", "flag": "boolean", "at": "timestamp"}
    assert (table.name, table.origin) == ("facts", f"{server(postgres)}#facts")


def test_a_view_and_a_table_of_another_schema_are_read(postgres: str, run: Run) -> None:
    run('CREATE SCHEMA "Old shop"', 'CREATE TABLE "Old shop"."or""ders" AS SELECT 7 AS n',
        'CREATE VIEW seen AS SELECT n + 1 AS n FROM "Old shop"."or""ders"')
    assert read(f'{postgres}#Old shop.or"ders').records() == [{"n": 7}]
    assert read(f"{postgres}#seen").records() == [{"n": 8}]


def test_a_query_is_read_whatever_marks_it_holds(postgres: str, run: Run) -> None:
    run("CREATE TABLE orders AS SELECT n, 'a#' || n AS word FROM generate_series(1, 5) AS n")
    asked = "SELECT n % 2 AS odd, count(*) AS rows FROM orders WHERE word LIKE '%#%' GROUP BY 1 ORDER BY 1 -- why?"
    table = read(f"{postgres}#{asked}", name="parity")
    assert table.records() == [{"odd": 0, "rows": 2}, {"odd": 1, "rows": 3}]
    assert table.name == "parity"
    assert read(f"{postgres}?sslmode=disable#WITH x AS (SELECT 1 AS a) SELECT * FROM x;").records() == [{"a": 1}]


def test_a_column_of_nulls_alone_keeps_its_rows(postgres: str, run: Run) -> None:
    assert read(f"{postgres}#SELECT NULL::text AS a FROM generate_series(1, 3)").rows == 3


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


def test_arrays_are_refused_with_the_query_that_helps(postgres: str, run: Run) -> None:
    run("CREATE TABLE posts (id int, tags text[])")
    error = refused(f"{postgres}#posts")
    assert (error.problem, error.where) == ('column "tags" holds arrays (text)', f"{server(postgres)}#posts")
    assert "array_to_string(b, ' ')" in error.hint


def test_a_missing_table_is_told_the_nearest(postgres: str, run: Run) -> None:
    run("CREATE TABLE orders AS SELECT 1 AS n")
    assert str(refused(f"{postgres}#order")) == (
        f'there is no table "order"\n  at: {server(postgres)}#order\n  hint: did you mean "orders"?')
    assert refused(postgres).hint == "it has orders"


def test_a_table_without_rows_is_told(postgres: str, run: Run) -> None:
    run("CREATE TABLE empty (a int)")
    assert refused(f"{postgres}#empty").problem == "the table has a header but no rows"


def test_an_infinite_time_is_told_by_its_column(postgres: str, run: Run) -> None:
    error = refused(f"{postgres}#SELECT 1 AS a, 'infinity'::timestamptz AS at")
    assert error.problem == "column \"at\" holds a value that cannot be read: invalid value 'infinity'"


@pytest.mark.parametrize("query", [
    "SELECT 1) AS a; COMMIT; DROP TABLE kept; SELECT * FROM (SELECT 1",
    "WITH gone AS (DELETE FROM kept RETURNING n) SELECT * FROM gone",
    "SELECT nextval('counter') AS n",
])
def test_a_query_cannot_write(postgres: str, run: Run, query: str) -> None:
    run("CREATE TABLE kept AS SELECT 1 AS n", "CREATE SEQUENCE counter")
    refused(f"{postgres}#{query}")
    assert read(f"{postgres}#kept").rows == 1


def test_a_broken_query_is_told_in_the_server_s_words(postgres: str) -> None:
    assert refused(f"{postgres}#SELECT nothing").problem == 'column "nothing" does not exist'


def changed(address: str, **parts: Any) -> str:
    user, password, host, port, name = re.fullmatch(r"postgresql://(\w+):(\w+)@([\w.]+):(\d+)/(\w+)", address).groups()  # type: ignore[union-attr]
    given = {"user": user, "password": password, "host": host, "port": port, "name": name} | parts
    return "postgresql://{user}:{password}@{host}:{port}/{name}#facts".format(**given)


def test_a_wrong_password_database_or_port_is_told_without_the_password(postgres: str) -> None:
    cases = {
        changed(postgres, password="hunter2"): (
            'password authentication failed for user "shipworthy"',
            "set PGPASSWORD, or check the user in the address"),
        changed(postgres, name="none"): (
            'database "none" does not exist',
            "check the database in the address: postgresql://user@host/database"),
        changed(postgres, port="1", password="hunter2"): (
            "the server cannot be reached: Connection refused",
            "check host and port in the address, and that the server runs"),
        changed(postgres, password="hunter2").replace("#", "?sslmode=require#"): (
            "Server refuses SSL", "the server has no TLS: leave sslmode out if the way to it is private"),
    }
    for address, told in cases.items():
        error = refused(address)
        assert (error.problem, error.hint) == told
        assert error.where == server(address).replace("?sslmode=require", "")
        assert "hunter2" not in str(error)


def test_the_password_may_come_from_the_environment(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    password = re.search(r":(\w+)@", postgres).group(1)  # type: ignore[union-attr]
    bare = postgres.replace(f":{password}@", "@") + "#SELECT 1 AS a"
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert "password authentication failed" in refused(bare).problem
    monkeypatch.setenv("PGPASSWORD", password)
    assert read(bare).records() == [{"a": 1}]


# ── without a server ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("postgres://ann:pa%23ss@db.example:6543/shop?sslmode=require") == "postgresql://ann@db.example:6543/shop"
    assert arguments("postgres://ann:pa%23ss@db.example/shop")["password"] == "pa#ss"


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(Misuse) as caught:
        read("postgresql://ann:secret@host:port/shop#orders")
    assert str(caught.value).startswith("the address of the database cannot be read\n  at: postgresql://…\n")


def test_an_unknown_option_of_an_address_is_told_the_nearest() -> None:
    with pytest.raises(Misuse) as caught:
        read("postgresql://host/shop?ssl=on#orders")
    assert (caught.value.problem, caught.value.hint) == (
        'the address has the option "ssl", which is unknown', 'did you mean "sslmode"?')


def test_without_the_driver_its_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pg8000", None)
    assert str(refused("postgresql://ann@host/shop#orders")) == (
        "reading PostgreSQL needs pg8000\n  at: postgresql://ann@host/shop#orders\n"
        "  hint: pip install 'shipworthy[postgres]'")


def test_a_project_file_may_not_hold_a_password() -> None:
    text = ('[project]\nname = "x"\n[data]\ntarget = "y"\n'
            '[[source]]\nname = "shop"\naddress = "postgresql://ann:secret@host/shop#orders"\n')
    with pytest.raises(BadProject) as caught:
        parse(text)
    assert caught.value.problem == "the address of a source holds a password, and releases hold the project file"
    assert "secret" not in str(caught.value)
    parse(text.replace(":secret@", "@"))
