"""Judgements: every test that a version went through, with its evidence; none is ever changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select
from sqlalchemy.orm import aliased

from pipelines.errors import StoreError
from pipelines.store.engine import now_ms, reading, writing
from pipelines.store.plain import plain
from pipelines.store.tables import STAGES, Judgement, ModelVersion
from pipelines.store.versions import VersionRow, find_id


@dataclass(frozen=True, slots=True)
class NewJudgement:
    """What was tested and how it went."""

    stage: str
    """"gate", "parity", "shadow" or "manual"."""
    passed: bool
    evidence: Mapping[str, Any]
    """Plain JSON; NaN and infinity are kept as null."""
    version: VersionRow | str | None = None
    """What was judged; None: the version that its job commits, or a challenger that was not kept."""
    against: VersionRow | str | None = None
    """Mostly the champion."""


@dataclass(frozen=True, slots=True)
class JudgementRow:
    """A judgement that was kept."""

    id: int
    fleet: str
    stage: str
    passed: bool
    evidence: Mapping[str, Any]
    ts_ms: int
    """By the clock of the store."""
    job_id: int | None
    ver: int | None
    version: str | None
    """What was judged: its number and its sha256; None: a challenger that was not kept."""
    against_ver: int | None
    against: str | None
    """What it was compared with."""


def add_judgement(
    engine: Engine, fleet: str, judgement: NewJudgement, job_id: int | None = None
) -> JudgementRow:
    """Keep a judgement; `StoreError` for a stage or version that is unknown."""
    with writing(engine) as connection:
        key = put_judgement(connection, fleet, judgement, job_id)
        return _row(connection.execute(_rows().where(Judgement.id == key)).one())


def put_judgement(
    connection: Connection,
    fleet: str,
    judgement: NewJudgement,
    job_id: int | None,
    default: VersionRow | None = None,
) -> int:
    """Keep a judgement in the transaction of `connection`, of `default` where it names no version."""
    if judgement.stage not in STAGES:
        raise StoreError(f"stage {judgement.stage!r} is unknown; known: {', '.join(STAGES)}")
    values = {
        "fleet": fleet,
        "model_version_id": _id(connection, fleet, judgement.version or default),
        "against_id": _id(connection, fleet, judgement.against),
        "job_id": job_id,
        "stage": judgement.stage,
        "passed": bool(judgement.passed),
        "evidence": plain(judgement.evidence, "the evidence"),
        "ts_ms": now_ms(connection),
    }
    return int(connection.execute(insert(Judgement).values(values).returning(Judgement.id)).scalar_one())


def list_judgements(
    engine: Engine, fleet: str, version: VersionRow | str | None = None
) -> list[JudgementRow]:
    """Return the judgements of a fleet, or of one of its versions, oldest first."""
    with reading(engine) as connection:
        query = _rows().where(Judgement.fleet == fleet).order_by(Judgement.id)
        if version is not None:
            query = query.where(Judgement.model_version_id == _id(connection, fleet, version))
        return [_row(found) for found in connection.execute(query)]


def _id(connection: Connection, fleet: str, version: VersionRow | str | None) -> int | None:
    """Return the row id of a version of this fleet; the sha256 of another fleet's is not meant."""
    if not isinstance(version, str):
        return None if version is None else find_id(connection, version)
    mine = (ModelVersion.fleet == fleet) & (ModelVersion.version == version)
    found = connection.scalar(select(ModelVersion.id).where(mine))
    if found is None:
        raise StoreError(f"version {version[:12]} is not registered for fleet {fleet!r}")
    return found


def _rows() -> Any:  # noqa: ANN401  # a select of as many types as columns
    judged, other = aliased(ModelVersion), aliased(ModelVersion)
    return (
        select(
            Judgement.__table__,
            judged.ver,
            judged.version,
            other.ver.label("against_ver"),
            other.version.label("against"),
        )
        .outerjoin(judged, judged.id == Judgement.model_version_id)
        .outerjoin(other, other.id == Judgement.against_id)
    )


def _row(found: Row[Any]) -> JudgementRow:
    return JudgementRow(
        found.id, found.fleet, found.stage, found.passed, found.evidence, found.ts_ms, found.job_id,
        found.ver, found.version, found.against_ver, found.against,
    )  # fmt: skip
