r"""Exact Gaussian likelihood of regressions with ARMA errors and gaps, a parameter vector a SIMD lane.

Data w (n,) follow a(L)(w_t - z_t' beta) = b(L) e_t. Given the presample sums x of
`arma_presample`, the innovations are linear in the data with a unit Jacobian,

.. math:: e(x) = e_0 - H x, \quad e_0 = b(L)^{-1} a(L) w \text{ from zeros}, \quad
          H_{ti} = h_{t-i}, \; h = b(L)^{-1},

and x has covariance V. Integrating x out leaves, with :math:`M = H'H = LL'` and :math:`R R' = I + L'VL`,

.. math:: \log|\Omega| = \log|I + L'VL|, \quad
          w'\Omega^{-1}w = e_0'e_0 - c'c + d'd, \quad c = L^{-1}H'e_0, \; d = R^{-1}c .

The origin of x is moved to :math:`x^0_t = a(L) w_t, t < m`, where e_0 begins with m zeros: then c is that of
the moved e_0, and :math:`d = R^{-1}(c + L'x^0)`. From zero itself a series far from its mean would lose as
many digits in e_0'e_0 - c'c as its level has.

Nothing is iterated until it settles: there is no tolerance but the point from which h is below rounding.
The cost is O(n) a lag that is there and O(m^3 / 3) once, so that seasonal models pay for their few lags and
not for their degree. H'e_0 is the first m rows of the adjoint filter; M follows from its first
column by displacement.

A regressor, the mean, and a missing point (a column that is one there and zero elsewhere, differenced as
the data are) are columns like w: their inner products in the metric of Omega give beta and
the sum of squares by least squares. A missing point also adds log of its pivot to the determinant, which
makes the likelihood that of what is observed.

Sources: Newbold (1974), Biometrika 61, and Ljung and Box (1979), Biometrika 66 (presample values); Ljung
(1989), "A note on the estimation of missing values in time series", Communications in Statistics 18, and
Gomez, Maravall and Pena (1999), Journal of Econometrics 88 (missing points as additive outliers, also with
differences). Oracle: ``tests/oracles/arma.py``, dense matrices.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Data, Places, pad_of
from forecast.kernels.arma_filter import ar_filter, dot, ma_filter, response
from forecast.kernels.arma_gaps import gram_of_holes, meet
from forecast.kernels.arma_polynomial import Shape, polynomials
from forecast.kernels.arma_presample import presample_cov
from forecast.kernels.arma_projection import adjoint, project, set_origin
from forecast.kernels.lane_algebra import (
    cholesky,
    congruence,
    envelope_cholesky,
    log_diagonal,
    minus_dot,
    plus_dot,
)
from forecast.kernels.simd import WIDTH, broadcast, fnma, lane, load, select_greater, store
from forecast.types import F64, I64

# Pivots of I + L'VL are at least 1; one below this is the work of rounding, next to the unit circle.
_SOUND = 0.999


@large_kernel
def _presample(shape: Shape, ar_lags: I64, ma_lags: I64, n: int, work: F64, at: Places) -> int:
    """Factor M and I + L'VL; return how long h is. The determinant goes to row 1 of `value`."""
    out_of_line()
    full, pad = max(shape.ar_degree, shape.ma_degree), pad_of(shape)
    m = min(full, n)
    known = response(work, at.b, ma_lags, shape.n_ma, shape.ma_degree, n, pad, at.zeros, at.h, at.rows)
    store(work, at.value + 1, broadcast(0.0))
    if m == 0:
        return known
    presample_cov(shape, work, at.a, at.b, ar_lags, ma_lags, at.scratch, at.table, at.V)
    adjoint(shape, ma_lags, work, at, at.h + pad, known)
    for i in range(m):
        store(work, at.M + i * m, load(work, at.back + pad + i))
    for i in range(1, m):
        for j in range(1, i + 1):
            x, y = load(work, at.h + pad + max(n - i, 0)), load(work, at.h + pad + max(n - j, 0))
            store(work, at.M + i * m + j, fnma(x, y, load(work, at.M + (i - 1) * m + j - 1)))
    for i in range(m):
        for j in range(i + 1, m):
            store(work, at.M + i * m + j, broadcast(0.0))
    cholesky(work, at.M, m, m, at.inverse)
    congruence(work, at.M, at.V, m, full, at.M + m * m, at.B)
    cholesky(work, at.B, m, m, at.inverse_B)
    least = broadcast(1.0)
    for i in range(m):
        pivot = load(work, at.B + i * m + i)
        least = select_greater(least, pivot, pivot, least)
    # V is positive semidefinite. Where rounding has made it anything else, there is no likelihood.
    store(work, at.value + 1, select_greater(broadcast(_SOUND), least, broadcast(np.inf), broadcast(0.0)))
    log_diagonal(work, at.B, m, m, at.value + 1)
    return known


