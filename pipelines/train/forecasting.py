"""Stage forecast: every series over the horizon, from the version as it was published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.logs import log
from pipelines.train.atomic import write_parquet
from pipelines.train.fitting import CHUNKS, fitted_part
from pipelines.train.snapshot import FUTURE
from pipelines.train.work import Work

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FORECASTS = "forecasts.parquet"


def forecast(work: Work) -> dict[str, Any]:
    """Write ``forecasts.parquet``, in the order of the input."""
    if needs_future(work) and work.job.future is None:
        log.warning("no forecasts: the models have regressors and --future was not given")
        return {"file": None, "n_rows": 0}
    target = work.file(FORECASTS)
    write_parquet(target, _tables(work))
    return {"file": str(target), "n_rows": work.facts("version")["n_series"] * work.job.horizon}


def needs_future(work: Work) -> bool:
    """Whether a forecast needs regressors."""
    return bool(work.job.exog)


def _tables(work: Work) -> Iterator[pa.Table]:
    from pipelines.train.inputs import to_arrow

    schema = work.history().schema()
    chunks = Path(work.facts("version")["folder"]) / CHUNKS
    future = _future(work)

    def part(k: int) -> pa.Table:
        fitted = fitted_part(work, k, chunks, schema)
        X_df = None if future is None else future[future[schema.id_col].isin(list(fitted.records[0].ids))]
        return to_arrow(fitted.predict(work.job.horizon, level=list(work.job.levels) or None, X_df=X_df))

    return work.each_part("forecast", part)


def _future(work: Work) -> pd.DataFrame | None:
    import pandas as pd

    return pd.read_parquet(work.file(FUTURE)) if work.job.future is not None else None
