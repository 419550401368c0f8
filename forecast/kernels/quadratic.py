"""Quadratic forms: what a covariance does to an error further on."""

from __future__ import annotations

from forecast.kernels._jit import kernel
from forecast.types import F64, I64


@kernel
def quadratic_forms(responses: F64, ends: I64, cov: F64, place: I64, out: F64) -> None:
    r"""Write v_{i,h} = r_{i,h}' C_i r_{i,h} into row `place[i]` of `out`.

    Parameters
    ----------
    responses
        (sum of m_i, steps): the columns r_{i,h}, one series after the other.
    ends
        (series + 1,) where the rows of each end; m_i = ends[i + 1] - ends[i].
    cov
        (sum of m_i^2,) the C_i by rows, one after the other.
    place
        (series,) rows of `out`, which is (rows, steps).
    """
    at = 0
    for i in range(len(place)):
        first, m, row = ends[i], ends[i + 1] - ends[i], place[i]
        out[row] = 0.0
        for k in range(m):
            for j in range(m):
                for step in range(out.shape[1]):
                    out[row, step] += responses[first + k, step] * cov[at] * responses[first + j, step]
                at += 1
