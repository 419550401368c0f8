"""Stage check: what is known of every series before a model is fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelines.train.atomic import write_parquet
from pipelines.train.work import Work

if TYPE_CHECKING:
    import pyarrow as pa

    from forecast.models.panel import Panel

QUALITY = "quality.parquet"


def check(work: Work) -> dict[str, Any]:
    """Write ``quality.parquet``: one row a series, with the tests of `fc.stationarity` unless left out."""
    verdicts: Counter[str] = Counter()
    write_parquet(work.file(QUALITY), _tables(work, verdicts))
    return {"verdicts": dict(verdicts), "file": str(work.file(QUALITY))}


def _tables(work: Work, verdicts: Counter[str]) -> Iterator[pa.Table]:
    for table in work.each_part("check", lambda k: _table(work, work.panel(k))):
        verdicts.update(table["verdict"].to_pylist() if work.job.stationarity else ())
        yield table


def _table(work: Work, panel: Panel) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from forecast.models.stationarity import stationarity_table
    from forecast.types import status_names

    missing = np.add.reduceat(np.isnan(panel.values), panel.indptr[:-1]).astype(np.int64)
    table: dict[str, Any] = {
        work.job.id_col: panel.ids.tolist(),
        "status": status_names(panel.status),
        "note": [panel.notes.get(i, "") for i in range(panel.n_series)],
        "n": panel.lengths,
        "n_missing": missing,
    }
    if work.job.stationarity:
        table |= stationarity_table(panel, work.season_length, jobs=work.jobs)
    return pa.table(table)
