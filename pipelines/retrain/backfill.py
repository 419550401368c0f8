"""What a new version would have said since the drift: rows of its own, beside those of the old one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.models.assemble import take
from forecast.models.records import Records
from forecast.types import F64, I64
from pipelines.errors import StoreError
from pipelines.logs import log
from pipelines.retrain.replay import Paths, Ticks, lay_out, replay
from pipelines.retrain.rewind import rewound
from pipelines.retrain.trail import jobs_behind
from pipelines.stream.grid import Grid
from pipelines.stream.served import nominal_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from forecast.models.schema import Schema
    from pipelines.settings import Settings
    from pipelines.store import FollowUp, Store, VersionRow

_LEVELS: Final = (80.0, 95.0)
_HORIZON: Final = 24

# Points before the first origin that bring a state to where it was: what lies further back has decayed.
_WARM_POINTS: Final = 2_000

# Points of a block of series: arrays of some 10 MB.
_MOST_POINTS: Final = 1_000_000


def backfill(settings: Settings, store: Store, version: VersionRow, *, since_ms: int | None = None) -> int:
    """Write forecasts of a version from past origins, and return how many rows of the table they take.

    Origins are the archived ticks of the series that the version itself holds. Rows of other versions are
    not touched, and the same call again writes the same rows again.

    Parameters
    ----------
    since_ms
        The first origin, on the clock of the ticks; None: the first event that led to the version.

    Raises
    ------
    StoreError
        No event led to the version and `since_ms` is not given; or the store does not answer.
    ArtifactError
        The version's folder is damaged.
    HistoryError
        The archive is damaged.

    Notes
    -----
    At most `sql_rows` rows are written: where there would be more, every second origin is left out, or more
    of them.
    """
    from forecast.models.schema import Schema
    from forecast.models.version import load

    since = since_ms if since_ms is not None else drift_began(store, version)
    if since is None:
        raise StoreError(
            f"no drift event led to {version.name}: say from when on it is to be backfilled (--since)"
        )
    found = load(version.artifact_uri)
    h, levels = _asked(version)
    schema = Schema.from_json(found.manifest.schema)
    written = 0
    for model in found.models:
        written += _model(settings, store, version, model.alias, model.records, schema, since, h, levels)
    log.info("%s: %d rows of forecasts from origins since the drift", version.name, written)
    return written


def drift_began(store: Store, version: VersionRow) -> int | None:
    """Return the time of the first event of the jobs that led to a version; None where there is none."""
    times = [row.event.ts_ms for job in jobs_behind(store, version) for row in store.job_events(job.id)]
    return min(times, default=None)


def backfill_of(store: Store, champion: VersionRow, made: VersionRow | None = None) -> FollowUp | None:
    """Return the job that backfills a new champion; None where no drift led to it.

    Parameters
    ----------
    made
        The version that the refit made, where the champion is that one on top of a later champion.
    """
    from pipelines.store import FollowUp

    since_ms = drift_began(store, made or champion)
    if since_ms is None:
        return None
    payload = {"kind": "backfill", "version": champion.version, "since_ms": since_ms}
    return FollowUp(payload, f"{champion.fleet}/backfill/{champion.version}")


def _model(
    settings: Settings, store: Store, version: VersionRow, alias: str, records: Records, schema: Schema,
    since_ms: int, h: int, levels: Sequence[float],
) -> int:  # fmt: skip
    from pipelines.history.ticks import read_ticks

    folder = settings.history_root / version.fleet / "ticks"
    after = since_ms - _WARM_POINTS * nominal_step(records.freq)
    written, stride = 0, None
    for rows in _blocks(records):
        some = take(records, rows)
        ids = [str(key) for key in some.ids.tolist()]
        ticks = lay_out(some, read_ticks(folder, ids, after_ms=after))
        wanted = (ticks.ts_ms >= since_ms) & (ticks.points >= 1)
        if stride is None:  # of the first block: the others have as many origins, or nearly so
            most = int(wanted.sum()) * records.n_series / max(len(rows), 1) * h * len(levels)
            stride = max(1, int(np.ceil(most / max(settings.sql_rows, 1))))
        wanted &= ticks.points % stride == 0
        if wanted.any():
            paths = _replayed(some, ticks, since_ms, h, levels)
            frame = _frame(some, ticks, paths, np.flatnonzero(wanted), alias, levels, schema)
            if len(frame):
                written += store.write_forecasts(version, frame, schema.id_col, schema.time_col)
    if stride is not None and stride > 1:
        log.info("%s: one origin in %d, for the store takes %d rows", version.name, stride, settings.sql_rows)
    return written


def _replayed(records: Records, ticks: Ticks, since_ms: int, h: int, levels: Sequence[float]) -> Paths:
    """Run the ticks through the parameters from just before the first origin on."""
    grid = Grid.of(records.freq)
    table = np.ascontiguousarray(records.start[:, None], dtype=np.int64)
    every = np.arange(records.n_series)
    times = grid.times(np.full(records.n_series, since_ms))
    first = grid.positions(times, every, table, 0.5)
    # One point earlier: the tick of the first origin is then the first that is stepped over.
    last = np.clip(first - 1, 0, _last_point(ticks, records.n_series))
    return replay(rewound(records, ticks, last.astype(np.int64)), ticks, h, levels)


def _last_point(ticks: Ticks, n: int) -> I64:
    """(n,) point of the last tick of each series, 0 where it has none."""
    last = np.zeros(n, dtype=np.int64)
    np.maximum.at(last, ticks.rows, ticks.points)
    return last


def _frame(
    records: Records, ticks: Ticks, paths: Paths, origins: I64, alias: str, levels: Sequence[float],
    schema: Schema,
) -> pd.DataFrame:  # fmt: skip
    """Return forecasts as `predict` does, with the last time known in ``cutoff``."""
    import pandas as pd

    from forecast.models.clock import stamps
    from forecast.models.output import id_column

    origins = origins[np.isfinite(paths.mean[origins]).all(axis=1)]
    h = paths.mean.shape[1]
    rows, points = ticks.rows[origins], ticks.points[origins]
    start = records.start[rows]
    ahead = records.freq.times(np.repeat(start, h), (points[:, None] + np.arange(1, h + 1)).ravel())
    cutoff = np.repeat(records.freq.times(start, points), h)
    columns: dict[str, Any] = {
        schema.id_col: id_column(records.ids[rows], h, schema),
        schema.time_col: stamps(ahead, records.freq, schema),
        "cutoff": stamps(cutoff, records.freq, schema),
        alias: paths.mean[origins].ravel(),
    }
    for k, level in enumerate(levels):
        columns[f"{alias}-lo-{level:g}"] = _flat(paths.lo, k, origins)
        columns[f"{alias}-hi-{level:g}"] = _flat(paths.hi, k, origins)
    return pd.DataFrame(columns)


def _flat(ends: F64, k: int, origins: I64) -> F64:
    return np.asarray(ends[k][origins].ravel())


def _blocks(records: Records) -> Iterator[I64]:
    """Cut the series so that a block takes `_MOST_POINTS` points from their beginning on, or one series."""
    first, n = 0, records.n_series
    reach = np.cumsum(records.nobs.astype(np.int64) + _WARM_POINTS)
    while first < n:
        before = int(reach[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(reach, before + _MOST_POINTS, side="right")))
        yield np.arange(first, last)
        first = last


def _asked(version: VersionRow) -> tuple[int, tuple[float, ...]]:
    """Return horizon and levels of the job that trained the fleet."""
    job: Mapping[str, Any] = (version.training or {}).get("job", {})
    levels = tuple(float(level) for level in job.get("levels", _LEVELS))
    return int(job.get("horizon", _HORIZON)), levels or _LEVELS
