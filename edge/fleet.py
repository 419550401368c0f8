"""What graphs and C code need of parameter records: plain arrays, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.kernels.roots import step_down_rows
from forecast.models.computed import is_computed
from forecast.models.dynamics import integers
from forecast.models.equations import recursions
from forecast.models.forecasting import calibration
from forecast.models.freq import Freq
from forecast.models.records import ExogTerm, Form, Records, Transform
from forecast.models.soundness import flaw
from forecast.types import F64, I64, Bool

# Names in a message; a fleet may have thousands that fail alike.
_NAMED = 5
_SHARED = ("ids", "terms", "freq", "state_cov")


@dataclass(frozen=True, eq=False)
class Fleet:
    """n series as the exporter sees them; float64, int64 and bool arrays, all read-only.

    The model of a series is that of `forecast.models.records.Records`, with w = y / scale, or its logarithm.
    Matrices are zero-padded to the widest series.
    """

    ids: list[str]
    p: I64
    d: I64
    q: I64
    P: I64
    D: I64
    Q: I64
    s: I64
    """(n,) season length, >= 1."""
    phi: F64
    """(n, max p)"""
    seasonal_phi: F64
    """(n, max P)"""
    theta: F64
    seasonal_theta: F64
    parcor: F64
    """(n, max p) partial autocorrelations of `phi`, recomputed from it."""
    seasonal_parcor: F64
    const: F64
    slope: F64
    sigma2: F64
    """(n,) innovation variance, units of w squared; NaN where one value gave none."""
    scale: F64
    calibration: F64
    """(n,) factor on the half-width of intervals, >= 1."""
    log: Bool
    regression: Bool
    """(n,) True: the AR part acts on w - m_t (Form.REGRESSION)."""
    seasonal: F64
    """(n, max s), or (n, 0) where no series has effects of the season."""
    terms: tuple[ExogTerm, ...]
    beta: F64
    """(n, len(terms))"""
    a: F64
    """(n, max L) factors and differences multiplied out; ``a[i, 0]`` multiplies lag 1."""
    width: I64
    """(n,) p + d + s (P + D)."""
    b: F64
    """(n, max(1, max q + s Q))"""
    ma_width: I64
    start: I64
    nobs: I64
    freq: Freq
    levels: F64
    """(n, max(1, max width)) newest first."""
    innovations: F64
    """(n, max ma_width) newest first."""
    exog_tail: F64
    """(n, lagged names, max lag) newest first, names in the order of `lagged_names(terms)`."""
    state_cov: Mapping[int, F64]

    @staticmethod
    def of(records: Records) -> Fleet:
        """Read records.

        Raises
        ------
        InputError
            The records are not sound, two ids are the same text, an AR part is not stationary, or a series
            has no level to forecast from.
        """
        return _read(records)

    def __post_init__(self) -> None:
        for name in _array_names():
            getattr(self, name).flags.writeable = False

    @property
    def n(self) -> int:
        return len(self.ids)

    def take(self, rows: I64) -> Fleet:
        """Return the series at positions `rows`, in that order; widths and `names` are kept."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _array_names()}
        at = np.asarray(rows).tolist()
        columns["ids"] = [self.ids[row] for row in at]
        columns["state_cov"] = {i: self.state_cov[row] for i, row in enumerate(at) if row in self.state_cov}
        part = replace(self, **columns)
        part.__dict__["names"] = self.names  # the files of a bundle share the columns of `x`
        return part

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Regressors that the device has to supply, in the order of `x`; Fourier terms are computed."""
        used = [term.name for j, term in enumerate(self.terms) if self.beta[:, j].any()]
        return tuple(dict.fromkeys(name for name in used if not is_wave(name)))

    @cached_property
    def max_lag(self) -> int:
        """Largest lag at which a supplied regressor enters."""
        return max((lag_of(term) for j, term in enumerate(self.terms) if self.beta[:, j].any()), default=0)

    @cached_property
    def n_lags(self) -> int:
        """Past values that the longest recursion looks at; at least 1, so that there is a row."""
        return max(1, int(self.width.max(initial=0)))

    @cached_property
    def stateless(self) -> Bool:
        """(n,) True where the forecast follows from the last values alone: no moving average."""
        return np.asarray((self.q == 0) & (self.Q == 0))

    @cached_property
    def gain(self) -> F64:
        """(n,) phi(1) Phi(1), positive because both are stationary."""
        return np.asarray((1.0 - self.phi.sum(axis=1)) * (1.0 - self.seasonal_phi.sum(axis=1)))

    @cached_property
    def mean(self) -> F64:
        """(n,) mean of w where it has one, and no other deterministic part; else 0."""
        plain = (self.slope == 0) & ~self.seasonal.any(axis=1) & ~self.beta.any(axis=1)
        settled = ~self.regression & (self.d == 0) & (self.D == 0) & plain
        return np.where(settled, self.const / self.gain, 0.0)

    @cached_property
    def needs_t(self) -> bool:
        """True when m_t depends on t itself."""
        waves = any(is_wave(term.name) and self.beta[:, j].any() for j, term in enumerate(self.terms))
        return bool(self.slope.any() or self.seasonal.any() or waves)


def lag_of(term: ExogTerm) -> int:
    """Return how far back a term reads its regressor; 0 for what follows from the time."""
    return 0 if is_computed(term.name) else term.lag


def is_wave(name: str) -> bool:
    """Tell whether a regressor is a Fourier term, which graphs compute."""
    return is_computed(name) and name.startswith("fourier(")


def _read(records: Records) -> Fleet:
    if records.n_series == 0:
        raise InputError("there is no series to export")
    wrong = flaw(records)
    if wrong is not None:
        raise InputError(f"these records cannot be exported: {wrong}")
    ids = _texts(records)
    rec = recursions(records)
    fleet = Fleet(
        ids=ids,
        p=integers(records.p), d=integers(records.d), q=integers(records.q),
        P=integers(records.P), D=integers(records.D), Q=integers(records.Q),
        s=np.maximum(integers(records.season_length), 1),
        phi=_cut(records.phi, records.p),
        seasonal_phi=_cut(records.seasonal_phi, records.P),
        theta=_cut(records.theta, records.q),
        seasonal_theta=_cut(records.seasonal_theta, records.Q),
        parcor=_parcor(ids, records.phi, integers(records.p)),
        seasonal_parcor=_parcor(ids, records.seasonal_phi, integers(records.P)),
        const=_copy(records.const), slope=_copy(records.slope), sigma2=_copy(records.sigma2),
        scale=_copy(records.scale), calibration=calibration(records),
        log=np.asarray(records.transform == Transform.LOG),
        regression=np.asarray(records.form == Form.REGRESSION),
        seasonal=_season(records),
        terms=records.exog, beta=_copy(records.beta),
        a=rec.a, width=rec.lags, b=rec.b, ma_width=np.array(rec.sizes[:, 1]),
        start=integers(records.start), nobs=integers(records.nobs), freq=records.freq,
        levels=_copy(records.levels[:, : int(rec.sizes[:, 0].max())]),
        innovations=_copy(records.innovations[:, : int(rec.sizes[:, 1].max())]),
        exog_tail=_copy(records.exog_tail),
        state_cov=dict(records.state_cov),
    )  # fmt: skip
    _check_levels(fleet, rec.sizes[:, 0])
    return fleet


def _array_names() -> list[str]:
    return [f.name for f in fields(Fleet) if f.name not in _SHARED]


def _texts(records: Records) -> list[str]:
    ids = [str(key) for key in records.ids.tolist()]
    if len(set(ids)) < len(ids):
        twice = next(key for i, key in enumerate(ids) if key in ids[:i])
        raise InputError(f"two series have the id {twice!r} once their ids are text; rename one")
    return ids


def _copy(array: F64) -> F64:
    return np.array(array, dtype=np.float64)


def _cut(matrix: F64, order: NDArray[np.integer]) -> F64:
    """Return a copy of the columns that some order reaches; what lies beyond a row's own order is 0."""
    width = int(order.max(initial=0))
    return np.where(np.arange(width) < order[:, None], matrix[:, :width], 0.0)


