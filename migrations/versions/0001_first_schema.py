"""First schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fleet_lease",
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", name=op.f("pk_fleet_lease")),
    )
    op.create_table(
        "forecast",
        sa.Column("model_version_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("origin", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("h", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Float(precision=53), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.Float(precision=53), nullable=True),
        sa.Column("lo", sa.Float(precision=53), nullable=True),
        sa.Column("hi", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint(
            "model_version_id", "series_id", "model", "origin", "h", "level", name=op.f("pk_forecast")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "forecast_score",
        sa.Column("model_version_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("cutoff", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint(
            "model_version_id",
            "series_id",
            "source",
            "model",
            "metric",
            "cutoff",
            name=op.f("pk_forecast_score"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "model_version",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("ver", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("artifact_uri", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("freq", sa.Text(), nullable=False),
        sa.Column("tz", sa.Text(), server_default="", nullable=False),
        sa.Column("n_series", sa.BigInteger(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=True),
        sa.Column("mlflow_run_id", sa.Text(), nullable=True),
        sa.Column("mlflow_version", sa.Text(), nullable=True),
        sa.Column("created_ts_ms", sa.BigInteger(), nullable=True),
        sa.Column("added_ts_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('candidate', 'shadow', 'champion', 'retired', 'rejected')",
            name=op.f("ck_model_version_state"),
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["model_version.id"], name=op.f("fk_model_version_parent_id_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_version")),
        sa.UniqueConstraint("fleet", "ver", name=op.f("uq_model_version_fleet_ver")),
        sa.UniqueConstraint("fleet", "version", name=op.f("uq_model_version_fleet_version")),
    )
    with op.batch_alter_table("model_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_version_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_model_version_version"), ["version"], unique=False)

    op.create_table(
        "observation",
        sa.Column("series_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("y", sa.Float(precision=53), nullable=True),
        sa.Column("quality", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("series_id", "ts", name=op.f("pk_observation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "series",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("freq", sa.Text(), nullable=False),
        sa.Column("tz", sa.Text(), server_default="", nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("fleet", "key", "freq", "tz", name=op.f("uq_series_fleet_key_freq_tz")),
    )
    op.create_table(
        "champion",
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("row_version", sa.BigInteger(), nullable=False),
        sa.Column("changed_ts_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_champion_model_version_id_model_version"),
        ),
        sa.PrimaryKeyConstraint("fleet", name=op.f("pk_champion")),
    )
    with op.batch_alter_table("champion", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_champion_model_version_id"), ["model_version_id"], unique=False)

    op.create_table(
        "promotion",
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("row_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("previous_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_promotion_model_version_id_model_version"),
        ),
        sa.ForeignKeyConstraint(
            ["previous_id"], ["model_version.id"], name=op.f("fk_promotion_previous_id_model_version")
        ),
        sa.PrimaryKeyConstraint("fleet", "row_version", name=op.f("pk_promotion")),
    )
    with op.batch_alter_table("promotion", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_promotion_model_version_id"), ["model_version_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_promotion_previous_id"), ["previous_id"], unique=False)

    op.create_table(
        "edge_bundle",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("artifact_uri", sa.Text(), nullable=False),
        sa.Column("opset", sa.Integer(), nullable=False),
        sa.Column("quant", sa.Text(), nullable=False),
        sa.Column("parity_err", sa.Float(precision=53), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=True),
        sa.Column("created_ts_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_edge_bundle_model_version_id_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edge_bundle")),
        sa.UniqueConstraint("sha256", name=op.f("uq_edge_bundle_sha256")),
    )
    with op.batch_alter_table("edge_bundle", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_edge_bundle_model_version_id"), ["model_version_id"], unique=False
        )

    op.create_table(
        "model_chunk",
        sa.Column(
            "model_version_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n_records", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_model_chunk_model_version_id_model_version"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("model_version_id", "model", "first", name=op.f("pk_model_chunk")),
    )
    with op.batch_alter_table("model_chunk", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_chunk_sha256"), ["sha256"], unique=False)

    op.create_table(
        "retrain_job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_after_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_ts_ms", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'dead')", name=op.f("ck_retrain_job_state")
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_retrain_job_model_version_id_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrain_job")),
    )
    with op.batch_alter_table("retrain_job", schema=None) as batch_op:
        batch_op.create_index("ix_retrain_job_due", ["state", "run_after_ms"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_retrain_job_model_version_id"), ["model_version_id"], unique=False
        )
        batch_op.create_index(
            "uq_retrain_job_queued",
            ["job_key"],
            unique=True,
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )

    op.create_table(
        "drift_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("series_key", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("statistic", sa.Float(precision=53), nullable=False),
        sa.Column("threshold", sa.Float(precision=53), nullable=False),
        sa.Column("recorded_ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint(
            "state IN ('new', 'coalesced', 'done', 'ignored')", name=op.f("ck_drift_event_state")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["retrain_job.id"], name=op.f("fk_drift_event_job_id_retrain_job")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_event")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_drift_event_dedup_key")),
    )
    with op.batch_alter_table("drift_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_drift_event_job_id"), ["job_id"], unique=False)
        batch_op.create_index("ix_drift_event_state", ["state"], unique=False)


def downgrade() -> None:
    # Referring tables first; their indexes go with them.
    op.drop_table("drift_event")
    op.drop_table("retrain_job")
    op.drop_table("model_chunk")
    op.drop_table("edge_bundle")
    op.drop_table("promotion")
    op.drop_table("champion")
    op.drop_table("series")
    op.drop_table("observation")
    op.drop_table("model_version")
    op.drop_table("forecast_score")
    op.drop_table("forecast")
    op.drop_table("fleet_lease")
