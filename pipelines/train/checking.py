"""Stage check: what is known of every series before a model is fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelines.train.atomic import write_parquet
from pipelines.train.work import Work

if TYPE_CHECKING:
    import pyarrow as pa

QUALITY = "quality.parquet"


def check(work: Work) -> dict[str, Any]:
    """Write ``quality.parquet``: one row a series, with the tests of `fc.stationarity` unless left out."""
    verdicts: Counter[str] = Counter()
    write_parquet(work.file(QUALITY), _tables(work, verdicts))
    return {"verdicts": dict(verdicts), "file": str(work.file(QUALITY))}


def _tables(work: Work, verdicts: Counter[str]) -> Iterator[pa.Table]:
    import numpy as np
    import pyarrow as pa

    from forecast.models.stationarity import stationarity_table
    from forecast.types import Status

    history = work.history()
    for k in work.each_part("check"):
        panel = history.panel(k)
        missing = np.add.reduceat(np.isnan(panel.values), panel.indptr[:-1]).astype(np.int64)
        table: dict[str, Any] = {
            work.job.id_col: panel.ids.tolist(),
            "status": [Status(code).name.lower() for code in panel.status.tolist()],
            "note": [panel.notes.get(i, "") for i in range(panel.n_series)],
            "n": panel.lengths,
            "n_missing": missing,
        }
        if work.job.stationarity:
            table |= stationarity_table(panel, work.season_length, jobs=work.jobs)
            verdicts.update(str(verdict) for verdict in table["verdict"])
        yield pa.table(table)
