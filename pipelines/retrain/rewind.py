"""Records at an earlier point: the same parameters, and the state that the ticks before it leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecast.models.assemble import lagged_names
from forecast.models.filtering import end_state
from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.types import F64, I64
from pipelines.retrain.replay import Ticks


def rewound(records: Records, ticks: Ticks, last: I64) -> Records:
    """Return the records as they would stand after the points up to `last`, parameters as they are.

    What was before the first tick counts as missing: a state that the ticks do not determine is NaN, and so
    are forecasts from it.

    Parameters
    ----------
    ticks
        Laid out for these records.
    last
        (n,) the last point that is known, 0 or more.
    """
    lengths = last + 1
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    kept = (ticks.points >= 0) & (ticks.points < lengths[ticks.rows])
    at = indptr[ticks.rows[kept]] + ticks.points[kept]

    def scattered(values: F64) -> F64:
        out = np.full(int(indptr[-1]), np.nan)
        out[at] = values[kept]
        return out

    exog = {name: scattered(values) for name, values in ticks.exog.items()}
    panel = Panel(scattered(ticks.y), indptr, records.ids, records.start, records.freq, exog)
    levels, innovations, state_cov = end_state(records, panel)
    return replace(
        records,
        nobs=lengths.astype(np.int32),
        levels=levels,
        innovations=innovations,
        state_cov=state_cov,
        exog_tail=_tail(records, panel),
    )


def _tail(records: Records, panel: Panel) -> F64:
    """(n, names, max lag) last regressors, newest first; 0 where there was none."""
    tail = np.zeros_like(records.exog_tail)
    for j, name in enumerate(lagged_names(records.exog)):
        for i in range(panel.n_series):
            values = panel.exog[name][panel.indptr[i] : panel.indptr[i + 1]][::-1][: tail.shape[2]]
            tail[i, j, : len(values)] = np.nan_to_num(values)
    return tail
