"""The tables. Times are int: ms since 1970, UTC; the plain int where a grid is one of ints.

The three tables that hold rows by the million (observation, forecast, forecast_score) have no foreign
keys: a check a row takes longer than the row. Their writer looks the ids up in its own transaction.

A change here needs a revision in `migrations/versions/`; `forecast db check` and a test compare the two.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Named by rule, so that a revision can drop what it did not create by hand, on both dialects.
_NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows by itself only in a column of type INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

VERSION_STATES: Final = ("candidate", "shadow", "champion", "retired", "rejected")
EVENT_STATES: Final = ("new", "coalesced", "done", "ignored")
JOB_STATES: Final = ("queued", "running", "done", "failed", "dead")
STAGES: Final = ("gate", "parity", "shadow", "manual")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012  # read by the base class
        str: Text,
        int: BigInteger,
        float: Float(53),
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
        bytes: LargeBinary,
    }


def _one_of(values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"state IN ({', '.join(map(repr, values))})", name="state")


class Series(Base):
    """A series of data; the same `unique_id` of another fleet, or on another grid, is another series."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("fleet", "key", "freq", "tz"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    fleet: Mapped[str]
    key: Mapped[str]
    """`unique_id` as text."""
    freq: Mapped[str]
    tz: Mapped[str] = mapped_column(default="", server_default="")
    """Empty: none."""
    unit: Mapped[str | None]


class Observation(Base):
    """The hot window; history is in Parquet."""

    __tablename__ = "observation"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  # read by the base class

    series_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ts: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    y: Mapped[float | None]
    """Null: a missing value."""
    quality: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    """0: as received; the writer's codes otherwise."""


class ModelVersion(Base):
    """A manifest that was registered for a fleet; only state, place, metrics and MLflow ids change."""

    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("fleet", "ver"),
        UniqueConstraint("fleet", "version"),
        _one_of(VERSION_STATES),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    fleet: Mapped[str]
    ver: Mapped[int] = mapped_column(Integer)
    """1, 2, ... within its fleet."""
    version: Mapped[str] = mapped_column(index=True)
    """sha256 of the manifest."""
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"), index=True)
    artifact_uri: Mapped[str]
    state: Mapped[str]
    freq: Mapped[str]
    tz: Mapped[str] = mapped_column(default="", server_default="")
    n_series: Mapped[int]
    models: Mapped[list[dict[str, Any]]]
    """`[{"alias": ..., "spec": {...}}, ...]`"""
    metrics: Mapped[dict[str, Any] | None]
    """`{alias: {"mase_mean": ..., ...}}` of the fleet; stays when scores are trimmed."""
    training: Mapped[dict[str, Any] | None]
    """`{"history": folder, "job": {...}}`: what a refit begins from; a child has that of its parent."""
    mlflow_run_id: Mapped[str | None]
    mlflow_version: Mapped[str | None]
    created_ts_ms: Mapped[int | None]
    """Of the manifest."""
    added_ts_ms: Mapped[int]


