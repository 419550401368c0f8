r"""The two filters of an ARMA likelihood, a parameter vector a SIMD lane, sparse in the lags.

`ar_filter` is a(L) applied to data that all lanes share; `ma_filter` divides by b(L). Both start from zeros.
A buffer that is filtered has at least `ma_degree` rows of zeros on the side it starts from.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.simd import Vec, broadcast, fma, fnma, largest, load, store
from forecast.types import F64, I64

# Responses below this share of the first one have no part in a likelihood any more (relative 1e-14 of a sum
# of squares, where rounding leaves 1e-13).
_DECAYED = 1e-14


@large_kernel
def ar_filter(w: F64, n: int, lags: I64, n_lags: int, work: F64, a: int, out: int) -> None:
    """Write a(L) w_t to rows out...

    Parameters
    ----------
    w
        (pad + n,) data behind `pad` zeros, at least as many as the largest lag.
    """
    out_of_line()
    at = w.shape[0] - n
    for k in range(0, max(n_lags, 1), 4):
        # Four lags at a time stay in registers; missing ones count zero.
        l0 = lags[k] if k < n_lags else 0
        l1 = lags[k + 1] if k + 1 < n_lags else 0
        l2 = lags[k + 2] if k + 2 < n_lags else 0
        l3 = lags[k + 3] if k + 3 < n_lags else 0
        zero = broadcast(0.0)
        c0 = load(work, a + l0) if k < n_lags else zero
        c1 = load(work, a + l1) if k + 1 < n_lags else zero
        c2 = load(work, a + l2) if k + 2 < n_lags else zero
        c3 = load(work, a + l3) if k + 3 < n_lags else zero
        for t in range(n):
            acc = broadcast(w[at + t]) if k == 0 else load(work, out + t)
            acc = fma(c0, broadcast(w[at + t - l0]), acc)
            if l1 > 0:
                acc = fma(c1, broadcast(w[at + t - l1]), acc)
            if l2 > 0:
                acc = fma(c2, broadcast(w[at + t - l2]), acc)
                acc = fma(c3, broadcast(w[at + t - l3]), acc)
            store(work, out + t, acc)


@kernel
def _near(acc: Vec, c1: Vec, p1: Vec, c2: Vec, p2: Vec) -> Vec:
    """Take the two newest values off; the newest last, it is the one that is waited for."""
    return fnma(c1, p1, fnma(c2, p2, acc))


@large_kernel
def ma_filter(
    work: F64, x: int, x_step: int, b: int, lags: I64, n_lags: int, out: int, step: int, begin: int, end: int,
) -> None:  # fmt: skip
    """Divide by b(L): points begin..end - 1, point t in row out + t step.

    Point t of the data is in row x + t x_step (x_step = 0: one row for all). With step = -1 this is the
    adjoint of the filter. `out` may be x.
    """
    out_of_line()
    k = 0
    while k < n_lags and lags[k] <= 2:
        k += 1
    c1, c2 = load(work, b + 1), load(work, b + 2)
    row, x_row = out + begin * step, x + begin * x_step
    p1, p2 = load(work, row - step), load(work, row - 2 * step)
    if n_lags - k == 0:
        for _ in range(begin, end):
            p1, p2 = _near(load(work, x_row), c1, p1, c2, p2), p1
            store(work, row, p1)
            row, x_row = row + step, x_row + x_step
        return
    if n_lags - k <= 4:
        last = n_lags - 1
        l3, l4 = lags[k], lags[min(k + 1, last)]
        l5, l6 = lags[min(k + 2, last)], lags[min(k + 3, last)]
        zero = broadcast(0.0)
        c3, c4 = load(work, b + l3), load(work, b + l4) if k + 1 <= last else zero
        c5, c6 = load(work, b + l5) if k + 2 <= last else zero, load(work, b + l6) if k + 3 <= last else zero
        l3, l4, l5, l6 = l3 * step, l4 * step, l5 * step, l6 * step
        more = n_lags - k > 2
        for _ in range(begin, end):
            acc = fnma(c4, load(work, row - l4), fnma(c3, load(work, row - l3), load(work, x_row)))
            if more:
                acc = fnma(c6, load(work, row - l6), fnma(c5, load(work, row - l5), acc))
            p1, p2 = _near(acc, c1, p1, c2, p2), p1
            store(work, row, p1)
            row, x_row = row + step, x_row + x_step
        return
    for _ in range(begin, end):
        acc = load(work, x_row)
        for i in range(k, n_lags):
            acc = fnma(load(work, b + lags[i]), load(work, row - lags[i] * step), acc)
        p1, p2 = _near(acc, c1, p1, c2, p2), p1
        store(work, row, p1)
        row, x_row = row + step, x_row + x_step


@large_kernel
def response(
    work: F64, b: int, lags: I64, n_lags: int, degree: int, n: int, pad: int, zeros: int, h: int, rows: int
) -> int:
    """Write the weights of 1 / b(L) to rows h + pad..; return how many there are before they vanish.

    The rows before them, and behind them up to h + rows, are set to zero.
    """
    out_of_line()
    for row in range(pad):
        store(work, h + row, broadcast(0.0))
    store(work, h + pad, broadcast(1.0))
    known, chunk, none = 1, max(32, degree), n - n
    while degree > 0 and known < n:
        end = min(n, known + chunk)
        ma_filter(work, zeros, none, b, lags, n_lags, h + pad, none + 1, known, end)
        known = end
        top = broadcast(0.0)
        for row in range(pad + known - degree, pad + known):
            top = fma(load(work, h + row), load(work, h + row), top)
        if largest(top) < _DECAYED * _DECAYED:
            break
    for row in range(pad + known, rows):
        store(work, h + row, broadcast(0.0))
    return known


@kernel
def dot(work: F64, x: int, y: int, n: int) -> Vec:
    """Sum over n rows of products, in each lane; four sums at a time, whatever n."""
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    whole = n - n % 4
    for t in range(0, whole, 4):
        a = fma(load(work, x + t), load(work, y + t), a)
        b = fma(load(work, x + t + 1), load(work, y + t + 1), b)
        c = fma(load(work, x + t + 2), load(work, y + t + 2), c)
        d = fma(load(work, x + t + 3), load(work, y + t + 3), d)
    for t in range(whole, n):
        a = fma(load(work, x + t), load(work, y + t), a)
    return (a + b) + (c + d)
