"""Tests of residuals: autocorrelation, normality, conditional variance."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.lag_products import lag_products, padding
from forecast.kernels.projection import inner, orthonormalise, remove
from forecast.kernels.unit_root import complete_rows, longest, scan
from forecast.types import F64, I64

# Mean square about the mean, relative to the largest value squared, below which residuals do not vary.
NO_VARIATION = (64.0 * 2.220446049250313e-16) ** 2


@kernel
def central_moments(y: F64, n: int, e: F64, moments: F64) -> bool:
    """Write y - mean to `e` (NaN where missing) and n, m2, m3, m4 to `moments`; False when nothing varies."""
    count, total = n, 0.0
    for t in range(n):
        total += y[t]
    gaps = np.isnan(total)
    if gaps:
        count, total = _observed_total(y, n)
    moments[:] = 0.0
    moments[0] = count
    if count < 2:
        return False
    mean = total / count
    second, third, fourth = 0.0, 0.0, 0.0
    for t in range(n):
        e[t] = y[t] - mean
    for t in range(n):
        d = 0.0 if gaps and np.isnan(e[t]) else e[t]
        square = d * d
        second += square
        third += square * d
        fourth += square * square
    moments[1], moments[2], moments[3] = second / count, third / count, fourth / count
    # The largest value squared is no more than the sum of all squares, which is at hand.
    if moments[1] > NO_VARIATION * (second + count * mean * mean):
        return True
    size = 0.0
    for t in range(n):
        if not np.isnan(y[t]):
            size = max(size, abs(y[t]))
    return bool(moments[1] > NO_VARIATION * size * size)


@kernel
def _observed_total(y: F64, n: int) -> tuple[int, float]:
    """Count and add the observed points."""
    count, total = 0, 0.0
    for t in range(n):
        if not np.isnan(y[t]):
            count += 1
            total += y[t]
    return count, total


@kernel
def _pairs(y: F64, n: int, k: int) -> float:
    """Count the times at which y_t and y_{t-k} are observed."""
    pairs = 0.0
    for t in range(k, n):
        if not (np.isnan(y[t]) or np.isnan(y[t - k])):
            pairs += 1.0
    return pairs


@kernel
def _trimmed(y: F64) -> F64:
    """Leave out what is missing at both ends, as the first residuals of a conditional model are."""
    begin, end = 0, len(y)
    while begin < end and np.isnan(y[begin]):
        begin += 1
    while begin < end and np.isnan(y[end - 1]):
        end -= 1
    return y[begin:end]


@kernel
def ljung_box(values: F64, indptr: I64, first: int, last: int, lags: I64, q: F64, box_pierce: F64) -> None:
    r"""Write the Ljung-Box and Box-Pierce statistics of series `first` to `last`.

    .. math:: Q = \sum_{k=1}^{m} \frac{n + 2}{n}\, n_k\, r_k^2, \qquad
        r_k = \frac{n_k^{-1} \sum e_t e_{t-k}}{n^{-1} \sum e_t^2}

    with n observed residuals about their mean and n_k pairs observed k steps apart. Without gaps n_k = n - k,
    and Q is the statistic of Ljung and Box (1978); with gaps each term keeps mean about 1 (Stoffer
    and Toloi 1992, *Statistics & Probability Letters* 13, 391-396). Box-Pierce is the sum of
    n_k (n - k) / n r_k^2, which is n times the sum of squared autocorrelations without gaps.

    Parameters
    ----------
    values, indptr
        Ragged block of residuals, NaN where missing.
    lags
        (n,) m; NaN where m < 1 or m >= n.
    q, box_pierce
        (n,) written. A lag at which no pair is observed makes both NaN.
    """
    width = longest(indptr, first, last)
    most = 0
    for i in range(first, last):
        most = max(most, min(lags[i], width))
    at = padding(most)
    padded = np.zeros(width + 2 * at)
    products = np.empty(at)
    moments = np.empty(4)
    for i in range(first, last):
        q[i] = np.nan
        box_pierce[i] = np.nan
        y = _trimmed(values[indptr[i] : indptr[i + 1]])
        n = len(y)
        e = padded[at : at + n]
        varies = central_moments(y, n, e, moments)
        count = moments[0]
        if not varies or lags[i] < 1 or lags[i] >= count:
            continue
        for t in range(n):
            if np.isnan(e[t]):
                e[t] = 0.0
        lag_products(padded, at, n, lags[i], products)
        gaps = count < n
        ljung, box = 0.0, 0.0
        for k in range(1, lags[i] + 1):
            pairs = _pairs(y, n, k) if gaps else float(n - k)
            r = products[k] / pairs / moments[1] if pairs > 0.0 else np.nan
            ljung += (count + 2.0) / count * pairs * r * r
            box += pairs * (count - k) / count * r * r
        q[i] = ljung
        box_pierce[i] = box


@kernel
def jarque_bera(
    values: F64, indptr: I64, first: int, last: int, stat: F64, skewness: F64, kurtosis: F64
) -> None:
    """Write n / 6 (S^2 + (K - 3)^2 / 4), S and K of the observed points; NaN if constant.

    Order in time does not matter to it, and so no gap does.
    Source: Jarque and Bera (1980), *Economics Letters* 6, 255-259.
    """
    e = np.empty(longest(indptr, first, last))
    moments = np.empty(4)
    for i in range(first, last):
        stat[i] = np.nan
        skewness[i] = np.nan
        kurtosis[i] = np.nan
        y = values[indptr[i] : indptr[i + 1]]
        if central_moments(y, len(y), e, moments):
            skewness[i] = moments[2] / moments[1] ** 1.5
            kurtosis[i] = moments[3] / moments[1] ** 2
            stat[i] = moments[0] / 6.0 * (skewness[i] ** 2 + 0.25 * (kurtosis[i] - 3.0) ** 2)


@kernel
def arch_lm(values: F64, indptr: I64, first: int, last: int, lags: I64, stat: F64, nobs: I64) -> None:
    """Write Engle's n R^2 of squared residuals on a constant and their lags, for series `first` to `last`.

    Parameters
    ----------
    values, indptr
        Ragged block of residuals, NaN where missing; rows are the t at which e_{t-m}, ..., e_t are observed.
    lags
        (n,) m; NaN where m < 1 or fewer than m + 2 rows are complete.
    stat, nobs
        (n,) written.

    Notes
    -----
    Source: Engle (1982), *Econometrica* 50, 987-1007.
    """
    width = longest(indptr, first, last)
    most = 0
    for i in range(first, last):
        most = max(most, min(lags[i], width))
    columns = np.empty((most + 1, width))
    square = np.empty(width)
    e = np.empty(width)
    run = np.empty(width, dtype=np.int64)
    rows = np.empty(width, dtype=np.int64)
    for i in range(first, last):
        stat[i] = np.nan
        nobs[i] = 0
        y = values[indptr[i] : indptr[i + 1]]
        n = len(y)
        _, _, size = scan(y, n, run)
        m = lags[i]
        if m < 1 or m >= n or size == 0.0:
            continue
        for t in range(n):
            square[t] = (y[t] / size) ** 2  # R^2 has no units
        count = complete_rows(run, n, m + 1, rows)
        if count < m + 2:
            continue
        for r in range(count):
            e[r] = square[rows[r]]
            columns[0, r] = 1.0
        orthonormalise(columns, 0, count)
        remove(columns[0], e, count)
        total = inner(e, e, count)
        if not total > count * NO_VARIATION:
            continue
        for k in range(1, m + 1):
            for r in range(count):
                columns[k, r] = square[rows[r] - k]
            orthonormalise(columns, k, count)
            remove(columns[k], e, count)
        stat[i] = count * (1.0 - inner(e, e, count) / total)
        nobs[i] = count