def _season(records: Records) -> F64:
    if not records.seasonal.any():
        return np.zeros((records.n_series, 0))
    return _cut(records.seasonal, np.maximum(records.season_length, 1))


def _parcor(ids: list[str], phi: F64, p: I64) -> F64:
    coef, n = _cut(phi, p), len(p)
    out, margin = np.zeros(coef.shape), np.empty(n)
    step_down_rows(np.ascontiguousarray(coef), p, out, margin, 0, n)
    unstable = np.asarray(~(margin > 0))
    if unstable.any():
        raise InputError(f"the AR part is not stationary: series {_some(ids, unstable)}; fit again")
    return np.where(np.arange(coef.shape[1]) < p[:, None], out, 0.0)


def _check_levels(fleet: Fleet, need: I64) -> None:
    used = np.arange(fleet.levels.shape[1]) < need[:, None]
    lost = np.asarray((~np.isfinite(fleet.levels) & used).any(axis=1))
    if lost.any():
        raise InputError(
            f"no level to forecast from: series {_some(fleet.ids, lost)}; leave them out, or give them data"
        )


def _some(ids: list[str], which: Bool) -> str:
    rows = np.flatnonzero(which).tolist()
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return ", ".join(repr(ids[i]) for i in rows[:_NAMED]) + more
