"""The final fit of a lag subset on all data, inside the unit circle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge.prune.history import History
from edge.prune.moments import regression_rows, solve
from forecast.models.certificate import certify
from forecast.types import F64, I64, Bool

# Largest pole after a repair: half a thousandth inside, which shifts a forecast 24 steps ahead by about 1 %.
_REPAIRED_POLE = 0.9995
# Each try pulls the poles in by a further thousandth.
_TRIES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """One series' new equation, of the centred v."""

    phi: F64
    """(p,) by lag, zeros where a lag is out."""
    b: F64
    """(f,)"""
    products: F64
    """Cross products (f + m + 1,) squared of the final regression: z, the lags kept, v."""
    lags: I64
    n: int
    sound: bool
    center: float
    """What v was less of; see `History`."""

    @property
    def rss(self) -> float:
        """Residual sum of squares of what the coefficients are now."""
        residual = np.concatenate([-self.b, -self.phi[self.lags - 1], [1.0]])
        return float(residual @ self.products @ residual)


def refit(history: History, lags: I64, width: int) -> Refit:
    """Fit `lags` by least squares on every row that is complete for them; `width` is the length of phi."""
    rows = regression_rows(history, lags)
    f, k = history.z.shape[1], history.z.shape[1] + len(lags)
    products = rows.products()
    fit = solve(products[None], np.ones((1, k), dtype=np.bool_))
    phi = np.zeros(width)
    phi[lags - 1] = fit.coef[0, f:]
    return Refit(phi, fit.coef[0, :f].copy(), products, lags, len(rows.y), bool(fit.sound[0]), history.center)


def inside(fits: list[Refit]) -> tuple[list[Refit], Bool]:
    """Pull equations that fail the stationarity gate inside it, each keeping its zeros.

    Bandwidth expansion, phi_i g^i, moves every pole to g times itself; the other coefficients are then fitted
    again, given phi.

    Returns
    -------
    fits, moved
        Equations that pass, and (S,) which of them are not least squares any more.
    """
    phi = np.stack([fit.phi for fit in fits])
    orders = np.full(len(fits), phi.shape[1], dtype=np.int64)
    moved, power = np.zeros(len(fits), dtype=np.bool_), np.arange(1.0, phi.shape[1] + 1.0)
    found = certify(phi, orders)
    for attempt in range(_TRIES):
        bad = np.flatnonzero(~found.passed)
        if not bad.size:
            break
        aim = _REPAIRED_POLE * (1.0 - 1e-3 * attempt)
        # A pole inside already fails by its margin alone: pull by the thousandths only.
        shrink = np.where(found.max_pole[bad] > aim, aim / found.max_pole[bad], 1.0 - 1e-3)
        phi[bad] *= shrink[:, None] ** power
        moved[bad] = True
        found = certify(phi, orders)
    return [_given(fit, phi[i]) if moved[i] else fit for i, fit in enumerate(fits)], moved


def _given(fit: Refit, phi: F64) -> Refit:
    """Fit the other coefficients again, phi being what it is."""
    f = len(fit.b)
    b = fit.b
    if f:
        towards = fit.products[:f, -1] - fit.products[:f, f:-1] @ phi[fit.lags - 1]
        b = np.asarray(np.linalg.solve(fit.products[:f, :f], towards), dtype=np.float64)
    return replace(fit, phi=phi, b=b)


def covariance(fit: Refit) -> F64:
    """(k, k) covariance of (b, phi at its lags), the constant that of the data before centring."""
    f, k = len(fit.b), len(fit.products) - 1
    cov = fit.rss / fit.n * np.linalg.inv(fit.products[:k, :k])
    turn = np.eye(k)
    if f and fit.center != 0.0:
        turn[0, f:] = -fit.center  # const = b_0 + center (1 - sum phi)
    return turn @ cov @ turn.T
