r"""Recursive forecasts of several series at once, one series a lane, eight steps in one pass over the past.

.. math:: w_{t+k} = m_{t+k} + \sum_{j=1}^{p} a_j w_{t+k-j}

A value of the past enters the next eight steps with eight neighbouring coefficients. These slide through
the registers while the pass runs from the oldest value to the newest, so that two loads feed eight
multiplications; what the eight steps make of each other is a triangle at the end. In every lane the terms
are added from the oldest to the newest, whatever the tile, the batch or the width of a vector.

Source: Hamilton (1994), *Time Series Analysis*, ch. 4. Oracle: ``tests/oracles/recursion.py``.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.kernels.simd import WIDTH, buffer, fma, load_at, store_at
from forecast.kernels.taps import TAPS, Tile, tap
from forecast.types import F64, I64

# The pass begins with a triangle of seven values of the past: there must be as many.
SHORTEST = TAPS - 1


@kernel
def _oldest(a: F64, w: F64, at: int, p: int, s: Tile) -> tuple[Tile, Tile]:
    """Add the seven oldest values, from row `at` on, to the steps that they reach: the oldest to one."""
    n = a.shape[1]
    i, o = (p - 1) * n, at * n
    s0, s1, s2, s3, s4, s5, s6, s7 = s
    n0, n1, n2, n3 = load_at(a, i), load_at(a, i - n), load_at(a, i - 2 * n), load_at(a, i - 3 * n)
    n4, n5, n6 = load_at(a, i - 4 * n), load_at(a, i - 5 * n), load_at(a, i - 6 * n)
    y = load_at(w, o)
    s0 = fma(n0, y, s0)
    y = load_at(w, o + n)
    s0, s1 = fma(n1, y, s0), fma(n0, y, s1)
    y = load_at(w, o + 2 * n)
    s0, s1, s2 = fma(n2, y, s0), fma(n1, y, s1), fma(n0, y, s2)
    y = load_at(w, o + 3 * n)
    s0, s1, s2, s3 = fma(n3, y, s0), fma(n2, y, s1), fma(n1, y, s2), fma(n0, y, s3)
    y = load_at(w, o + 4 * n)
    s0, s1, s2, s3, s4 = fma(n4, y, s0), fma(n3, y, s1), fma(n2, y, s2), fma(n1, y, s3), fma(n0, y, s4)
    y = load_at(w, o + 5 * n)
    s0, s1, s2 = fma(n5, y, s0), fma(n4, y, s1), fma(n3, y, s2)
    s3, s4, s5 = fma(n2, y, s3), fma(n1, y, s4), fma(n0, y, s5)
    y = load_at(w, o + 6 * n)
    s0, s1, s2, s3 = fma(n6, y, s0), fma(n5, y, s1), fma(n4, y, s2), fma(n3, y, s3)
    s4, s5, s6 = fma(n2, y, s4), fma(n1, y, s5), fma(n0, y, s6)
    return (s0, s1, s2, s3, s4, s5, s6, s7), (n6, n5, n4, n3, n2, n1, n0, n0)


@kernel
def _newest(s: Tile, c: Tile) -> Tile:
    """Add what each of the eight steps contributes to the later ones."""
    s0, s1, s2, s3, s4, s5, s6, s7 = s
    c0, c1, c2, c3, c4, c5, c6, _ = c
    s1, s2, s3, s4 = fma(c0, s0, s1), fma(c1, s0, s2), fma(c2, s0, s3), fma(c3, s0, s4)
    s5, s6, s7 = fma(c4, s0, s5), fma(c5, s0, s6), fma(c6, s0, s7)
    s2, s3, s4 = fma(c0, s1, s2), fma(c1, s1, s3), fma(c2, s1, s4)
    s5, s6, s7 = fma(c3, s1, s5), fma(c4, s1, s6), fma(c5, s1, s7)
    s3, s4, s5 = fma(c0, s2, s3), fma(c1, s2, s4), fma(c2, s2, s5)
    s6, s7 = fma(c3, s2, s6), fma(c4, s2, s7)
    s4, s5, s6, s7 = fma(c0, s3, s4), fma(c1, s3, s5), fma(c2, s3, s6), fma(c3, s3, s7)
    s5, s6, s7 = fma(c0, s4, s5), fma(c1, s4, s6), fma(c2, s4, s7)
    s6, s7 = fma(c0, s5, s6), fma(c1, s5, s7)
    s7 = fma(c0, s6, s7)
    return s0, s1, s2, s3, s4, s5, s6, s7


@kernel
def _eight_steps(a: F64, w: F64, p: int, k: int) -> None:
    """Turn the drive in rows p + k .. p + k + 7 of `w` into the path."""
    n = a.shape[1]
    o = (p + k) * n
    s = (
        load_at(w, o), load_at(w, o + n), load_at(w, o + 2 * n), load_at(w, o + 3 * n),
        load_at(w, o + 4 * n), load_at(w, o + 5 * n), load_at(w, o + 6 * n), load_at(w, o + 7 * n),
    )  # fmt: skip
    s, c = _oldest(a, w, k, p, s)
    at, i = (k + SHORTEST) * n, (p - 1 - SHORTEST) * n
    while i >= 3 * n:
        s, c = tap(s, c, load_at(a, i), load_at(w, at))
        s, c = tap(s, c, load_at(a, i - n), load_at(w, at + n))
        s, c = tap(s, c, load_at(a, i - 2 * n), load_at(w, at + 2 * n))
        s, c = tap(s, c, load_at(a, i - 3 * n), load_at(w, at + 3 * n))
        at, i = at + 4 * n, i - 4 * n
    while i >= 0:
        s, c = tap(s, c, load_at(a, i), load_at(w, at))
        at, i = at + n, i - n
    s = _newest(s, c)
    store_at(w, o, s[0])
    store_at(w, o + n, s[1])
    store_at(w, o + 2 * n, s[2])
    store_at(w, o + 3 * n, s[3])
    store_at(w, o + 4 * n, s[4])
    store_at(w, o + 5 * n, s[5])
    store_at(w, o + 6 * n, s[6])
    store_at(w, o + 7 * n, s[7])


@kernel
def forecast_lanes(a: F64, w: F64, first: int, last: int) -> None:
    """Run blocks first..last-1 of series ahead, in place.

    Parameters
    ----------
    a
        (blocks, p, lanes) coefficients, ``a[:, 0]`` multiplies lag 1; p >= `SHORTEST`, zeros where a series
        has fewer. float64 with `WIDTH` lanes, or float32 with `WIDTH32`.
    w
        (blocks, p + h, lanes) oldest first: p values of the past, finite also where their coefficient is 0,
        then the deterministic part of h steps, which becomes the path. h is a multiple of eight.
    """
    p = a.shape[1]
    for block in range(first, last):
        for k in range(0, w.shape[1] - p, TAPS):
            _eight_steps(a[block], w[block], p, k)


@kernel
def _lay_block(
    a: F64, width: I64, b: F64, ma_width: I64, levels: F64, innovations: F64, drive: F64,
    rows: tuple[int, int, int], lag: F64, path: F64, psi: F64,
) -> None:  # fmt: skip
    """Lay series rows[0]..rows[1]-1 into lanes, rows[2] lags each: coefficients, past and drive.

    The psi weights are the same recursion after an empty past, driven by a unit shock and its moving average.
    """
    first, last, p = rows
    h, end = drive.shape[1], p + path.shape[0] - lag.shape[0]
    lag[:p], path[:end], psi[:end] = 0.0, 0.0, 0.0
    for i in range(first, last):
        r = i - first
        for j in range(width[i]):
            lag[j, r], path[p - 1 - j, r] = a[i, j], levels[i, j]
        for k in range(h):
            path[p + k, r] = drive[i, k]
        psi[p, r] = 1.0
        for k in range(min(ma_width[i], h)):
            acc = path[p + k, r]
            for j in range(k, ma_width[i]):
                acc += b[i, j] * innovations[i, j - k]
            path[p + k, r] = acc
            if k + 1 < h:
                psi[p + k + 1, r] = b[i, k]


@kernel
def forecast_rows(
    a: F64, width: I64, b: F64, ma_width: I64, levels: F64, innovations: F64, drive: F64,
    out: F64, weights: F64, first: int, last: int,
) -> None:  # fmt: skip
    """Write mean paths and psi weights of rows first..last-1.

    Parameters
    ----------
    a, width, b, ma_width, levels, innovations, drive
        As in `recursion.forecast_path_rows`.
    out, weights
        (n, h) paths and psi_0 .. psi_{h-1}. O(n h (width + ma_width)); scratch is that of one block.
    """
    h, widest = out.shape[1], SHORTEST
    for i in range(first, last):
        widest = max(widest, width[i])
    steps = (h + TAPS - 1) // TAPS * TAPS
    lag, path, psi = buffer(widest), buffer(widest + steps), buffer(widest + steps)
    for begin in range(first, last, WIDTH):
        end, p = min(begin + WIDTH, last), SHORTEST
        for i in range(begin, end):
            p = max(p, width[i])
        _lay_block(a, width, b, ma_width, levels, innovations, drive, (begin, end, p), lag, path, psi)
        for k in range(0, steps, TAPS):
            _eight_steps(lag, path, p, k)
            _eight_steps(lag, psi, p, k)
        for i in range(begin, end):
            for k in range(h):
                out[i, k], weights[i, k] = path[p + k, i - begin], psi[p + k, i - begin]
