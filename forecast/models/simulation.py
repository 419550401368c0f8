"""Sample paths of the future, and intervals taken from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from forecast.errors import InputError
from forecast.kernels.philox import choices, normals
from forecast.kernels.recursion import propagate
from forecast.models.ar_spec import check_whole
from forecast.models.deterministic import deterministic_path
from forecast.models.dynamics import Dynamics, dynamics
from forecast.models.forecasting import Forecasts, check_request, mean_of, to_units, widen
from forecast.models.intervals import parameter_variance, state_responses
from forecast.models.records import Records
from forecast.models.threads import over_rows
from forecast.types import F64, I64, U64

# Numbers held at once while intervals are taken from paths: 4 M float64 are 32 MB.
_BLOCK_NUMBERS = 1 << 22

# Independent draws of one series.
_SHOCKS, _STATE, _PARAMETERS = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """In-sample innovations of n series, for the bootstrap."""

    values: F64
    """(M,) units of w; NaN is left out."""
    indptr: I64
    """(n + 1,) series `i` is ``values[indptr[i]:indptr[i + 1]]``."""

    def centred(self, i: int) -> F64:
        """(m,) finite residuals of series `i` less their mean, so that paths keep the mean forecast."""
        row = self.values[self.indptr[i] : self.indptr[i + 1]]
        row = row[np.isfinite(row)]
        return row - row.mean() if row.size else row


def simulate(
    records: Records,
    h: int,
    n_paths: int,
    seed: int,
    exog: Mapping[str, F64] | None = None,
    resid: Residuals | None = None,
    *,
    parameters: bool = False,
    jobs: int = 1,
) -> F64:
    """Draw sample paths of y.

    Parameters
    ----------
    seed
        >= 0. The numbers of a series follow from `seed` and its id alone, so that it gets the
        same paths in whatever batch it is; neither more paths nor a longer horizon change the numbers before.
    exog
        Future regressors by name, (n, h) each.
    resid
        Innovations are drawn from these with replacement; without them (or for a series that has
        none) they are Gaussian with variance sigma2.
    parameters
        Add the error of the estimated parameters: one Gaussian draw a path, times its standard deviation
        at each step. Right at every step by itself; as a joint law it takes the error of a path
        as perfectly correlated over the steps, which for one parameter it is.
    jobs
        Threads; the result is the same to the last bit.

    Returns
    -------
    (n, n_paths, h) units of y. Memory is that of the result.
    """
    check_request(h, ())
    _check_paths(n_paths, seed)
    out = np.empty((records.n_series, n_paths, h))
    rows = max(1, _BLOCK_NUMBERS // (n_paths * h))
    for block in _blocks(records, h, n_paths, seed, exog, resid, parameters, rows, jobs):
        out[block.rows] = block.paths
    return to_units(records, out)


def bootstrap_intervals(
    records: Records,
    h: int,
    levels: Sequence[float],
    resid: Residuals,
    n_paths: int = 1000,
    seed: int = 0,
    exog: Mapping[str, F64] | None = None,
    jobs: int = 1,
) -> Forecasts:
    """Intervals from the quantiles of bootstrapped paths, for innovations that are not Gaussian.

    Like `forecast` in everything else: the mean is the analytic one, the error of the parameters is
    included, the ends are calibrated. `sd` is the spread of the paths. Series are done in
    blocks, so memory does not grow with their number.
    """
    check_request(h, levels)
    _check_paths(n_paths, seed)
    n = records.n_series
    center, sd = np.empty((n, h)), np.empty((n, h))
    lo, hi = np.empty((n, len(levels), h)), np.empty((n, len(levels), h))
    tails = 0.5 - np.asarray(levels, dtype=np.float64) / 200.0
    rows = max(1, _BLOCK_NUMBERS // (n_paths * h))
    for block in _blocks(records, h, n_paths, seed, exog, resid, True, rows, jobs):
        center[block.rows] = block.mean
        sd[block.rows] = block.paths.std(axis=1)
        if len(levels):
            ends = np.quantile(block.paths, np.concatenate([tails, 1.0 - tails]), axis=1)
            lo[block.rows] = ends[: len(levels)].swapaxes(0, 1)
            hi[block.rows] = ends[len(levels) :].swapaxes(0, 1)
    lo, hi = widen(records, center, lo, hi)
    return Forecasts(to_units(records, center), sd, lo, hi, tuple(levels))


def key_of(seed: int, series_id: object) -> U64:
    """(2,) key of one series, a hash of seed and id; a number then follows from path and step alone."""
    digest = blake2b(f"{seed}:{series_id}".encode(), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u4").astype(np.uint64)


def draw(key: U64, stream: int, n_paths: int, h: int) -> F64:
    """(n_paths, h) standard normal numbers."""
    out = np.empty((n_paths, h))
    normals(key, stream, out)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    rows: slice
    mean: F64
    """(rows, h) units of w."""
    paths: F64
    """(rows, n_paths, h) units of w."""


def _blocks(
    records: Records,
    h: int,
    n_paths: int,
    seed: int,
    exog: Mapping[str, F64] | None,
    resid: Residuals | None,
    parameters: bool,
    rows: int,
    jobs: int,
) -> Iterator[_Block]:
    """Paths of `rows` series at a time."""
    if resid is not None and len(resid.indptr) != records.n_series + 1:
        raise InputError(f"residuals of {len(resid.indptr) - 1} series, needs {records.n_series}")
    m = deterministic_path(records, h, exog)
    for first in range(0, records.n_series, rows):
        last = min(first + rows, records.n_series)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # as in `forecast`
            run = dynamics(records, m, first, last)
            mean = mean_of(records, run, m)
            spread = np.sqrt(parameter_variance(records, run, exog or {})) if parameters else None
        paths = _paths(records, run, mean, spread, (n_paths, seed), resid, jobs)
        yield _Block(slice(first, last), mean, paths)


def _paths(
    records: Records,
    run: Dynamics,
    mean: F64,
    spread: F64 | None,
    draws: tuple[int, int],
    resid: Residuals | None,
    jobs: int,
) -> F64:
    """(rows, n_paths, h) units of w; `draws` are the number of paths and the seed."""
    n_paths, seed = draws
    out = np.empty((len(mean), n_paths, mean.shape[1]))

    def work(first: int, last: int) -> None:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # every thread has its own
            for i in range(first, last):
                out[i] = mean[i] + _deviations(records, run, i, n_paths, seed, resid, spread)

    over_rows(work, len(mean), jobs, least=1)
    return out


def _deviations(
    records: Records,
    run: Dynamics,
    i: int,
    n_paths: int,
    seed: int,
    resid: Residuals | None,
    spread: F64 | None,
) -> F64:
    """(n_paths, h) of row `i` of the block about its mean path.

    Shocks, end state and parameters are separate streams: asking for more of one leaves the others alone.
    """
    row, h = run.first + i, run.path.shape[1]
    key = key_of(seed, records.ids[row])
    pool = resid.centred(row) if resid is not None else np.zeros(0)
    if pool.size:
        which = np.empty((n_paths, h), dtype=np.int64)
        choices(key, _SHOCKS, pool.size, which)
        shocks = pool[which]
    else:
        shocks = draw(key, _SHOCKS, n_paths, h) * np.sqrt(records.sigma2[row])
    propagate(run.a[i], int(run.width[i]), run.b[i], int(run.ma_width[i]), shocks)
    if row in records.state_cov:
        response, _ = state_responses(run, np.array([i]))
        z = draw(key, _STATE, n_paths, len(response))
        shocks += z @ _root(records.state_cov[row]) @ response
    if spread is not None:
        shocks += draw(key, _PARAMETERS, n_paths, 1) * spread[i]
    return shocks


def _root(cov: F64) -> F64:
    """(m, m) R with R'R = cov; a covariance of a state is often singular, so not Cholesky."""
    values, vectors = np.linalg.eigh(cov)
    root: F64 = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    return root


def _check_paths(n_paths: int, seed: int) -> None:
    check_whole("n_paths", n_paths)
    check_whole("seed", seed, least=0)
