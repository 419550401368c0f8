r"""Sums of lagged products of several series at once, one series a lane.

The same sums as `lag_products`, at the speed of the multipliers: series are transposed into lanes on
the way in, eight lags share the loads of one tile, and the memory of the next series is asked for
meanwhile. What a lane gets does not depend on its neighbours: order and bounds of its sums follow
from its own series, and only zeros are added beyond them.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.kernels.lag_products import total
from forecast.kernels.simd import WIDTH, broadcast, fma, load, prefetch, store
from forecast.kernels.taps import TAPS, Tile, load_tile, store_tile, tap
from forecast.kernels.transpose import transpose
from forecast.types import F64, I64

# Points summed up before they join the total: rounding grows with the root of the longer of the two, and
# a chunk stays in the first cache for all its tiles.
CHUNK = 256

# float64 of a cache line.
_LINE = 8


@kernel
def lane_padding(max_lags: int) -> int:
    """Rows of zeros to keep in front of the series, so that a tile may reach over the beginning."""
    return max_lags + 2 * TAPS


@kernel
def fill_lanes(values: F64, starts: I64, lengths: I64, const: int, pad: int, mean: F64, x: F64) -> None:
    """Write the series, less their means with `const`, to rows pad, pad + 1, ... of `x` (rows, WIDTH).

    A shorter series ends early: what its lane holds after that is finite and without meaning.
    """
    common = lengths[0]
    for r in range(WIDTH):
        common = min(common, lengths[r])
        y = values[starts[r] : starts[r] + lengths[r]]
        mean[r] = total(y) / lengths[r] if const else 0.0
    level = load(mean, 0)
    whole = common // WIDTH * WIDTH
    for t in range(0, whole, WIDTH):
        transpose(values, starts, t, level, x, pad + t)
    for r in range(WIDTH):
        for t in range(whole, lengths[r]):
            x[pad + t, r] = values[starts[r] + t] - mean[r]


@kernel
def take_lanes(x: F64, begins: I64, rows: int, out: F64) -> None:
    """Copy `rows` rows of every lane, from row ``begins[r]`` of `x` on, to the same rows of `out`."""
    same = True
    for r in range(WIDTH):
        same = same and begins[r] == begins[0]
    for j in range(rows):
        if same:
            store(out, j, load(x, begins[0] + j))
            continue
        for r in range(WIDTH):
            out[j, r] = x[begins[r] + j, r]


@kernel
def _window(x: F64, row: int) -> Tile:
    """Rows row - 1, row - 2, ..., row - 7; the eighth is never used."""
    return (
        load(x, row - 1), load(x, row - 2), load(x, row - 3), load(x, row - 4),
        load(x, row - 5), load(x, row - 6), load(x, row - 7), load(x, row - 7),
    )  # fmt: skip


@kernel
def _tile(x: F64, first: int, last: int, d: int, sums: Tile, values: F64, ahead: int) -> tuple[Tile, int]:
    """Add the products of lags d..d+7 over rows first..last-1; and where to prefetch from next."""
    s, c, u = sums, _window(x, first - d), first
    while u + 3 < last:
        prefetch(values, ahead)
        prefetch(values, ahead + _LINE)
        ahead += 2 * _LINE
        s, c = tap(s, c, load(x, u - d), load(x, u))
        s, c = tap(s, c, load(x, u - d + 1), load(x, u + 1))
        s, c = tap(s, c, load(x, u - d + 2), load(x, u + 2))
        s, c = tap(s, c, load(x, u - d + 3), load(x, u + 3))
        u += 4
    while u < last:
        s, c = tap(s, c, load(x, u - d), load(x, u))
        u += 1
    return s, ahead


@kernel
def _squares(x: F64, first: int, last: int, origin: int, strands: F64) -> None:
    """Add squares of rows first..last-1 to strands 0..3 and the rows themselves to 4..7.

    Row u goes to strand (u - origin) mod 4, wherever a segment begins.
    """
    u = first
    while u < last and (u - origin) % 4 != 0:
        u = _one_square(x, u, origin, strands)
    s0, s1, s2, s3, a0, a1, a2, a3 = load_tile(strands, 0)
    while u + 3 < last:
        v0, v1 = load(x, u), load(x, u + 1)
        v2, v3 = load(x, u + 2), load(x, u + 3)
        s0, s1, s2, s3 = fma(v0, v0, s0), fma(v1, v1, s1), fma(v2, v2, s2), fma(v3, v3, s3)
        a0, a1, a2, a3 = a0 + v0, a1 + v1, a2 + v2, a3 + v3
        u += 4
    store_tile(strands, 0, (s0, s1, s2, s3, a0, a1, a2, a3))
    while u < last:
        u = _one_square(x, u, origin, strands)


@kernel
def _one_square(x: F64, u: int, origin: int, strands: F64) -> int:
    at, v = (u - origin) % 4, load(x, u)
    store(strands, at, fma(v, v, load(strands, at)))
    store(strands, at + 4, load(strands, at + 4) + v)
    return u + 1


@kernel
def _segment(x: F64, first: int, last: int, origin: int, m: int, part: F64, values: F64, ahead: int) -> int:
    """Add rows first..last-1 to the sums of a chunk; those of `_squares` are kept in the last rows."""
    _squares(x, first, last, origin, part[part.shape[0] - TAPS :])
    for d in range(1, m + 1, TAPS):
        s, ahead = _tile(x, first, last, d, load_tile(part, d), values, ahead)
        store_tile(part, d, s)
    return ahead


@kernel
def _flush(part: F64, core: F64, ends: I64, stop: int, boundary: bool) -> None:
    """Add the sums of a chunk to the totals of the lanes that end here, or of all that go on."""
    live = True
    for r in range(WIDTH):
        live = live and (ends[r] == stop or (boundary and ends[r] > stop))
    for j in range(part.shape[0]):
        if live:
            store(core, j, load(core, j) + load(part, j))
            store(part, j, broadcast(0.0))
            continue
        for r in range(WIDTH):
            if ends[r] == stop or (boundary and ends[r] > stop):
                core[j, r] += part[j, r]
                part[j, r] = 0.0


@kernel
def lane_products(
    x: F64, pad: int, lengths: I64, m: int, core: F64, part: F64, values: F64, ahead: int
) -> None:
    """Write sums over u = m..T-m-1 of ``x[u] * x[u - d]``, d = 0..m, and of x[u], T the length of a lane.

    Parameters
    ----------
    x
        (rows, WIDTH) as `fill_lanes` leaves it.
    core
        (>= m + 16, WIDTH) out: d = 0..m first; the sum of x[u] in the last row.
    part
        Of the same shape, overwritten.
    values, ahead
        Where the next series lie, to be fetched in time.
    """
    core[:] = 0.0
    part[:] = 0.0
    ends = lengths + (pad - m)
    u, last = pad + m, ends.max()
    while u < last:
        corner = pad + m + ((u - pad - m) // CHUNK + 1) * CHUNK
        stop = min(corner, last)
        for r in range(WIDTH):
            if u < ends[r] < stop:
                stop = ends[r]
        ahead = _segment(x, u, stop, pad + m, m, part, values, ahead)
        _flush(part, core, ends, stop, stop == corner)
        u = stop
    t, bottom = load_tile(core, core.shape[0] - TAPS), core.shape[0] - 1
    store(core, 0, (t[0] + t[1]) + (t[2] + t[3]))
    store(core, bottom, (t[4] + t[5]) + (t[6] + t[7]))
