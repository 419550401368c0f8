"""Series without a model: the naive forecast from the values in their window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64, Bool
from pipelines.kernels.admission import IMPUTED, SEEN, Arrivals, Series, forget_values, take_in


class Walks(NamedTuple):
    """What m ticks of series without a model come to."""

    warm: Bool
    """(m,) whether enough is known for a forecast; the rest of its row has no meaning if not."""
    level: F64
    """(m,) last observed value."""
    age: I64
    """(m,) steps since then."""
    sigma2: F64
    """(m,) variance of a step, units of the series squared."""
    z: F64
    """(m,) step over its standard deviation before the tick; NaN without a value."""
    imputed: I64


@exact_kernel
def _window(series: Series, s: int, at: int) -> tuple[float, int, float]:
    """Return last value, its age and the variance of a step, of the window that ends at `at`; NaN: unknown.

    A step over k points counts as the sum of k steps, as in `forecast.kernels.seasonal_walk`.
    """
    width = series.window.shape[1]
    level, age, total, count = np.nan, 0, 0.0, 0
    for k in range(at - width + 1, at + 1):
        value = series.window[s, k % width]
        if np.isnan(value):
            age += 1
            continue
        if not np.isnan(level):
            total += (value - level) * (value - level) / (age + 1)
            count += 1
        level, age = value, 0
    return level, age, total / count if count > 0 else np.nan


@exact_kernel
def walk(
    series: Series, ticks: Arrivals, rows: I64, missing: I64, gap_cap: int, warm_up: int, out: Walks
) -> tuple[int, int]:
    """Move series without a model over ticks `rows`, in order.

    Returns
    -------
    imputed, resets
        Points without a value, and windows that began anew after a gap of more than `gap_cap`.
    """
    imputed, resets = 0, 0
    for j in range(len(rows)):
        i = int(rows[j])
        s, at, value = ticks.series[i], ticks.position[i], ticks.value[i]
        if missing[i] > gap_cap:
            forget_values(series, s)
            missing[i] = 0
            resets += 1
        before, age, sigma2 = _window(series, s, at - missing[i] - 1)
        f = sigma2 * (age + missing[i] + 1)
        out.z[j] = (value - before) / np.sqrt(f) if f > 0.0 else value - before
        if np.isnan(f):
            out.z[j] = np.nan
        imputed += take_in(series, s, at, missing[i], value)
        out.imputed[j] = series.table[s, IMPUTED]
        level, age, sigma2 = _window(series, s, at)
        out.level[j], out.age[j], out.sigma2[j] = level, age, sigma2
        known = np.isnan(value) or not np.isnan(out.z[j])
        out.warm[j] = series.table[s, SEEN] >= warm_up and not np.isnan(sigma2) and known
    return imputed, resets
