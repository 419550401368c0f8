"""states.npz: where every series of step.onnx stands after the data that its model has seen."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import ExportError
from edge.fleet import Fleet
from forecast.models.assemble import lagged_names
from forecast.models.freq import Freq
from forecast.types import F64, I64

_NS_PER_MS: Final = 1_000_000
_KINDS: Final = {
    "state": np.float64, "t": np.int64, "last_ts_ms": np.int64,
    "cov_rows": np.int64, "cov": np.float64, "exog_tail": np.float64,
}  # fmt: skip
_REQUIRED: Final = ("state", "t", "last_ts_ms")


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """States of n series; arrays are checked and read-only."""

    state: F64
    """(n, M) L levels newest first, then innovations newest first; zero beyond a series' own sizes."""
    t: I64
    """(n,) points seen, missing ones included."""
    last_ts_ms: I64
    """(n,) time of the last point, ms UTC; the int itself on an int grid."""
    cov_rows: I64
    """(k,) ascending positions of the series whose state is not known exactly."""
    cov: F64
    """(k, M, M) their covariances, units of w squared."""
    exog_tail: F64
    """(n, K, n_step_past) newest first, the last values of the columns of `x`; zero if nothing reads them."""

    def __post_init__(self) -> None:
        _check(self)
        for name in _KINDS:
            getattr(self, name).flags.writeable = False

    @staticmethod
    def of(fleet: Fleet) -> States:
        """Return where the series of `fleet` stand, in its order."""
        rows = np.array(sorted(fleet.state_cov), dtype=np.int64)
        return States(
            state=_means(fleet),
            t=fleet.nobs.copy(),
            last_ts_ms=_utc_ms(fleet.freq, fleet.freq.times(fleet.start, fleet.nobs - 1)),
            cov_rows=rows,
            cov=_covariances(fleet, rows),
            exog_tail=_tail(fleet),
        )

    @staticmethod
    def from_bytes(data: bytes) -> States:
        """Read what `to_bytes` wrote.

        Raises
        ------
        ExportError
            It is not a file of states: members missing, foreign, of another type or shape, or not finite.
        """
        return States(**_with_defaults(_members(data)))

    def to_bytes(self) -> bytes:
        """Return the file; what is empty is left out, and equal states give equal bytes."""
        kept = {name: getattr(self, name) for name in _KINDS}
        kept = {name: array for name, array in kept.items() if array.size or name in _REQUIRED}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **kept)
        return buffer.getvalue()

    def full_cov(self) -> F64:
        """Return (n, M, M) covariances of all series: the input `cov` of step.onnx."""
        n, size = self.state.shape
        out = np.zeros((n, size, size))
        out[self.cov_rows] = self.cov
        return out


def _means(fleet: Fleet) -> F64:
    """(n, M) levels and innovations, zero where a series has fewer: what lies there is never read."""
    state = np.concatenate([fleet.levels, fleet.innovations], axis=1)
    return np.where(_own(fleet), state, 0.0)


def _own(fleet: Fleet) -> NDArray[np.bool_]:
    """(n, M) True at the parts of the state that a series has."""
    level = np.arange(fleet.levels.shape[1]) < np.maximum(1, fleet.width)[:, None]
    innovation = np.arange(fleet.innovations.shape[1]) < fleet.ma_width[:, None]
    return np.concatenate([level, innovation], axis=1)


def _covariances(fleet: Fleet, rows: I64) -> F64:
    """(k, M, M) covariances with the parts of each series where the file has them."""
    own = _own(fleet)
    out = np.zeros((len(rows), own.shape[1], own.shape[1]))
    for cov, row in zip(out, rows.tolist(), strict=True):
        at = np.flatnonzero(own[row])
        lower = np.tril(fleet.state_cov[row])  # the half that records keep
        cov[np.ix_(at, at)] = lower + np.tril(lower, -1).T
    return out


def _tail(fleet: Fleet) -> F64:
    """(n, K, n_step_past) with a row for every column of `x`."""
    lagged = lagged_names(fleet.terms)
    out = np.zeros((fleet.n, len(fleet.names), fleet.max_lag))
    for k, name in enumerate(fleet.names):
        if name in lagged:
            out[:, k] = fleet.exog_tail[:, lagged.index(name), : fleet.max_lag]
    return out


def _utc_ms(freq: Freq, times: I64) -> I64:
    """(n,) times of the grid as ms UTC: the first of an hour that comes twice, the end of one skipped."""
    if freq.is_int:
        return np.array(times)
    if freq.tz is not None and freq.wall:
        import pandas as pd  # only here: grids of UTC do without

        wall = pd.DatetimeIndex(times)
        first = np.ones(len(wall), dtype=np.bool_)
        utc = wall.tz_localize(freq.tz, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")
        times = np.asarray(utc.asi8, dtype=np.int64)
    return times // _NS_PER_MS


def _members(data: bytes) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ExportError("is not a file of states (no zip archive); export again")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ExportError(f"is not a file of states ({error}); export again") from error
    foreign, lost = sorted(set(found) - set(_KINDS)), [name for name in _REQUIRED if name not in found]
    if foreign or lost:
        raise ExportError(f"the states have the members {sorted(found)}: foreign {foreign}, missing {lost}")
    for name, array in found.items():
        if array.dtype != _KINDS[name]:
            raise ExportError(f"{name!r} of the states is {array.dtype}, needs {np.dtype(_KINDS[name])}")
    return found


def _with_defaults(found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    state = found["state"]
    size = state.shape[1] if state.ndim == 2 else 0
    empty = {
        "cov_rows": np.zeros(0, dtype=np.int64),
        "cov": np.zeros((0, size, size)),
        "exog_tail": np.zeros((len(state) if state.ndim else 0, 0, 0)),
    }
    return {**empty, **found}


def _check(states: States) -> None:
    """Raise ExportError for arrays that do not fit each other, or hold what no filter makes."""
    if states.state.ndim != 2:
        raise ExportError(f"'state' has shape {states.state.shape}, needs (n, M)")
    n, size = states.state.shape
    k = len(states.cov_rows) if states.cov_rows.ndim else 0
    shapes = {"t": (n,), "last_ts_ms": (n,), "cov_rows": (k,), "cov": (k, size, size)}
    for name, shape in shapes.items():
        if getattr(states, name).shape != shape:
            raise ExportError(
                f"{name!r} of the states has shape {getattr(states, name).shape}, needs {shape}"
            )
    if states.exog_tail.ndim != 3 or len(states.exog_tail) != n:
        raise ExportError(f"'exog_tail' has shape {states.exog_tail.shape}, needs ({n}, K, n_step_past)")
    for name in ("state", "cov", "exog_tail"):
        if not np.isfinite(getattr(states, name)).all():
            raise ExportError(
                f"{name!r} of the states holds NaN or infinity; advance the record over good data"
            )
    if (states.t < 0).any():
        raise ExportError(f"'t' of the states holds {states.t.min()}, needs 0 or more")
    _check_covariances(states, n)


def _check_covariances(states: States, n: int) -> None:
    rows, cov = states.cov_rows, states.cov
    if rows.size and not (rows[0] >= 0 and rows[-1] < n and (np.diff(rows) > 0).all()):
        raise ExportError(f"'cov_rows' of the states must ascend within 0..{n - 1}")
    if not np.array_equal(cov, cov.transpose(0, 2, 1)) or (np.diagonal(cov, axis1=1, axis2=2) < 0).any():
        raise ExportError("a covariance of the states is not symmetric, or has a negative variance")
