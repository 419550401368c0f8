"""The parameter record: everything that batch, stream, ONNX and device forecasts follow from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.models.freq import Freq
from forecast.types import F64, I32, I64, U8


class Family(IntEnum):
    """Which model a series has; part of the stored record, so the numbers never change."""

    AR = 0
    ARX = 1
    ARIMA = 2
    NAIVE = 3
    SEASONAL_NAIVE = 4
    DRIFT = 5


class Form(IntEnum):
    """Where the deterministic part enters.

    CONDITIONAL: phi(L) (1-L)^d (1-L^s)^D w_t = m_t + theta(L) e_t.
    REGRESSION:  phi(L) (1-L)^d (1-L^s)^D (w_t - m_t) = theta(L) e_t.
    """

    CONDITIONAL = 0
    REGRESSION = 1


class Transform(IntEnum):
    """w = transform(y / scale)."""

    NONE = 0
    LOG = 1


@dataclass(frozen=True, slots=True)
class ExogTerm:
    """One regressor: column `name`, `lag` grid steps back."""

    name: str
    lag: int = 0


def _vector() -> F64:
    return np.zeros(0)


def _matrix() -> F64:
    return np.zeros((0, 0))


def _cube() -> F64:
    return np.zeros((0, 0, 0))


def _counts() -> I32:
    return np.zeros(0, dtype=np.int32)


def _codes() -> U8:
    return np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    r"""The parameter record of n series, a struct of arrays.

    With w_t = transform(y_t / scale), t = 1 at the first point of the series, and

    .. math:: m_t = const + slope\, t + seasonal_{(t-1) \bmod s} + \sum_j \beta_j x_{j,t}

    the model is one of the two equations of `Form`, with phi(L) = (1 - sum phi_i L^i)
    (1 - sum Phi_i L^{is}) and theta(L) = (1 + sum theta_i L^i)(1 + sum Theta_i L^{is}).
    Matrices are zero-padded to the widest series; `p`, `q`, `P`, `Q` hold the true widths
    (`p` is the largest lag, so that lag subsets are zeros between).
    """

    ids: NDArray[np.object_]
    freq: Freq
    start: I64
    """(n,) time of t = 1, in the units of `freq`."""
    nobs: I32
    """(n,) grid points seen so far, missing ones included: the last t."""
    family: U8
    form: U8
    status: U8
    season_length: I32
    p: I32
    d: I32
    q: I32
    P: I32
    D: I32
    Q: I32
    phi: F64
    """(n, max p)"""
    const: F64
    sigma2: F64
    """(n,) innovation variance, units of w squared."""
    levels: F64
    """(n, L) newest first: the last values of w (CONDITIONAL) or w - m (REGRESSION);
    where missing, conditional means given all data. L >= p + d + s (P + D)."""
    parcor: F64 = field(default_factory=_matrix)
    """(n, max p) partial autocorrelations of phi; (phi, Phi, theta, Theta each have their own)."""
    seasonal_phi: F64 = field(default_factory=_matrix)
    seasonal_parcor: F64 = field(default_factory=_matrix)
    theta: F64 = field(default_factory=_matrix)
    theta_parcor: F64 = field(default_factory=_matrix)
    seasonal_theta: F64 = field(default_factory=_matrix)
    seasonal_theta_parcor: F64 = field(default_factory=_matrix)
    slope: F64 = field(default_factory=_vector)
    seasonal: F64 = field(default_factory=_matrix)
    """(n, max s) or (n, 0) effects of the season."""
    beta: F64 = field(default_factory=_matrix)
    """(n, len(exog))"""
    exog: tuple[ExogTerm, ...] = ()
    exog_tail: F64 = field(default_factory=_cube)
    """(n, names, max lag) newest first: the last values of the regressors that enter with a lag,
    in the order of their first mention in `exog`."""
    scale: F64 = field(default_factory=_vector)
    transform: U8 = field(default_factory=_codes)
    innovations: F64 = field(default_factory=_matrix)
    """(n, max(q + s Q)) newest first, conditional means given all data."""
    state_cov: Mapping[int, F64] = field(default_factory=dict)
    """For series whose (levels[:L_i], innovations[:q_i]) are not known exactly (a gap at the end):
    position -> (m, m) covariance, units of w squared; L_i = max(1, p + d + s (P + D)), q_i = q + s Q."""
    param_cov: Mapping[int, F64] = field(default_factory=dict)
    """Position -> covariance of the estimates, in the order const, slope, seasonal, beta, then phi at
    its nonzero lags (parts that the model lacks are left out). Absent: the asymptotic covariance
    of (const or mean, phi) follows from phi itself."""
    loglik: F64 = field(default_factory=_vector)
    n_params: I32 = field(default_factory=_counts)
    """(n,) estimated parameters, sigma2 included: what information criteria count."""
    n_used: I32 = field(default_factory=_counts)
    """(n,) observations in the likelihood."""
    ljung_box_p: F64 = field(default_factory=_vector)
    margin: F64 = field(default_factory=_vector)
    """(n,) min(1 - |k_i|) over the partial autocorrelations of the AR factors; 1 without AR part."""
    max_pole: F64 = field(default_factory=_vector)
    """(n,) largest modulus of the AR poles; 0 without AR part."""
    oos_scale: F64 = field(default_factory=_vector)
    """(n,) root mean square of standardised out-of-sample errors; NaN where not measured."""
    oos_n: I32 = field(default_factory=_counts)
    oos_coverage: F64 = field(default_factory=_vector)
    """(n,) share of out-of-sample points inside the nominal 95 % interval; NaN where not measured."""
    messages: Mapping[int, str] = field(default_factory=dict)
    """Sentences about single series, by position."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, np.ndarray):
                continue
            if value.shape[0] != n:
                if value.size:
                    raise InputError(f"record field {name!r} has {value.shape[0]} rows, needs {n}")
                value = _absent(name, n, value)
                object.__setattr__(self, name, value)
            value.flags.writeable = False

    @property
    def n_series(self) -> int:
        return len(self.ids)


# What a field that was left out means, where it is not zero.
_DEFAULTS: dict[str, float] = {
    "scale": 1.0,
    "margin": 1.0,
    "oos_scale": np.nan,
    "oos_coverage": np.nan,
    "loglik": np.nan,
    "ljung_box_p": np.nan,
}


def _absent(name: str, n: int, like: NDArray[Any]) -> NDArray[Any]:
    return np.full((n, *like.shape[1:]), _DEFAULTS.get(name, 0), dtype=like.dtype)