@large_kernel
def _column(
    shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, known: int, work: F64, at: Places, column: int
) -> None:
    """Filter column `column`, and write its row of the Gram matrix."""
    out_of_line()
    n, pad, K = data.n, pad_of(shape), len(data.holes)
    m, total = min(max(shape.ar_degree, shape.ma_degree), n), K + data.columns.shape[0]
    first, row = at.e + column * at.rows + pad, K + column
    for k in range(pad):
        store(work, first - 1 - k, broadcast(0.0))
    ar_filter(data.columns[column], n, ar_lags, shape.n_ar, work, at.a, first)
    set_origin(work, at, m, first)
    ma_filter(work, first, at.ahead, at.b, ma_lags, shape.n_ma, first, at.ahead, at.none, n)
    adjoint(shape, ma_lags, work, at, first, n if K > 0 else min(n, known + m))
    project(shape, n, work, at, row, at.back + pad)
    for j in range(K):
        store(work, at.gram + row * total + j, meet(work, at, data, shape, j))
    for j in range(column + 1):
        store(work, at.gram + row * total + K + j, dot(work, first, at.e + j * at.rows + pad, n))
    for j in range(row + 1):
        acc = minus_dot(work, at.c + row * m, at.c + j * m, m, load(work, at.gram + row * total + j))
        store(work, at.gram + row * total + j, plus_dot(work, at.d + row * m, at.d + j * m, m, acc))


@large_kernel
def evaluate(shape: Shape, ar_lags: I64, ma_lags: I64, data: Data, work: F64, at: Places) -> None:
    """Likelihood at the partial autocorrelations in `parcor`.

    Row 0 of `value` gets the generalised sum of squares S, row 1 log|Omega| of what is observed:
    loglik = -(n_obs (log(2 pi S / n_obs) + 1) + log|Omega|) / 2. `gram` holds the Cholesky
    factor of the Gram matrix of missing points, regressors and series.
    """
    out_of_line()
    polynomials(shape, work, at.parcor, at.f, at.g, at.a, at.b, at.b - at.a)
    known = _presample(shape, ar_lags, ma_lags, data.n, work, at)
    total = len(data.holes) + data.columns.shape[0]
    if len(data.holes) > 0:
        gram_of_holes(shape, ma_lags, data, known, work, at)
    for column in range(data.columns.shape[0]):
        _column(shape, ar_lags, ma_lags, data, known, work, at, column)
    for row in range(len(data.holes), total):
        data.low[row] = 0
    envelope_cholesky(work, at.gram, total, data.low, at.inverse_gram)
    rest = load(work, at.gram + total * total - 1)
    store(work, at.value + 0, rest * rest)
    log_diagonal(work, at.gram, len(data.holes) + data.n_flat, total, at.value + 1)


@kernel
def objective(work: F64, at: Places, k: int, n: int) -> float:
    """Mean negative log-likelihood of lane k with beta and sigma2 at their best, without constants.

    inf where rounding left nothing of it.
    """
    found = 0.5 * (np.log(work[at.value, k] / n) + work[at.value + 1, k] / n)
    return float(found) if work[at.value, k] > 0.0 and np.isfinite(found) else np.inf


@kernel
def load_lanes(points: F64, first: int, work: F64, at: Places) -> None:
    """Put points first.. into the lanes; the last one fills up."""
    for k in range(WIDTH):
        for i in range(points.shape[1]):
            work[at.parcor + i, k] = points[min(first + k, len(points) - 1), i]


@kernel
def coefficient(work: F64, at: Places, total: int, column: int, k: int) -> float:
    """Element of the factor of the Gram matrix that says what of the series lies along `column`."""
    return float(lane(load(work, at.gram + (total - 1) * total + column), k))
