"""How a shock lives on: the weights of the infinite moving average."""

from __future__ import annotations

import numpy as np

from forecast.types import F64


def psi_weights(a: F64, b: F64, horizon: int) -> F64:
    """Return (n, horizon) psi_0, psi_1, ... of b(L) / a(L) (Box and Jenkins 1976, 3.4).

    Parameters
    ----------
    a
        (n, L) recursion coefficients, differences included; ``a[:, 0]`` multiplies lag 1.
    b
        (n, q) moving average; (n, 0) where there is none.
    """
    psi = np.zeros((len(a), horizon))
    psi[:, 0] = 1.0
    for k in range(1, horizon):
        width = min(k, a.shape[1])
        psi[:, k] = (a[:, :width] * psi[:, k - width : k][:, ::-1]).sum(axis=1)
        if k <= b.shape[1]:
            psi[:, k] += b[:, k - 1]
    return psi
