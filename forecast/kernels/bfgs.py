"""BFGS steps for small problems whose objective is a kernel.

The loop over iterations stays with the caller, who knows the objective; here is what all of them share.
Source: Nocedal and Wright (2006), *Numerical Optimization*, 6.1.
"""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.types import F64


@kernel
def descent(inverse: F64, gradient: F64, k: int, step: F64) -> float:
    """Write step = -H g, return g'H g, twice the decrease that the quadratic model promises."""
    promised = 0.0
    for i in range(k):
        acc = 0.0
        for j in range(k):
            acc += inverse[i, j] * gradient[j]
        step[i] = -acc
        promised += acc * gradient[i]
    return promised


@kernel
def update_inverse(inverse: F64, step: F64, change: F64, k: int, work: F64) -> None:
    """Update the inverse Hessian in place after a step that changed the gradient by `change`.

    Left as it is where the curvature along the step is not positive.
    """
    curvature = 0.0
    size = 0.0
    for i in range(k):
        curvature += step[i] * change[i]
        size += step[i] * step[i]
    if not curvature > 1e-14 * size:
        return
    quadratic = 0.0
    for i in range(k):
        acc = 0.0
        for j in range(k):
            acc += inverse[i, j] * change[j]
        work[i] = acc
        quadratic += acc * change[i]
    grow = (1.0 + quadratic / curvature) / curvature
    for i in range(k):
        for j in range(k):
            inverse[i, j] += grow * step[i] * step[j]
            inverse[i, j] -= (work[i] * step[j] + step[i] * work[j]) / curvature
