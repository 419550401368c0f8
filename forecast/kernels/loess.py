"""Local regression on a grid, as STL needs it."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64

# Cleveland's shares of the window: beyond FAR the tricube weight is 0, within NEAR it is 1.
FAR = 0.999
NEAR = 0.001


@kernel
def local_weights(
    n: int, window: int, degree: int, x: int, left: int, right: int, user: F64, weighted: bool, w: F64
) -> bool:
    """Write the weights by which the points left..right make the local fit at position `x`.

    Parameters
    ----------
    n, window
        Points of the series, and neighbours wanted; a window wider than the series widens the kernel.
    degree
        0 local mean, 1 local line.
    user, weighted
        (n,) weights >= 0 of the points, used when `weighted`.
    w
        (>= right - left + 1,) written, ``w[0]`` for the point `left`.

    Returns
    -------
    bool
        False when no point has weight; `w` is then meaningless.
    """
    reach = max(x - left, right - x) + (max(window - n, 0) // 2)
    total = 0.0
    for j in range(left, right + 1):
        distance = abs(j - x)
        value = 0.0
        if distance <= FAR * reach:
            value = 1.0
            if distance > NEAR * reach:
                ratio = distance / reach
                value = 1.0 - ratio * ratio * ratio
                value = value * value * value
            if weighted:
                value *= user[j]
        w[j - left] = value
        total += value
    if not total > 0.0:
        return False
    centre = 0.0
    for j in range(left, right + 1):
        w[j - left] /= total
        centre += w[j - left] * j
    if reach > 0 and degree > 0:
        spread = 0.0
        for j in range(left, right + 1):
            spread += w[j - left] * (j - centre) ** 2
        if np.sqrt(spread) > NEAR * (n - 1.0):
            slope = (x - centre) / spread
            for j in range(left, right + 1):
                w[j - left] *= slope * (j - centre) + 1.0
    return True


@kernel
def local_fit(
    y: F64,
    n: int,
    window: int,
    degree: int,
    x: int,
    left: int,
    right: int,
    user: F64,
    weighted: bool,
    w: F64,
    fallback: float,
) -> float:
    """Return the local fit at `x` from the points left..right, or `fallback` when none has weight."""
    if not local_weights(n, window, degree, x, left, right, user, weighted, w):
        return fallback
    acc = 0.0
    for j in range(right - left + 1):
        acc += w[j] * y[left + j]
    return acc


@kernel
def loess(
    y: F64, n: int, window: int, degree: int, jump: int, user: F64, weighted: bool, w: F64, out: F64
) -> None:
    """Write the loess curve of ``y[:n]``: fitted at every `jump`-th point and the last, straight between.

    Notes
    -----
    Without user weights all windows that lie inside the series share one set of weights. O(n window / jump).
    Source: Cleveland, Cleveland, McRae and Terpenning (1990), *J. Official Statistics* 6, 3-73, sec. 2 and 4.
    """
    if n < 2:
        out[0] = y[0]
        return
    step = min(jump, n - 1)
    width = min(window, n)
    half = (window - 1) // 2
    shared = False  # w holds the weights of a window with x in its middle
    done = 0  # the last fitted position
    left = 0
    i = 0
    while i < n:
        left = min(max(i - half, 0), n - width)
        if not weighted and shared and left == i - half:
            acc = 0.0
            for j in range(width):
                acc += w[j] * y[left + j]
            out[i] = acc
        else:
            out[i] = local_fit(y, n, window, degree, i, left, left + width - 1, user, weighted, w, y[i])
            shared = left == i - half and width == window
        _straight(out, done, i)
        done = i
        i += step
    if done != n - 1:
        # As in the authors' program, the window is the one of the last regular point.
        out[n - 1] = local_fit(
            y, n, window, degree, n - 1, left, left + width - 1, user, weighted, w, y[n - 1]
        )
        _straight(out, done, n - 1)


@kernel
def _straight(out: F64, a: int, b: int) -> None:
    """Fill the points between `a` and `b` by a straight line."""
    if b - a > 1:
        slope = (out[b] - out[a]) / (b - a)
        for j in range(a + 1, b):
            out[j] = out[a] + slope * (j - a)
