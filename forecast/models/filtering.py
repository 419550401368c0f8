"""Filtering: where a record stands after its data, and after new data.

Everything here goes through `kernels/companion_filter`: exact with gaps, O(p) a point without.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forecast.errors import InputError
from forecast.kernels.companion_filter import advance_row, advance_rows, residual_rows
from forecast.models.assemble import lagged_names, part, take, widen
from forecast.models.deterministic import deterministic_in_sample
from forecast.models.dynamics import fixed
from forecast.models.equations import Recursions, equation, recursions
from forecast.models.initial_state import Equation, Start, start
from forecast.models.panel import Panel
from forecast.models.records import Form, Records, Transform
from forecast.models.regression_filter import regression_innovations
from forecast.models.threads import over_rows
from forecast.types import F64, I64, Bool

# Points handled at once, in whole series: arrays of 2 MB, so that what is computed a point stays in the
# cache, whatever the size of the panel. With far fewer the calls for a block show. Results do not
# depend on it.
BLOCK_POINTS = 2**18


def transformed(records: Records, panel: Panel) -> F64:
    """(N,) w of the values of `panel`; NaN where there is none, as the log of what is not positive."""
    w: F64 = np.asarray(panel.values)
    if (records.scale != 1.0).any():
        w = w / np.repeat(records.scale, panel.lengths)
    if (records.transform == Transform.LOG).any():
        log = np.repeat(records.transform == Transform.LOG, panel.lengths)
        w = w.copy()
        w[log] = np.log(np.where(w[log] > 0, w[log], np.nan))
    infinite = np.isinf(w)
    return np.where(infinite, np.nan, w) if infinite.any() else w


def _mean_path(records: Records, panel: Panel) -> F64:
    """(N,) m from t = 1 on, at once where it is a constant."""
    if records.exog or records.slope.any() or records.seasonal.any():
        return deterministic_in_sample(records, panel)
    return np.repeat(records.const, panel.lengths)


def observations(records: Records, panel: Panel, m: F64) -> tuple[F64, F64]:
    """(N,) what the recursion runs on, and what drives it: (w, m), or (w - m, 0) of a REGRESSION."""
    w = transformed(records, panel)
    if (records.form == Form.CONDITIONAL).all():
        return w, m
    regression = np.repeat(records.form == Form.REGRESSION, panel.lengths)
    return np.where(regression, w - m, w), np.where(regression, 0.0, m)


def innovations(records: Records, panel: Panel, errors: F64 | None = None) -> tuple[F64, F64]:
    """One-step errors over the data that the records were fitted on.

    Parameters
    ----------
    panel
        Series in the order of `records`, each from t = 1 on.
    errors
        (N,) innovations that `end_state` came by; NaN throughout a row that it did not filter. Their
        variances are left NaN.

    Returns
    -------
    e, f
        (N,) innovations and their variances, units of w and of its square. NaN at missing points, and
        at the first p + d + s (P + D) points of models that condition on them (CONDITIONAL, or
        differenced); a stationary REGRESSION is predicted from its first point on.
    """
    rec = recursions(records)
    u, m = observations(records, panel, _mean_path(records, panel))
    e, f = np.full(len(u), np.nan), np.full(len(u), np.nan)
    stationary = _from_first_point(records)
    skip = rec.sizes[:, 1] > 0
    residual_rows(
        0, records.n_series, rec.a, rec.lags, np.array(records.sigma2), stationary, fixed(u), fixed(m),
        np.array(panel.indptr), skip, e, f,
    )  # fmt: skip
    skip = regression_innovations(records, panel, rec.lags, u, skip, e, f)
    for i in np.flatnonzero(skip):
        at = slice(panel.indptr[i], panel.indptr[i + 1])
        if errors is not None and not np.isnan(errors[at]).all():
            e[at] = errors[at]
        else:
            run(equation(records, rec, int(i)), u[at], m[at], e[at], f[at])
        if not stationary[i]:
            e[at][: rec.lags[i]] = np.nan
        f[at][np.isnan(e[at])] = np.nan
    return e, f


def _from_first_point(records: Records) -> Bool:
    first: Bool = (records.form == Form.REGRESSION) & (records.d == 0) & (records.D == 0)
    return first


def run(eq: Equation, u: F64, m: F64, z: F64, f: F64) -> Start | None:
    """Filter one series from its start; `z` and `f` (t,) are written from the first predicted point on.

    Returns the state after the last point, with the log-likelihood of all of them; None where the
    data do not determine a start.
    """
    first = _usable(eq, m)
    state = start(eq, u[first:], m[first:])
    if state is None:
        return None
    at = slice(first + state.t0, None)
    known, n, log_f, squares = advance_row(
        eq.a, eq.ma, eq.sigma2, state.levels, state.innov, state.P, state.known,
        np.array(u[at]), np.array(m[at]), z[at], f[at], np.zeros((0, 0)),
    )  # fmt: skip
    state.known, state.t0, state.n = known, len(u), state.n + n
    state.log_f, state.squares = state.log_f + log_f, state.squares + squares
    return state


def _usable(eq: Equation, m: F64) -> int:
    """First point to start from: the drive must be known at all points but those conditioned on."""
    holes = np.flatnonzero(np.isnan(m))
    return max(0, int(holes[-1]) + 1 - len(eq.ar) - len(eq.diff)) if holes.size else 0


def loglik(records: Records, panel: Panel, i: int) -> tuple[float, int]:
    """Exact log-likelihood of record `i` and the observations in it.

    For differenced models that of the observations given those that determine the first levels
    (the diffuse likelihood: without gaps, that of the differenced series).
    """
    one = np.array([i])
    panel, records = panel.take(one), take(records, one)
    u, m = observations(records, panel, _mean_path(records, panel))
    z, f = np.empty(len(u)), np.empty(len(u))
    state = run(equation(records, recursions(records), 0), u, m, z, f)
    return (np.nan, 0) if state is None else (state.loglik, state.n)


def end_state(
    records: Records,
    panel: Panel,
    ends: tuple[Bool, F64, dict[int, F64]] | None = None,
    errors: F64 | None = None,
    jobs: int = 1,
) -> tuple[F64, F64, dict[int, F64]]:
    """Where the records stand after the data they were fitted on.

    Parameters
    ----------
    records
        Only parameters are read, not the state.
    panel
        Series in the order of `records`, each from t = 1 on.
    ends
        Rows without gaps whose last innovations are known from the fit: (n,) which, (n, q) their means
        newest first, and by row their covariances where not zero.
    errors
        (N,) out: innovations of rows that had to be filtered for their state.
    jobs
        Threads; the result is the same to the last bit.

    Returns
    -------
    levels, innovations, state_cov
        As in `Records`. Levels are NaN where the data do not determine them.
    """
    rec = recursions(records)
    L, q = (int(size) for size in rec.sizes.max(axis=0))
    levels, innov = np.empty((panel.n_series, L)), np.zeros((panel.n_series, q))
    cov: dict[int, F64] = {}

    def work(first: int, some: Records, data: Panel) -> None:
        u, m = observations(some, data, _mean_path(some, data))
        rows = slice(first, first + some.n_series)
        levels[rows] = _last(u, data, rec.sizes[rows, 0], L)
        unsettled = np.isnan(levels[rows]).any(axis=1) | (rec.sizes[rows, 1] > 0)
        if ends is not None:
            unsettled &= ~ends[0][rows]
        for i in np.flatnonzero(unsettled).tolist():
            at = slice(data.indptr[i], data.indptr[i + 1])
            z = np.empty(0) if errors is None else errors[panel.indptr[first] :][at]
            state = _settle(equation(records, rec, first + i), u[at], m[at], z)
            _store(first + i, state, levels, innov, cov)

    over_blocks(work, records, panel, jobs)
    if ends is not None:
        _take_ends(ends, rec, innov, cov)
    return levels, innov, dict(sorted(cov.items()))


def _take_ends(
    ends: tuple[Bool, F64, dict[int, F64]], rec: Recursions, innov: F64, cov: dict[int, F64]
) -> None:
    """Write the innovations that are known from the fit; levels without gaps are the data."""
    known, means, spread = ends
    width = min(innov.shape[1], means.shape[1])
    innov[known, :width] = means[known, :width]
    for i, P in spread.items():
        if known[i]:
            L, q = rec.sizes[i]
            cov[i] = np.zeros((L + q, L + q))
            cov[i][L:, L:] = _nonnegative(P)


def _nonnegative(P: F64) -> F64:
    """Return a covariance without variances that rounding took below 0: a record with one is refused."""
    out = np.array(P)
    np.fill_diagonal(out, np.maximum(out.diagonal(), 0.0))
    return out


def over_blocks(
    work: Callable[[int, Records, Panel], None], records: Records, panel: Panel, jobs: int = 1
) -> None:
    """Call `work` with the first row, records and data of some series at a time; see `BLOCK_POINTS`."""
    bounds = [0]
    while bounds[-1] < panel.n_series:
        most = panel.indptr[bounds[-1]] + BLOCK_POINTS
        bounds.append(max(bounds[-1] + 1, int(np.searchsorted(panel.indptr, most, side="right")) - 1))

    def several(begin: int, end: int) -> None:
        for first, last in itertools.pairwise(bounds[begin : end + 1]):
            work(first, part(records, first, last), panel.part(first, last))

    over_rows(several, len(bounds) - 1, jobs, least=1)


def _settle(eq: Equation, u: F64, m: F64, z: F64) -> Start | None:
    """State after the last point; of a pure AR from the last run of L observed points on."""
    L = eq.n_levels
    if not eq.ma.size:
        gaps = np.flatnonzero(np.concatenate([[True], np.isnan(u), [True]]))
        runs = np.flatnonzero(np.diff(gaps) > L)
        holes = np.flatnonzero(np.isnan(m))
        if runs.size and (not holes.size or holes[-1] < gaps[runs[-1] + 1] - 1):
            end = int(gaps[runs[-1] + 1]) - 1  # one past the last observed point of the run
            state = Start(end, u[end - L : end][::-1].copy(), np.zeros(0), np.zeros((L, L)), True)
            move(eq, state, u[end:], m[end:])
            return state
    return run(eq, u, m, z if len(z) == len(u) else np.empty(len(u)), np.empty(len(u)))


def move(eq: Equation, state: Start, u: F64, m: F64) -> tuple[F64, F64, F64]:
    """Move one state over new points, in place; return forecasts, innovations and their variances."""
    mean, z, f = np.array(m), np.empty(len(u)), np.empty(len(u))
    state.known, *_ = advance_row(
        eq.a, eq.ma, eq.sigma2, state.levels, state.innov, state.P, state.known,
        np.array(u), mean, z, f, np.zeros((0, 0)),
    )  # fmt: skip
    return mean, z, f


def _store(i: int, state: Start | None, levels: F64, innov: F64, cov: dict[int, F64]) -> None:
    levels[i] = 0.0
    if state is None:
        levels[i] = np.nan
        return
    levels[i, : len(state.levels)] = state.levels
    innov[i, : len(state.innov)] = state.innov
    if not state.known:
        cov[i] = _nonnegative(state.P)


def _last(u: F64, panel: Panel, sizes: I64, width: int) -> F64:
    """(n, width) the last values newest first, zero beyond each row's size, NaN where there are none."""
    back = np.arange(width)
    where = panel.indptr[1:, None] - 1 - back
    inside = where >= panel.indptr[:-1, None]
    out = np.where(inside, u[np.maximum(where, 0)] if len(u) else np.nan, np.nan)
    out[back >= sizes[:, None]] = 0.0
    return out


