"""Scores of whole fleets, and those of live ticks: written window after window, a repeat replaces the old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from forecast.models.freq import Freq
from pipelines.errors import StoreError
from pipelines.store.bulk import Column, write_rows
from pipelines.store.engine import reading, writing
from pipelines.store.forecasts import put_scores
from pipelines.store.series import read_times
from pipelines.store.tables import FleetScore, ModelVersion
from pipelines.store.versions import VersionRow, find_id, get_row

if TYPE_CHECKING:
    import pandas as pd

LIVE = "live"
_COLUMNS = ["model", "metric", "cutoff", "value", "n"]


def write_live_scores(
    engine: Engine, version: VersionRow | str, frame: pd.DataFrame, fleet_frame: pd.DataFrame
) -> int:
    """Write the scores of a window of live ticks, of series and of their fleet, all or nothing.

    Parameters
    ----------
    frame
        As of `write_scores`: ``unique_id, metric, cutoff`` and one column a model; may have no rows.
    fleet_frame
        ``model, metric, cutoff, value, n``: one row a number; may have no rows.

    Raises
    ------
    StoreError
        A column is missing, or a score is there twice.
    """
    missing = [name for name in _COLUMNS if name not in fleet_frame]
    if missing:
        raise StoreError(f"the frame of the fleet has no column {missing[0]!r}; it has {_COLUMNS}")
    with writing(engine) as connection:
        row = get_row(connection, find_id(connection, version))
        n = put_scores(connection, row, frame, LIVE) if len(frame) else 0
        if len(fleet_frame):
            n += write_rows(connection, FleetScore, _columns(row, fleet_frame))
        return n


def read_fleet_scores(engine: Engine, fleet: str, source: str | None = None) -> pd.DataFrame:
    """Return `ver, version, source, model, metric, cutoff, value, n` of a fleet; `cutoff` as in `scores`."""
    import pandas as pd

    names = ["ver", "version", "source", *_COLUMNS]
    table = FleetScore
    query = (
        select(
            ModelVersion.ver, ModelVersion.version, table.source, table.model, table.metric, table.cutoff,
            table.value, table.n,
        )
        .join(ModelVersion, ModelVersion.id == table.model_version_id)
        .where(ModelVersion.fleet == fleet)
        .order_by(ModelVersion.ver, *table.__table__.primary_key)
    )  # fmt: skip
    if source is not None:
        query = query.where(table.source == source)
    with reading(engine) as connection:
        rows = [tuple(one) for one in connection.execute(query)]
    frame = pd.DataFrame.from_records(rows, columns=names)
    return frame.astype({"ver": "int64", "cutoff": "int64", "value": "float64", "n": "int64"})


def _columns(row: VersionRow, frame: pd.DataFrame) -> dict[str, Column]:
    """Return the columns of the table in its order; `StoreError` for a score that is there twice."""
    _, cutoff = read_times(frame["cutoff"], frame["model"], Freq(row.freq, row.tz))
    words: dict[str, Any] = {name: frame[name].astype(str).to_numpy(object) for name in ("model", "metric")}
    order = np.lexsort((cutoff, words["metric"].astype(str), words["model"].astype(str)))
    values = {name: column[order] for name, column in {**words, "cutoff": cutoff}.items()}
    same = np.logical_and.reduce([column[1:] == column[:-1] for column in values.values()])
    if same.any():
        at = int(np.flatnonzero(same)[0])
        raise StoreError(
            f"{values['model'][at]!r} has two scores {values['metric'][at]!r} of one window; keep one"
        )
    return {
        "model_version_id": row.id,
        "source": LIVE,
        **values,
        "value": _numbers(frame, "value", np.float64)[order],
        "n": _numbers(frame, "n", np.int64)[order],
    }


def _numbers(frame: pd.DataFrame, name: str, dtype: type[np.number[Any]]) -> NDArray[Any]:
    try:
        return frame[name].to_numpy(dtype)
    except (TypeError, ValueError):
        raise StoreError(f"column {name!r} holds {frame[name].dtype}, needs numbers") from None
