"""One recursion for every record: expanded coefficients, mean path, psi weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.kernels.forecast_lanes import forecast_rows
from forecast.kernels.polynomial import expand_ar_rows, expand_ma_rows
from forecast.models.records import Form, Records
from forecast.types import F64, I64


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """The rows first..last of records, as the kernels want them."""

    first: int
    last: int
    a: F64
    """(rows, >= 1) recursion coefficients, zero-padded; ``a[i, 0]`` multiplies lag 1."""
    width: I64
    b: F64
    """(rows, >= 1) moving average."""
    ma_width: I64
    levels: F64
    path: F64
    """(rows, h) mean of w (CONDITIONAL) or of w - m (REGRESSION), the units of `levels`."""
    psi: F64
    """(rows, h) psi_0 .. psi_{h-1}."""


def dynamics(records: Records, m_path: F64, first: int, last: int) -> Dynamics:
    """Expand rows first..last and run them ahead over the (n, h) deterministic part `m_path`.

    Raises InputError when the record keeps fewer levels or innovations than its orders need.
    """
    rows = slice(first, last)
    n, h = last - first, m_path.shape[1]
    p, d, q = integers(records.p[rows]), integers(records.d[rows]), integers(records.q[rows])
    sp, sd, sq = integers(records.P[rows]), integers(records.D[rows]), integers(records.Q[rows])
    s = integers(records.season_length[rows])
    phi, seasonal_phi = fixed(records.phi[rows]), fixed(records.seasonal_phi[rows])
    theta, seasonal_theta = fixed(records.theta[rows]), fixed(records.seasonal_theta[rows])
    levels, innovations = fixed(records.levels[rows]), fixed(records.innovations[rows])
    _check("phi", phi, p)
    _check("seasonal_phi", seasonal_phi, sp)
    _check("theta", theta, q)
    _check("seasonal_theta", seasonal_theta, sq)
    _check("levels", levels, p + d + s * (sp + sd))
    _check("innovations", innovations, q + s * sq)
    a, width = recursion(phi, p, seasonal_phi, sp, d, sd, s)
    b, ma_width = moving_average(theta, q, seasonal_theta, sq, s)
    drive = np.where((records.form[rows] == Form.CONDITIONAL)[:, None], m_path[rows], 0.0)
    path, psi = np.empty((n, h)), np.empty((n, h))
    forecast_rows(a, width, b, ma_width, levels, innovations, drive, path, psi, 0, n)
    return Dynamics(first, last, a, width, b, ma_width, levels, path, psi)


def recursion(
    phi: F64, p: I64, seasonal_phi: F64, seasonal_p: I64, d: I64, seasonal_d: I64, s: I64
) -> tuple[F64, I64]:
    """Return (n, >= 1) coefficients and (n,) widths of the expanded recursion."""
    n = len(p)
    a = np.empty((n, max(1, int((p + d + s * (seasonal_p + seasonal_d)).max()))))
    width = np.empty(n, dtype=np.int64)
    expand_ar_rows(phi, p, seasonal_phi, seasonal_p, d, seasonal_d, s, a, width, 0, n)
    return a, width


def moving_average(theta: F64, q: I64, seasonal_theta: F64, seasonal_q: I64, s: I64) -> tuple[F64, I64]:
    """Return (n, >= 1) coefficients and (n,) widths of theta(L) Theta(L^s)."""
    n, most = len(q), int((q + s * seasonal_q).max(initial=0))
    b, width = np.zeros((n, max(1, most))), np.zeros(n, dtype=np.int64)
    if most:
        expand_ma_rows(theta, q, seasonal_theta, seasonal_q, s, b, width, 0, n)
    return b, width


def integers(column: NDArray[np.integer]) -> I64:
    """Orders as the kernels take them: contiguous int64."""
    return np.array(column, dtype=np.int64)


def fixed(matrix: F64) -> F64:
    """Return `matrix` C-contiguous and read-only, the one kind the kernels are compiled for."""
    view = np.ascontiguousarray(matrix, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _check(name: str, matrix: F64, need: I64) -> None:
    if matrix.shape[1] < need.max():
        raise InputError(f"record field {name!r} has {matrix.shape[1]} columns, its orders need {need.max()}")
