"""How `evaluate` scores many windows at once: what each metric needs, and the rows it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError, nearest
from forecast.selection.metrics import (
    coverage,
    crps,
    interval_score,
    mae,
    mase,
    msis,
    pinball,
    rmse,
    rmsse,
    smape,
)
from forecast.types import F64


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Forecasts of one model over w windows, and what came true.

    Rows shorter than h are padded with NaN in `y`. `scale` is the mean absolute and `scale_squared`
    the mean squared seasonal difference of each training series, empty unless a metric needs them.
    """

    y: F64
    """(w, h)"""
    mean: F64
    """(w, h)"""
    levels: tuple[float, ...]
    """Percent, increasing; () of a model without intervals."""
    lo: F64
    """(w, len(levels), h)"""
    hi: F64
    scale: F64
    scale_squared: F64

    def taus(self) -> F64:
        """(2 len(levels) + 1,) what `quantiles` are quantiles of."""
        half = np.array(self.levels) / 200.0
        return np.concatenate([0.5 - half[::-1], [0.5], 0.5 + half])

    def quantiles(self) -> F64:
        """(w, 2 len(levels) + 1, h); the mean counts as the median."""
        return np.concatenate([self.lo[:, ::-1], self.mean[:, None], self.hi], axis=1)


@dataclass(frozen=True, slots=True)
class Metric:
    """A score that `evaluate` can compute.

    Parameters
    ----------
    name
        What it is called in a list of metrics.
    function
        The function of arrays that a person calls.
    score
        The same over `Windows`: rows of the table by name, each (w,).
    needs_scale
        True when it divides by `Windows.scale` or `Windows.scale_squared`.
    needs_intervals
        True when it means nothing without prediction intervals.
    """

    name: str
    function: Callable[..., F64]
    score: Callable[[Windows], Mapping[str, F64]]
    needs_scale: bool = False
    needs_intervals: bool = False


def _coverage(w: Windows) -> dict[str, F64]:
    return {f"coverage-{v:g}": coverage(w.y, w.lo[:, i], w.hi[:, i]) for i, v in enumerate(w.levels)}


def _msis(w: Windows) -> dict[str, F64]:
    return {
        f"msis-{v:g}": interval_score(w.y, w.lo[:, i], w.hi[:, i], v) / w.scale
        for i, v in enumerate(w.levels)
    }


def _pinball(w: Windows) -> dict[str, F64]:
    q = w.quantiles()
    return {f"pinball-{tau:g}": pinball(w.y, q[:, i], tau) for i, tau in enumerate(w.taus().round(9))}


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", mae, lambda w: {"mae": mae(w.y, w.mean)}),
        Metric("rmse", rmse, lambda w: {"rmse": rmse(w.y, w.mean)}),
        Metric("smape", smape, lambda w: {"smape": smape(w.y, w.mean)}),
        Metric("mase", mase, lambda w: {"mase": mae(w.y, w.mean) / w.scale}, needs_scale=True),
        Metric(
            "rmsse",
            rmsse,
            lambda w: {"rmsse": rmse(w.y, w.mean) / np.sqrt(w.scale_squared)},
            needs_scale=True,
        ),
        Metric("pinball", pinball, _pinball),
        Metric("crps", crps, lambda w: {"crps": crps(w.y, w.quantiles(), w.taus())}),
        Metric("coverage", coverage, _coverage, needs_intervals=True),
        Metric("msis", msis, _msis, needs_scale=True, needs_intervals=True),
    )
}


def find_metric(wanted: object) -> Metric:
    """Return the metric that is meant by a function of this module, a name, or a `Metric`."""
    if isinstance(wanted, Metric):
        return wanted
    name = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", repr(wanted))
    metric = METRICS.get(name)
    if metric is None or not (isinstance(wanted, str) or metric.function is wanted):
        raise InputError(f"unknown metric {name!r}{nearest(name, METRICS)}, or give a Metric of your own")
    return metric
