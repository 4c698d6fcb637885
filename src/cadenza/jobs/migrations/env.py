"""What alembic runs: the revisions in ``versions/``, on a connection that is open already."""

from alembic import context

from cadenza.jobs.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
