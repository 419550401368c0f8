"""Lag polynomials of many series at once: step-up, step-down, products.

Array twins of ``forecast.kernels.roots``, in the order of operations that the graph has, so that what is
certified here is what the device computes. Source: Durbin (1960); Barndorff-Nielsen and Schou (1973).
"""

from __future__ import annotations

import numpy as np

from forecast.types import F64


def step_up(parcor: F64) -> F64:
    r"""Return the coefficients that have the partial autocorrelations `parcor`, both (..., p).

    .. math:: \phi_{m,i} = \phi_{m-1,i} - k_m \phi_{m-1,m-i}, \quad \phi_{m,m} = k_m
    """
    phi = np.zeros_like(parcor)
    for m in range(parcor.shape[-1]):
        k = parcor[..., m : m + 1]
        # The right side is a new array: nothing is read after it was written.
        phi[..., :m] = phi[..., :m] - k * phi[..., :m][..., ::-1]
        phi[..., m] = parcor[..., m]
    return phi


def predictors(parcor: F64) -> F64:
    """Return (n, p, p) coefficients of all lower orders: ``[:, m, :m]`` predict from m lags, zero beyond."""
    n, p = parcor.shape
    stages = np.zeros((n, p, p))
    for m in range(1, p):
        k, before = parcor[:, m - 1 : m], stages[:, m - 1, : m - 1]
        stages[:, m, : m - 1] = before - k * before[:, ::-1]
        stages[:, m, m - 1] = parcor[:, m - 1]
    return stages


def step_down(phi: F64) -> F64:
    r"""Return the partial autocorrelations (..., p) of `phi`; NaN below the first \|k\| >= 1."""
    k = np.array(phi, dtype=np.float64)
    for m in range(k.shape[-1] - 1, 0, -1):
        last = k[..., m : m + 1]
        room = (1.0 - last) * (1.0 + last)
        head = k[..., :m]
        k[..., :m] = (head + last * head[..., ::-1]) / np.where(room > 0.0, room, np.nan)
    return k


def slopes(parcor: F64) -> F64:
    """Return (n, p, p) derivatives of `step_up`: ``[:, j, i]`` is d phi_i / d k_j."""
    n, p = parcor.shape
    phi, slope = np.zeros((n, p)), np.zeros((n, p, p))
    for m in range(p):
        k, mirror = parcor[:, m : m + 1], phi[:, :m][:, ::-1].copy()
        slope[:, :m, :m] = slope[:, :m, :m] - k[:, :, None] * slope[:, :m, :m][:, :, ::-1]
        slope[:, m, :m] = -mirror
        slope[:, m, m] = 1.0
        phi[:, :m] -= k * mirror
        phi[:, m] = k[:, 0]
    return slope


def product(phi: F64, seasonal: F64, s: int) -> F64:
    """Multiply the factors 1 - sum phi_i L^i (..., p) and 1 - sum Phi_i L^(is) (..., P): (..., p + s P)."""
    p, P = phi.shape[-1], seasonal.shape[-1]
    out = np.zeros((*np.broadcast_shapes(phi.shape[:-1], seasonal.shape[:-1]), p + s * P))
    out[..., :p] = phi
    for i in range(P):
        at = s * (i + 1)
        out[..., at - 1] += seasonal[..., i]
        out[..., at : at + p] -= seasonal[..., i : i + 1] * phi
    return out
