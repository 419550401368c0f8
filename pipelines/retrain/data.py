"""The data of a refit: what the fleet was trained on, and the ticks that came after it, on one grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.types import F64, I64, Bool
from pipelines.errors import TrainError
from pipelines.history import read_ticks
from pipelines.kernels.admission import FAR
from pipelines.logs import log
from pipelines.retrain.replay import MOST_POINTS, TOLERANCE
from pipelines.retrain.source import Source, read_history, read_source
from pipelines.stream.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from forecast.models.panel import Panel
    from forecast.models.schema import Schema
    from pipelines.settings import Settings
    from pipelines.store import VersionRow

# After so many points without a tick, so few are set aside: one with a wrong clock would make the end of a
# series that nothing is known of, and whatever is judged lies at the end.
_SILENCE = 100
_FEW = 6


def read_data(
    settings: Settings, row: VersionRow, schema: Schema, wanted: Sequence[str], source: Source | None = None
) -> Panel:
    """Return some series of a fleet up to now, in the order of `wanted`.

    Parameters
    ----------
    row
        The champion: what it, or the first of its line, was trained on is where the data begin.
    wanted
        Ids, as text.
    source
        Read in place of the history. Archived ticks after its end are added just the same.

    Raises
    ------
    TrainError
        The history is gone or damaged, or there is nothing after it.
    HistoryError
        A file of archived ticks is damaged.
    InputError
        `source` cannot be read.
    """
    if source is None:
        panel = read_history(row, settings.history_root, wanted)
    else:
        panel = read_source(row, source, schema, wanted)
    folder = settings.history_root / row.fleet / "ticks"
    grid = Grid.of(panel.freq)
    ends = grid.ts_ms(panel.start, np.maximum(panel.lengths - 1, 0))
    ticks = read_ticks(folder, wanted, after_ms=int(ends.min()))
    if source is None and not len(ticks):
        raise TrainError(
            f"no tick of {_some(wanted)} after the history of {row.fleet!r} is in {folder}: does "
            f"`forecast monitor` run with an archive there? Or refit from a file: forecast retrain --now "
            f"--fleet {row.fleet} --input FILE"
        )
    return extended(panel, ticks)


def extended(panel: Panel, ticks: pd.DataFrame) -> Panel:
    """Return `panel` with what the archive knows of the points after its end.

    Ticks off the grid, or of points that the panel has, are left out, and so are a few alone after a long
    silence; of two of one point the later one counts. Points without a tick are NaN; a regressor that is
    missing there is held at its last value, as nothing else is known of it.

    Parameters
    ----------
    ticks
        ``unique_id, ts_ms, y`` and regressors, sorted, as `read_ticks` returns them.
    """
    row, point, at = _placed(panel, ticks)
    if not len(row):
        return panel
    lengths = panel.lengths.copy()
    np.maximum.at(lengths, row, point + 1)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    old = np.repeat(indptr[:-1] - panel.indptr[:-1], panel.lengths) + np.arange(len(panel.values))
    new = indptr[row] + point

    def longer(before: F64, name: str) -> F64:
        out = np.full(int(indptr[-1]), np.nan)
        out[old] = before
        if name in ticks:
            out[new] = ticks[name].to_numpy(np.float64)[at]
        return out

    exog = {name: _held(longer(column, name), indptr, panel.lengths) for name, column in panel.exog.items()}
    return replace(panel, values=longer(panel.values, "y"), indptr=indptr, exog=exog)


def _placed(panel: Panel, ticks: pd.DataFrame) -> tuple[I64, I64, I64]:
    """(k,) series, point, and row in `ticks` of what is new, one a point."""
    where = {str(key): i for i, key in enumerate(panel.ids.tolist())}
    row = np.array([where.get(str(key), -1) for key in ticks["unique_id"].tolist()], dtype=np.int64)
    grid = Grid.of(panel.freq)
    table = np.array(panel.start[:, None], dtype=np.int64)
    point = grid.positions(grid.times(ticks["ts_ms"].to_numpy(np.int64)), row, table, TOLERANCE)
    since = point - panel.lengths[np.maximum(row, 0)]
    at = np.flatnonzero((row >= 0) & (point != FAR) & (since >= 0) & (since < MOST_POINTS))
    order = at[np.lexsort((at, point[at], row[at]))]
    if not len(order):
        return order, order, order
    last = np.append((np.diff(row[order]) != 0) | (np.diff(point[order]) != 0), True)
    order = order[last]
    order = order[~_stray(panel, row[order], point[order])]
    return row[order], point[order], order


def _stray(panel: Panel, row: I64, point: I64) -> Bool:
    """(k,) which ticks, ordered by series and point, lie by themselves far after all others of theirs."""
    k = np.arange(len(row))
    begin, end = np.searchsorted(row, row, side="left"), np.searchsorted(row, row, side="right")
    before = np.where(k == begin, panel.lengths[row] - 1, np.roll(point, 1))
    alone = (point - before > _SILENCE) & (end - k < _FEW)
    stray: Bool = np.maximum.accumulate(np.where(alone, k, -1)) >= begin
    if stray.any():
        some = [str(panel.ids[i]) for i in np.unique(row[stray]).tolist()]
        log.warning(
            "%d ticks of %s lie over %d points after all others and are left out: a wrong clock, or "
            "the first after a silence", int(stray.sum()), _some(some), _SILENCE,
        )  # fmt: skip
    return stray


def _held(column: F64, indptr: I64, before: I64) -> F64:
    """Hold the last value of a regressor where it is missing after the first `before` points of a series."""
    for i in range(len(before)):
        begin, end = int(indptr[i] + before[i]), int(indptr[i + 1])
        first = max(begin - 1, int(indptr[i]))
        known = ~np.isnan(column[first:end])
        back = np.maximum.accumulate(np.where(known, np.arange(end - first), -1))
        filled = np.where(back >= 0, column[first:end][np.maximum(back, 0)], np.nan)
        column[begin:end] = filled[begin - first :]
    return column


def _some(wanted: Sequence[str]) -> str:
    named = ", ".join(repr(key) for key in wanted[:3])
    return named if len(wanted) <= 3 else f"{named} and {len(wanted) - 3} more"
