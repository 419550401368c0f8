"""What a header is written from: equations multiplied out, in the order the C code reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.fleet import Fleet, is_wave
from edge.psi import psi_weights
from forecast.errors import InputError
from forecast.models.computed import computed_values
from forecast.models.dynamics import fixed, recursion
from forecast.types import F64, I64, Bool

# Seasons tabulated at most: 1,024 doubles are 8 kB of a device's flash, for each series.
_LONGEST_TABLE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """n series of one header; w = y / scale or its logarithm."""

    fleet: Fleet
    horizon: int
    a: F64
    """(n, L) recursion coefficients, newest first, zero-padded; L >= 1."""
    b: F64
    """(n, Q) moving average; Q may be 0."""
    drive: F64
    """(n,) constant of m_t that is left when w is taken less its mean."""
    mean: F64
    """(n,) what w is taken less of; 0 where it has no mean."""
    moving: Bool
    """(n,) True where w is taken less of its newest value instead: differenced series."""
    season: F64
    """(n, S) effects of the season and of all tabulated Fourier terms; S may be 0."""
    season_length: I64
    """(n,) turns of `season`."""
    used: list[int]
    """Terms that are regressors to be supplied."""
    variance: F64
    """(n, horizon) of the forecast error, calibrated, units of w squared."""

    @property
    def n(self) -> int:
        return self.fleet.n

    @property
    def n_lags(self) -> int:
        return int(self.a.shape[1])

    @property
    def n_shocks(self) -> int:
        return int(self.b.shape[1])

    @property
    def n_regressors(self) -> int:
        return len(self.fleet.names)

    @property
    def reach(self) -> int:
        """Largest lag of a regressor."""
        return self.fleet.max_lag

    @property
    def n_past(self) -> int:
        """Rows of x before the first future one, for the stateless forecast."""
        looks_back = bool((self.fleet.regression & self.fleet.beta.any(axis=1)).any())
        return self.reach + (self.n_lags if looks_back and self.n_regressors else 0)

    @property
    def needs_t(self) -> bool:
        return bool(self.fleet.slope.any() or self.season.any())

    @property
    def driven(self) -> bool:
        """Whether there is a deterministic part at all."""
        return bool(self.drive.any() or self.needs_t or self.n_regressors)


def equations(
    fleet: Fleet, rows: I64, horizon: int, phi: F64 | None = None, seasonal_phi: F64 | None = None
) -> Equations:
    """Read the series at `rows` of a fleet; `phi` and `seasonal_phi` (fleet rows) replace its own."""
    some = fleet.take(rows)
    phi, seasonal_phi = _of_rows(phi, fleet, rows), _of_rows(seasonal_phi, fleet, rows)
    a = _coefficients(some, phi, seasonal_phi)
    shocks = int(some.ma_width.max(initial=0))
    b = some.b[:, :shocks].copy()
    season, length = _season(some)
    settled = (
        ~some.regression & (some.d == 0) & (some.D == 0) & (some.slope == 0)
        & ~some.seasonal.any(axis=1) & ~some.beta.any(axis=1)
    )  # fmt: skip
    psi = psi_weights(a, b, horizon)
    variance = (some.sigma2 * some.calibration**2)[:, None] * np.cumsum(psi**2, axis=1)
    return Equations(
        fleet=some, horizon=horizon, a=a, b=b,
        drive=np.where(settled, 0.0, _constant(some, phi, seasonal_phi)),
        mean=np.where(settled, some.mean, 0.0),
        moving=some.d + some.D > 0, season=season, season_length=length,
        used=[
            j for j, term in enumerate(some.terms) if some.beta[:, j].any() and not is_wave(term.name)
        ],
        variance=variance,
    )  # fmt: skip


def _constant(some: Fleet, phi: F64 | None, seasonal_phi: F64 | None) -> F64:
    """(n,) constants that belong to other coefficients: these change no level, and no drift."""
    phi = some.phi if phi is None else phi
    seasonal_phi = some.seasonal_phi if seasonal_phi is None else seasonal_phi
    gain = (1.0 - phi.sum(axis=1)) * (1.0 - seasonal_phi.sum(axis=1))
    return np.where(some.regression, some.const, some.const / some.gain * gain)


def lag_weights(a: F64, horizon: int) -> F64:
    """(n, horizon, L) derivative of the forecasts by the lags."""
    n, width = a.shape
    path = np.zeros((n, width + horizon, width))
    path[:, :width] = np.eye(width)[::-1]
    for k in range(horizon):
        path[:, width + k] = np.einsum("nl,nlj->nj", a[:, ::-1], path[:, k : width + k])
    return path[:, width:]


def _of_rows(matrix: F64 | None, fleet: Fleet, rows: I64) -> F64 | None:
    if matrix is None:
        return None
    if matrix.ndim != 2 or len(matrix) != fleet.n or not np.isfinite(matrix).all():
        raise InputError(f"coefficients must be finite and have {fleet.n} rows, got shape {matrix.shape}")
    return np.asarray(matrix[rows], dtype=np.float64)


def _coefficients(some: Fleet, phi: F64 | None, seasonal_phi: F64 | None) -> F64:
    a, width = recursion(
        fixed(some.phi if phi is None else _widened(phi, some.p)), some.p,
        fixed(some.seasonal_phi if seasonal_phi is None else _widened(seasonal_phi, some.P)), some.P,
        some.d, some.D, some.s,
    )  # fmt: skip
    return np.where(np.arange(a.shape[1]) < width[:, None], a, 0.0)


def _widened(phi: F64, order: I64) -> F64:
    need = int(order.max(initial=0))
    if phi.shape[1] < need:
        raise InputError(f"coefficients have {phi.shape[1]} columns, the orders need {need}")
    return phi


def _season(some: Fleet) -> tuple[F64, I64]:
    """Return what repeats, the effects of the season and whole Fourier terms, as one table a series."""
    waves = [j for j, t in enumerate(some.terms) if is_wave(t.name) and some.beta[:, j].any()]
    lengths = np.ones(some.n, dtype=np.int64)
    for i in range(some.n):
        periods = [_period(some.terms[j].name) for j in waves if some.beta[i, j] != 0]
        if some.seasonal[i].any():
            periods.append(int(some.s[i]))
        lengths[i] = np.lcm.reduce(np.array([1, *periods], dtype=np.int64))
        if lengths[i] > _LONGEST_TABLE:
            raise InputError(
                f"series {some.ids[i]!r}: its seasons repeat together every {lengths[i]} steps, C takes "
                f"{_LONGEST_TABLE}; use seasons that divide each other, or the ONNX model"
            )
    if not (lengths > 1).any():
        return np.zeros((some.n, 0)), lengths
    table = np.zeros((some.n, int(lengths.max())))
    for i in range(some.n):
        at = np.arange(lengths[i])  # t - 1
        if some.seasonal[i].any():
            table[i, : lengths[i]] += some.seasonal[i, at % some.s[i]]
        for j in waves:
            if some.beta[i, j] != 0:
                wave = computed_values(some.terms[j].name, some.freq, some.start[i : i + 1], at)
                table[i, : lengths[i]] += some.beta[i, j] * wave
    return table, lengths


def _period(name: str) -> int:
    period = float(name.removeprefix("fourier(").split(",")[0])
    if not period.is_integer():
        raise InputError(
            f"{name} has no whole number of steps, which C would need as a table; "
            "use a whole season length, or the ONNX model"
        )
    return int(min(period, 2.0**31))
