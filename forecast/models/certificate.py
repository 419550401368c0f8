"""The stationarity gate: what every published AR part is certified by, and how it is repaired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.kernels.roots import max_pole_rows, repair_rows, step_down_rows
from forecast.models.dynamics import integers
from forecast.models.threads import over_rows
from forecast.types import F64, I32, I64, Bool

# Smallest 1 - |k| of a partial autocorrelation. The step-down divides by 1 - k^2, which
# multiplies rounding by up to 1 / margin a lag: at 1e-6 half the digits of float64 are left, nearer to
# the circle the verdict itself would be in doubt.
MIN_MARGIN = 1e-6

# What must hold is that a model is stationary, provably and wherever it runs. A device that keeps
# coefficients in float32 (24 bits, 6e-8) moves the sum of a dozen of them by up to 1e-6, and close poles
# by more: nearer to the circle a model may be a unit root there. Lower, honest slow models of long series
# (0.9995 of minute data, whose shocks halve in a day) would be refused.
MAX_RADIUS = 0.9999


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What the gate found about the AR factors of n series; arrays are read-only."""

    parcor: F64
    """(n, max p) partial autocorrelations of phi; NaN below the first |k| >= 1."""
    seasonal_parcor: F64
    margin: F64
    """(n,) min(1 - |k|) over both factors; 1 without AR part, <= 0 when not stationary."""
    max_pole: F64
    """(n,) largest modulus of the poles; 0 without AR part. A pole of Phi(L^s) is its root^(1/s)."""

    def __post_init__(self) -> None:
        for array in (self.parcor, self.seasonal_parcor, self.margin, self.max_pole):
            array.flags.writeable = False

    @property
    def passed(self) -> Bool:
        """(n,) True where the model may be published."""
        return (self.margin > MIN_MARGIN) & (self.max_pole < MAX_RADIUS)


def certify(
    phi: F64,
    p: I64 | I32,
    seasonal_phi: F64 | None = None,
    seasonal_p: I64 | I32 | None = None,
    season_length: I64 | I32 | None = None,
    jobs: int = 1,
) -> Certificate:
    """Certify the AR factors of n series.

    Parameters
    ----------
    phi, p
        (n, width) coefficients, (n,) orders.
    seasonal_phi, seasonal_p, season_length
        The same of Phi(L^s), and s; left out when there is none.
    """
    parcor, margin, pole = _one_factor(phi, p, jobs)
    if seasonal_phi is None or seasonal_p is None or season_length is None:
        return Certificate(parcor, np.zeros((len(phi), 0)), margin, pole)
    seasonal_parcor, seasonal_margin, root = _one_factor(seasonal_phi, seasonal_p, jobs)
    seasonal_pole = root ** (1.0 / np.maximum(season_length, 1))
    return Certificate(
        parcor, seasonal_parcor, np.minimum(margin, seasonal_margin), np.maximum(pole, seasonal_pole)
    )


def repair(phi: F64, p: I64 | I32, season_length: I64 | I32 | None = None, jobs: int = 1) -> tuple[F64, Bool]:
    """Pull the AR polynomials that fail the gate inside it.

    Parameters
    ----------
    phi, p
        (n, width) coefficients of one factor, (n,) orders.
    season_length
        (n,) s when the factor is Phi(L^s): its poles are s-th roots.

    Returns
    -------
    phi, changed
        (n, width) coefficients that pass, and (n,) which rows are new. Rows that passed are the same
        to the last bit. The caller marks the others `Status.REPAIRED`, and takes care of the constant:
        the mean const / (1 - sum phi) moves with phi.

    Notes
    -----
    Poles outside are shrunk radially, then partial autocorrelations clamped; see
    `forecast.kernels.roots.repair`.
    """
    n = len(phi)
    out = np.array(phi, dtype=np.float64, order="C")
    changed = np.zeros(n, dtype=np.bool_)
    season = np.ones(n) if season_length is None else np.maximum(season_length, 1).astype(np.float64)
    # A hair inside, so that the bisection of `certify` cannot come out on the other side.
    radius = (MAX_RADIUS * (1.0 - 1e-9)) ** season
    orders = integers(p)
    over_rows(lambda first, last: repair_rows(out, orders, radius, MIN_MARGIN, changed, first, last), n, jobs)
    return out, changed


def _one_factor(phi: F64, p: I64 | I32, jobs: int) -> tuple[F64, F64, F64]:
    n = len(phi)
    parcor, margin, pole = np.empty(phi.shape), np.empty(n), np.empty(n)
    coefficients, orders = np.array(phi, dtype=np.float64, order="C"), integers(p)  # a copy is writable

    def work(first: int, last: int) -> None:
        step_down_rows(coefficients, orders, parcor, margin, first, last)
        max_pole_rows(coefficients, orders, pole, first, last)

    over_rows(work, n, jobs)
    return parcor, margin, pole
