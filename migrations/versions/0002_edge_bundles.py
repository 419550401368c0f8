"""Numbers of edge bundles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "edge_number",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_edge_number")),
    )
    with op.batch_alter_table("edge_bundle", schema=None) as batch_op:
        batch_op.add_column(sa.Column("name", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("bundle_version", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("model", sa.Text(), nullable=True))
    # Nothing of an older release writes here; a row that somebody put in keeps a number of its own.
    op.execute("UPDATE edge_bundle SET name = '', bundle_version = id, model = ''")
    with op.batch_alter_table("edge_bundle", schema=None) as batch_op:
        batch_op.alter_column("name", existing_type=sa.Text(), nullable=False)
        batch_op.alter_column("bundle_version", existing_type=sa.BigInteger(), nullable=False)
        batch_op.alter_column("model", existing_type=sa.Text(), nullable=False)
        batch_op.create_unique_constraint(
            batch_op.f("uq_edge_bundle_name_bundle_version"), ["name", "bundle_version"]
        )


def downgrade() -> None:
    with op.batch_alter_table("edge_bundle", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_edge_bundle_name_bundle_version"), type_="unique")
        batch_op.drop_column("model")
        batch_op.drop_column("bundle_version")
        batch_op.drop_column("name")
    op.drop_table("edge_number")
