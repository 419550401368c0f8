"""Fixed-interval smoothing of the states that `companion_filter` runs through.

Source: Durbin and Koopman (2012), *Time Series Analysis by State Space Methods*, ch. 4.
Oracle: ``tests/oracles/filtering.py``, dense matrices and no state space.
"""

from __future__ import annotations

import numpy as np

from forecast.kernels._jit import kernel
from forecast.types import F64, Bool


@kernel
def smooth_row(
    a: F64, b: F64, seen: Bool, z: F64, f: F64, gains: F64, mean: F64, var: F64, r: F64, N: F64
) -> None:
    r"""Fixed-interval smoothing: run back over what `companion_filter.advance_row` stored.

    Parameters
    ----------
    seen
        (t,) where y was observed.
    z, f, gains
        As `advance_row` left them.
    mean, var
        (t,) in: one-step forecasts, and anything; out: E(y_t | all) and Var(y_t | all) where not `seen`.
    r, N
        (M,), (M, M) in: zeros; out: what corrects the state before the first point:
        E(x | all) = x + P r, Var(x | all) = P - P N P.

    Notes
    -----
    r_{t-1} = Z'z/f + (T - T K Z)' r_t and likewise N: Durbin and Koopman (2012), eq. 4.44.
    """
    M = r.shape[0]
    w = np.empty(M)
    for k in range(z.shape[0] - 1, -1, -1):
        g = gains[k]
        if seen[k]:
            for i in range(M):
                acc = 0.0
                for j in range(M):
                    acc += N[i, j] * g[j]
                w[i] = acc / f[k]
            kr, kw = 0.0, 0.0
            for i in range(M):
                kr += g[i] * r[i]
                kw += g[i] * w[i]
            r[0] += (z[k] - kr) / f[k]
            corner = N[0, 0] - 2.0 * w[0] + (kw + 1.0) / f[k]
            for j in range(1, M):
                N[0, j] -= w[j]
                N[j, 0] = N[0, j]
            N[0, 0] = corner
        else:
            shift, drop = 0.0, 0.0
            for i in range(M):
                shift += g[i] * r[i]
                acc = 0.0
                for j in range(M):
                    acc += N[i, j] * g[j]
                drop += g[i] * acc
            mean[k] += shift
            var[k] = max(0.0, g[0] - drop)
        _step_back(a, b, r, N)


@kernel
def _step_back(a: F64, b: F64, r: F64, N: F64) -> None:
    """Replace r by T'r and N by T'NT, T the companion matrix."""
    L, q = a.shape[0], b.shape[0]
    M = L + q
    top, row = r[0], N[0].copy()
    for j in range(M):
        h = a[j] if j < L else b[j - L]
        r[j] = h * top + (r[j + 1] if j != L - 1 and j != M - 1 else 0.0)
    for i in range(M):
        hi = a[i] if i < L else b[i - L]
        ui = i != L - 1 and i != M - 1
        for j in range(M):
            hj = a[j] if j < L else b[j - L]
            uj = j != L - 1 and j != M - 1
            acc = hi * hj * row[0]
            if uj:
                acc += hi * row[j + 1]
            if ui:
                acc += hj * row[i + 1]
                if uj:
                    acc += N[i + 1, j + 1]
            N[i, j] = acc
