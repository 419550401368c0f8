"""Stage snapshot: the input is read once, judged, and kept."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import InferredFrequency, InputError
from pipelines.errors import TrainError
from pipelines.logs import log
from pipelines.train.history import parts, write_history
from pipelines.train.inputs import Found, read_path
from pipelines.train.work import Work

if TYPE_CHECKING:
    from forecast.models.panel import Panel
    from forecast.models.schema import Schema

FUTURE = "future.parquet"


def snapshot(work: Work) -> dict[str, Any]:
    """Read the input, lay it on the grid, write the history."""
    job = work.job
    found = _read(work)
    panel, schema = _panel(found, work)
    _copy_future(work, panel, schema)
    work.progress.stage("snapshot", parts(panel.n_series, job.partition_size))
    work.read[:] = [panel]
    root = work.settings.history_root.absolute() / job.fleet
    history = write_history(
        panel, schema, root, job.partition_size, work.jobs, work.folder.run_id, work.progress.step
    )
    from forecast.models.freq import default_season_length
    from forecast.types import status_counts

    facts = history.facts
    if schema.freq_inferred:
        log.info("freq was not given; inferred %r from the data", panel.freq.text)
    statuses = status_counts(panel.status)
    log.info("%d series, %d points: %s", panel.n_series, len(panel.values), statuses)
    return {
        "history": str(history.folder),
        "digest": facts["digest"],
        "n_series": panel.n_series,
        "n_rows": len(panel.values),
        "freq": panel.freq.text,
        "freq_inferred": schema.freq_inferred,
        "season_length": job.season_length or default_season_length(panel.freq),
        "statuses": statuses,
        "files": list(found.files)[:1000],
        "n_files": len(found.files),
        "skipped": [{"file": s.file, "reason": s.reason} for s in found.skipped],
    }


def _read(work: Work) -> Found:
    job = work.job
    if not job.sql:
        return read_path(job.input, job)
    from pipelines.train.sql_source import read_sql

    url = work.settings.source()
    if url is None:
        raise TrainError("--sql needs a database: pass --from URL, or set FORECAST_SOURCE_URL")
    return read_sql(url, job)


def _panel(found: Found, work: Work) -> tuple[Panel, Schema]:
    from forecast.models.codec import plain_id
    from forecast.models.frames import to_panel
    from pipelines.store.series import check_text

    job = work.job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferredFrequency)
        panel, schema = to_panel(
            found.table, job.freq, job.exog, id_col=job.id_col, time_col=job.time_col,
            target_col=job.target_col, duplicates=job.duplicates,
        )  # fmt: skip
    for key in panel.ids:
        plain_id(key)  # a model version holds text or whole numbers: say so before any work
    check_text([key for key in panel.ids if isinstance(key, str)])  # and what the store cannot hold
    return panel, schema


def _copy_future(work: Work, panel: Panel, schema: Schema) -> None:
    """Keep the future regressors with the job, if they serve: a resumed one must see the same."""
    if work.job.future is None:
        return
    from forecast.models.future import future_exog
    from pipelines.tables import read_table
    from pipelines.train.atomic import write_parquet
    from pipelines.train.inputs import to_arrow

    frame = read_table(Path(work.job.future), work.job.time_col, work.job.id_col)
    if work.job.id_col not in frame:
        raise InputError(f"{work.job.future}: column {work.job.id_col!r} is missing")
    future_exog(panel.ids, panel.end(), panel.freq, work.job.horizon, work.job.exog, frame, schema)
    write_parquet(work.file(FUTURE), to_arrow(frame))
