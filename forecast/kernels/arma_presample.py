r"""What a stationary ARMA brings along from before its first point, one parameter vector a SIMD lane.

With a(L) w_t = b(L) e_t, all that the past says of the future is in the m = max(degrees) sums

.. math:: x_i = \sum_{k > i} (-a_k w_{i-k} + b_k e_{i-k}), \quad i = 0 \ldots m-1,

at t = 0: the part of w_i that comes from before. `presample_cov` is their covariance in units of the
innovation variance. Source: the state of Akaike's representation, Brockwell and Davis (1991), *Time
Series: Theory and Methods*, sec. 12.1; autocovariances by stepping down and up, sec. 5.2.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.simd import broadcast, fma, fnma, load, store
from forecast.types import F64, I64


@kernel
def _step_down(work: F64, a: int, p: int, table: int) -> None:
    """Rows r (r + 1) / 2 + j - 1 of `table` get the coefficient j of the predictor of order r <= p."""
    last = p * (p - 1) // 2
    for j in range(p):
        store(work, table + last + j, broadcast(0.0) - load(work, a + j + 1))
    for r in range(p, 1, -1):
        at, below = r * (r - 1) // 2, (r - 1) * (r - 2) // 2
        k = load(work, table + at + r - 1)
        scale = broadcast(1.0) / fnma(k, k, broadcast(1.0))
        for j in range(r - 1):
            store(
                work,
                table + below + j,
                fma(k, load(work, table + at + r - 2 - j), load(work, table + at + j)) * scale,
            )


@kernel
def _ar_autocov(
    work: F64, a: int, lags: I64, n_lags: int, p: int, count: int, table: int, gamma: int
) -> None:
    """Autocovariances 0..count - 1 of the AR with unit innovations."""
    _step_down(work, a, p, table)
    rest = broadcast(1.0)
    for r in range(1, p + 1):
        k = load(work, table + r * (r - 1) // 2 + r - 1)
        rest = rest * fnma(k, k, broadcast(1.0))
    store(work, gamma, broadcast(1.0) / rest)
    for r in range(1, count):
        acc = broadcast(0.0)
        if r <= p:
            at = r * (r - 1) // 2
            for j in range(r):
                acc = fma(load(work, table + at + j), load(work, gamma + r - 1 - j), acc)
        else:
            for i in range(n_lags):
                acc = fnma(load(work, a + lags[i]), load(work, gamma + r - lags[i]), acc)
        store(work, gamma + r, acc)


@kernel
def _arma_autocov(shape: Shape, work: F64, b: int, lags: I64, ar: int, half: int, gamma: int) -> None:
    """Autocovariances 0..p of b(L) x_t from those of x_t; overwrites nothing but `half` and `gamma`."""
    p, q = shape.ar_degree, shape.ma_degree
    for k in range(p + q + 1):
        acc = load(work, ar + k)
        for i in range(shape.n_ma):
            acc = fma(load(work, b + lags[i]), load(work, ar + abs(k - lags[i])), acc)
        store(work, half + k, acc)
    for k in range(p + 1):
        acc = load(work, half + k)
        for i in range(shape.n_ma):
            acc = fma(load(work, b + lags[i]), load(work, half + k + lags[i]), acc)
        store(work, gamma + k, acc)


@kernel
def _responses(shape: Shape, work: F64, a: int, b: int, lags: I64, psi: int) -> None:
    """Weights psi_0..psi_q of b(L) / a(L)."""
    for j in range(shape.ma_degree + 1):
        acc = load(work, b + j)
        for i in range(shape.n_ar):
            if lags[i] <= j:
                acc = fnma(load(work, a + lags[i]), load(work, psi + j - lags[i]), acc)
        store(work, psi + j, acc)


@kernel
def _first_column(
    shape: Shape, work: F64, a: int, b: int, ar_lags: I64, ma_lags: I64, gamma: int, psi: int, V: int, m: int
) -> None:
    """Covariances of x_0 with x_0 .. x_{m-1}, in rows 0.. of V; row m gets zeros."""
    for j in range(m):
        acc = broadcast(0.0)
        for i in range(shape.n_ar):
            if ar_lags[i] > j:
                acc = fnma(load(work, a + ar_lags[i]), load(work, gamma + ar_lags[i] - j), acc)
        for i in range(shape.n_ma):
            if ma_lags[i] > j:
                acc = fma(load(work, b + ma_lags[i]), load(work, psi + ma_lags[i] - j), acc)
        store(work, V + j, acc)
    store(work, V + m, broadcast(0.0))


@large_kernel
def presample_cov(
    shape: Shape, work: F64, a: int, b: int, ar_lags: I64, ma_lags: I64, scratch: int, table: int, V: int
) -> None:
    """Write the covariance of x, row V + i m + j of the buffer for its element (i, j).

    Parameters
    ----------
    work
        Buffer of vectors that all of the following are rows of.
    a, b
        >= m + 2 rows, zero beyond the degrees.
    scratch
        >= 3 (p + q + 2) + m + 1 rows.
    table
        >= p (p + 1) / 2 rows.

    Notes
    -----
    From x_i(t + 1) = x_{i+1}(t) - a_{i+1} w_t + b_{i+1} e_t, equal in law to x_i(t): O(m^2) from the last
    element up.
    """
    out_of_line()
    p, q = shape.ar_degree, shape.ma_degree
    m, size = max(p, q), p + q + 2
    ar, half, gamma = scratch, scratch + size, scratch + 2 * size
    column, psi = scratch + 3 * size, half
    if p > 0:
        _ar_autocov(work, a, ar_lags, shape.n_ar, p, p + q + 1, table, ar)
        _arma_autocov(shape, work, b, ma_lags, ar, half, gamma)
    _responses(shape, work, a, b, ar_lags, psi)
    _first_column(shape, work, a, b, ar_lags, ma_lags, gamma, psi, column, m)
    gamma_0 = load(work, column) + broadcast(1.0)
    for i in range(m - 1, -1, -1):
        phi_i, theta_i = broadcast(0.0) - load(work, a + i + 1), load(work, b + i + 1)
        # w_t moves x_i by phi_i and e_t by theta_i; `with_w` is their joint covariance with w_t.
        with_w = fma(phi_i, gamma_0, theta_i) + load(work, column + i + 1)
        with_e = phi_i + theta_i
        for j in range(i + 1):
            before = broadcast(0.0)
            if i + 1 < m:
                before = load(work, V + (i + 1) * m + j + 1)
            acc = fnma(load(work, a + j + 1), with_w, before)
            acc = fma(phi_i, load(work, column + j + 1), fma(load(work, b + j + 1), with_e, acc))
            store(work, V + i * m + j, acc)
            store(work, V + j * m + i, acc)
