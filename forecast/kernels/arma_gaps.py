"""Missing points in the likelihood: columns that are one there, differenced as the data are.

Their inner products among themselves are those of shifted responses. Where h dies away before the series ends
they depend on the distance alone, and are zero beyond its reach; see `arma_likelihood`.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.arma_buffers import Data, Places, pad_of
from forecast.kernels.arma_filter import ma_filter
from forecast.kernels.arma_polynomial import Shape
from forecast.kernels.arma_projection import project, set_origin
from forecast.kernels.lane_algebra import minus_dot, plus_dot
from forecast.kernels.simd import Vec, broadcast, fma, load, store
from forecast.types import F64, I64


@large_kernel
def _hole_adjoint(
    shape: Shape, lags: I64, n: int, hole: int, reach: int, degree: int, work: F64, at: Places
) -> None:
    """Write the adjoint of the response to a missing point, which is `pi` from point `hole` on, to `back`.

    Points before it are written as far as they reach, and the first m of them always; behind its end there
    are zeros, as far as any inner product looks.
    """
    out_of_line()
    pad, m = pad_of(shape), max(shape.ar_degree, shape.ma_degree)
    end, begin = min(n, hole + reach), max(0, hole - reach)
    top = pad + end - 1
    for row in range(top + 1, min(top + 1 + max(pad + m + 1, degree), at.rows)):
        store(work, at.back + row, broadcast(0.0))
    ma_filter(
        work,
        at.pi + top - hole,
        at.behind,
        at.b,
        lags,
        shape.n_ma,
        at.back + top,
        at.behind,
        at.none,
        end - hole,
    )
    ma_filter(
        work, at.zeros, at.none, at.b, lags, shape.n_ma, at.back + top, at.behind, end - hole, end - begin
    )
    for row in range(pad, pad + min(begin, m)):
        store(work, at.back + row, broadcast(0.0))


@large_kernel
def _alike(shape: Shape, lags: I64, data: Data, reach: int, degree: int, work: F64, at: Places) -> int:
    """Write the inner product of missing points `lag` apart to row `lag` of `lag`, and one adjoint to `back`.

    Returns how many of the first points these hold for: those whose response ends before the series does.
    """
    out_of_line()
    n, pad, count = data.n, pad_of(shape), 0
    if 2 * reach + degree >= n:
        return 0
    while count < len(data.holes) and data.holes[count] + reach + degree < n:
        count += 1
    for row in range(pad):
        store(work, at.back + row, broadcast(0.0))
    _hole_adjoint(shape, lags, n, reach, reach, degree, work, at)
    for lag in range(reach):
        acc, first = broadcast(0.0), at.back + pad + reach + lag
        for k in range(min(degree + 1, reach - lag)):
            acc = fma(load(work, at.ad + k), load(work, first + k), acc)
        store(work, at.lag + lag, acc)
    return count


@kernel
def _project_alike(shape: Shape, data: Data, reach: int, work: F64, at: Places, j: int) -> None:
    """Rows of c and d of missing point j from the adjoint of a point at `reach`: zero where out of reach."""
    m, pad = min(max(shape.ar_degree, shape.ma_degree), data.n), pad_of(shape)
    if data.holes[j] < reach + m:
        project(shape, data.n, work, at, j, at.back + pad + reach - data.holes[j])
        return
    for i in range(m):
        store(work, at.c + j * m + i, broadcast(0.0))
        store(work, at.d + j * m + i, broadcast(0.0))


@kernel
def meet(work: F64, at: Places, data: Data, shape: Shape, i: int) -> Vec:
    """Inner product of missing point i with the column whose adjoint is in `back`."""
    acc, first = broadcast(0.0), at.back + pad_of(shape) + data.holes[i]
    degree = shape.ar_degree + len(data.diff) - 1
    for k in range(min(degree, data.n - 1 - data.holes[i]) + 1):
        acc = fma(load(work, at.ad + k), load(work, first + k), acc)
    return acc


@kernel
def _point_response(shape: Shape, ma_lags: I64, data: Data, degree: int, work: F64, at: Places) -> None:
    """Write a(L) times the differences to `ad`, and that divided by b(L) to `pi`."""
    n, pad = data.n, pad_of(shape)
    for row in range(degree + 1):
        store(work, at.ad + row, broadcast(0.0))
    for j in range(len(data.diff)):
        if data.diff[j] != 0.0:
            for i in range(shape.ar_degree + 1):
                store(
                    work,
                    at.ad + i + j,
                    fma(broadcast(data.diff[j]), load(work, at.a + i), load(work, at.ad + i + j)),
                )
    for row in range(at.rows):
        inside = pad <= row <= pad + min(degree, n - 1)
        store(work, at.pi + row, load(work, at.ad + row - pad) if inside else broadcast(0.0))
    ma_filter(work, at.pi + pad, at.ahead, at.b, ma_lags, shape.n_ma, at.pi + pad, at.ahead, at.none, n)


@large_kernel
def gram_of_holes(shape: Shape, ma_lags: I64, data: Data, known: int, work: F64, at: Places) -> None:
    """Inner products of the missing points among themselves: the first rows of the Gram matrix."""
    out_of_line()
    K, n, pad = len(data.holes), data.n, pad_of(shape)
    m, total = min(max(shape.ar_degree, shape.ma_degree), n), K + data.columns.shape[0]
    degree = shape.ar_degree + len(data.diff) - 1
    _point_response(shape, ma_lags, data, degree, work, at)
    # Responses and adjoints reach no further than h does; away from the ends they are all the same.
    reach = n if known >= n else min(n, known + degree + 1)
    alike = _alike(shape, ma_lags, data, reach, degree, work, at)
    set_origin(work, at, m, at.behind)
    for j in range(K):
        hole = data.holes[j]
        data.low[j] = j if j == 0 or data.holes[j - 1] + reach <= hole else data.low[j - 1]
        while data.holes[data.low[j]] + reach <= hole and hole >= reach + m:
            data.low[j] += 1
        if j < alike:
            _project_alike(shape, data, reach, work, at, j)
        else:
            _hole_adjoint(shape, ma_lags, n, hole, reach, degree, work, at)
            project(shape, n, work, at, j, at.back + pad)
        for i in range(j, K):
            lag, found = data.holes[i] - hole, broadcast(0.0)
            if lag < reach:
                found = load(work, at.lag + lag) if j < alike else meet(work, at, data, shape, i)
            store(work, at.gram + i * total + j, found)
    for i in range(K):
        for j in range(data.low[i], i + 1):
            if data.holes[j] < reach + m:
                acc = minus_dot(work, at.c + i * m, at.c + j * m, m, load(work, at.gram + i * total + j))
                store(work, at.gram + i * total + j, plus_dot(work, at.d + i * m, at.d + j * m, m, acc))
