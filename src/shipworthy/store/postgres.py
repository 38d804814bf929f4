"""PostgreSQL by one driver, pg8000: the address as people write it, its errors in words, its password in neither."""

from __future__ import annotations

import getpass
import os
import socket
import ssl
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from shipworthy.errors import Misuse, one_of

SCHEMES = ("postgresql", "postgres", "postgresql+pg8000")
CONNECT_SECONDS = 30
TLS: dict[str, Any] = {"disable": False, "prefer": None, "require": True, "verify-full": "verified"}
HINTS = {
    "28P01": "set PGPASSWORD, or check the user in the address",
    "28000": "set PGPASSWORD, or check the user in the address",
    "3D000": "check the database in the address: postgresql://user@host/database",
    "42P01": "check the table's name, and its schema",
    "42501": "ask the database's owner for the right to read it",
    "25006": "only reading is allowed here: begin the query with SELECT",
    "57P03": "the server is starting or stopping: run it again",
}
"""SQLSTATE → what helps. Source: PostgreSQL 17 documentation, appendix A."""
UNREACHED = "the server cannot be reached"
OTHERS = {
    UNREACHED: "check host and port in the address, and that the server runs",
    "Server refuses SSL": "the server has no TLS: leave sslmode out if the way to it is private",
}
"""How the driver's own words begin → what helps."""
ELSE = "these are the server's words: try the same with psql"


def ours(address: str | sa.URL) -> bool:
    """Whether this address is one that pg8000 serves; another driver may be named, such as postgresql+psycopg://."""
    return str(address).partition("://")[0] in SCHEMES


def parsed(address: str | sa.URL) -> sa.URL:
    """The parts of an address. Raises Misuse, without repeating it, when it is none."""
    try:
        return sa.make_url(address)
    except (exc.ArgumentError, ValueError) as error:
        raise Misuse("the address of the database cannot be read", where=str(address).partition("://")[0] + "://…",
                     hint="write postgresql://user@host:5432/database, and special characters as %23") from error


def arguments(address: str | sa.URL) -> dict[str, Any]:
    """What pg8000 connects with. User and password not in the address come from PGUSER and PGPASSWORD.

    `?sslmode=` is disable, prefer (the default), require, or verify-full. Raises Misuse for an unknown option.
    """
    url = parsed(address)
    options = dict(url.query)
    mode = str(options.pop("sslmode", "prefer"))
    if options or mode not in TLS:
        wrong, known = (next(iter(options)), ("sslmode",)) if options else (mode, tuple(TLS))
        raise Misuse(f'the address has the option "{wrong}", which is unknown', where=shown(url),
                     hint=one_of(wrong, known))
    return {
        "user": url.username or os.environ.get("PGUSER") or getpass.getuser(), "host": url.host or "localhost",
        "port": url.port or 5432, "database": url.database,
        "password": url.password or os.environ.get("PGPASSWORD", ""),
        "ssl_context": ssl.create_default_context() if TLS[mode] == "verified" else TLS[mode],
        "application_name": "shipworthy",
    }


def connect(address: str | sa.URL) -> Any:
    """A connection. Waits 30 seconds for the server to accept it, and without limit for what it is asked.

    The socket is made here, because pg8000 would keep its time limit for every answer. Raises pg8000.Error.
    """
    import pg8000

    given = arguments(address)
    try:
        reached = socket.create_connection((given["host"], given["port"]), CONNECT_SECONDS)
    except OSError as error:
        raise pg8000.InterfaceError(f"{UNREACHED}: {error.strerror or error}") from error
    reached.settimeout(None)
    reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        return pg8000.Connection(**given, sock=reached)
    except pg8000.Error:
        reached.close()
        raise


def engine(address: str | sa.URL) -> sa.Engine:
    """An engine that connects by pg8000. Raises ModuleNotFoundError when the driver is not installed, or Misuse."""
    url = parsed(address)
    arguments(url)
    plain = sa.URL.create("postgresql+pg8000", url.username, None, url.host, url.port, url.database)
    return sa.create_engine(plain, creator=lambda: connect(url), pool_pre_ping=True)


def shown(address: str | sa.URL) -> str:
    """The address without its password and options."""
    url = parsed(address)
    plain = sa.URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    return plain.render_as_string(hide_password=False)


def refusal(error: BaseException) -> tuple[str, str]:
    """What pg8000's error says, on one line, and what helps."""
    said = error.args[0] if error.args else ""
    if isinstance(said, dict):
        return str(said.get("M", "no reason given")), HINTS.get(str(said.get("C")), ELSE)
    words = " ".join(str(said).split()).rstrip(".") or type(error).__name__
    return words, next((hint for start, hint in OTHERS.items() if words.startswith(start)), ELSE)
