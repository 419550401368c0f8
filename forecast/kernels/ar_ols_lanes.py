"""The least squares of `ar_ols` for several series at once, one series a lane.

Gram matrices and factors are (row, column, lane). Columns are the lags 1..K and then the response; where
lanes chose different orders, the smaller ones carry a unit matrix in the columns that they do not use. A lane
that asks for more care than normal equations give is handed back.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from forecast.kernels._jit import kernel
from forecast.kernels.criteria import gaussian_loglik, select_order
from forecast.kernels.lag_lanes import fill_lanes, lane_padding, lane_products, take_lanes
from forecast.kernels.lag_products import is_constant
from forecast.kernels.simd import WIDTH, Vec, broadcast, buffer, fma, load, sqrt, store
from forecast.kernels.taps import TAPS, Tile, add_back, add_on, load_tile, scaled, store_tile
from forecast.types import F64, I64, U8, Bool

# A pivot below this share of its diagonal element goes to QR. The error of the coefficients is about
# 1e-16 / share, so a smaller share would break the agreement to 1e-10; a larger one only costs time.
CHOLESKY_PIVOT = 1e-6

Space: TypeAlias = tuple[F64, F64, F64, F64, F64, F64, F64]
Work: TypeAlias = tuple[F64, F64, F64, F64, F64, F64, F64, F64, Space]


@kernel
def lane_space(m: int) -> Space:
    """Allocate Gram matrix, column sums, masks, three ends of the series, and pivots, for orders up to m."""
    gram = buffer((m + 2) * (m + 2 * TAPS)).reshape(m + 2, m + 2 * TAPS, WIDTH)
    sums, mask, pivots = buffer(m + 2 * TAPS), buffer(m + 2 * TAPS), buffer(2 * m + 4)
    rows = 2 * (m + TAPS)
    return gram, sums, mask, buffer(rows), buffer(rows), buffer(rows), pivots


@kernel
def _lay_ends(x: F64, pad: int, lengths: I64, orders: I64, m: int, K: int, space: Space) -> None:
    """Align the ends of all lanes: point k is row K + 8 of `early`, point T - m is row m + 8 of `late`.

    `seen` is `early` with zeros from point m on, where the core begins.
    """
    _, _, _, early, seen, late, _ = space
    rows = K + TAPS + m
    take_lanes(x, orders + (pad - K - TAPS), rows, early)
    take_lanes(x, lengths + (pad - 2 * m - TAPS), 2 * m + TAPS, late)
    for j in range(rows):
        store(seen, j, load(early, j))
    for r in range(WIDTH):
        for j in range(rows - orders[r], rows):
            seen[j, r] = 0.0


@kernel
def _tile_rows(core: F64, d: int, m: int, K: int, least: int, response: F64, space: Space) -> None:
    """Write the sums of the products of lags i and i + d..i + d + 7: row i - 1 of `gram`, or the response."""
    gram, _, _, early, seen, late, _ = space
    width, at = gram.shape[1], K + TAPS
    s = load_tile(core, d)
    for j in range(at, at + m - least):
        s = add_back(s, load(seen, j), early, j - d)
    store_tile(response, d, s)
    for i in range(1, K - d + 1):
        s = add_back(s, load(seen, at - i), early, at - i - d)
        store_tile(gram, (i - 1) * width + i - 1 + d, s)
    z = broadcast(0.0)
    s = (z, z, z, z, z, z, z, z)
    for i in range(m - 1, -1, -1):
        row = 2 * m + TAPS - 1 - i
        s = add_back(s, load(late, row), late, row - d)
        if 0 < i <= K - d:
            _add_to(gram, (i - 1) * width + i - 1 + d, s)
    _add_to(response, d, s)


@kernel
def _add_to(a: F64, row: int, s: Tile) -> None:
    t = load_tile(a, row)
    store_tile(a, row, (t[0] + s[0], t[1] + s[1], t[2] + s[2], t[3] + s[3],
                        t[4] + s[4], t[5] + s[5], t[6] + s[6], t[7] + s[7]))  # fmt: skip


@kernel
def _column_sums(core: F64, m: int, K: int, least: int, space: Space) -> None:
    """Write the sums of the columns over rows t = k..T-1: lags 1..K and then the response."""
    _, sums, _, _, seen, late, _ = space
    s, at = load(core, core.shape[0] - 1), K + TAPS
    for j in range(at, at + m - least):
        s = s + load(seen, j)
    store(sums, K, s)
    for i in range(1, K + 1):
        s = s + load(seen, at - i)
        store(sums, i - 1, s)
    s = broadcast(0.0)
    for i in range(m - 1, -1, -1):
        s = s + load(late, 2 * m + TAPS - 1 - i)
        if i <= K:
            to = i - 1 if i > 0 else K
            store(sums, to, load(sums, to) + s)


@kernel
def lane_gram(
    x: F64, pad: int, lengths: I64, orders: I64, m: int, K: int, core: F64, response: F64, space: Space
) -> None:
    """Write the sums of products of every lane's regression of its order k <= K, rows t = k..T-1.

    ``core`` is that of `lane_products` for order m; see `_lay_ends` for how orders are aligned.
    """
    gram, _, mask, _, _, _, _ = space
    least = orders.min()
    _lay_ends(x, pad, lengths, orders, m, K, space)
    for d in range(0, K + 1, TAPS):
        _tile_rows(core, d, m, K, least, response, space)
    _column_sums(core, m, K, least, space)
    for i in range(K + 1):
        store(gram, i * gram.shape[1] + K, load(response, i + 1 if i < K else 0))
        for r in range(WIDTH):
            mask[i, r] = 1.0 if i < orders[r] or i == K else 0.0


@kernel
def _begin(j: int, c: int, centring: Vec, masked: bool, one: Vec, space: Space) -> Tile:
    """Columns c..c+7 of row j, centred, and of the unit matrix where the lane does not use them."""
    gram, sums, mask, _, _, _, _ = space
    s = add_on(load_tile(gram, j * gram.shape[1] + c), centring, sums, c)
    if masked:
        used = load(mask, j)
        s, k = scaled(s, used), load_tile(mask, c)
        s = (s[0] * k[0], s[1] * k[1], s[2] * k[2], s[3] * k[3],
             s[4] * k[4], s[5] * k[5], s[6] * k[6], s[7] * k[7])  # fmt: skip
        if c == j:
            s = (s[0] + (one - used), s[1], s[2], s[3], s[4], s[5], s[6], s[7])
        elif c == j - 1:
            s = (s[0], s[1] + (one - used), s[2], s[3], s[4], s[5], s[6], s[7])
    return s


@kernel
def lane_cholesky(K: int, weight: F64, masked: bool, space: Space) -> None:
    """Factor the centred Gram matrices in place, U'U; leave diagonals and pivots in `pivots`.

    Two rows at a time, so that what is loaded serves twice; a last row without a partner takes a blank one.
    ``weight`` (2, WIDTH) holds the weights of the column sums, 1 / rows or 0, and ones.
    """
    gram, sums, _, _, _, _, pivots = space
    width, z, one = gram.shape[1], broadcast(0.0), load(weight, 1)
    w, scale, next_scale, link = load(weight, 0), one, one, one
    for j in range(0, K + 1, 2):
        below = j + 1
        centring, next_centring = z - w * load(sums, j), z - w * load(sums, below)
        for c in range(j, K + 1, TAPS):
            s = _begin(j, c, centring, masked, one, space)
            t = _begin(below, c, next_centring, masked, one, space)
            if c == j:
                store(pivots, 2 * j, s[0])
                store(pivots, 2 * below, t[1])
            for i in range(j):
                at = i * width
                s = add_on(s, z - load(gram, at + j), gram, at + c)
                t = add_on(t, z - load(gram, at + below), gram, at + c)
            if c == j:
                store(pivots, 2 * j + 1, s[0])
                scale = one / sqrt(s[0])
                link = z - s[1] * scale
            s = scaled(s, scale)
            t = _less(t, link, s)
            if c == j:
                store(pivots, 2 * below + 1, t[1])
                next_scale = one / sqrt(t[1])
            store_tile(gram, j * width + c, s)
            store_tile(gram, below * width + c, scaled(t, next_scale))


@kernel
def _less(t: Tile, factor: Vec, s: Tile) -> Tile:
    """Add `factor` times the other tile."""
    return (
        fma(factor, s[0], t[0]), fma(factor, s[1], t[1]), fma(factor, s[2], t[2]), fma(factor, s[3], t[3]),
        fma(factor, s[4], t[4]), fma(factor, s[5], t[5]), fma(factor, s[6], t[6]), fma(factor, s[7], t[7]),
    )  # fmt: skip


@kernel
def lane_check(K: int, pivots: F64, good: Bool) -> None:
    """Clear `good` where a pivot is too small to trust."""
    for j in range(K + 1):
        for r in range(WIDTH):
            good[r] = good[r] and pivots[2 * j + 1, r] > CHOLESKY_PIVOT * pivots[2 * j, r]


@kernel
def lane_solve(K: int, mean: F64, weight: F64, phi: F64, level: F64, space: Space) -> None:
    """Back substitution: coefficients (K, WIDTH) and intercepts (WIDTH,), the latter as in `ar_ols`."""
    gram, sums, _, _, _, _, _ = space
    width, z = gram.shape[1], broadcast(0.0)
    mu, w = load(mean, 0), load(weight, 0)
    for i in range(K):
        store(phi, i, load(gram, i * width + K))
    c = fma(w, load(sums, K), mu)
    for i in range(K - 1, -1, -1):
        p = load(phi, i) / load(gram, i * width + i)
        store(phi, i, p)
        c = fma(z - p, fma(w, load(sums, i), mu), c)
        for j in range(i):
            store(phi, j, fma(z - p, load(gram, j * width + i), load(phi, j)))
    store(level, 0, c)


@kernel
def lane_order(gram: F64, r: int, m: int, t: int, const: int, criterion: int, logliks: F64, ic: F64) -> int:
    """Return the order that lane r prefers, from the factor of order m on the common sample."""
    rss, n = 0.0, t - m
    for j in range(m, -1, -1):
        rss += gram[j, m, r] * gram[j, m, r]
        logliks[j] = gaussian_loglik(n, rss / n)
    return select_order(logliks, m, n, const, criterion, ic)


@kernel
def lane_squares(core: F64, m: int, lengths: I64, mean: F64, space: Space, good: Bool) -> None:
    """Clear `good` where nothing but rounding is left of a centred series; the ends are laid for order m."""
    _, _, _, _, seen, late, pivots = space
    s, t = load(core, 0), broadcast(0.0)
    for j in range(m):
        u, v = load(seen, TAPS + j), load(late, TAPS + m + j)
        s, t = fma(u, u, s), fma(v, v, t)
    store(pivots, 0, s + t)
    for r in range(WIDTH):
        good[r] = good[r] and not is_constant(pivots[0, r], mean[r], lengths[r])


@kernel
def lane_work(m: int, longest: int) -> Work:
    """Allocate the series, products and their parts, responses, means, weights, coefficients, levels."""
    x = buffer(lane_padding(m) + longest + WIDTH)
    rows = m + 2 * TAPS + 1
    core, part, response = buffer(rows), buffer(rows), buffer(rows)
    mean, weight, phi, level = buffer(1), buffer(2), buffer(m + 1), buffer(1)
    return x, core, part, response, mean, weight, phi, level, lane_space(m)


@kernel
def _weigh(lengths: I64, orders: I64, const: int, weight: F64) -> None:
    for r in range(WIDTH):
        weight[0, r], weight[1, r] = const / (lengths[r] - orders[r]), 1.0


@kernel
def _prefer(
    gram: F64, rows: I64, lengths: I64, good: Bool, m: int, rule: tuple[int, int], logliks: F64, ic: F64,
    orders: I64,
) -> int:  # fmt: skip
    """Write the order of every good lane, by `rule` (const, criterion); return the largest."""
    for r in range(WIDTH):
        if good[r]:
            orders[r] = lane_order(gram, r, m, lengths[r], rule[0], rule[1], logliks, ic[rows[r]])
    return int(orders.max())


@kernel
def _write(
    rows: I64, lengths: I64, orders: I64, good: Bool, coefficients: F64, level: F64, pivot: F64,
    phi: F64, intercept: F64, sigma2: F64, order: I64, loglik: F64, ok: U8,
) -> None:  # fmt: skip
    """Hand the results of good lanes out; `pivot` (WIDTH,) is the root of the residual sum of squares."""
    for r in range(WIDTH):
        if good[r]:
            row, n = rows[r], lengths[r] - orders[r]
            for i in range(orders[r]):
                phi[row, i] = coefficients[i, r]
            order[row], intercept[row], ok[row] = orders[r], level[0, r], 1
            sigma2[row] = pivot[r] * pivot[r] / n
            loglik[row] = gaussian_loglik(n, float(sigma2[row]))


@kernel
def fit_lanes(
    values: F64,
    indptr: I64,
    rows: I64,
    m: int,
    criterion: int,
    const: int,
    work: Work,
    phi: F64,
    intercept: F64,
    sigma2: F64,
    order: I64,
    ic: F64,
    loglik: F64,
    ok: U8,
) -> None:
    """Fit the series `rows` (WIDTH,), each long enough for order m >= 1; `ok` marks those that are fitted.

    The rest as in `ar_ols.fit_ols`. The next series are taken to follow the last of `rows` in memory.
    """
    x, core, part, response, mean, weight, coefficients, level, space = work
    pad, logliks = lane_padding(m), np.empty(m + 1)
    starts, orders, good = indptr[rows], np.full(WIDTH, m), np.ones(WIDTH, dtype=np.bool_)
    lengths = indptr[rows + 1] - starts
    fill_lanes(values, starts, lengths, const, pad, mean[0], x)
    lane_products(x, pad, lengths, m, core, part, values, int(indptr[rows[WIDTH - 1] + 1]))
    # One call for both factorisations: the compiler would inline two.
    K = m
    for final in range(2):
        if final == 0 or orders.min() < m:
            lane_gram(x, pad, lengths, orders, m, K, core, response, space)
            if final == 0:
                lane_squares(core, m, lengths, mean[0], space, good)
            _weigh(lengths, orders, const, weight)
            lane_cholesky(K, weight, orders.min() < K, space)
            lane_check(K, space[6], good)
        if final == 0:
            K = _prefer(space[0], rows, lengths, good, m, (const, criterion), logliks, ic, orders)
    lane_solve(K, mean, weight, coefficients, level, space)
    _write(
        rows, lengths, orders, good, coefficients, level, space[0][K, K],
        phi, intercept, sigma2, order, loglik, ok,
    )  # fmt: skip