class ModelChunk(Base):
    """One file of records of a version; several versions may name the same one."""

    __tablename__ = "model_chunk"

    model_version_id: Mapped[int] = mapped_column(
        ForeignKey(ModelVersion.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    model: Mapped[str] = mapped_column(primary_key=True)
    """Alias."""
    first: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_records: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(index=True)
    bytes: Mapped[int]


class Champion(Base):
    """The version that serves a fleet: the truth, of which an alias in MLflow is a mirror."""

    __tablename__ = "champion"

    fleet: Mapped[str] = mapped_column(primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    row_version: Mapped[int]
    """Grows by one with every change; the word of compare-and-set."""
    changed_ts_ms: Mapped[int]
    announced: Mapped[int] = mapped_column(default=0, server_default="0")
    """The last row version that the control topic was told of."""
    mirrored: Mapped[int] = mapped_column(default=0, server_default="0")
    """The last row version that MLflow was told of."""


class Promotion(Base):
    """One change of a champion, written in the transaction that made it; never changed."""

    __tablename__ = "promotion"

    fleet: Mapped[str] = mapped_column(primary_key=True)
    row_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Of the champion after the change."""
    model_version_id: Mapped[int] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    previous_id: Mapped[int | None] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    """The champion before; null: there was none."""
    ts_ms: Mapped[int]
    reason: Mapped[str]


class FleetLease(Base):
    """Who may train a fleet. A row stays when it is released: its fence only grows."""

    __tablename__ = "fleet_lease"

    fleet: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until_ms: Mapped[int]
    fence: Mapped[int]


class Forecast(Base):
    """One step ahead at one level; `level` 0, with null bounds, where no interval was asked for."""

    __tablename__ = "forecast"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  # read by the base class

    model_version_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    series_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(primary_key=True)
    """Alias."""
    origin: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Last time known."""
    h: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    level: Mapped[float] = mapped_column(primary_key=True)
    """Per cent."""
    ts: Mapped[int]
    mean: Mapped[float | None]
    lo: Mapped[float | None]
    hi: Mapped[float | None]


class ForecastScore(Base):
    """A metric of one series over one window."""

    __tablename__ = "forecast_score"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  # read by the base class

    model_version_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    series_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(primary_key=True)
    """"backtest", "live", ...: where the actuals come from."""
    model: Mapped[str] = mapped_column(primary_key=True)
    """Name of the column that was scored; baselines, too."""
    metric: Mapped[str] = mapped_column(primary_key=True)
    cutoff: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Last time known before the window; 0 for a mean over several."""
    value: Mapped[float | None]


class FleetScore(Base):
    """A metric over all series of a fleet in one window; kept when those of the series are trimmed."""

    __tablename__ = "fleet_score"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  # read by the base class

    model_version_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    cutoff: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """As in `forecast_score`."""
    value: Mapped[float | None]
    n: Mapped[int]
    """Series, or forecasts, that it is of."""


class RetrainJob(Base):
    """A unit of the retraining queue: run at least once, committed once, by its fence."""

    __tablename__ = "retrain_job"
    __table_args__ = (
        _one_of(JOB_STATES),
        # At most one waiting job for each key: events that come meanwhile join it.
        Index(
            "uq_retrain_job_queued", "job_key", unique=True,
            sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'"),
        ),
        # And at most one that runs: two workers would refit the same series from the same champion.
        Index(
            "uq_retrain_job_running", "job_key", unique=True,
            sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'"),
        ),
        # What a claim looks for, in its order; done jobs, of which there are more every day, are in neither.
        Index(
            "ix_retrain_job_due", "run_after_ms", "id",
            sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_retrain_job_late", "lease_until_ms", "id",
            sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    fleet: Mapped[str]
    job_key: Mapped[str]
    """What the job refits; equal keys coalesce."""
    state: Mapped[str]
    payload: Mapped[dict[str, Any]]
    lease_owner: Mapped[str | None]
    lease_until_ms: Mapped[int | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    run_after_ms: Mapped[int]
    created_ts_ms: Mapped[int]
    finished_ts_ms: Mapped[int | None]
    error: Mapped[str | None]
    """Why the last attempt failed; null once done."""
    note: Mapped[str | None]
    """How it ended, for people."""
    logged: Mapped[str | None]
    """Outcome that MLflow was told of last; null: none."""
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    """What it made."""


class DriftEvent(Base):
    """An alarm, as the wire has it; recorded before a job is made of it."""

    __tablename__ = "drift_event"
    __table_args__ = (
        UniqueConstraint("dedup_key"),
        _one_of(EVENT_STATES),
        Index("ix_drift_event_state", "state"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    dedup_key: Mapped[str]
    fleet: Mapped[str]
    version: Mapped[str]
    """sha256 of the version that served."""
    series_key: Mapped[str | None]
    """`unique_id`; null: the whole fleet."""
    model: Mapped[str]
    detector: Mapped[str]
    ts_ms: Mapped[int]
    statistic: Mapped[float]
    threshold: Mapped[float]
    recorded_ts_ms: Mapped[int]
    state: Mapped[str]
    job_id: Mapped[int | None] = mapped_column(ForeignKey(RetrainJob.id), index=True)


class Judgement(Base):
    """One test of a version against another, with its evidence; never changed."""

    __tablename__ = "judgement"
    __table_args__ = (
        CheckConstraint(f"stage IN ({', '.join(map(repr, STAGES))})", name="stage"),
        Index("ix_judgement_fleet", "fleet"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    fleet: Mapped[str]
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    """What was judged; null: a challenger that was not kept."""
    against_id: Mapped[int | None] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    """What it was compared with, mostly the champion."""
    job_id: Mapped[int | None] = mapped_column(ForeignKey(RetrainJob.id), index=True)
    stage: Mapped[str]
    passed: Mapped[bool]
    evidence: Mapped[dict[str, Any]]
    ts_ms: Mapped[int]


class MonitorSnapshot(Base):
    """What a monitor knows of one partition, written in the transaction of its events."""

    __tablename__ = "monitor_snapshot"

    group: Mapped[str] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    """Grows by one with every write; the word of compare-and-set."""
    positions: Mapped[dict[str, Any]]
    data: Mapped[bytes]
    updated_ts_ms: Mapped[int]


class EdgeBundle(Base):
    """A bundle for devices, made of a version."""

    __tablename__ = "edge_bundle"
    __table_args__ = (UniqueConstraint("sha256"), UniqueConstraint("name", "bundle_version"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey(ModelVersion.id), index=True)
    name: Mapped[str]
    """What a device calls it; its numbers grow within a name."""
    bundle_version: Mapped[int]
    model: Mapped[str]
    """Alias."""
    sha256: Mapped[str]
    """Of the bundle's manifest."""
    artifact_uri: Mapped[str]
    opset: Mapped[int] = mapped_column(Integer)
    quant: Mapped[str]
    """Profile: "latency", "size" or "balanced"."""
    parity_err: Mapped[float]
    """Largest relative difference from the library that was measured."""
    size: Mapped[int]
    """Bytes of the archive, or of the folder where there is none."""
    signed_by: Mapped[str | None]
    """Id of the key; null: unsigned, which devices refuse."""
    created_ts_ms: Mapped[int]


class EdgeNumber(Base):
    """The last number taken for the bundles of a name; one that was taken is never given again."""

    __tablename__ = "edge_number"

    name: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]
