"""Simulated run lengths of the detectors, with standard errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError, nearest
from forecast.kernels import drift, drift_inputs
from forecast.kernels.drift_run_length import GAUSSIAN, T5, count_alarms, run_lengths
from forecast.online.drift.detectors import heights
from forecast.types import F64, I64, U64

NOISES = {"gaussian": GAUSSIAN, "t5": T5}
"""Standard normal; Student's t with 5 degrees of freedom, scaled to variance 1."""

# Shares of the streams: enough for the cores to end together.
_SHARES = 8

# Ticks by which the changes of two shares lie apart: spread over every block of the adaptive detector.
_PHASE = 146

# The second word of every key of ours: draws of other parts of the library have another one.
_KEY = 0xD21F7


@dataclass(frozen=True, slots=True, eq=False)
class RunLengths:
    """Mean run lengths in ticks, NaN where nothing alarmed."""

    mean: F64
    """Where runs are censored: all ticks over the alarms, as for runs that end at a constant rate."""
    error: F64
    """Standard errors."""
    alarms: I64
    """Runs that ended in an alarm."""


def simulate_arl0(
    values: F64, *, streams: int, ticks: int, noise: str = "gaussian", seed: int = 0, threads: int = 1
) -> RunLengths:
    """Ticks between false alarms of every detector, at several thresholds on the same innovations.

    Every stream is watched for `ticks` ticks; detectors restart as in the bank, and the last run of each is
    censored. Choose `ticks` many times the mean run, or `streams` * `ticks` is what counts: the run that is
    under way when a stream ends makes no bias where runs end at a constant rate, as they do but for their
    first ticks.

    Parameters
    ----------
    values
        (m, 6) thresholds in the order of `DETECTORS`.
    streams, ticks
        `streams` a multiple of 8, `ticks` even.

    Returns
    -------
    RunLengths
        Arrays of (m, 6).
    """
    limits, key = heights(values), _key(seed)
    code, share = _noise(noise), _shares(streams)
    _even("ticks", ticks)

    def count(first: int) -> I64:
        counts = np.zeros((len(limits), drift.DETECTORS), np.int64)
        count_alarms(key, first, share, ticks, code, drift.COEFFICIENTS, drift.WEIGHTS, limits, counts)
        return counts

    with ThreadPoolExecutor(threads) as pool:
        return _rates(streams * ticks, np.sum(list(pool.map(count, range(0, streams, share))), axis=0))


def simulate_input_arl0(
    limits: F64,
    *,
    streams: int,
    ticks: int,
    phi: float = 0.0,
    every: int = 1,
    seed: int = 0,
    threads: int = 1,
) -> RunLengths:
    """As `simulate_arl0`, of the input detectors on autoregressions of order 1; `limits` is (m, 2)."""
    key, share = _key(seed), _shares(streams)
    _even("ticks", ticks)
    if not abs(phi) < 1:
        raise InputError(f"phi must be inside -1..1, got {phi!r}")

    def count(first: int) -> I64:
        counts = np.zeros((len(limits), drift_inputs.DETECTORS), np.int64)
        drift_inputs.count_alarms(key, first, share, ticks, float(phi), every, limits, counts)
        return counts

    with ThreadPoolExecutor(threads) as pool:
        return _rates(streams * ticks, np.sum(list(pool.map(count, range(0, streams, share))), axis=0))


def simulate_runs(
    values: F64, *, streams: int, limit: int, calm: int = 0, noise: str = "gaussian", shift: float = 0.0,
    sd: float = 1.0, rho: float = 0.0, seed: int = 0, threads: int = 1,
) -> I64:  # fmt: skip
    """Ticks from a change to the first alarm of every detector, one change a stream.

    Parameters
    ----------
    values
        (6,) thresholds.
    streams, limit, calm
        `streams` a multiple of 8; `limit` (even) ticks after the change, `calm` (even) before it, where not 0
        up to 1,022 more: the change then meets the windows of the adaptive detector anywhere.
    shift, sd, rho
        Mean, standard deviation and lag-1 autocorrelation of the innovations after the change.

    Returns
    -------
    I64
        (streams, 6), 1 for an alarm at the first tick after the change, 0 where there was none in `limit`.
    """
    limits, key = heights(values), _key(seed)
    code, share = _noise(noise), _shares(streams)
    _even("limit", limit)
    _even("calm", calm)
    if not abs(rho) < 1 or not sd >= 0:
        raise InputError(f"rho must be inside -1..1 and sd at least 0, got {rho!r} and {sd!r}")

    def run(first: int) -> I64:
        before = calm + first // share * _PHASE if calm else 0
        lengths = np.empty((share, drift.DETECTORS), np.int64)
        run_lengths(
            key, first, before, limit, code, float(shift), float(sd), float(rho), drift.COEFFICIENTS,
            drift.WEIGHTS, limits, lengths, np.empty(2),
        )  # fmt: skip
        return lengths

    with ThreadPoolExecutor(threads) as pool:
        return np.vstack(list(pool.map(run, range(0, streams, share))))


def mean_run(lengths: I64, limit: int) -> RunLengths:
    """Mean of (streams, k) runs of `simulate_runs`: the plain one where all ended, else ticks over alarms."""
    ended = lengths > 0
    alarms = ended.sum(axis=0)
    total = np.where(ended, lengths, limit).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(alarms > 0, total / alarms, np.nan)
        censored = mean / np.sqrt(alarms)
    plain = lengths.std(axis=0, ddof=1) / np.sqrt(len(lengths))
    return RunLengths(mean, np.where(ended.all(axis=0), plain, censored), alarms)


def _rates(ticks: int, alarms: I64) -> RunLengths:
    """Mean runs of alarms that came in so many ticks."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(alarms > 0, ticks / alarms, np.nan)
        return RunLengths(mean, mean / np.sqrt(alarms), alarms)


def _key(seed: int) -> U64:
    return np.array([seed & 0xFFFFFFFF, _KEY], np.uint64)


def _noise(name: str) -> int:
    if name not in NOISES:
        raise InputError(f"unknown noise {name!r}{nearest(name, NOISES)}")
    return NOISES[name]


def _shares(streams: int) -> int:
    if streams < _SHARES or streams % _SHARES:
        raise InputError(f"streams must be a multiple of {_SHARES}, got {streams!r}")
    return streams // _SHARES


def _even(name: str, value: int) -> None:
    if value < 0 or value % 2:
        raise InputError(f"{name} must be an even number of ticks, got {value!r}")
