r"""Lag polynomials of multiplicative ARMA models, one parameter vector a SIMD lane.

Both sides are written with a leading one: :math:`a(L) = \phi(L)\Phi(L^s)` and
:math:`b(L) = \theta(L)\Theta(L^s)`, so that :math:`a(L) w_t = b(L) e_t` and
:math:`a_l = -\phi_l, b_l = \theta_l`. Each factor is given by its partial autocorrelations, those of an
MA factor belonging to :math:`-\theta`; inside (-1, 1) they are stationary, and invertible.

Source: Monahan (1984), "A note on enforcing stationarity in ARMA models", Biometrika 71.
"""

from __future__ import annotations

from typing import NamedTuple

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.simd import broadcast, fma, fnma, load, store
from forecast.types import F64, I64


class Shape(NamedTuple):
    """Orders of one model, and what follows from them."""

    p: int
    q: int
    P: int
    Q: int
    s: int
    ar_degree: int
    """p + s P"""
    ma_degree: int
    n_ar: int
    """Lags of a(L) that may differ from zero, lag 0 left out."""
    n_ma: int
    n_arma: int
    """p + q + P + Q"""


@kernel
def product_lags(p: int, P: int, s: int, lags: I64) -> int:
    """Write the lags i + s j > 0 with i <= p, j <= P in rising order; return how many there are."""
    count = 0
    for lag in range(1, p + s * P + 1):
        if lag - s * min(lag // s, P) <= p:
            lags[count] = lag
            count += 1
    return count


@kernel
def shape_of(p: int, q: int, P: int, Q: int, s: int, ar_lags: I64, ma_lags: I64) -> Shape:
    """Lags of both sides, and the shape."""
    n_ar, n_ma = product_lags(p, P, s, ar_lags), product_lags(q, Q, s, ma_lags)
    return Shape(p, q, P, Q, s, p + s * P, q + s * Q, n_ar, n_ma, p + q + P + Q)


@kernel
def _factor(work: F64, parcor: int, order: int, out: int) -> None:
    """Coefficients 0..order of 1 - sum c_i L^i, from the partial autocorrelations."""
    store(work, out, broadcast(1.0))
    for r in range(1, order + 1):
        k = load(work, parcor + r - 1)
        low, high = 1, r - 1
        while low <= high:
            x, y = load(work, out + low), load(work, out + high)
            store(work, out + low, fnma(k, y, x))
            if low < high:
                store(work, out + high, fnma(k, x, y))
            low, high = low + 1, high - 1
        store(work, out + r, broadcast(0.0) - k)


@kernel
def _multiply(work: F64, f: int, order: int, g: int, seasonal: int, s: int, out: int, rows: int) -> None:
    """Coefficients of f(L) g(L^s)."""
    for row in range(rows):
        store(work, out + row, broadcast(0.0))
    for j in range(seasonal + 1):
        for i in range(order + 1):
            store(
                work, out + i + s * j, fma(load(work, f + i), load(work, g + j), load(work, out + i + s * j))
            )


@large_kernel
def polynomials(shape: Shape, work: F64, parcor: int, f: int, g: int, a: int, b: int, rows: int) -> None:
    """Write a(L) and b(L) of every lane.

    Parameters
    ----------
    work
        Buffer of vectors that all of the following are rows of.
    parcor
        First of p + q + P + Q rows: partial autocorrelations of phi, of -theta, of Phi, of -Theta.
    f, g
        Scratch, max(p, q) + 1 and max(P, Q) + 1 rows.
    a, b
        Out: `rows` > degree rows each, zero beyond the degree.
    """
    out_of_line()
    _factor(work, parcor, shape.p, f)
    _factor(work, parcor + shape.p + shape.q, shape.P, g)
    _multiply(work, f, shape.p, g, shape.P, shape.s, a, rows)
    _factor(work, parcor + shape.p, shape.q, f)
    _factor(work, parcor + shape.p + shape.q + shape.P, shape.Q, g)
    _multiply(work, f, shape.q, g, shape.Q, shape.s, b, rows)
