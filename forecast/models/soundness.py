"""What must hold of a record before anything computes with it; the gate of every stored model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.roots import step_down_rows
from forecast.models.assemble import lagged_names
from forecast.models.records import Family, Form, Records, Transform
from forecast.types import F64, I32, I64, U8, Bool, Status

# Known of every series, whatever became of it.
_FINITE = (
    "phi", "parcor", "seasonal_phi", "seasonal_parcor", "theta", "theta_parcor", "seasonal_theta",
    "seasonal_theta_parcor", "const", "slope", "seasonal", "beta", "scale", "margin", "max_pole",
)  # fmt: skip
# NaN only where a baseline took over: a series without a value has no level, one value gives no variance.
_FINITE_UNLESS_FALLBACK = ("sigma2", "levels", "innovations", "exog_tail")
_COUNTS = ("nobs", "season_length", "p", "d", "q", "P", "D", "Q", "n_params", "n_used", "oos_n")
_SHARES = ("ljung_box_p", "oos_coverage")  # NaN: not measured
_CODES = {"family": Family, "form": Form, "status": Status, "transform": Transform}
# (matrix, order): the matrix must have a column for every lag of its order.
_FACTORS = (("phi", "p"), ("seasonal_phi", "P"), ("theta", "q"), ("seasonal_theta", "Q"))
_PARCORS = (
    ("parcor", "phi"),
    ("seasonal_parcor", "seasonal_phi"),
    ("theta_parcor", "theta"),
    ("seasonal_theta_parcor", "seasonal_theta"),
)


def flaw(records: Records) -> str | None:
    """Return the first thing wrong with `records`, naming field and series; None when they are sound.

    Kernels index rows by the orders, so the widths are checked before anything reads a row.
    """
    for check in (_ids, _codes, _orders, _widths, _numbers, _stationarity, _sparse):
        for found in check(records):
            return found
    return None


def state_sizes(records: Records) -> tuple[I64, I64]:
    """(n,) each: number of levels and of innovations that a series' forecast depends on."""
    p, d, q, P, D, Q, s = (
        getattr(records, k).astype(np.int64) for k in ("p", "d", "q", "P", "D", "Q", "season_length")
    )
    return np.maximum(1, p + d + s * (P + D)), q + s * Q


def _ids(records: Records) -> Iterator[str]:
    keys = records.ids.tolist()
    if len(set(keys)) != len(keys):
        yield f"the id {next(key for key, count in Counter(keys).items() if count > 1)!r} appears twice"


def _codes(records: Records) -> Iterator[str]:
    for name, codes in _CODES.items():
        values: U8 = getattr(records, name)
        known = np.zeros(256, dtype=np.bool_)
        known[list(codes)] = True
        yield from _rows(records, name, ~known[values], "is a code this version does not know")


def _orders(records: Records) -> Iterator[str]:
    for name in _COUNTS:
        values: I32 = getattr(records, name)
        yield from _rows(records, name, values < 0, "is negative")
    seasonal = (records.P > 0) | (records.D > 0) | (records.Q > 0) | (records.seasonal.shape[1] > 0)
    yield from _rows(records, "season_length", seasonal & (records.season_length < 1), "must be 1 or more")


def _widths(records: Records) -> Iterator[str]:
    n_levels, n_innovations = state_sizes(records)
    needs = [(name, getattr(records, order)) for name, order in _FACTORS]
    needs += [("levels", n_levels), ("innovations", n_innovations)]
    if records.seasonal.shape[1]:
        needs.append(("seasonal", records.season_length))
    for name, need in needs:
        width = getattr(records, name).shape[1]
        yield from _rows(records, name, need > width, f"needs more than its {width} columns")
    for name, factor in _PARCORS:
        width, of = getattr(records, name).shape[1], getattr(records, factor).shape[1]
        if width not in (0, of):
            yield f"{name} has {width} columns, {factor} {of}"
    if len(set(records.exog)) != len(records.exog):
        yield "exog lists a regressor twice with one lag"
    if records.beta.shape[1] != len(records.exog):
        yield f"beta has {records.beta.shape[1]} columns for {len(records.exog)} regressors"
    tail, names = records.exog_tail, lagged_names(records.exog)
    longest = max((term.lag for term in records.exog), default=0)
    if names and (tail.shape[1] != len(names) or tail.shape[2] < longest):
        yield f"exog_tail is {tail.shape[1:]}, needs ({len(names)}, {longest}) for the lags of {names}"


