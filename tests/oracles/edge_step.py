"""A Kalman tick in dense matrices and 80-bit floats: nothing of the structure is used.

State alpha_t = (u_t .. u_{t-L+1}, e_t .. e_{t-q+1}) with u = w (CONDITIONAL) or w - m (REGRESSION), in the
letters of Durbin and Koopman (2012), *Time Series Analysis by State Space Methods*, 3.1 and 4.3:

    alpha_t = T alpha_{t-1} + c_t + R e_t,  Var(e) = sigma2,  y_t = Z alpha_t  without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LONG = np.longdouble


def polynomial(coefs, seasonal, s, sign):
    """(1 + sign sum c_i L^i)(1 + sign sum C_i L^{is}), ascending powers."""
    plain = np.concatenate([[LONG(1)], sign * np.asarray(coefs, LONG)])
    wide = np.zeros(1 + s * len(seasonal), LONG)
    wide[0] = 1
    for i, value in enumerate(seasonal, 1):
        wide[i * s] += sign * LONG(value)
    return np.convolve(plain, wide)


def power(stride, times):
    """(1 - L^stride)^times."""
    out = np.ones(1, LONG)
    for _ in range(times):
        out = np.convolve(out, np.concatenate([[LONG(1)], np.zeros(stride - 1, LONG), [LONG(-1)]]))
    return out


@dataclass(frozen=True)
class Model:
    """One series of `Records`, read field by field."""

    records: object
    i: int

    def field(self, name):
        return getattr(self.records, name)[self.i]

    def ar(self):
        """(L,) coefficients of past levels."""
        s = int(self.field("season_length"))
        left = polynomial(
            self.field("phi")[: self.field("p")], self.field("seasonal_phi")[: self.field("P")], s, -1
        )
        left = np.convolve(np.convolve(left, power(1, self.field("d"))), power(s, self.field("D")))
        return -left[1:] if len(left) > 1 else np.zeros(1, LONG)

    def ma(self):
        s = int(self.field("season_length"))
        right = polynomial(
            self.field("theta")[: self.field("q")], self.field("seasonal_theta")[: self.field("Q")], s, 1
        )
        return right[1:]

    def level(self, t, x):
        """m_t; `x` maps names to values by t."""
        m = LONG(self.field("const")) + LONG(self.field("slope")) * t
        if self.records.seasonal.shape[1]:
            m += self.field("seasonal")[(t - 1) % max(1, int(self.field("season_length")))]
        for beta, term in zip(self.field("beta"), self.records.exog, strict=True):
            if beta != 0:
                m += LONG(beta) * LONG(x[term.name](t - term.lag))
        return m

    def matrices(self):
        """T (M, M), R (M,), number of levels."""
        a, b = self.ar(), self.ma()
        L, q = len(a), len(b)
        T, R = np.zeros((L + q, L + q), LONG), np.zeros(L + q, LONG)
        T[0, :L], T[0, L:] = a, b
        for j in range(1, L):
            T[j, j - 1] = 1
        for j in range(1, q):
            T[L + j, L + j - 1] = 1
        R[0] = 1
        if q:
            R[L] = 1
        return T, R, L

    def observed(self, y):
        """Return w; NaN where missing."""
        w = LONG(y) / LONG(self.field("scale"))
        if self.field("transform"):
            w = np.log(w) if w > 0 else LONG("nan")
        return w if np.isfinite(w) else LONG("nan")

    def units(self, w):
        with np.errstate(over="ignore"):
            return (np.exp(w) if self.field("transform") else w) * LONG(self.field("scale"))

    def drives(self, t, x):
        """What enters the recursion at t, and what is added to its result."""
        m = self.level(t, x)
        return (LONG(0), m) if self.field("form") == 1 else (m, LONG(0))


def tick(model, mean, cov, t, y, x, horizon):
    """Move (mean, cov) over the point t + 1 and forecast; t points were seen before.

    Returns a dict: state, cov, mean (h,) units of y, center (h,) units of w, variance (h,) not calibrated,
    imputed, z.
    """
    T, R, _ = model.matrices()
    sigma2 = LONG(model.field("sigma2"))
    shock = sigma2 * np.outer(R, R)
    known = not np.any(cov)
    drive, free = model.drives(t + 1, x)
    mean, cov = T @ np.asarray(mean, LONG), T @ np.asarray(cov, LONG) @ T.T + shock
    mean[0] += drive
    v, f = model.observed(y) - free - mean[0], cov[0, 0]
    imputed, z = model.units(mean[0] + free), LONG("nan")
    if not np.isnan(v) and abs(v) < 1e154:
        imputed, z = LONG(y), v / np.sqrt(f) if f > 0 else v
        if f > 0:
            mean, cov = mean + cov[:, 0] / f * v, cov - np.outer(cov[:, 0], cov[0]) / f
        elif known:  # nothing is unknown, and nothing is thought to change: the error is the innovation
            mean = mean + R * v
        mean[0] = model.observed(y) - free
        cov[0, :], cov[:, 0] = 0, 0
    out = {"state": mean, "cov": cov, "imputed": imputed, "z": z}
    center, variance = np.zeros(horizon, LONG), np.zeros(horizon, LONG)
    for k in range(horizon):
        drive, free = model.drives(t + 2 + k, x)
        mean, cov = T @ mean, T @ cov @ T.T + shock
        mean[0] += drive
        center[k], variance[k] = mean[0] + free, cov[0, 0]
    return out | {"center": center, "mean": model.units(center), "variance": variance}
