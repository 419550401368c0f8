"""Missing values in a history, filled by the forecasts of one step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .errors import HistoryError

F64 = NDArray[np.float64]


def fill(history: F64, width: int, one_step: Callable[[F64, int], float]) -> F64:
    """Return `history` without NaN, oldest first.

    What comes before the last `width` known values in a row is dropped: no forecast needs it. After them each
    NaN becomes the forecast of the values before it, filled ones included.

    Parameters
    ----------
    history
        (n,) values, oldest first; NaN is missing.
    width
        Lags that a forecast needs, at least 1.
    one_step
        From the (width,) values before a point, newest first, and its position: the forecast of it.

    Raises
    ------
    HistoryError
        No `width` known values stand in a row; or a run of NaN after them is longer than `width`: from there
        on a forecast would be made of forecasts alone.
    """
    missing = np.isnan(history)
    if not missing.any():
        return history
    start = _last_run(~missing, width)
    out = history[start:].copy()
    run = 0
    for i in range(width, len(out)):
        run = run + 1 if np.isnan(out[i]) else 0
        if run > width:
            raise HistoryError(
                f"the history has over {width} missing values in a row, more than the lags of the model; "
                "pass values that begin after the gap, or use `step`, which carries its state over it"
            )
        if run:
            out[i] = one_step(out[i - width : i][::-1], start + i)
    return out


def _last_run(known: NDArray[np.bool_], width: int) -> int:
    """Return where the last `width` known values in a row begin."""
    run = 0
    for i in range(len(known) - 1, -1, -1):
        run = run + 1 if known[i] else 0
        if run == width:
            return i
    raise HistoryError(
        f"the history has no {width} known values in a row, which the model needs to fill what is missing; "
        "pass a longer history"
    )
