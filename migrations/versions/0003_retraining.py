"""Drift and retraining: judgements, snapshots of monitors, scores of fleets, what a refit begins from."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _only(state: str) -> dict[str, Any]:
    """Return the arguments of an index over the jobs of one state."""
    where = sa.text(f"state = '{state}'")
    return {"sqlite_where": where, "postgresql_where": where}


def upgrade() -> None:
    # Columns that are null, or have a value for the rows that are there: no table is rebuilt.
    op.add_column("model_version", sa.Column("training", sa.JSON(), nullable=True))
    for name in ("announced", "mirrored"):
        op.add_column("champion", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    for name in ("note", "logged"):
        op.add_column("retrain_job", sa.Column(name, sa.Text(), nullable=True))
    op.create_index("uq_retrain_job_running", "retrain_job", ["job_key"], unique=True, **_only("running"))
    op.drop_index("ix_retrain_job_due", "retrain_job")
    op.create_index("ix_retrain_job_due", "retrain_job", ["run_after_ms", "id"], **_only("queued"))
    op.create_index("ix_retrain_job_late", "retrain_job", ["lease_until_ms", "id"], **_only("running"))
    _make_judgements()
    _make_snapshots()
    _make_fleet_scores()


def _make_judgements() -> None:
    op.create_table(
        "judgement",
        sa.Column("id", _ID, nullable=False),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("model_version_id", _ID, nullable=True),
        sa.Column("against_id", _ID, nullable=True),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "stage IN ('gate', 'parity', 'shadow', 'manual')", name=op.f("ck_judgement_stage")
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_judgement_model_version_id_model_version"),
        ),
        sa.ForeignKeyConstraint(
            ["against_id"], ["model_version.id"], name=op.f("fk_judgement_against_id_model_version")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["retrain_job.id"], name=op.f("fk_judgement_job_id_retrain_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgement")),
    )
    for name in ("fleet", "model_version_id", "against_id", "job_id"):
        op.create_index(op.f(f"ix_judgement_{name}"), "judgement", [name], unique=False)


def _make_snapshots() -> None:
    op.create_table(
        "monitor_snapshot",
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("positions", sa.JSON(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("updated_ts_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group", "topic", "partition", name=op.f("pk_monitor_snapshot")),
    )


def _make_fleet_scores() -> None:
    op.create_table(
        "fleet_score",
        sa.Column("model_version_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("cutoff", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "model_version_id", "source", "model", "metric", "cutoff", name=op.f("pk_fleet_score")
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("fleet_score", "monitor_snapshot", "judgement"):
        op.drop_table(table)
    for name in ("uq_retrain_job_running", "ix_retrain_job_late", "ix_retrain_job_due"):
        op.drop_index(name, "retrain_job")
    op.create_index("ix_retrain_job_due", "retrain_job", ["state", "run_after_ms"])
    # One column by itself: a table that were rebuilt would lose its checks on SQLite.
    for name in ("logged", "note"):
        op.drop_column("retrain_job", name)
    op.drop_column("champion", "mirrored")
    op.drop_column("champion", "announced")
    op.drop_column("model_version", "training")
