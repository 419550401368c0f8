"""Small dense linear algebra, one matrix a SIMD lane.

All operands are rows of one buffer; element (i, j) of matrix A is row A + i * width + j.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel, large_kernel, out_of_line
from forecast.kernels.simd import WIDTH, Vec, broadcast, fma, fnma, lane, load, select_greater, sqrt, store
from forecast.types import F64, I64

# A pivot below this is none: its column is linear in the others, and is left out.
_NO_PIVOT = 1e-300


@large_kernel
def cholesky(work: F64, A: int, size: int, width: int, inverse: int) -> None:
    """Replace the lower half of A by L with L L' = A, and row inverse + i by 1 / L_ii.

    Where a pivot is not positive, its column of L and its inverse are zero.
    """
    out_of_line()
    zero, tiny = broadcast(0.0), broadcast(_NO_PIVOT)
    for j in range(size):
        pivot = load(work, A + j * width + j)
        for k in range(j):
            x = load(work, A + j * width + k)
            pivot = fnma(x, x, pivot)
        root = sqrt(select_greater(pivot, tiny, pivot, zero))
        flip = select_greater(pivot, tiny, broadcast(1.0) / root, zero)
        store(work, A + j * width + j, root)
        store(work, inverse + j, flip)
        for i in range(j + 1, size):
            acc = load(work, A + i * width + j)
            for k in range(j):
                acc = fnma(load(work, A + i * width + k), load(work, A + j * width + k), acc)
            store(work, A + i * width + j, acc * flip)


@large_kernel
def envelope_cholesky(work: F64, A: int, size: int, low: I64, inverse: int) -> None:
    """Like `cholesky` for a matrix whose row i is zero before column `low[i]`; the factor is, too."""
    out_of_line()
    zero, tiny = broadcast(0.0), broadcast(_NO_PIVOT)
    for i in range(size):
        for j in range(low[i], i):
            begin = max(low[i], low[j])
            acc = minus_dot(
                work, A + i * size + begin, A + j * size + begin, j - begin, load(work, A + i * size + j)
            )
            store(work, A + i * size + j, acc * load(work, inverse + j))
        for j in range(low[i]):
            store(work, A + i * size + j, zero)
        pivot = load(work, A + i * size + i)
        first = A + i * size + low[i]
        pivot = minus_dot(work, first, first, i - low[i], pivot)
        root = sqrt(select_greater(pivot, tiny, pivot, zero))
        store(work, A + i * size + i, root)
        store(work, inverse + i, select_greater(pivot, tiny, broadcast(1.0) / root, zero))


@kernel
def forward(work: F64, L: int, size: int, width: int, inverse: int, b: int, out: int) -> None:
    """Solve L x = b by substitution; `out` may be b."""
    for i in range(size):
        acc = load(work, b + i)
        for k in range(i):
            acc = fnma(load(work, L + i * width + k), load(work, out + k), acc)
        store(work, out + i, acc * load(work, inverse + i))


@large_kernel
def congruence(work: F64, L: int, V: int, size: int, width: int, scratch: int, out: int) -> None:
    """Write the lower half of I + L' V L; L is lower triangular, V symmetric with both halves filled."""
    out_of_line()
    for i in range(size):
        for j in range(size):
            acc = broadcast(0.0)
            for k in range(j, size):
                acc = fma(load(work, V + i * width + k), load(work, L + k * size + j), acc)
            store(work, scratch + i * size + j, acc)
    for i in range(size):
        for j in range(i + 1):
            acc = broadcast(1.0 if i == j else 0.0)
            for k in range(i, size):
                acc = fma(load(work, L + k * size + i), load(work, scratch + k * size + j), acc)
            store(work, out + i * size + j, acc)


@large_kernel
def log_diagonal(work: F64, A: int, size: int, width: int, row: int) -> None:
    """Add 2 sum log A_ii to row `row`; -inf where one of them is zero."""
    out_of_line()
    for first in range(0, size, 8):  # a product of eight pivots is far inside the range of a float
        product = broadcast(1.0)
        for i in range(first, min(size, first + 8)):
            product = product * load(work, A + i * width + i)
        for k in range(WIDTH):
            work[row, k] += 2.0 * np.log(lane(product, k))


@kernel
def minus_dot(work: F64, a: int, b: int, n: int, acc: Vec) -> Vec:
    """Take the inner product of n rows off `acc`."""
    for i in range(n):
        acc = fnma(load(work, a + i), load(work, b + i), acc)
    return acc


@kernel
def plus_dot(work: F64, a: int, b: int, n: int, acc: Vec) -> Vec:
    """Add the inner product of n rows to `acc`."""
    for i in range(n):
        acc = fma(load(work, a + i), load(work, b + i), acc)
    return acc
