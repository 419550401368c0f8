"""The states of all series of some records, a slot each: a tick and its forecast take two microseconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from forecast.errors import InputError
from forecast.kernels import stream
from forecast.models.ar_spec import check_whole
from forecast.models.assemble import lagged_names
from forecast.models.computed import Moments, is_computed
from forecast.models.deterministic import exog_path
from forecast.models.dynamics import Dynamics, dynamics
from forecast.models.equations import recursions
from forecast.models.records import Form, Records, Transform
from forecast.online.arguments import read_exog, read_future, read_slot, read_value
from forecast.online.state import Info, State
from forecast.types import F64

# Covariances that a pool begins with; it doubles when they are taken.
_PLACES = 4

# Points for which regressors that follow from the time are computed at once: NumPy and calendars cost
# much the same for one.
_CHUNK = 64

# Every series keeps three rows of this length, and a tick writes them.
MAX_HORIZON = 10_000


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
    known: bool
    """Whether all regressors follow from the time alone."""
    timed: dict[int, tuple[int, F64]] = field(default_factory=dict)
    """By slot: what the regressors that follow from the time add, from some point on."""


def load(records: Records, horizon: int = 24) -> Slots:
    """Put every series of `records` into a slot of its own, where the record stands.

    Parameters
    ----------
    horizon
        Steps that are forecast at every tick, 1 to 10,000.

    Raises
    ------
    InputError
        `horizon` is none of these.
    """
    check_whole("horizon", horizon)
    if horizon > MAX_HORIZON:
        raise InputError(
            f"horizon must be at most {MAX_HORIZON}, got {horizon}: every tick forecasts all of it"
        )
    horizon = int(horizon)
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
        bool(records.exog) and all(is_computed(term.name) for term in records.exog),
    )  # fmt: skip
    _write_numbers(slots, run)
    _write_parts(slots, run)
    for i in sorted(records.state_cov):
        _take_place(slots, i)
        size = len(records.state_cov[i])
        slots.pool[slots.taken - 1, :size, :size] = records.state_cov[i]
        table[i, stream.KNOWN] = 0.0
    x = np.full((n, 1 + horizon), np.nan) if slots.driven else np.zeros((1, 1 + horizon))
    if slots.known:
        x[:, 1:] = 0.0
        for j in range(len(records.exog)):
            x[:, 1:] += records.beta[:, j, None] * exog_path(records, j, horizon, {})
    for i in range(n):
        stream.project(table, i, horizon, x[min(i, len(x) - 1)])
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
    y: float | None,
    exog: Mapping[str, float] | None = None,
    future: Mapping[str, F64] | None = None,
) -> Info:
    """Move one series over one tick, in place; its forecast then stands in `ahead`.

    Tick by tick the same answer as filtering the longer series with these parameters.

    Parameters
    ----------
    y
        The value at the next grid time; NaN or None (or what has no logarithm, under a log transform, or
        an innovation beyond 1e154) is missing.
    exog, future
        Regressors of that time, and of the next `horizon` steps, by name; without the latter the
        forecast of a model with regressors is NaN until `ahead` is given them.

    Raises
    ------
    InputError
        A regressor that the model needs is not given, or not finite; `y` is not a number; or there is no
        such slot.
    """
    slot, y = read_slot(slot, len(slots.table)), read_value(y)
    given = read_exog(exog, _needed(slots, slot) if slots.driven else ())
    x = _regressors(slots, slot, given, future) if slots.driven else slots.quiet
    mean, e, f = stream.tick(slots.table, slots.pool, slot, slots.horizon, y, x)
    if f < 0:
        _take_place(slots, slot)
        mean, e, f = stream.tick(slots.table, slots.pool, slot, slots.horizon, y, x)
    if slots.driven:
        _keep_tail(slots, slot, given)
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
    InputError
        It is not `horizon` finite numbers, or there is no such slot.
    """
    slot = read_slot(slot, len(slots.table))
    if future is not None and slots.driven:
        stream.project(slots.table, slot, slots.horizon, _future(slots, slot, future))
    return slots.table[slot, slots.out : slots.out + slots.horizon].copy()


