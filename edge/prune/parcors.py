r"""Small partial autocorrelations set to zero: no data needed, and stationary whatever is dropped.

A polynomial is stationary exactly when every \|k\| < 1 (Barndorff-Nielsen and Schou 1973), so any of them may
become 0. Under a true k of 0 its estimate has variance 1 / n (Quenouille 1949): below 1.96 / sqrt(n) it is no
evidence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.prune.pruned import Pruned, nonzero
from edge.prune.rewriting import written
from edge.quantize.polynomial import step_up
from forecast.errors import InputError
from forecast.models.assemble import take
from forecast.models.certificate import certify
from forecast.models.records import Form, Records
from forecast.types import F64, I64, Bool, Status


def prune_parcors(records: Records, z: float = 1.96) -> Pruned:
    r"""Set the partial autocorrelations of phi with \|k\| < z / sqrt(n_used) to 0.

    Returns
    -------
    Pruned
        `lags_kept` counts partial autocorrelations; the lags of phi are dense up to the largest of them.
        `rise` is NaN.

    Notes
    -----
    The mean (or drift) const / phi(1) is kept. `sigma2` is raised to what the error of the new equation is if
    the old one is true, sigma2 a' R a with a = (1, -phi) and R the autocovariances of the old phi at unit
    innovations: intervals stay honest one step ahead. The residual check is not measured any more
    (`ljung_box_p` NaN), the covariance of the estimates is left out. The end state is kept: values of an
    unknown state are those of the old model.
    """
    if not 0.0 < z < np.inf:
        raise InputError(f"z must be a positive number of standard errors, got {z!r}")
    certificate = certify(records.phi, records.p)
    before, reason = nonzero(certificate.parcor), _reasons(records, certificate.parcor)
    weak = _weak(records, certificate.parcor, z) & (reason == "")[:, None]
    reason[(reason == "") & ~weak.any(axis=1)] = "no partial autocorrelation is small"
    rows, rise = np.flatnonzero(reason == ""), np.full(records.n_series, np.nan)
    if not rows.size:
        return Pruned(records, before, before.copy(), reason, rise)
    parcor = np.where(weak[rows], 0.0, certificate.parcor[rows])
    out = written(records, rows, _rebuilt(take(records, rows), parcor, before[rows]))
    kept = before.copy()
    kept[rows] = nonzero(parcor)
    return Pruned(out, before, kept, reason, rise)


def _reasons(records: Records, parcor: F64) -> NDArray[np.object_]:
    out = np.full(records.n_series, "", dtype=np.object_)
    driven = (records.slope != 0) | (nonzero(records.seasonal) > 0) | (nonzero(records.beta) > 0)
    checks = (
        (nonzero(records.phi) == 0, "it has no lags"),
        (~np.isfinite(parcor).all(axis=1), "it is not stationary"),
        (records.n_used <= 0, "the number of observations it was fitted on is not known"),
        ((records.q > 0) | (records.Q > 0), "it has a moving average"),
        (
            (records.form == Form.CONDITIONAL) & driven,
            "its slope, season or regressors act through the lags",
        ),
        (records.status >= Status.GUARDED, "a baseline forecasts it"),
    )
    for found, text in checks:
        out[found] = text
    return out


def _weak(records: Records, parcor: F64, z: float) -> Bool:
    limit = z / np.sqrt(np.maximum(records.n_used, 1).astype(np.float64))
    found: Bool = (parcor != 0) & (np.abs(parcor) < limit[:, None])
    return found


def _rebuilt(part: Records, parcor: F64, before: I64) -> Records:
    """Return `part` with the AR factor that has `parcor`, and all that follows from it."""
    phi = step_up(parcor)
    p = _longest(phi)
    certificate = certify(phi, p, part.seasonal_phi, part.P, part.season_length)
    ratio = error_ratio(part.phi, phi)
    const = part.const.copy()
    conditional = part.form == Form.CONDITIONAL
    gain = (1.0 - phi.sum(axis=1)) / (1.0 - part.phi.sum(axis=1))
    const[conditional] *= gain[conditional]
    count = (part.n_params - (before - nonzero(parcor))).astype(np.int32)
    fresh: dict[str, Any] = {
        "phi": phi, "p": p.astype(np.int32), "parcor": parcor, "const": const, "sigma2": part.sigma2 * ratio,
        "loglik": part.loglik - 0.5 * part.n_used * np.log(ratio), "n_params": np.maximum(count, 0),
        "ljung_box_p": np.full(part.n_series, np.nan), "margin": certificate.margin,
        "max_pole": certificate.max_pole, "param_cov": {}, "state_cov": _cut(part, p),
    }  # fmt: skip
    return replace(part, **fresh)


def error_ratio(old: F64, new: F64) -> F64:
    """(n,) variance of new(L) w over that of its innovations, for the AR w with coefficients `old`; >= 1."""
    gamma = autocovariances(old)
    a = np.concatenate([np.ones((len(new), 1)), -new], axis=1)
    total = gamma[:, 0] * (a * a).sum(axis=1)
    for lag in range(1, a.shape[1]):
        total += 2.0 * gamma[:, lag] * (a[:, lag:] * a[:, :-lag]).sum(axis=1)
    ratio: F64 = np.maximum(total, 1.0)
    return ratio


def autocovariances(phi: F64) -> F64:
    """(n, p + 1) autocovariances of stationary ARs with unit innovations (Levinson, backwards)."""
    n, p = phi.shape
    orders, k = [phi], np.zeros((n, p))
    for m in range(p, 0, -1):
        a = orders[-1]
        k[:, m - 1] = a[:, m - 1]
        scale = 1.0 / (1.0 - a[:, m - 1 : m] ** 2)
        orders.append((a[:, : m - 1] + a[:, m - 1 : m] * a[:, : m - 1][:, ::-1]) * scale)
    variance = 1.0 / np.prod(1.0 - k**2, axis=1)
    gamma = np.zeros((n, p + 1))
    gamma[:, 0] = variance
    for m in range(1, p + 1):
        below = orders[p - m + 1]  # order m - 1
        gamma[:, m] = k[:, m - 1] * variance + (below * gamma[:, 1:m][:, ::-1]).sum(axis=1)
        variance = variance * (1.0 - k[:, m - 1] ** 2)
    return gamma


def _longest(phi: F64) -> I64:
    used = phi != 0
    return np.where(used.any(axis=1), phi.shape[1] - np.argmax(used[:, ::-1], axis=1), 0).astype(np.int64)


def _cut(part: Records, p: I64) -> dict[int, F64]:
    """Covariance of the levels that are still looked at; what comes out known exactly is left out."""
    span = np.maximum(1, p + part.d + part.season_length * (part.P + part.D))
    cut = {i: np.array(cov[: span[i], : span[i]]) for i, cov in part.state_cov.items()}
    return {i: cov for i, cov in cut.items() if cov.any()}
