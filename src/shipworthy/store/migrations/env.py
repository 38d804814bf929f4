"""What alembic runs to reach the database: the connection it was handed."""

from alembic import context

from shipworthy.store.index import TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=TABLES, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
