r"""One-step innovations of ARMA series without gaps, by the Chandrasekhar recursions.

The state is that of `arma_presample`: x(t + 1) = T x(t) + g e_t, w_t = x_0(t) + e_t, with T the shift plus
phi in the first column and g = phi + theta. From the stationary start the covariance of x changes by a matrix
of rank one a step, so that gain and variance follow in O(m); once the variance of an innovation has
come down to sigma2 the filter is the recursion a(L) w = b(L) v, and costs its lags only.

Source: Morf, Sidhu and Kailath (1974), "Some new algorithms for recursive estimation in constant, linear,
discrete-time systems", IEEE Transactions on Automatic Control 19; Herbst (2015), "Using the
Chandrasekhar recursions for likelihood evaluation of DSGE models", Computational Economics 45.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arima_data import difference
from forecast.kernels.arma_polynomial import Shape, shape_of
from forecast.kernels.arma_presample import presample_cov
from forecast.kernels.simd import buffer
from forecast.types import F64, I64, Bool

# The filter has settled when the variance of an innovation exceeds sigma2 by less than this share. At 1e-9
# likelihoods of nearly non-invertible models (theta = -0.995) are off by 3e-4, at 1e-12 by 2e-7.
_SETTLED = 1e-13


@kernel
def spread_polynomial(factor: F64, order: int, seasonal: F64, P: int, s: int, out: F64) -> None:
    """Write coefficients 0..p + s P of (1 + sum f_i L^i)(1 + sum F_j L^{js}); zeros behind them."""
    for i in range(len(out)):
        out[i] = 0.0
    for j in range(P + 1):
        for i in range(order + 1):
            one = 1.0 if i == 0 else factor[i - 1]
            out[i + s * j] += one * (1.0 if j == 0 else seasonal[j - 1])


@large_kernel
def _first_gain(shape: Shape, a: F64, b: F64, ar_lags: I64, ma_lags: I64, K: F64) -> float:
    """Write T V e_0 + g at the stationary start, and return the first variance."""
    out_of_line()
    m = max(shape.ar_degree, shape.ma_degree)
    size, deep = m + 3, shape.ar_degree * (shape.ar_degree + 1) // 2 + 1
    scratch = 3 * (shape.ar_degree + shape.ma_degree + 2) + m + 1
    work = buffer(2 * size + scratch + deep + m * m + 1)
    for i in range(m + 1):
        for lane in range(work.shape[1]):
            work[i, lane], work[size + i, lane] = a[i], b[i]
    V = 2 * size + scratch + deep
    presample_cov(shape, work, 0, size, ar_lags, ma_lags, 2 * size, 2 * size + scratch, V)
    for i in range(m):
        below = work[V + (i + 1) * m, 0] if i + 1 < m else 0.0
        K[i] = below - a[i + 1] * (work[V, 0] + 1.0) + b[i + 1]
    return float(work[V, 0] + 1.0)


@large_kernel
def _filter(shape: Shape, a: F64, b: F64, ar_lags: I64, ma_lags: I64, w: F64, z: F64, f: F64) -> bool:
    """Innovations and their variances in units of sigma2; False where the model has no stationary start."""
    out_of_line()
    n, m = len(w), max(shape.ar_degree, shape.ma_degree)
    K, x = np.zeros(m + 1), np.zeros(n + m + 1)
    F = _first_gain(shape, a, b, ar_lags, ma_lags, K) if m > 0 else 1.0
    if not F >= 1.0 - _SETTLED:
        return False
    W, M, t = K.copy(), -1.0 / F, 0
    while t < n and F - 1.0 > _SETTLED:
        z[t], f[t] = w[t] - x[t], F
        v, head = z[t] / F, x[t]
        for i in range(m):
            x[t + 1 + i] += K[i] * v
        for i in range(shape.n_ar):
            x[t + ar_lags[i]] -= a[ar_lags[i]] * head
        # K is the gain times F; T W is W moved up, plus phi times its head.
        first, old = W[0], F
        F += M * first * first
        for i in range(m):
            moved = W[i + 1] - a[i + 1] * first
            K[i] += moved * (M * first)
            W[i] = moved - K[i] * (first / F)
        M += M * M * first * first / old
        t += 1
    for k in range(t, n):
        z[k], f[k] = w[k] - x[k], 1.0
        for i in range(shape.n_ar):
            x[k + ar_lags[i]] -= a[ar_lags[i]] * w[k]
        for i in range(shape.n_ma):
            x[k + ma_lags[i]] += b[ma_lags[i]] * z[k]
    return True


@large_kernel
def innovation_rows(
    first: int,
    last: int,
    u: F64,
    indptr: I64,
    orders: I64,
    phi: F64,
    theta: F64,
    seasonal_phi: F64,
    seasonal_theta: F64,
    sigma2: F64,
    skip: Bool,
    z: F64,
    f: F64,
) -> None:
    """Innovations of rows first..last - 1 of stationary start, where not `skip`.

    Parameters
    ----------
    u, indptr
        (N,) series without their deterministic part, and (n + 1,) bounds. Rows with a NaN, or without a
        stationary start, are marked in `skip`.
    orders
        (n, 7) p, d, q, P, D, Q, s.
    phi, theta, seasonal_phi, seasonal_theta
        (n, widths) coefficients; stationary.
    z, f
        (N,) out: innovations and variances; NaN at the points that differencing uses up.
    """
    out_of_line()
    for row in range(first, last):
        lo, hi = indptr[row], indptr[row + 1]
        if skip[row] or np.isnan(u[lo:hi]).any():
            skip[row] = True
            continue
        p, d, q, P, D, Q, s = orders[row]
        ar_lags = np.zeros(p + s * P + 1, dtype=np.int64)
        ma_lags = np.zeros(q + s * Q + 1, dtype=np.int64)
        shape = shape_of(p, q, P, Q, s, ar_lags, ma_lags)
        m = max(shape.ar_degree, shape.ma_degree)
        a, b = np.zeros(m + 2), np.zeros(m + 2)
        spread_polynomial(-phi[row], p, -seasonal_phi[row], P, s, a)
        spread_polynomial(theta[row], q, seasonal_theta[row], Q, s, b)
        w = u[lo:hi].copy()
        difference(w, d, D, s)
        lost = min(d + s * D, hi - lo)
        for t in range(lo, lo + lost):
            z[t], f[t] = np.nan, np.nan
        first_z = lo + lost
        skip[row] = not _filter(
            shape, a, b, ar_lags, ma_lags, w[: hi - first_z], z[first_z:hi], f[first_z:hi]
        )
        for t in range(lo + lost, hi):
            f[t] *= sigma2[row]
