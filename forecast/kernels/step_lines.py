r"""Sums along the steps of one forecast, a lane a step.

A line holds one number for each of h steps, in whole vectors, after one vector of zeros: what lies before
the first step is then 0 and can be loaded. Lines are the rows of a C-contiguous array (rows, `line_length`).
No lane depends on the lanes behind it, so what lies beyond step h never shows.

Oracle: ``tests/forecast/kernels/test_step_lines.py``, the sums as NumPy writes them.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.simd import WIDTH, behind, broadcast, fma, load_at, store_at
from forecast.types import F64


@kernel
def whole(h: int) -> int:
    """Return the steps of a line that holds h, in whole vectors."""
    return (h + WIDTH - 1) // WIDTH * WIDTH


@kernel
def lines(rows: int, h: int) -> F64:
    """(rows, length) lines of zeros."""
    return np.zeros((rows, WIDTH + whole(h)))


@kernel
def fill(line: F64, values: F64, first: int, h: int) -> None:
    """Write values[first : first + h] into a line."""
    for k in range(h):
        line[WIDTH + k] = values[first + k]


@kernel
def convolve(weights: F64, first: int, h: int, x: F64, out: F64) -> None:
    r"""Write :math:`out_k = \sum_{j \le k} w_j x_{k-j}` of the line x, w_j = weights[first + j]."""
    for k in range(0, h, WIDTH):
        acc = broadcast(0.0)
        for j in range(min(k + WIDTH, h)):
            acc = fma(broadcast(weights[first + j]), load_at(x, WIDTH + k - j), acc)
        store_at(out, WIDTH + k, acc)


@kernel
def add_reach(factors: F64, size: int, past: F64, first: int, h: int, out: F64) -> None:
    r"""Add :math:`\sum_{i \ge k} c_i x_{i-k}` to a line: what the past x, newest first, says of every step.

    `factors` holds the `size` of c and a vector of zeros after them; x_i = past[first + i].
    """
    for k in range(0, min(h, size), WIDTH):
        acc = load_at(out, WIDTH + k)
        for i in range(size - k):
            acc = fma(broadcast(past[first + i]), load_at(factors, k + i), acc)
        store_at(out, WIDTH + k, acc)


@kernel
def step_later(before: F64, weights: F64, first: int, factor: float, h: int, out: F64) -> None:
    """Write out_k = before_{k-1} + factor w_k, w_k = weights[first + k] in whole vectors."""
    last, scale = broadcast(0.0), broadcast(factor)
    for k in range(0, h, WIDTH):
        now = load_at(before, WIDTH + k)
        store_at(out, WIDTH + k, fma(scale, load_at(weights, first + k), behind(last, now)))
        last = now


@kernel
def add_quadratic(G: F64, count: int, V: F64, first: int, h: int, out: F64) -> None:
    """Add g_k' V g_k to a line, g_k the step k of the lines G[:count], V a lower triangle by rows."""
    length = G.shape[1]
    for k in range(0, h, WIDTH):
        total, place = load_at(out, WIDTH + k), first
        for i in range(count):
            acc = broadcast(0.0)
            for j in range(i):
                acc = fma(broadcast(V[place + j]), load_at(G, j * length + WIDTH + k), acc)
            g = load_at(G, i * length + WIDTH + k)
            acc = fma(broadcast(V[place + i]), g, acc + acc)
            total = fma(g, acc, total)
            place += i + 1
        store_at(out, WIDTH + k, total)


@kernel
def add_squares(
    G: F64, count: int, rows: F64, which: int, W: F64, first: int, scale: float, h: int, out: F64
) -> None:
    """Add scale |W g_k|^2 to a line, W a lower triangle by rows.

    g_k is the step k of the lines 1 .. count of G, or, where `which` >= 0, of the lines rows[which : which +
    count].
    """
    length, factor = G.shape[1], broadcast(scale)
    for k in range(0, h, WIDTH):
        total, place = load_at(out, WIDTH + k), first
        for r in range(count):
            acc = broadcast(0.0)
            for c in range(r + 1):
                line = c + 1 if which < 0 else int(rows[which + c])
                acc = fma(broadcast(W[place + c]), load_at(G, line * length + WIDTH + k), acc)
            total = fma(acc, factor * acc, total)
            place += r + 1
        store_at(out, WIDTH + k, total)
