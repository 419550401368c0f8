"""From a filtered column to its part in the presample space; see `arma_likelihood` for the letters."""

from __future__ import annotations

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Places, pad_of
from forecast.kernels.arma_filter import ma_filter
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.lane_algebra import forward
from forecast.kernels.simd import broadcast, fma, load, store
from forecast.types import F64, I64


@large_kernel
def adjoint(shape: Shape, lags: I64, work: F64, at: Places, x: int, n: int) -> None:
    """Write the adjoint filter of n rows from x on to rows pad.. of `back`, zeros behind it."""
    out_of_line()
    pad, m = pad_of(shape), max(shape.ar_degree, shape.ma_degree)
    for row in range(pad + n, min(pad + n + pad + m + 1, at.rows)):
        store(work, at.back + row, broadcast(0.0))
    # Point t of the reversed recursion is row n - 1 - t.
    ma_filter(
        work, x + n - 1, at.behind, at.b, lags, shape.n_ma, at.back + pad + n - 1, at.behind, at.none, n
    )


@large_kernel
def project(shape: Shape, n: int, work: F64, at: Places, column: int, source: int) -> None:
    """Rows `column` m.. of c and d, from H'e in rows `source`.. and the origin in `origin`."""
    out_of_line()
    m = min(max(shape.ar_degree, shape.ma_degree), n)
    c, d = at.c + column * m, at.d + column * m
    forward(work, at.M, m, m, at.inverse, source, c)
    for i in range(m):
        acc = load(work, c + i)
        for k in range(i, m):
            acc = fma(load(work, at.M + k * m + i), load(work, at.origin + k), acc)
        store(work, d + i, acc)
    forward(work, at.B, m, m, at.inverse_B, d, d)


@kernel
def set_origin(work: F64, at: Places, m: int, first: int) -> None:
    """Move the first m rows from `first` on to `origin`, leaving zeros; none where `first` is negative."""
    for i in range(m):
        store(work, at.origin + i, load(work, first + i) if first >= 0 else broadcast(0.0))
        if first >= 0:
            store(work, first + i, broadcast(0.0))
