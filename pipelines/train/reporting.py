"""Stage report: what became of every series, and of the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.train.atomic import write_json, write_parquet
from pipelines.train.fitting import report_file
from pipelines.train.judging import scores_file
from pipelines.train.work import Work

if TYPE_CHECKING:
    import pyarrow as pa

REPORT: Final = "report.parquet"
SCORES: Final = "scores.parquet"
SUMMARY: Final = "summary.json"


def report(work: Work) -> dict[str, Any]:
    """Write ``report.parquet`` (a row a series and model, with its scores) and ``summary.json``.

    ``scores.parquet`` has the scores of the baselines too, where there was a backtest.
    """
    write_parquet(work.file(REPORT), _tables(work))
    scored = _scored_parts(work)
    if scored:
        write_parquet(work.file(SCORES), _scores(work, scored))
    write_json(work.file(SUMMARY), summary(work))
    return {"file": str(work.file(REPORT)), "summary": str(work.file(SUMMARY))}


def summary(work: Work) -> dict[str, Any]:
    """Return what a person wants to know of the job, as JSON values."""
    snapshot, version = work.facts("snapshot"), work.facts("version")
    return {
        "run_id": work.folder.run_id,
        "fleet": work.job.fleet,
        "models": list(work.job.models),
        "input": {
            key: snapshot[key]
            for key in ("digest", "n_series", "n_rows", "freq", "n_files", "skipped", "statuses")
        },
        "verdicts": work.facts("check")["verdicts"],
        "statuses": work.facts("fit")["statuses"],
        "backtest": work.facts("backtest")["models"],
        "version": version["version"],
        "folder": version["folder"],
        "new_version": version["new"],
        "forecasts": work.facts("forecast")["file"],
    }


def _tables(work: Work) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    def part(k: int) -> pa.Table:
        table = pq.read_table(report_file(work, k))
        if not work.job.windows:
            return table
        scores = pq.read_table(scores_file(work, k))
        if len(scores) == 0:  # the columns must be those of the other parts
            scores = pq.read_schema(_full_scores(work)).empty_table()
        return _joined(table, scores, work.job.id_col)

    return work.each_part("report", part)


def _scored_parts(work: Work) -> list[int]:
    """Return the partitions in which a series has scores."""
    import pyarrow.parquet as pq

    if not work.job.windows:
        return []
    return [k for k in range(work.n_parts) if pq.read_metadata(scores_file(work, k)).num_rows]


def _scores(work: Work, parts: list[int]) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    return (pq.read_table(scores_file(work, k)) for k in parts)


def _full_scores(work: Work) -> Path:
    """Return the scores of a part that has some; the first where none has."""
    return scores_file(work, next(iter(_scored_parts(work)), 0))


def _joined(table: pa.Table, scores: pa.Table, id_col: str) -> pa.Table:
    """Put the scores beside the report, in the order of the report."""
    from pipelines.train.inputs import to_arrow

    left, right = table.to_pandas(), scores.to_pandas()
    for name in (id_col, "model"):
        right[name] = right[name].astype(left[name].dtype)
    return to_arrow(left.merge(right, how="left", on=[id_col, "model"]))
