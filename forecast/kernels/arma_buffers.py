"""What the likelihood works on: the data of one series, and one buffer for all vectors."""

from __future__ import annotations

from typing import NamedTuple

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_polynomial import Shape
from forecast.types import F64, I64


class Data(NamedTuple):
    """One differenced series, ready for the likelihood."""

    columns: F64
    """(c, pad + n) behind zeros: missing points that differencing cuts, regressors, and last the series."""
    n: int
    n_flat: int
    """First columns that are missing points."""
    holes: I64
    """(K,) first row that each of the other missing points moves."""
    diff: F64
    """Coefficients of the differences, 1 first."""
    n_obs: int
    """Observations in the likelihood."""
    low: I64
    """(K + c,) scratch: first column in each row of the Gram matrix that is not zero."""


class Places(NamedTuple):
    """First rows of the parts of the buffer that all vectors live in; see `places` for their sizes."""

    parcor: int
    f: int
    g: int
    a: int
    b: int
    scratch: int
    table: int
    V: int
    M: int
    B: int
    inverse: int
    inverse_B: int
    h: int
    e: int
    back: int
    zeros: int
    c: int
    d: int
    gram: int
    inverse_gram: int
    pi: int
    lag: int
    ad: int
    origin: int
    value: int
    rows: int
    """Rows of `h`, `back`, `pi` and of each column in `e`."""
    size: int
    # Constants as fields: of a literal in a call numba compiles a copy of what is called.
    none: int
    ahead: int
    behind: int


@kernel
def pad_of(shape: Shape) -> int:
    """Rows of zeros on either side of what is filtered."""
    return max(shape.ar_degree, shape.ma_degree, 2)


@large_kernel
def places(shape: Shape, n: int, n_columns: int, n_holes: int, n_diff: int) -> Places:
    """Where everything is, for series of up to n points."""
    out_of_line()
    m, pad = max(shape.ar_degree, shape.ma_degree), pad_of(shape)
    rows, total, degree = n + 2 * pad + 2, n_columns + n_holes, max(m, pad) + 2
    parcor = 0
    f = parcor + max(shape.n_arma, 1)
    g = f + max(shape.p, shape.q) + 1
    a = g + max(shape.P, shape.Q) + 1
    b = a + degree
    scratch = b + degree
    table = scratch + 3 * (shape.ar_degree + shape.ma_degree + 2) + m + 1
    V = table + max(shape.ar_degree * (shape.ar_degree + 1) // 2, 1)
    M = V + m * m + 1
    B = M + 2 * m * m + 1
    inverse = B + m * m + 1
    inverse_B = inverse + m + 1
    h = inverse_B + m + 1
    e = h + rows
    back = e + n_columns * rows
    zeros = back + rows
    c = zeros + 1
    d = c + total * m + 1
    gram = d + total * m + 1
    inverse_gram = gram + total * total
    pi = inverse_gram + total
    lag = pi + (rows if n_holes > 0 else 1)
    ad = lag + (rows if n_holes > 0 else 1)
    origin = ad + degree + n_diff
    value = origin + m + 1
    size = value + 2
    return Places(
        parcor, f, g, a, b, scratch, table, V, M, B, inverse, inverse_B, h, e, back, zeros, c, d,
        gram, inverse_gram, pi, lag, ad, origin, value, rows, size, 0, 1, -1,
    )  # fmt: skip