def advance(records: Records, panel: Panel) -> Records:
    """Move records on over new data, without a refit: O(p) a point.

    The same answer as filtering the longer series with these parameters.

    Parameters
    ----------
    panel
        New points of the same series in the same order, from the next grid time of each on; NaN is a
        missing point. Regressors are needed where the record has them. Series without points stay.

    Raises
    ------
    InputError
        Other series, another grid, or data that do not follow directly.
    """
    return advance_errors(records, panel)[0]


def advance_errors(records: Records, panel: Panel) -> tuple[Records, F64, F64]:
    """`advance`, with the (N,) one-step errors on the way and their variances; NaN at missing points."""
    _check_follows(records, panel)
    rec = recursions(records)
    m = _drive(records, panel)
    u, m = observations(records, panel, m)
    if np.isnan(m).any():
        raise InputError("a regressor is missing at a new point; give every regressor at every new time")
    L, q = (int(size) for size in rec.sizes.max(axis=0))
    levels = widen(records.levels, max(L, records.levels.shape[1]))
    innov = widen(records.innovations, max(q, records.innovations.shape[1]))
    cov = dict(records.state_cov)
    skip = np.zeros(records.n_series, dtype=np.bool_)
    skip[list(cov)] = True
    z, f, indptr = np.empty(len(u)), np.empty(len(u)), np.array(panel.indptr)
    advance_rows(
        0, records.n_series, rec.a, rec.b, rec.sizes, np.array(records.sigma2), levels, innov, skip,
        u, m, indptr, z, f,
    )  # fmt: skip
    for i in np.flatnonzero(skip):
        at = slice(indptr[i], indptr[i + 1])
        state = state_of(records, rec, int(i))
        _, z[at], f[at] = move(equation(records, rec, int(i)), state, u[at], m[at])
        cov.pop(int(i), None)
        _store(int(i), state, levels, innov, cov)
    nobs, tail = (records.nobs + panel.lengths).astype(np.int32), _tail(records, panel)
    moved = replace(records, nobs=nobs, levels=levels, innovations=innov, state_cov=cov, exog_tail=tail)
    return moved, z, f


