"""Steps of models with regressors: what is known of those at each point, then the moves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forecast.online.bank import Ahead
from forecast.types import F64, I64, Bool
from pipelines.kernels.admission import Arrivals
from pipelines.kernels.regressors import Drives, drive
from pipelines.stream.desk import Desk
from pipelines.stream.shard import Shard

# Imputed points that are moved over at once, in all series: tens of megabytes.
_POINTS = 1 << 20


def step(
    desk: Desk, shard: Shard, ticks: Arrivals, rows: I64, missing: I64, skip: bool = False
) -> tuple[Ahead, Bool]:
    """Move the series of ticks `rows` (m,); at imputed points stand the regressors known of those.

    A series with missing points must come once.

    Parameters
    ----------
    missing
        (m,)
    skip
        Jump to the tick; nothing may be missing.

    Returns
    -------
    ahead, known
        The forecasts, and (m,) which of them have all the future regressors that are asked for.
    """
    series, at = ticks.series[rows], ticks.position[rows]
    slots, m, names = shard.series.slot[series], len(rows), len(desk.exog)
    drives = Drives(
        np.empty((m, names)), np.empty((m, desk.options.horizon, names)), np.empty(m, dtype=np.bool_),
        np.empty((int(missing.sum()), names)),
    )  # fmt: skip
    rules = desk.rules
    drive(shard.kept, rules.ahead, rules.require, series, at, missing, ticks.given[rows], drives)
    now = _named(desk, drives.now)
    if skip:
        desk.bank.skip(slots, at, now)
    for some, exog in _gaps(missing, drives.gaps):
        nothing = np.full(exog.shape[:2], np.nan)
        desk.bank.advance(slots[some], nothing, missing[some], _named(desk, exog))
    future = _named(desk, drives.future)
    return desk.bank.step(slots, np.zeros(m, dtype=np.int64), ticks.value[rows], now, future), drives.known


def _named(desk: Desk, values: F64) -> dict[str, F64]:
    return {name: values[..., j] for j, name in enumerate(desk.exog)}


def _gaps(missing: I64, gaps: F64) -> Iterator[tuple[I64, F64]]:
    """Yield ticks with points missing before them, some at a time, and (k, W, X) regressors of those."""
    late = np.flatnonzero(missing)
    if not len(late):
        return
    begins = np.cumsum(missing) - missing
    block = max(1, _POINTS // int(missing.max()))
    for first in range(0, len(late), block):
        some = late[first : first + block]
        width = int(missing[some].max())
        points = np.minimum(np.arange(width), missing[some, None] - 1)
        yield some, gaps[begins[some, None] + points]
