"""From records to the rows of a bank: everything a slot holds, gathered once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from forecast.kernels import slot_rows as at
from forecast.kernels.recursion import psi_rows
from forecast.kernels.simd import WIDTH
from forecast.kernels.slot_variance import whitening_rows
from forecast.models.assemble import lagged_names
from forecast.models.computed import is_computed
from forecast.models.dynamics import Dynamics, dynamics, integers
from forecast.models.forecasting import calibration
from forecast.models.intervals import differencing, estimated, mean_lag
from forecast.models.records import Form, Records, Transform
from forecast.types import F64, I64, Bool

# Points beyond the horizon for which regressors that follow from the time are kept: NumPy and calendars
# cost much the same for one. Each costs 8 bytes a regressor and slot.
CHUNK = 40

# t of the first buffered point of a slot that has no values yet: no tick finds what it needs.
NOTHING_BUFFERED = -1e18

# What tells shapes apart: these columns of a layout, then which regressors enter.
_KEY = (
    at.LEVEL_COUNT, at.MA, at.WIDTH, at.SEASON, at.ORDER, at.LAG_COUNT, at.DIFFERENCES, at.COLUMNS,
    at.REGRESSION, at.LOG, at.LEVEL, at.TREND,
)  # fmt: skip


@dataclass(slots=True, eq=False)
class Layouts:
    """The shapes of slots met so far."""

    horizon: int
    given: tuple[bool, ...]
    """(terms,) whether a regressor is given, or follows from the time."""
    tail: int
    """Numbers of the past of regressors."""
    table: I64
    """(layouts, columns) see `kernels/slot_rows`."""
    widths: I64
    """(3,) scratch that the largest needs: regressors, rows of gradients, long lines."""
    known: dict[bytes, int] = field(default_factory=dict)

    def of(self, keys: I64) -> I64:
        """(n,) layouts of shapes, by their `_KEY` columns and (terms,) flags."""
        names = np.ascontiguousarray(keys).view(f"V{keys.itemsize * keys.shape[1]}").ravel().tolist()
        for i, name in enumerate(names):
            if name not in self.known:
                self._learn(name, keys[i])
        return np.array([self.known[name] for name in names], np.int64)

    def _learn(self, name: bytes, key: I64) -> None:
        self.known[name] = len(self.table)
        line = self._line(key)
        self.table = np.concatenate([self.table, line[None]])
        rows = 1 + max(line[at.LEVEL_COUNT] + line[at.MA], line[at.COLUMNS], line[at.ORDER])
        long = max(line[at.PAST], line[at.ORDER], line[at.LEVEL_COUNT], line[at.MA])
        self.widths = np.maximum(self.widths, np.array([line[at.TERMS], rows, long]))

    def _line(self, key: I64) -> I64:
        line = np.zeros(at.TERM + 2 * len(self.given), np.int64)
        line[list(_KEY)] = key[: len(_KEY)]
        active = np.flatnonzero(key[len(_KEY) :]).tolist()
        buffers = 0
        for j, term in enumerate(active):
            given = self.given[term]
            line[at.TERM + 2 * j : at.TERM + 2 * j + 2] = term, -1 if given else buffers
            buffers += not given
        line[at.TERMS] = len(active)
        line[at.PAST] = line[at.WIDTH] if line[at.REGRESSION] and line[at.COLUMNS] else 0
        line[at.POINTS] = line[at.PAST] + 1 + self.horizon + CHUNK if buffers else 0
        M, count, m = line[at.LEVEL_COUNT] + line[at.MA], line[at.LAG_COUNT], line[at.COLUMNS]
        steps = -(-self.horizon // WIDTH) * WIDTH
        sizes = {
            at.LEVELS: M, at.A: M, at.PSI: steps, at.XI: steps if line[at.MA] else 0,
            at.SEASONAL: line[at.SEASON],
            at.WHITENING: triangle(count), at.LAGS: count if count < line[at.ORDER] else 0,
            at.F: line[at.DIFFERENCES], at.BETA: len(active), at.BUFFER: buffers * line[at.POINTS],
            at.TAIL: self.tail, at.CODES: m, at.COVARIANCE: triangle(m),
        }  # fmt: skip
        ends = np.cumsum([at.HEAD, *sizes.values()])
        line[list(sizes)] = ends[:-1]
        line[at.SIZE] = ends[-1]
        if not line[at.MA]:
            line[at.XI] = line[at.PSI]
        return line


def layouts_of(records: Records, horizon: int) -> Layouts:
    """Return the layouts for slots of some records, none met yet."""
    given = tuple(not is_computed(term.name) for term in records.exog)
    tail = len(lagged_names(records.exog)) * records.exog_tail.shape[2]
    none = np.zeros((0, at.TERM + 2 * len(given)), np.int64)
    return Layouts(horizon, given, tail, none, np.zeros(3, np.int64))


def gathered(some: Records, layouts: Layouts) -> Iterator[tuple[I64, F64]]:
    """Yield positions and rows (k, size) of the slots that `some` records fill, shape by shape."""
    n = some.n_series
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        run = dynamics(some, np.zeros((n, layouts.horizon)), 0, n)
        made = _Gathered(some, run, layouts)
        which = layouts.of(made.keys)
        for layout in np.unique(which).tolist():
            rows = np.flatnonzero(which == layout)
            yield rows, made.rows(layout, rows)


class _Gathered:
    """The parts of the rows of some records."""

    def __init__(self, some: Records, run: Dynamics, layouts: Layouts) -> None:
        self.some, self.run, self.layouts = some, run, layouts
        self.codes = {i: codes for i in some.param_cov if (codes := self._codes(i)) is not None}
        self.f, self.f_width = differencing(some, run)
        self.nonzero = (some.phi != 0) & (np.arange(some.phi.shape[1]) < some.p[:, None])
        self.whitening, stationary = self._whitening()
        self.keys = self._keys(stationary)

    def _codes(self, i: int) -> list[int] | None:
        """Return what the columns of a covariance belong to; None where it is not used."""
        some, found = self.some, estimated(self.some, i)
        if some.q[i] > 0 or some.Q[i] > 0 or some.param_cov[i].shape != (found.sum(),) * 2:
            return None
        active = np.cumsum(some.beta[i] != 0) - 1
        codes = [at.SHAPES, at.SHAPES + at.KINDS]
        codes += [at.SEASONS + at.KINDS * j for j in range(some.seasonal.shape[1])]
        codes += [at.REGRESSORS + at.KINDS * int(j) for j in active]
        codes += [at.PAST_VALUES + at.KINDS * lag for lag in range(1, some.phi.shape[1] + 1)]
        return [code for code, one in zip(codes, found.tolist(), strict=True) if one]

    def _whitening(self) -> tuple[F64, Bool]:
        some, most = self.some, int(self.nonzero.sum(axis=1).max(initial=0))
        out, stationary = np.zeros((some.n_series, triangle(most))), np.ones(some.n_series, np.bool_)
        if most:
            whitening_rows(np.array(some.phi), integers(some.p), out, stationary)
        return out, stationary

    def _keys(self, stationary: Bool) -> I64:
        """(n, key) what tells the shapes apart."""
        some, run = self.some, self.run
        n, with_ma = some.n_series, (some.q > 0) | (some.Q > 0)
        columns = np.zeros(n, np.int64)
        columns[list(self.codes)] = [len(codes) for codes in self.codes.values()]
        asymptotic = ~with_ma & (columns == 0)
        count = np.where(asymptotic & stationary, self.nonzero.sum(axis=1), 0)
        lags = (count > 0) | ((columns > 0) & (some.p > 0))
        conditional, times = some.form == Form.CONDITIONAL, some.d + some.D
        const, slope = some.const != 0, some.slope != 0
        level = np.where(conditional, const, (const & (times == 0)) | (slope & (times == 1))) & asymptotic
        trend = slope & (conditional | (times == 0)) & asymptotic
        season = some.seasonal.any(axis=1) if some.seasonal.shape[1] else np.zeros(n, np.bool_)
        parts = {
            at.LEVEL_COUNT: np.maximum(run.width, 1), at.MA: run.ma_width, at.WIDTH: run.width,
            at.SEASON: np.where(season, np.maximum(some.season_length, 1), 0),
            at.ORDER: np.where(lags, some.p, 0), at.LAG_COUNT: count,
            at.DIFFERENCES: np.where(lags, self.f_width, 0), at.COLUMNS: columns,
            at.REGRESSION: ~conditional, at.LOG: some.transform == Transform.LOG, at.LEVEL: level,
            at.TREND: trend,
        }  # fmt: skip
        fixed = np.column_stack([parts[name] for name in _KEY]).astype(np.int64)
        return np.concatenate([fixed, (some.beta != 0).astype(np.int64)], axis=1)

    def rows(self, layout: int, rows: I64) -> F64:
        """(k, size) the slots of some rows that share a layout."""
        some, run, line = self.some, self.run, self.layouts.table[layout]
        out = np.zeros((len(rows), int(line[at.SIZE])))
        self._write_head(layout, rows, out)
        L, q, count = (int(line[name]) for name in (at.LEVEL_COUNT, at.MA, at.LAG_COUNT))
        active = line[at.TERM : at.TERM + 2 * line[at.TERMS] : 2]
        for name, part in (
            (at.LEVELS, some.levels[rows, :L]), (at.A, run.a[rows, :L]), (at.PSI, run.psi[rows]),
            (at.SEASONAL, some.seasonal[rows, : line[at.SEASON]]),
            (at.WHITENING, self.whitening[rows, : triangle(count)]),
            (at.F, self.f[rows, : line[at.DIFFERENCES]]), (at.BETA, some.beta[rows][:, active]),
            (at.TAIL, some.exog_tail[rows].reshape(len(rows), -1)),
        ):  # fmt: skip
            out[:, line[name] : line[name] + part.shape[1]] = part
        if q:
            out[:, line[at.LEVELS] + L : line[at.LEVELS] + L + q] = some.innovations[rows, :q]
            out[:, line[at.A] + L : line[at.A] + L + q] = run.b[rows, :q]
            out[:, line[at.XI] : line[at.XI] + self.layouts.horizon] = self._without_ma(rows)
        if 0 < count < line[at.ORDER]:
            lags = np.nonzero(self.nonzero[rows])[1].reshape(len(rows), count)
            out[:, line[at.LAGS] : line[at.LAGS] + count] = lags + 1
        if line[at.COLUMNS]:
            self._write_covariances(line, rows, out)
        return out

    def _without_ma(self, rows: I64) -> F64:
        """(k, h) response of some rows to a level, where psi is that to an innovation."""
        run, k = self.run, len(rows)
        out = np.empty((k, self.layouts.horizon))
        a, width, none = run.a[rows], run.width[rows], np.zeros(k, np.int64)
        psi_rows(a, width, np.zeros((k, 1)), none, out, 0, k)
        return out

    def _write_head(self, layout: int, rows: I64, out: F64) -> None:
        some = self.some
        part, phi = some.scale[rows], some.phi[rows]
        look = mean_lag(phi)
        values = {
            at.LAYOUT: layout, at.T: some.nobs[rows], at.KNOWN: 1.0, at.PLACE: -1.0,
            at.SIGMA2: some.sigma2[rows], at.CONST: some.const[rows], at.SLOPE: some.slope[rows],
            at.SCALE: part, at.LOG_SCALE: np.log(part), at.WIDENING: calibration(some)[rows],
            at.USED: some.n_used[rows], at.AT_ONE: 1.0 - phi.sum(axis=1), at.MEAN_LAG: look,
            at.LOOK_BACK: look + some.season_length[rows] * mean_lag(some.seasonal_phi[rows]),
            at.FIRST: NOTHING_BUFFERED,
        }  # fmt: skip
        for name, value in values.items():
            out[:, name] = value

    def _write_covariances(self, line: I64, rows: I64, out: F64) -> None:
        m = int(line[at.COLUMNS])
        for to, i in zip(out, rows.tolist(), strict=True):
            to[line[at.CODES] : line[at.CODES] + m] = self.codes[i]
            to[line[at.COVARIANCE] : line[at.COVARIANCE] + triangle(m)] = packed(self.some.param_cov[i])


def triangle(size: int) -> int:
    """Numbers of a symmetric matrix: its lower triangle by rows."""
    return size * (size + 1) // 2


def packed(cov: F64) -> F64:
    """Return the lower triangle by rows of a matrix that is symmetric but for rounding."""
    return (0.5 * (cov + cov.T))[np.tril_indices(len(cov))]
