"""Forecasts with intervals, from records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecast.errors import InputError
from forecast.models.assemble import part
from forecast.models.deterministic import deterministic_path
from forecast.models.dynamics import Dynamics, dynamics
from forecast.models.intervals import innovation_variance, parameter_variance, state_variance
from forecast.models.records import Form, Records, Transform
from forecast.models.threads import over_rows
from forecast.types import F64

# Rows handled at once. The scratch of a block (recursion, psi weights) is then a few MB
# and stays in cache, whatever the number of series; results do not depend on it.
BLOCK_ROWS = 4096
# A thread's share: below it the array operations are so short that threads wait for the interpreter's lock.
LEAST_ROWS = 2048

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """Forecasts of n series, h steps ahead; arrays are read-only."""

    mean: F64
    """(n, h) units of y. Of a series modelled in logarithms it is the median."""
    sd: F64
    """(n, h) standard deviation of the forecast error, units of w, before `calibration`."""
    lo: F64
    """(n, len(levels), h) units of y."""
    hi: F64
    levels: tuple[float, ...]
    """Coverage in percent, as asked for."""

    def __post_init__(self) -> None:
        for array in (self.mean, self.sd, self.lo, self.hi):
            array.flags.writeable = False


def forecast(
    records: Records,
    h: int,
    levels: Sequence[float] = (80, 95),
    exog: Mapping[str, F64] | None = None,
    jobs: int = 1,
) -> Forecasts:
    """Forecast every series `h` steps ahead.

    Parameters
    ----------
    h
        Horizon in steps, >= 1.
    levels
        Coverage of the intervals in percent, inside (0, 100).
    exog
        Future regressors by name, (n, h) each.
    jobs
        Threads; the result is the same to the last bit.

    Notes
    -----
    The error variance is the sum of `innovation_variance`, `state_variance` and
    `parameter_variance`. Quantiles are Gaussian: what a t distribution would add in short
    series is mostly the uncertainty of the coefficients, which is in the variance already. In the LOG
    transform the ends of the interval are transformed, which keeps their coverage.

    A record without a level (nothing was observed) gives NaN, one without sigma2 a mean and no interval.
    """
    check_request(h, levels)
    m = deterministic_path(records, h, exog)
    n = records.n_series
    mean, sd = np.empty((n, h)), np.empty((n, h))
    lo, hi = np.empty((n, len(levels), h)), np.empty((n, len(levels), h))
    reach = np.array([_NORMAL.inv_cdf(0.5 + float(level) / 200.0) for level in levels])[:, None]

    def work(first: int, last: int) -> None:
        for start in range(first, last, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, last)
            rows, some = slice(start, stop), part(records, start, stop)
            center, sd[rows] = _moments(records, m, exog or {}, start, stop)
            middle, half = center[:, None, :], reach * sd[rows, None, :]
            lo[rows], hi[rows] = widen(some, center, middle - half, middle + half)
            mean[rows] = to_units(some, center)

    over_rows(work, n, jobs, least=LEAST_ROWS)
    return Forecasts(mean, sd, lo, hi, tuple(levels))


def check_request(h: int, levels: Sequence[float]) -> None:
    """Raise InputError for a horizon or a level that makes no sense."""
    if h < 1:
        raise InputError(f"h must be 1 or more, got {h!r}")
    for level in levels:
        if not 0 < level < 100:
            raise InputError(f"a level is a percentage between 0 and 100, got {level!r}")


def _moments(records: Records, m: F64, exog: Mapping[str, F64], first: int, last: int) -> tuple[F64, F64]:
    """Return mean and standard deviation (rows, h) of w for rows first..last."""
    # Missing models are NaN on purpose; a coefficient sum of 1 has no finite mean to adjust for.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        run = dynamics(records, m, first, last)
        center = mean_of(records, run, m)
        variance = innovation_variance(records, run)
        variance += state_variance(records, run)
        variance += parameter_variance(records, run, exog)
        return center, np.sqrt(variance)


def mean_of(records: Records, run: Dynamics, m: F64) -> F64:
    """(rows, h) conditional mean of w: the path, and m where the levels were taken free of it."""
    rows = slice(run.first, run.last)
    regression = (records.form[rows] == Form.REGRESSION)[:, None]
    return run.path + np.where(regression, m[rows], 0.0)


def calibration(records: Records) -> F64:
    """(n,) factor on the half-width of every interval: max(1, oos_scale), 1 where not measured.

    This is the only place where out-of-sample errors enter an interval. A model whose
    errors were larger than it said gets wider intervals; one whose errors were smaller keeps
    what it said, because a few quiet points are weak evidence.
    """
    return np.where(records.oos_scale > 1.0, records.oos_scale, 1.0)


def widen(records: Records, center: F64, lo: F64, hi: F64) -> tuple[F64, F64]:
    """Calibrate interval ends (n, levels, h) in units of w about `center`, and return them in units of y."""
    factor = calibration(records)
    if (factor != 1.0).any():
        middle, factor = center[:, None, :], factor[:, None, None]
        lo, hi = middle + factor * (lo - middle), middle + factor * (hi - middle)
    return to_units(records, lo), to_units(records, hi)


def to_units(records: Records, w: F64) -> F64:
    """Turn w (n, ...) into y: scale * w, or exp(w + log(scale)) in the LOG transform.

    A value of y beyond the range of float64 is infinite; nothing on the way to one inside it is.
    """
    shape = (-1,) + (1,) * (w.ndim - 1)
    scale, log = records.scale.reshape(shape), (records.transform == Transform.LOG).reshape(shape)
    with np.errstate(over="ignore", under="ignore"):
        if not log.any():
            return w if (scale == 1.0).all() else w * scale
        return np.where(log, np.exp(np.where(log, w + np.log(scale), 0.0)), w * scale)
