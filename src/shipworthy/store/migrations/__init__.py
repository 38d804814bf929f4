"""Every shape the index has had, oldest first, and the way from each to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from shipworthy.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"


def revision_of(connection: sa.Connection) -> str | None:
    """The revision the database is at; None if it has no index yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: sa.Connection) -> None:
    """Bring the index to the newest shape, within the connection's transaction.

    Raises `StoreError` if a newer Shipworthy made it.
    """
    from alembic import command, util  # slow to import, and needed only when the shape changes

    settings = configuration()
    settings.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":  # a file lock does not reach other machines
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7311950428)"))
    try:
        command.upgrade(settings, "head")
    except util.CommandError as error:
        raise StoreError(
            f"the index is of an unknown shape: {error}",
            where=connection.engine.url.render_as_string(),
            hint="a newer Shipworthy made it: install that, or delete the index; records make it again",
        ) from error


def configuration() -> Config:
    """Where alembic finds the revisions: in this package, whatever the working folder is."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", "shipworthy.store:migrations")
    settings.set_main_option("path_separator", "os")
    return settings


def newest() -> str | None:
    """The last revision in the folder; a test holds `HEAD` to it."""
    from alembic import script

    return script.ScriptDirectory.from_config(configuration()).get_current_head()