def _numbers(records: Records) -> Iterator[str]:
    fell_back = records.status >= Status.GUARDED
    for name in _FINITE:
        yield from _rows(records, name, _any(~np.isfinite(getattr(records, name))), "must be finite")
    for name in _FINITE_UNLESS_FALLBACK:
        values = getattr(records, name)
        bad = _any(np.isinf(values)) | (_any(np.isnan(values)) & ~fell_back)
        yield from _rows(records, name, bad, "must be finite")
    for name in _SHARES:
        share: F64 = getattr(records, name)
        yield from _rows(records, name, (share < 0) | (share > 1), "must lie in 0..1")
    yield from _rows(records, "sigma2", records.sigma2 < 0, "must not be negative")
    yield from _rows(records, "scale", records.scale <= 0, "must be positive")
    yield from _rows(
        records, "oos_scale", (records.oos_scale < 0) | np.isinf(records.oos_scale), "must be finite"
    )


def _stationarity(records: Records) -> Iterator[str]:
    """Recompute the verdict from the coefficients: a certificate in a file is only a claim."""
    for name, order in (("phi", "p"), ("seasonal_phi", "P")):
        margin = _margins(getattr(records, name), getattr(records, order))
        yield from _rows(records, name, ~(margin > 0), "is not stationary")
    yield from _rows(records, "margin", (records.margin <= 0) | (records.margin > 1), "must lie in (0, 1]")
    yield from _rows(
        records, "max_pole", (records.max_pole < 0) | (records.max_pole >= 1), "must lie in [0, 1)"
    )


def _margins(phi: F64, order: I32) -> F64:
    n = len(phi)
    margin = np.ones(n)
    if phi.shape[1]:  # copies: a read-only array would compile the kernel once more
        step_down_rows(phi.copy(), order.astype(np.int64), np.empty_like(phi), margin, 0, n)
    return margin


def _sparse(records: Records) -> Iterator[str]:
    n_levels, n_innovations = state_sizes(records)
    fell_back = records.status >= Status.GUARDED
    yield from _positions(records, "state_cov", records.state_cov)
    yield from _positions(records, "param_cov", records.param_cov)
    yield from _positions(records, "messages", records.messages)
    for i, cov in records.state_cov.items():
        m = int(n_levels[i] + n_innovations[i])
        if cov.shape != (m, m):
            yield f"state_cov of series {records.ids[i]!r} is {cov.shape}, needs ({m}, {m})"
        yield from _covariance(f"state_cov of series {records.ids[i]!r}", cov, bool(fell_back[i]))
    most = 2 + records.seasonal.shape[1] + records.beta.shape[1] + records.phi.shape[1]
    for i, cov in records.param_cov.items():
        if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or not 1 <= cov.shape[0] <= most:
            yield f"param_cov of series {records.ids[i]!r} is {cov.shape}, needs (m, m) with m in 1..{most}"
        yield from _covariance(f"param_cov of series {records.ids[i]!r}", cov, False)


def _positions(records: Records, name: str, entries: Mapping[int, object]) -> Iterator[str]:
    outside = [i for i in entries if not 0 <= i < records.n_series]
    if outside:
        yield f"{name} speaks of position {outside[0]}, there are {records.n_series} series"


def _covariance(name: str, cov: F64, nan_allowed: bool) -> Iterator[str]:
    if np.isinf(cov).any() or (np.isnan(cov).any() and not nan_allowed):
        yield f"{name} must be finite"
    if (np.diagonal(cov) < 0).any():
        yield f"{name} has a negative variance"


def _any(mask: Bool) -> Bool:
    """(n,) whether anything holds in a row."""
    wide: NDArray[Any] = mask.reshape(len(mask), -1)
    found: Bool = np.any(wide, axis=1)
    return found


def _rows(records: Records, name: str, bad: Bool, why: str) -> Iterator[str]:
    where = np.flatnonzero(bad)
    if where.size:
        yield f"{name} of series {records.ids[where[0]]!r} {why}"