def state_of(records: Records, rec: Recursions, i: int) -> Start:
    """State of record `i`, free to be moved."""
    L, q = (int(size) for size in rec.sizes[i])
    known = i not in records.state_cov
    P = np.zeros((L + q, L + q)) if known else np.array(records.state_cov[i])
    levels, innov = records.levels[i, :L].copy(), records.innovations[i, :q].copy()
    return Start(int(records.nobs[i]), levels, innov, P, known)


def _check_follows(records: Records, panel: Panel) -> None:
    if not np.array_equal(panel.ids, records.ids):
        raise InputError("the new data hold other series than the records, or in another order")
    if panel.freq != records.freq:
        raise InputError(
            f"the new data are on grid {panel.freq.text!r}, the records on {records.freq.text!r}"
        )
    some = np.flatnonzero(panel.lengths)
    expected = records.freq.times(records.start[some], records.nobs[some].astype(np.int64))
    wrong = some[panel.start[some] != expected]
    if wrong.size:
        i = int(wrong[0])
        raise InputError(
            f"new data of series {panel.ids[i]!r} must start at the time after its last point "
            f"(grid position {records.nobs[i]}); {wrong.size} series do not"
        )


def _with_tail(records: Records, panel: Panel) -> tuple[Panel, int]:
    """Put the kept past of lagged regressors in front of every series of the panel."""
    k = records.exog_tail.shape[2]
    names = lagged_names(records.exog)
    indptr = np.array(panel.indptr) + k * np.arange(panel.n_series + 1)
    new = _body(indptr, k)
    exog = {}
    for name, column in panel.exog.items():
        longer = np.full(int(indptr[-1]), np.nan)
        longer[new] = column
        if name in names:
            longer[~new] = records.exog_tail[:, names.index(name), ::-1].ravel()
        exog[name] = longer
    first = records.freq.times(records.start, records.nobs.astype(np.int64) - k)
    values = np.full(int(indptr[-1]), np.nan)
    return Panel(values, indptr, panel.ids, first, panel.freq, exog), k


def _body(indptr: I64, k: int) -> Bool:
    """(N,) True except at the first k points of every series."""
    keep = np.ones(int(indptr[-1]), dtype=np.bool_)
    keep[(indptr[:-1, None] + np.arange(k)).ravel()] = False
    return keep


def _drive(records: Records, panel: Panel) -> F64:
    """(N,) m at new points, lagged regressors reaching back into the kept past."""
    if not records.exog_tail.size:
        return deterministic_in_sample(records, replace(panel, start=_next(records)))
    longer, k = _with_tail(records, panel)
    return deterministic_in_sample(records, longer)[_body(longer.indptr, k)]


def _next(records: Records) -> I64:
    return records.freq.times(records.start, records.nobs.astype(np.int64))


def _tail(records: Records, panel: Panel) -> F64:
    if not records.exog_tail.size:
        return records.exog_tail
    longer, k = _with_tail(records, panel)
    where = longer.indptr[1:, None] - 1 - np.arange(k)
    return np.stack([longer.exog[name][where] for name in lagged_names(records.exog)], axis=1)
