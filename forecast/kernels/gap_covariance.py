"""Covariance of a state in a gap, as the lower triangle of a matrix by rows.

The algebra of `companion_filter`. Half a matrix is half the memory of a fleet in a gap, and symmetric to the
last bit, so that what is written to a log and read again goes on as if it had stayed.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.kernels.companion_filter import KNOWN
from forecast.types import F64


@kernel
def predict_triangle(c: F64, q: int, sigma2: float, P: F64, g: F64) -> None:
    """Move P one step ahead in place; leave its first row in g.

    Parameters
    ----------
    c
        (M,) coefficients of the levels, then of the q innovations.
    P
        (M (M + 1) / 2,)
    g
        (M,) out.
    """
    M = c.shape[0]
    for i in range(M):
        g[i] = 0.0
    for i in range(M):
        line = P[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2]
        factor, acc = c[i], 0.0
        for j in range(i):
            acc += line[j] * c[j]
            g[j] += line[j] * factor
        g[i] += acc + line[i] * factor
    var = sigma2
    for i in range(M):
        var += c[i] * g[i]
    for i in range(M - 1, 0, -1):
        to, of = i * (i + 1) // 2 + 1, (i - 1) * i // 2
        for j in range(i):
            P[to + j] = P[of + j]
        g[i] = g[i - 1]
    g[0] = var
    if q > 0:  # the new innovation meets nothing but the new level
        L = M - q
        for j in range(L + 1):
            P[L * (L + 1) // 2 + j] = 0.0
        for i in range(L, M):
            P[i * (i + 1) // 2 + L] = 0.0
        P[L * (L + 1) // 2 + L] = sigma2
        g[L] = sigma2
    for i in range(M):
        P[i * (i + 1) // 2] = g[i]


@kernel
def update_triangle(sigma2: float, P: F64, g: F64) -> bool:
    """Condition P on the newest level in place; return whether nothing is left unknown."""
    M, largest = g.shape[0], 0.0
    P[0] = 0.0
    for i in range(1, M):
        at, k = i * (i + 1) // 2, g[i] / g[0]
        P[at] = 0.0
        for j in range(1, i + 1):
            P[at + j] -= k * g[j]
        largest = max(largest, P[at + i])
    if largest <= KNOWN * sigma2:
        P[:] = 0.0
        return True
    return False
