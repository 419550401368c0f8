"""Hessians of a few parameters: Cholesky factor, solution, eigenvectors."""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import large_kernel, out_of_line
from forecast.types import F64, I64

# Sweeps of Jacobi's rotations: they converge quadratically, six do for 14 parameters.
_SWEEPS = 12


@large_kernel
def factor(H: F64, free: I64, L: F64) -> bool:
    """Cholesky factor of H over the free coordinates; False where it has none."""
    out_of_line()
    k = len(free)
    for i in range(k):
        for j in range(i + 1):
            acc = H[i, j]
            if free[i] == 0 or free[j] == 0:
                acc = 1.0 if i == j else 0.0
            for m in range(j):
                acc -= L[i, m] * L[j, m]
            if i == j:
                if not acc > 0.0:
                    return False
                L[i, i] = np.sqrt(acc)
            else:
                L[i, j] = acc / L[j, j]
    return True


@large_kernel
def solve(L: F64, b: F64, x: F64) -> None:
    """Solve L L' x = b."""
    out_of_line()
    k = len(b)
    for i in range(k):
        acc = b[i]
        for j in range(i):
            acc -= L[i, j] * x[j]
        x[i] = acc / L[i, i]
    for i in range(k - 1, -1, -1):
        acc = x[i]
        for j in range(i + 1, k):
            acc -= L[j, i] * x[j]
        x[i] = acc / L[i, i]


@large_kernel
def eigen(A: F64, vectors: F64) -> None:
    """Diagonalise a symmetric matrix in place by Jacobi rotations; eigenvectors in the columns."""
    out_of_line()
    k = len(A)
    for i in range(k):
        for j in range(k):
            vectors[i, j] = 1.0 if i == j else 0.0
    for _ in range(_SWEEPS):
        for p in range(k):
            for q in range(p + 1, k):
                if A[p, q] == 0.0:
                    continue
                ratio = (A[q, q] - A[p, p]) / (2.0 * A[p, q])
                t = (1.0 if ratio >= 0.0 else -1.0) / (abs(ratio) + np.sqrt(1.0 + ratio * ratio))
                c = 1.0 / np.sqrt(1.0 + t * t)
                for i in range(k):
                    x, y = A[i, p], A[i, q]
                    A[i, p], A[i, q] = c * x - t * c * y, t * c * x + c * y
                    x, y = vectors[i, p], vectors[i, q]
                    vectors[i, p], vectors[i, q] = c * x - t * c * y, t * c * x + c * y
                for i in range(k):
                    x, y = A[p, i], A[q, i]
                    A[p, i], A[q, i] = c * x - t * c * y, t * c * x + c * y
