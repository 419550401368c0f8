r"""Recursive forecasts: the mean path, the psi weights, and shocks sent through the model.

All work on the expanded recursion of `forecast.kernels.polynomial`,

.. math:: w_t = m_t + \sum_j a_j w_{t-j} + e_t + \sum_j b_j e_{t-j},

rows are independent, nothing is allocated. Source: Box and Jenkins (1976), ch. 5; Hamilton
(1994), *Time Series Analysis*, ch. 4. Oracle: ``tests/oracles/recursion.py``.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.types import F64, I64


@kernel
def forecast_path_rows(
    a: F64,
    width: I64,
    b: F64,
    ma_width: I64,
    levels: F64,
    innovations: F64,
    drive: F64,
    out: F64,
    first: int,
    last: int,
) -> None:
    r"""Write the conditional means of the next h steps of rows first..last.

    Parameters
    ----------
    a, b
        (n, max width), (n, max MA width) coefficients, ``a[i, 0]`` multiplies lag 1.
    width, ma_width
        (n,) how many of them.
    levels
        (n, >= max width) last values of w, newest first.
    innovations
        (n, >= max MA width) last innovations, newest first.
    drive
        (n, h) m_t, added at every step; zeros when the deterministic part is added afterwards.
    out
        (n, h) written, units of w. O(n h (width + ma_width)).
    """
    h = out.shape[1]
    for i in range(first, last):
        w = width[i]
        q = ma_width[i]
        for k in range(h):
            acc = drive[i, k]
            for j in range(min(k, w)):
                acc += a[i, j] * out[i, k - 1 - j]
            for j in range(k, w):
                acc += a[i, j] * levels[i, j - k]
            for j in range(k, q):
                acc += b[i, j] * innovations[i, j - k]
            out[i, k] = acc


@kernel
def psi_rows(a: F64, width: I64, b: F64, ma_width: I64, out: F64, first: int, last: int) -> None:
    r"""Write the psi weights of rows first..last: the response of w to one innovation.

    .. math:: \psi_0 = 1, \quad \psi_k = b_k + \sum_{j=1}^{\min(k, L)} a_j \psi_{k-j}

    Shapes as in `forecast_path_rows`; `out` is (n, h), ``out[i, 0]`` is psi_0.
    """
    h = out.shape[1]
    for i in range(first, last):
        w = width[i]
        q = ma_width[i]
        out[i, 0] = 1.0
        for k in range(1, h):
            acc = b[i, k - 1] if k <= q else 0.0
            for j in range(min(k, w)):
                acc += a[i, j] * out[i, k - 1 - j]
            out[i, k] = acc


@kernel
def propagate(a: F64, width: int, b: F64, ma_width: int, shocks: F64) -> None:
    """Turn innovations into deviations of w from its mean path, in place, for one model.

    Parameters
    ----------
    a, b
        (>= width,), (>= ma_width,) the recursion of one series.
    shocks
        (n_paths, h) innovations in, deviations out. The moving average runs from the last step
        back, so that it reads innovations that are still themselves; the recursion then forward.
    """
    n_paths, h = shocks.shape
    for path in range(n_paths):
        row = shocks[path]
        if ma_width > 0:
            for k in range(h - 1, 0, -1):
                acc = row[k]
                for j in range(min(k, ma_width)):
                    acc += b[j] * row[k - 1 - j]
                row[k] = acc
        for k in range(1, h):
            acc = row[k]
            for j in range(min(k, width)):
                acc += a[j] * row[k - 1 - j]
            row[k] = acc
