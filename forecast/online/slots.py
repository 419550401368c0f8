"""The states of all series of some records, a slot each: a tick and its forecast take two microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import FutureExogError, InputError
from forecast.kernels import stream
from forecast.models.assemble import lagged_names
from forecast.models.computed import computed_values, is_computed
from forecast.models.dynamics import Dynamics, dynamics
from forecast.models.equations import recursions
from forecast.models.records import Form, Records, Transform
from forecast.online.state import Info, State
from forecast.types import F64

# Covariances that a pool begins with; it doubles when they are taken.
_PLACES = 4


@dataclass(slots=True, eq=False)
class Slots:
    """Live states; `step` moves them, everything else leaves them alone."""

    records: Records
    """The parameters; their own state is where the slots began."""
    horizon: int
    table: F64
    """(n, width) see `kernels/stream`."""
    pool: F64
    """(places, M, M)"""
    taken: int
    tails: F64
    """(n, names, max lag) past of the regressors that enter with a lag, newest first."""
    quiet: F64
    """(1 + horizon,) zeros: what regressors add where there are none."""
    out: int
    """Column of `table` where the forecast begins."""
    driven: bool
    """Whether there are regressors."""


def load(records: Records, horizon: int = 24) -> Slots:
    """Put every series of `records` into a slot of its own, where the record stands.

    Parameters
    ----------
    horizon
        Steps that are forecast at every tick, >= 1.
    """
    if horizon < 1:
        raise InputError(f"horizon must be 1 or more, got {horizon!r}")
    n, (L, q) = records.n_series, recursions(records).sizes.max(axis=0)
    run = dynamics(records, np.zeros((n, horizon)), 0, n)
    sizes = {
        stream.A: L, stream.B: q, stream.LEVELS: L, stream.INNOV: q, stream.PSI: horizon,
        stream.PATH: horizon, stream.SEASONAL: records.seasonal.shape[1], stream.OUT: horizon,
    }  # fmt: skip
    ends = np.cumsum([stream.HEAD, *sizes.values()])
    table = np.zeros((n, int(ends[-1])))
    for name, at in zip(sizes, ends, strict=False):
        table[:, name] = at
    slots = Slots(
        records, horizon, table, np.zeros((_PLACES, int(L + q), int(L + q))), 0,
        np.array(records.exog_tail), np.zeros(1 + horizon), int(table[0, stream.OUT]), bool(records.exog),
    )  # fmt: skip
    _write_numbers(slots, run)
    _write_parts(slots, run)
    for i in sorted(records.state_cov):
        _take_place(slots, i)
        size = len(records.state_cov[i])
        slots.pool[slots.taken - 1, :size, :size] = records.state_cov[i]
        table[i, stream.KNOWN] = 0.0
    unknown = np.full(1 + horizon, np.nan) if records.exog else slots.quiet
    known = bool(records.exog) and _self_sufficient(records)
    for i in range(n):
        stream.project(table, i, horizon, _future(slots, i, {}, 0.0) if known else unknown)
    return slots


def _write_numbers(slots: Slots, run: Dynamics) -> None:
    records, table = slots.records, slots.table
    values = {
        stream.T: records.nobs, stream.LAGS: np.maximum(run.width, 1), stream.MA: run.ma_width,
        stream.KNOWN: 1.0, stream.PLACE: -1.0, stream.SIGMA2: records.sigma2,
        stream.REGRESSION: records.form == Form.REGRESSION,
        stream.DRIVEN: (records.beta != 0).any(axis=1) if records.exog else 0.0,
        stream.SCALE: records.scale, stream.LOG: records.transform == Transform.LOG,
        stream.CONST: records.const, stream.SLOPE: records.slope,
        stream.SEASON: np.maximum(records.season_length, 1) if records.seasonal.shape[1] else 0.0,
    }  # fmt: skip
    for name, value in values.items():
        table[:, name] = value


def _write_parts(slots: Slots, run: Dynamics) -> None:
    table, records = slots.table, slots.records
    for name, matrix in (
        (stream.A, run.a), (stream.B, run.b), (stream.LEVELS, records.levels),
        (stream.INNOV, records.innovations), (stream.PSI, run.psi), (stream.SEASONAL, records.seasonal),
    ):  # fmt: skip
        at, end = int(table[0, name]), int(table[0, name + 1])
        width = min(end - at, matrix.shape[1])
        table[:, at : at + width] = matrix[:, :width]


def _take_place(slots: Slots, slot: int) -> None:
    """Give a series a covariance in the pool."""
    if slots.taken == len(slots.pool):
        slots.pool = np.concatenate([slots.pool, np.zeros_like(slots.pool)])
    slots.table[slot, stream.PLACE] = slots.taken
    slots.taken += 1


def step(
    slots: Slots,
    slot: int,
    y: float,
    exog: Mapping[str, float] | None = None,
    future: Mapping[str, F64] | None = None,
) -> Info:
    """Move one series over one tick, in place; its forecast then stands in `ahead`.

    Tick by tick the same answer as filtering the longer series with these parameters.

    Parameters
    ----------
    y
        The value at the next grid time; NaN (or what has no logarithm, under a log transform) is missing.
    exog, future
        Regressors of that time, and of the next `horizon` steps, by name; without the latter the
        forecast of a model with regressors is NaN until `ahead` is given them.

    Raises
    ------
    InputError
        A regressor that the model needs is not given, or NaN; or there is no such slot.
    """
    if not 0 <= slot < len(slots.table):
        raise InputError(f"slot {slot} is out of range, there are {len(slots.table)}")
    x = _regressors(slots, slot, exog or {}, future) if slots.driven else slots.quiet
    mean, e, f = stream.tick(slots.table, slots.pool, slot, slots.horizon, y, x)
    if f < 0:
        _take_place(slots, slot)
        mean, e, f = stream.tick(slots.table, slots.pool, slot, slots.horizon, y, x)
    if slots.driven:
        _keep_tail(slots, slot, exog or {})
    if e != e:  # NaN
        return Info(mean, None, f)
    return Info(mean, e / f**0.5 if f > 0 else e, f)


def ahead(slots: Slots, slot: int, future: Mapping[str, F64] | None = None) -> F64:
    """(horizon,) forecast from where a series stands, units of y.

    Parameters
    ----------
    future
        (horizon,) regressors by name, where the model has some.

    Raises
    ------
    FutureExogError
        A regressor that the model needs is not there.
    """
    if future is not None and slots.driven:
        stream.project(slots.table, slot, slots.horizon, _future(slots, slot, future, 0.0))
    return slots.table[slot, slots.out : slots.out + slots.horizon].copy()


def state_of(slots: Slots, slot: int) -> State:
    """Return what must survive a restart, as `init` has it."""
    row = slots.table[slot]
    L, q = int(row[stream.LAGS]), int(row[stream.MA])
    levels, innov = (
        stream.part_of(row, name, size) for name, size in ((stream.LEVELS, L), (stream.INNOV, q))
    )
    cov = None if row[stream.KNOWN] else _covariance(slots, slot)
    return State(
        t=int(row[stream.T]),
        levels=tuple(levels.tolist()),
        innovations=tuple(innov.tolist()),
        cov=None if cov is None else tuple(tuple(line) for line in cov.tolist()),
        exog_tail={
            name: tuple(slots.tails[slot, j].tolist())
            for j, name in enumerate(lagged_names(slots.records.exog))
        },
    )


def unload(slots: Slots) -> Records:
    """Return records that stand where the slots do."""
    table, records = slots.table, slots.records
    parts = []
    for name, have in ((stream.LEVELS, records.levels), (stream.INNOV, records.innovations)):
        at, end = int(table[0, name]), int(table[0, name + 1])
        wide = np.zeros((len(table), max(end - at, have.shape[1])))
        wide[:, : end - at] = table[:, at:end]
        parts.append(wide)
    unknown = np.flatnonzero(table[:, stream.KNOWN] == 0).tolist()
    return replace(
        records,
        nobs=table[:, stream.T].astype(np.int32),
        levels=parts[0],
        innovations=parts[1],
        state_cov={i: _covariance(slots, i) for i in unknown},
        exog_tail=slots.tails.copy(),
    )


def _covariance(slots: Slots, slot: int) -> F64:
    row = slots.table[slot]
    size = int(row[stream.LAGS] + row[stream.MA])
    return slots.pool[int(row[stream.PLACE]), :size, :size].copy()


def _regressors(slots: Slots, slot: int, exog: Mapping[str, float], future: Mapping[str, F64] | None) -> F64:
    """(1 + horizon,) what the regressors add: now, and ahead (NaN where not known)."""
    records, now = slots.records, 0.0
    names = lagged_names(records.exog)
    for j, term in enumerate(records.exog):
        beta = float(records.beta[slot, j])
        if term.name in names and term.name not in exog:
            raise InputError(f"regressor {term.name!r} is needed at every tick, got {sorted(exog)}")
        if beta == 0.0:
            continue
        if is_computed(term.name):
            now += beta * float(_computed(slots, slot, term.name, 0, 1)[0])
            continue
        if term.lag == 0 and exog.get(term.name, np.nan) != exog.get(term.name, np.nan):
            raise InputError(f"regressor {term.name!r} is needed at every tick, got {sorted(exog)}")
        past = slots.tails[slot, names.index(term.name), term.lag - 1] if term.lag else exog[term.name]
        now += beta * float(past)
    if future is None and not _self_sufficient(records):
        x = np.full(1 + slots.horizon, np.nan)
        x[0] = now
        return x
    return _future(slots, slot, future or {}, now, exog)


def _self_sufficient(records: Records) -> bool:
    """Whether every regressor follows from the time alone."""
    return all(is_computed(term.name) for term in records.exog)


def _computed(slots: Slots, slot: int, name: str, first: int, count: int) -> F64:
    """(count,) a regressor that follows from the time, `first` points after the next one on."""
    at = int(slots.table[slot, stream.T]) + first + np.arange(count)
    return computed_values(name, slots.records.freq, slots.records.start[slot : slot + 1], at)


def _future(
    slots: Slots, slot: int, future: Mapping[str, F64], now: float, newest: Mapping[str, float] | None = None
) -> F64:
    """As `_regressors`; `newest` is the tick that is not in the tails yet."""
    records, h = slots.records, slots.horizon
    x, names = np.zeros(1 + h), lagged_names(records.exog)
    x[0] = now
    for j, term in enumerate(records.exog):
        beta = float(records.beta[slot, j])
        if beta == 0.0:
            continue
        if is_computed(term.name):
            x[1:] += beta * _computed(slots, slot, term.name, int(newest is not None), h)
            continue
        if term.name not in future:
            raise FutureExogError(f"regressor {term.name!r} has no future values; given: {sorted(future)}")
        coming = np.asarray(future[term.name], dtype=np.float64)
        if coming.shape != (h,):
            raise InputError(f"future {term.name!r} has shape {coming.shape}, needs {(h,)}")
        past = slots.tails[slot, names.index(term.name)][::-1] if term.lag else np.zeros(0)
        seen = [newest[term.name]] if newest is not None and term.lag else []
        whole = np.concatenate([past, seen, coming])
        x[1:] += beta * whole[len(whole) - h - term.lag : len(whole) - term.lag]
    return x


def _keep_tail(slots: Slots, slot: int, exog: Mapping[str, float]) -> None:
    for j, name in enumerate(lagged_names(slots.records.exog)):
        tail = slots.tails[slot, j]
        tail[1:] = tail[:-1].copy()
        tail[0] = exog[name]