def state_of(slots: Slots, slot: int) -> State:
    """Return what must survive a restart, as `init` has it; InputError where there is no such slot."""
    slot = read_slot(slot, len(slots.table))
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


def _needed(slots: Slots, slot: int) -> list[str]:
    """Regressors whose value at a tick enters it, or what comes later."""
    if slots.known:
        return []
    exog = slots.records.exog
    now = {
        term.name
        for term, beta in zip(exog, slots.records.beta[slot].tolist(), strict=True)
        if beta != 0.0 and term.lag == 0 and not is_computed(term.name)
    }
    return sorted(now | set(lagged_names(exog)))


def _regressors(slots: Slots, slot: int, exog: Mapping[str, float], future: Mapping[str, F64] | None) -> F64:
    """(1 + horizon,) what the regressors add: now, and ahead (NaN where not known)."""
    x = _timed(slots, slot, 1 + slots.horizon)
    if slots.known:
        return x
    records, names = slots.records, lagged_names(slots.records.exog)
    for j, term in enumerate(records.exog):
        beta = float(records.beta[slot, j])
        if beta == 0.0 or is_computed(term.name):
            continue
        past = slots.tails[slot, names.index(term.name), term.lag - 1] if term.lag else exog[term.name]
        x[0] += beta * float(past)
    if not math.isfinite(x[0]):
        raise InputError(f"what the regressors add, with their kept past, is not finite: {exog}")
    if future is not None:
        _add_future(slots, slot, future, x, exog)
    else:
        x[1:] = np.nan
    return x


def _timed(slots: Slots, slot: int, count: int) -> F64:
    """(count,) what regressors that follow from the time add at the next points."""
    at = int(slots.table[slot, stream.T])
    begin, values = slots.timed.get(slot, (at, slots.quiet[:0]))
    if not begin <= at <= at + count <= begin + len(values):
        begin, values = at, _computed(slots.records, slot, at, count + _CHUNK)
        slots.timed[slot] = begin, values
    return values[at - begin : at - begin + count].copy()  # the caller adds to it


def _computed(records: Records, slot: int, first: int, count: int) -> F64:
    when = Moments(records.freq, records.start[slot : slot + 1], first + np.arange(count))
    out = np.zeros(count)
    for beta, term in zip(records.beta[slot].tolist(), records.exog, strict=True):
        if beta != 0.0 and is_computed(term.name):
            out += beta * when.values(term.name)
    return out


def _future(slots: Slots, slot: int, future: Mapping[str, F64]) -> F64:
    """(1 + horizon,) what the regressors add at the steps after where a series stands; 0 first."""
    x = np.concatenate([[0.0], _timed(slots, slot, slots.horizon)])
    _add_future(slots, slot, future, x)
    return x


def _add_future(
    slots: Slots, slot: int, future: Mapping[str, F64], x: F64, newest: Mapping[str, float] | None = None
) -> None:
    """Add what regressors given by name contribute ahead; `newest` is the tick not in the tails yet."""
    records, h, names = slots.records, slots.horizon, lagged_names(slots.records.exog)
    for j, term in enumerate(records.exog):
        beta = float(records.beta[slot, j])
        if beta == 0.0 or is_computed(term.name):
            continue
        coming = read_future(future, term.name, h)
        past = slots.tails[slot, names.index(term.name)][::-1] if term.lag else np.zeros(0)
        seen = [newest[term.name]] if newest is not None and term.lag else []
        whole = np.concatenate([past, seen, coming])
        x[1:] += beta * whole[len(whole) - h - term.lag : len(whole) - term.lag]


def _keep_tail(slots: Slots, slot: int, exog: Mapping[str, float]) -> None:
    for j, name in enumerate(lagged_names(slots.records.exog)):
        tail = slots.tails[slot, j]
        tail[1:] = tail[:-1].copy()
        tail[0] = exog[name]
