"""Products of lag polynomials: the factors of a seasonal ARIMA written out as one recursion.

Source: Box and Jenkins (1976), *Time Series Analysis*, ch. 9. Oracle:
``tests/oracles/recursion.py::expand_ar`` (``numpy.convolve``).
"""

from __future__ import annotations

from forecast.kernels._jit import exact_kernel
from forecast.types import F64, I64


@exact_kernel
def multiply(c: F64, width: int, factor: F64, order: int, stride: int, sign: float) -> int:
    r"""Multiply c(L) by 1 + sign * sum_i factor_i L^(i stride), in place; return the new degree.

    ``c[j - 1]`` multiplies L^j, c_0 = 1 is not stored. From the highest power down, so that
    what is read is still the old polynomial.
    """
    total = width + order * stride
    for j in range(width, total):
        c[j] = 0.0
    for j in range(total, 0, -1):
        acc = c[j - 1]
        for i in range(1, order + 1):
            back = j - i * stride
            if back < 0:
                break
            if back == 0:
                acc += sign * factor[i - 1]
            elif back <= width:
                acc += sign * factor[i - 1] * c[back - 1]
        c[j - 1] = acc
    return total


@exact_kernel
def difference(c: F64, width: int, stride: int, times: int) -> int:
    """Multiply c(L) by (1 - L^stride)^times, in place; return the new degree."""
    for _ in range(times):
        total = width + stride
        for j in range(width, total):
            c[j] = 0.0
        for j in range(total, stride, -1):
            c[j - 1] -= c[j - 1 - stride]
        c[stride - 1] -= 1.0
        width = total
    return width


@exact_kernel
def expand_ar_rows(
    phi: F64,
    p: I64,
    seasonal_phi: F64,
    seasonal_p: I64,
    d: I64,
    seasonal_d: I64,
    season: I64,
    a: F64,
    width: I64,
    first: int,
    last: int,
) -> None:
    r"""Write the recursion w_t = sum_j a_j w_{t-j} of rows first..last.

    .. math:: 1 - \sum_j a_j L^j = \phi(L)\,\Phi(L^s)\,(1 - L)^d (1 - L^s)^D

    Parameters
    ----------
    phi, seasonal_phi
        (n, max p), (n, max P); rows of `p`, `seasonal_p` coefficients.
    d, seasonal_d, season
        (n,) differences, seasonal differences, s. With p = P = 0 it is the differencing alone.
    a
        (n, >= max width) written, zeros beyond the width.
    width
        (n,) written: p + d + s (P + D).
    """
    for i in range(first, last):
        row = a[i]
        w = multiply(row, 0, phi[i], p[i], 1, -1.0)
        w = multiply(row, w, seasonal_phi[i], seasonal_p[i], season[i], -1.0)
        w = difference(row, w, 1, d[i])
        w = difference(row, w, season[i], seasonal_d[i])
        for j in range(w):
            row[j] = -row[j]
        for j in range(w, a.shape[1]):
            row[j] = 0.0
        width[i] = w


@exact_kernel
def expand_ma_rows(
    theta: F64,
    q: I64,
    seasonal_theta: F64,
    seasonal_q: I64,
    season: I64,
    b: F64,
    width: I64,
    first: int,
    last: int,
) -> None:
    r"""Write b of rows first..last: 1 + sum_j b_j L^j = theta(L) Theta(L^s).

    Shapes as in `expand_ar_rows`; `width` is q + s Q.
    """
    for i in range(first, last):
        row = b[i]
        w = multiply(row, 0, theta[i], q[i], 1, 1.0)
        w = multiply(row, w, seasonal_theta[i], seasonal_q[i], season[i], 1.0)
        for j in range(w, b.shape[1]):
            row[j] = 0.0
        width[i] = w
