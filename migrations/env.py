"""Runs the revisions on the connection that `pipelines.store.upgrade` hands over; it owns the transaction."""

from __future__ import annotations

from alembic import context

from pipelines.store.tables import Base
from pipelines.store.upgrade import CONTEXT

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("use `forecast db upgrade`, `check` or `downgrade`: they know the store")

context.configure(connection=connection, target_metadata=Base.metadata, **CONTEXT)
context.run_migrations()
