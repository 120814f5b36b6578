"""Alembic's entry: runs the migrations on the connection that `pxed.store.migrate` hands over, inside its transaction."""

from alembic import context

from pxed.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
