"""Late ticks within the grace: their series is moved anew, from the state that stands behind."""

from __future__ import annotations

import numpy as np

from forecast.online.bank import Ahead
from forecast.types import I64
from pipelines.errors import StreamError
from pipelines.kernels.admission import Arrivals
from pipelines.stream.desk import Desk
from pipelines.stream.shard import Shard


def patch(desk: Desk, shard: Shard, ticks: Arrivals, rows: I64) -> tuple[Ahead, I64, I64]:
    """Put ticks `rows` (m,), of as many series, into the past.

    Returns
    -------
    ahead, imputed, at
        The forecasts anew, (m,) points filled since the last observed one, and (m,) where the series stand.
    """
    if desk.base is None:
        raise StreamError("a late tick cannot be taken in without grace")
    series, some = shard.series, ticks.series[rows]
    width = series.window.shape[1]
    series.window[some, ticks.position[rows] % width] = ticks.value[rows]
    series.seen[some] += 1
    at, slots = series.position[some], series.slot[some]
    desk.bank.load(slots, *desk.base.dump(series.base_slot[some]))
    counts = at - 1 - series.base[some]
    places = series.base[some, None] + 1 + np.arange(max(1, desk.rules.grace))
    values = np.where(places < at[:, None], series.window[some[:, None], places % width], np.nan)
    desk.bank.advance(slots, values, counts)
    ahead = desk.bank.step(slots, np.zeros(len(rows), dtype=np.int64), series.window[some, at % width])
    back = at[:, None] - np.arange(width)
    seen = ~np.isnan(series.window[some[:, None], back % width])
    series.imputed[some] = np.argmax(seen, axis=1)  # the patched value itself is in the window
    return ahead, series.imputed[some], at
