"""Alembic's environment: it runs on the connection that `migrate` opened, under its lock."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
