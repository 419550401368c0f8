"""Forecasts and scores of a version, written in bulk; one that is sent again replaces the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Engine, delete, select

from forecast.errors import nearest
from forecast.models.freq import Freq
from forecast.types import F64, I64
from pipelines.errors import StoreError
from pipelines.store.bulk import Column, write_rows
from pipelines.store.engine import affected, reading
from pipelines.store.leases import Grant, writing_under
from pipelines.store.series import Keys, find_series, read_keys, read_times, series_numbers, to_ds, to_ts
from pipelines.store.tables import Champion, Forecast, ForecastScore, ModelVersion, Series
from pipelines.store.versions import VersionRow, find_id, get_row

if TYPE_CHECKING:
    import pandas as pd

_WITHOUT_INTERVAL = 0.0


def write_forecasts(
    engine: Engine,
    version: VersionRow | str,
    frame: pd.DataFrame,
    id_col: str = "unique_id",
    time_col: str = "ds",
    lease: Grant | None = None,
) -> int:
    """Write what `Fitted.predict` returned, all or nothing, and return the rows of the table it takes.

    A forecast that is there already is replaced: another future of the regressors gives another one.

    Parameters
    ----------
    frame
        ``unique_id, ds``, and for each model of the version a column by its alias and, for each level,
        ``<alias>-lo-<level>, <alias>-hi-<level>``. With ``cutoff`` that is the last time known;
        without, it is one step before the first row of each series.

    Raises
    ------
    StoreError
        A column is missing, a series has two rows for one time, a time is off the grid of the version.
    """
    _check_columns(frame, [id_col, time_col])
    with writing_under(engine, lease) as connection:
        row = get_row(connection, find_id(connection, version))
        freq = Freq(row.freq, row.tz)
        keys, origins = _read_origins(frame, id_col, time_col, freq)
        h = _steps(frame, id_col, time_col, keys, origins, freq)
        numbers = series_numbers(connection, row.fleet, keys.ids, freq)[keys.series]
        rows = np.argsort(numbers, kind="stable")  # in the order of the table
        where = {"series_id": numbers, "origin": to_ts(origins, freq), "h": h, "ts": keys.ts}
        where = {name: values[rows] for name, values in where.items()}
        return sum(
            _write_model(connection, row, frame, str(model["alias"]), keys.order[rows], where)
            for model in row.models
        )


def write_scores(
    engine: Engine,
    version: VersionRow | str,
    frame: pd.DataFrame,
    source: str = "backtest",
    id_col: str = "unique_id",
    lease: Grant | None = None,
) -> int:
    """Write what ``evaluate(..., by="unique_id")`` returned, all or nothing; a repeat replaces the old.

    Parameters
    ----------
    frame
        ``unique_id, metric``, one column a model, baselines too, and ``cutoff`` where scores are of single
        windows.
    source
        Where the actuals come from: "backtest", "live", ...
    """
    with writing_under(engine, lease) as connection:
        return put_scores(
            connection, get_row(connection, find_id(connection, version)), frame, source, id_col
        )


def put_scores(
    connection: Connection, row: VersionRow, frame: pd.DataFrame, source: str, id_col: str = "unique_id"
) -> int:
    """Write scores in the transaction of `connection`; see `write_scores`."""
    _check_columns(frame, [id_col, "metric"])
    models = [str(name) for name in frame.columns if name not in (id_col, "metric", "cutoff")]
    order, where = _windows(connection, row, frame, id_col)
    head: dict[str, Column] = {"model_version_id": row.id, "source": source}
    return sum(
        write_rows(
            connection,
            ForecastScore,
            {**head, "model": name, **where, "value": _numbers(frame, name)[order]},
        )
        for name in models
    )


def read_forecasts(engine: Engine, version: VersionRow | str, unique_id: object = None) -> pd.DataFrame:
    """Return `unique_id, model, cutoff, h, ds, level, mean, lo, hi` of a version, or of one of its series."""
    names = ["origin", "h", "ts", "level", "mean", "lo", "hi"]
    frame, freq = _read(engine, version, Forecast, ["model", *names], unique_id)
    frame["ds"] = to_ds(frame["ts"].to_numpy(np.int64), freq)
    frame["cutoff"] = to_ds(frame["origin"].to_numpy(np.int64), freq)
    return frame[["unique_id", "model", "cutoff", "h", "ds", "level", "mean", "lo", "hi"]]


def read_scores(engine: Engine, version: VersionRow | str, unique_id: object = None) -> pd.DataFrame:
    """Return `unique_id, source, model, metric, cutoff, value`; `cutoff` 0: a mean over windows."""
    names = ["source", "model", "metric", "cutoff", "value"]
    return _read(engine, version, ForecastScore, names, unique_id)[0]


def trim_forecasts(
    engine: Engine,
    fleet: str,
    keep_versions: int,
    keep: VersionRow | None = None,
    lease: Grant | None = None,
) -> int:
    """Delete forecasts and scores of all but the last versions of a fleet, and return how many rows.

    Parameters
    ----------
    keep_versions
        How many versions, by number, keep their rows; the champion and the version `keep` always do.
    """
    ids = select(ModelVersion.id).where(ModelVersion.fleet == fleet)
    with writing_under(engine, lease) as connection:
        kept = set(connection.scalars(ids.order_by(ModelVersion.ver.desc()).limit(keep_versions)))
        kept |= set(connection.scalars(select(Champion.model_version_id).where(Champion.fleet == fleet)))
        kept |= set() if keep is None else {keep.id}
        old = [number for number in connection.scalars(ids) if number not in kept]
        return sum(
            # One at a time: a year of versions is more than a statement may have parameters.
            affected(connection.execute(delete(table).where(table.model_version_id == number)))
            for number in old
            for table in (Forecast, ForecastScore)
        )


def _read(
    engine: Engine,
    version: VersionRow | str,
    table: type[Forecast] | type[ForecastScore],
    names: list[str],
    unique_id: object,
) -> tuple[pd.DataFrame, Freq]:
    import pandas as pd

    with reading(engine) as connection:
        row = get_row(connection, find_id(connection, version))
        query = (
            select(Series.key.label("unique_id"), *(getattr(table, name) for name in names))
            .join(Series, Series.id == table.series_id)
            .where(table.model_version_id == row.id)
            .order_by(*table.__table__.primary_key)
        )
        if unique_id is not None:
            # Its number first: SQLite would otherwise read all rows of the version.
            known = find_series(connection, row.fleet, [str(unique_id)], Freq(row.freq, row.tz))
            query = query.where(table.series_id == known.get(str(unique_id), -1))
        rows = connection.execute(query).all()
    frame = pd.DataFrame.from_records([tuple(one) for one in rows], columns=["unique_id", *names])
    floats = {name: "float64" for name in ("mean", "lo", "hi", "value") if name in names}
    return frame.astype(floats), Freq(row.freq, row.tz)


def _read_origins(frame: pd.DataFrame, id_col: str, time_col: str, freq: Freq) -> tuple[Keys, I64]:
    """Return the keys of a frame and the origin of each row, in the units of the frequency."""
    if "cutoff" not in frame:
        keys = read_keys(frame[id_col], frame[time_col], freq)
        heads = np.flatnonzero(np.diff(keys.series, prepend=-1))
        first = keys.times[heads]
        origins = freq.times(first, np.full(len(first), -1, np.int64))
        return keys, np.repeat(origins, np.diff(np.append(heads, len(keys.series))))
    cutoffs, _ = read_times(frame["cutoff"], frame[id_col], freq)
    # One series has several rows for one time, one for each origin: each origin is read by itself.
    parts = [np.flatnonzero(cutoffs == cutoff) for cutoff in np.unique(cutoffs)]
    ids: dict[str, int] = {}
    read = []
    for part in parts:
        keys = read_keys(frame[id_col].iloc[part], frame[time_col].iloc[part], freq)
        at = np.array([ids.setdefault(key, len(ids)) for key in keys.ids], np.int64)
        read.append((part[keys.order], at[keys.series], keys.times, keys.ts))
    order, series, times, ts = (np.concatenate(columns) for columns in zip(*read, strict=True))
    return Keys(order, series, tuple(ids), times, ts), cutoffs[order]


def _steps(frame: pd.DataFrame, id_col: str, time_col: str, keys: Keys, origins: I64, freq: Freq) -> I64:
    """Return how many steps after its origin each row is; `StoreError` names one that is off the grid."""
    h, on = freq.positions(keys.times, origins)
    off = np.flatnonzero(~(on & (h >= 1)))
    if len(off):
        bad = keys.order[off[0]]
        raise StoreError(
            f"series {frame[id_col].iloc[bad]!r}: {frame[time_col].iloc[bad]} is not on the grid "
            f"{freq.text!r} after its origin"
        )
    return h


def _windows(
    connection: Connection, row: VersionRow, frame: pd.DataFrame, id_col: str
) -> tuple[I64, dict[str, Column]]:
    """Return the order of the table, and in it which series, metric and window each score is of."""
    freq = Freq(row.freq, row.tz)
    cutoff = np.zeros(len(frame), np.int64)
    if "cutoff" in frame:
        _, cutoff = read_times(frame["cutoff"], frame[id_col], freq)
    ids = [str(one) for one in frame[id_col]]
    metric = frame["metric"].astype(str).to_numpy(dtype=object)
    numbers = series_numbers(connection, row.fleet, ids, freq)
    order = np.lexsort((cutoff, metric.astype(str), numbers))
    _refuse_repeats(ids, numbers[order], metric[order], cutoff[order], order)
    return order, {"series_id": numbers[order], "metric": metric[order], "cutoff": cutoff[order]}


def _write_model(
    connection: Connection,
    row: VersionRow,
    frame: pd.DataFrame,
    alias: str,
    order: I64,
    where: dict[str, I64],
) -> int:
    _check_columns(frame, [alias])
    levels = _levels(frame, alias)
    mean = _numbers(frame, alias)[order]
    each = max(len(levels), 1)
    columns: dict[str, Column] = {"model_version_id": row.id, "model": alias}
    columns |= {name: np.repeat(values, each) for name, values in where.items()}
    columns["mean"] = np.repeat(mean, each)
    if levels:
        columns["level"] = np.tile(np.array(list(levels)), len(mean))
        for side in ("lo", "hi"):
            names = [f"{alias}-{side}-{text}" for text in levels.values()]
            _check_columns(frame, names)
            columns[side] = np.column_stack([_numbers(frame, name)[order] for name in names]).ravel()
    else:
        columns["level"] = _WITHOUT_INTERVAL
    return write_rows(connection, Forecast, columns)


def _levels(frame: pd.DataFrame, alias: str) -> dict[float, str]:
    """Return the levels of a model, ascending, with their spelling."""
    start = f"{alias}-lo-"
    found = [str(name).removeprefix(start) for name in frame.columns if str(name).startswith(start)]
    try:
        return dict(sorted((float(text), text) for text in found))
    except ValueError:
        raise StoreError(f"columns {start}...: {found} are not all levels in per cent") from None


def _numbers(frame: pd.DataFrame, name: str) -> F64:
    try:
        return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise StoreError(f"column {name!r} holds {frame[name].dtype}, needs numbers") from None


def _check_columns(frame: pd.DataFrame, names: list[str]) -> None:
    for name in names:
        if name not in frame:
            raise StoreError(f"the frame has no column {name!r}{nearest(name, map(str, frame.columns))}")


def _refuse_repeats(ids: list[str], numbers: I64, metric: Any, cutoff: I64, order: Any) -> None:  # noqa: ANN401  # arrays
    same = (np.diff(numbers) == 0) & (metric[1:] == metric[:-1]) & (np.diff(cutoff) == 0)
    if same.any():
        at = np.flatnonzero(same)[0]
        raise StoreError(f"series {ids[order[at]]!r} has two scores {metric[at]!r} of one window; keep one")
