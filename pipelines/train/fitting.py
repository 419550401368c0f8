"""Stage fit: a partition at a time; what is done is on disk before the next begins."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import TrainError
from pipelines.train.atomic import read_json, write_bytes, write_json, write_parquet
from pipelines.train.work import Work

if TYPE_CHECKING:
    from forecast.api.fitted import Fitted
    from forecast.models.panel import Panel
    from forecast.models.records import Records
    from forecast.models.schema import Schema

CHUNKS = "chunks"


def fit(work: Work) -> dict[str, Any]:
    """Fit every partition that is not done: chunks of records, and a report."""
    schema = work.history().schema()
    work.file(CHUNKS, "x")

    def part(k: int) -> dict[str, Any]:
        if not _marker(work, k).exists():
            _fit_part(work, k, work.panel(k), schema)
        return done(work, k)

    statuses: Counter[str] = Counter()
    for found in work.each_part("fit", part):
        statuses.update(found["statuses"])
    return {"statuses": dict(statuses)}


def done(work: Work, k: int) -> dict[str, Any]:
    """Return what a finished partition left: chunks by alias, counts by status."""
    found = read_json(_marker(work, k))
    if not isinstance(found, dict) or not {"chunks", "statuses"} <= found.keys():
        raise TrainError(f"{_marker(work, k)} is damaged (not what a stage leaves); start the job anew")
    return found


def fitted_part(work: Work, k: int, chunks: Path, schema: Schema) -> Fitted:
    """Return the fitted models of partition `k`, read back from the folder `chunks`."""
    from forecast.api.fitted import Fitted
    from forecast.models.chunk import join
    from forecast.models.codec import decode

    models = work.models()
    entries = done(work, k)["chunks"]
    records = tuple(
        join([decode((chunks / f"{chunk['sha256']}.npz").read_bytes()) for chunk in entries[model.alias]])
        for model in models
    )
    return Fitted(tuple(models), records, schema, None, work.jobs)


def report_file(work: Work, k: int) -> Path:
    """Path of the report of partition `k`."""
    return work.file("report", f"part-{k:05d}.parquet")


def _marker(work: Work, k: int) -> Path:
    return work.file("fit", f"part-{k:05d}.json")


def _fit_part(work: Work, k: int, panel: Panel, schema: Schema) -> None:
    from forecast.api.fitted import Fitted
    from forecast.types import status_counts
    from pipelines.train.inputs import to_arrow

    models = work.models()
    records = tuple(model.fit(panel, work.jobs) for model in models)
    chunks = {model.alias: _write_chunks(work, each) for model, each in zip(models, records, strict=True)}
    report = Fitted(tuple(models), records, schema, None, work.jobs).report()
    write_parquet(report_file(work, k), to_arrow(report))
    write_json(_marker(work, k), {"chunks": chunks, "statuses": status_counts(records[0].status)})


def _write_chunks(work: Work, records: Records) -> list[dict[str, Any]]:
    from forecast.models.chunk import split
    from forecast.models.codec import encode

    written = []
    for part in split(records):
        data = encode(part)
        sha256 = hashlib.sha256(data).hexdigest()
        write_bytes(work.file(CHUNKS, f"{sha256}.npz"), data)
        written.append({"sha256": sha256, "bytes": len(data), "n_records": part.n_series})
    return written
