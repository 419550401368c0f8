"""Scores of forecasts: pure functions of arrays.

Every function reduces the last axis, the horizon, and takes any leading axes as a batch: arrays
(h,) give one number, (n, h) give (n,). A NaN in `y` leaves that point out; a window without any
observed point is NaN. A NaN in the forecast of an observed point makes the score NaN: a forecast
that is missing is never a forecast that is good. Scores that divide by the errors of the seasonal
naive inside the training series are NaN where those are zero (a constant series) or unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import InputError
from forecast.types import F64, I64


def mae(y: ArrayLike, y_hat: ArrayLike) -> F64:
    """Mean absolute error, in the units of y."""
    return _mean(np.abs(_array(y) - _array(y_hat)), y)


def rmse(y: ArrayLike, y_hat: ArrayLike) -> F64:
    """Root mean squared error, in the units of y."""
    root: F64 = np.sqrt(_mean((_array(y) - _array(y_hat)) ** 2, y))
    return root


def smape(y: ArrayLike, y_hat: ArrayLike) -> F64:
    r"""Symmetric mean absolute percentage error, in percent, from 0 to 200.

    .. math:: \frac{200}{h} \sum_t \frac{|y_t - \hat y_t|}{|y_t| + |\hat y_t|}, \qquad 0/0 = 0

    Source: the M4 competition (Makridakis, Spiliotis, Assimakopoulos 2020).
    """
    y, y_hat = _array(y), _array(y_hat)
    size = np.abs(y) + np.abs(y_hat)
    return 200.0 * _mean(np.abs(y - y_hat) / np.where(size == 0, 1.0, size), y)


def mase(y: ArrayLike, y_hat: ArrayLike, y_train: ArrayLike, season_length: int = 1) -> F64:
    r"""Mean absolute error over that of the seasonal naive inside the training series.

    .. math:: \frac{1}{h} \sum_t |y_t - \hat y_t| \Big/ \frac{1}{T - m} \sum_{t=m+1}^{T} |y_t - y_{t-m}|

    Parameters
    ----------
    y, y_hat
        (..., h)
    y_train
        (..., T) what came before, oldest first.
    season_length
        m; pairs with a NaN are left out. T <= m gives NaN.

    Notes
    -----
    Source: Hyndman and Koehler (2006), *Int. J. Forecasting* 22, 679-688; as in the M4 competition.
    """
    return mae(y, y_hat) / training_scale(y_train, season_length)


def rmsse(y: ArrayLike, y_hat: ArrayLike, y_train: ArrayLike, season_length: int = 1) -> F64:
    r"""Root of the mean squared error over that of the seasonal naive inside the training series.

    .. math:: \sqrt{\frac{1}{h} \sum_t (y_t - \hat y_t)^2 \Big/
              \frac{1}{T - m} \sum_{t=m+1}^{T} (y_t - y_{t-m})^2}

    Arguments as for `mase`. Source: Hyndman and Koehler (2006); the M5 competition with m = 1.
    """
    return rmse(y, y_hat) / np.sqrt(training_scale(y_train, season_length, power=2))


def pinball(y: ArrayLike, y_hat: ArrayLike, quantile: float) -> F64:
    r"""Mean quantile loss of `y_hat` as the `quantile` of y, in the units of y.

    .. math:: \rho_\tau(u) = u\,(\tau - 1\{u < 0\}), \qquad u = y - \hat y

    `quantile` lies in (0, 1). Source: Koenker and Bassett (1978), *Econometrica* 46, 33-50.
    """
    if not 0 < quantile < 1:
        raise InputError(f"quantile must lie between 0 and 1, got {quantile!r}")
    error = _array(y) - _array(y_hat)
    return _mean(np.maximum(quantile * error, (quantile - 1.0) * error), y)


def crps(y: ArrayLike, quantiles: ArrayLike, taus: Sequence[float] | F64) -> F64:
    r"""Continuous ranked probability score of a forecast given by some quantiles, in the units of y.

    .. math:: CRPS = 2 \int_0^1 \rho_\tau(y - q(\tau))\, d\tau

    integrated exactly for the q that is linear between the quantiles at hand and constant beyond
    the outermost. With the median alone it is the absolute error.

    Parameters
    ----------
    y
        (..., h)
    quantiles
        (..., K, h) in the order of `taus`.
    taus
        (K,) increasing, in (0, 1).

    Notes
    -----
    Source: Gneiting and Raftery (2007), *JASA* 102, 359-378, section 4; the form as an integral of
    quantile losses: Laio and Tamea (2007), *Hydrol. Earth Syst. Sci.* 11, eq. 9. For a standard normal
    known by its 2.5, 10, 50, 90 and 97.5 % quantiles the expected score is 0.567; with all of
    them it is 0.564; twice the plain mean of the five quantile losses would say 0.347.
    """
    tau, q = np.asarray(taus, dtype=np.float64), _array(quantiles)
    if tau.ndim != 1 or not (tau[0] > 0 and tau[-1] < 1 and (np.diff(tau) > 0).all()):
        raise InputError(f"taus must increase inside (0, 1), got {taus!r}")
    if q.ndim < 2 or q.shape[-2] != len(tau):
        raise InputError(f"quantiles must be (..., {len(tau)}, h), got shape {q.shape}")
    error = _array(y)[..., None, :] - q
    edges = np.concatenate([[0.0], tau, [1.0]])
    total = np.zeros(error[..., 0, :].shape)
    for k in range(len(tau) + 1):
        left, right = error[..., max(k - 1, 0), :], error[..., min(k, len(tau) - 1), :]
        total += _quantile_loss_between(left, right, edges[k], edges[k + 1])
    return _mean(2.0 * total, y)


def coverage(y: ArrayLike, lo: ArrayLike, hi: ArrayLike) -> F64:
    """Share of points with lo <= y <= hi, from 0 to 1."""
    y, lo, hi = _array(y), _array(lo), _array(hi)
    inside = ((lo <= y) & (y <= hi)).astype(np.float64)
    return _mean(np.where(np.isnan(lo) | np.isnan(hi), np.nan, inside), y)


def msis(
    y: ArrayLike, lo: ArrayLike, hi: ArrayLike, y_train: ArrayLike, season_length: int = 1, level: float = 95
) -> F64:
    r"""Mean scaled interval score, with alpha = 1 - level / 100.

    .. math:: \frac{1}{h} \sum_t \Big[ (U_t - L_t) + \frac{2}{\alpha} (L_t - y_t)^+
              + \frac{2}{\alpha} (y_t - U_t)^+ \Big] \Big/ \frac{1}{T - m} \sum_{t=m+1}^{T} |y_t - y_{t-m}|

    `level` in percent; `y_train` and `season_length` as for `mase`. Source: the M4 competition,
    after Gneiting and Raftery (2007), eq. 43.
    """
    return interval_score(y, lo, hi, level) / training_scale(y_train, season_length)


def interval_score(y: ArrayLike, lo: ArrayLike, hi: ArrayLike, level: float) -> F64:
    """Mean of width plus 2 / alpha times what lies outside, in the units of y."""
    if not 0 < level < 100:
        raise InputError(f"level must lie between 0 and 100, got {level!r}")
    y, lo, hi = _array(y), _array(lo), _array(hi)
    outside = np.maximum(lo - y, 0.0) + np.maximum(y - hi, 0.0)
    return _mean((hi - lo) + 2.0 / (1.0 - level / 100.0) * outside, y)


def training_scale(y_train: ArrayLike, season_length: int = 1, power: int = 1) -> F64:
    """Mean of |y_t - y_(t-m)|^power over the last axis; NaN where it is zero or unknown."""
    y = _array(y_train)
    if season_length < 1:
        raise InputError(f"season_length must be 1 or more, got {season_length!r}")
    change = np.abs(y[..., season_length:] - y[..., :-season_length]) ** power
    return _positive(_mean(change, change))


def ragged_training_scale(values: F64, first: I64, last: I64, season_length: int, power: int = 1) -> F64:
    """`training_scale` of the slices ``values[first[i]:last[i]]``, which may overlap."""
    change = np.zeros(len(values) + 1)
    change[season_length:-1] = np.abs(values[season_length:] - values[:-season_length]) ** power
    known = ~np.isnan(change)
    begin = first + season_length
    enough = begin < last
    pairs = np.column_stack([begin, last])[enough].ravel()
    scale = np.full(len(first), np.nan)
    if len(pairs):
        total = np.add.reduceat(np.where(known, change, 0.0), pairs)[::2]
        count = np.add.reduceat(known.astype(np.float64), pairs)[::2]
        scale[enough] = total / np.where(count > 0, count, np.nan)
    return _positive(scale)


def _array(x: ArrayLike) -> F64:
    return np.asarray(x, dtype=np.float64)


def _mean(points: F64, y: ArrayLike) -> F64:
    """Mean over the last axis of the points where `y` is observed."""
    seen: NDArray[np.bool_] = np.broadcast_to(~np.isnan(_array(y)), points.shape)
    count = seen.sum(axis=-1)
    total = np.where(seen, points, 0.0).sum(axis=-1)
    mean: F64 = total / np.where(count > 0, count, np.nan)
    return mean


def _positive(scale: F64) -> F64:
    out: F64 = np.where(scale > 0, scale, np.nan)[()]
    return out


def _quantile_loss_between(left: F64, right: F64, a: float, b: float) -> F64:
    """Integral of the quantile loss over (a, b) for an error that runs linearly from `left` to `right`.

    With e the error, the loss is tau e + (-e)^+: a product of two lines, and a line cut at zero.
    """
    slanted = (2 * a * left + 2 * b * right + a * right + b * left) / 6.0
    below_left, below_right = np.maximum(-left, 0.0), np.maximum(-right, 0.0)
    below = below_left + below_right
    span = np.abs(left - right)
    crossed = left * right < 0
    cut = np.where(crossed, below * (below / np.where(crossed, span, 1.0)), below) / 2.0
    loss: F64 = (b - a) * (slanted + cut)
    return loss
