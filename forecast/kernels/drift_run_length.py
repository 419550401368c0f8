"""Run lengths of the drift detectors on simulated innovations, by the code of the bank itself.

Random numbers follow from a key, the number of the stream and the tick (`forecast.kernels.philox`), so that
results depend neither on threads nor on how streams are shared out.
"""

from __future__ import annotations

import math

import numpy as np

from forecast.kernels import drift
from forecast.kernels._jit import exact_kernel
from forecast.kernels.octets import F32
from forecast.kernels.philox import normal_quantile, philox, uniform
from forecast.types import F64, I64, U64

GAUSSIAN, T5 = range(2)
"""Noise: standard normal, or Student's t with 5 degrees of freedom scaled to variance 1."""

_MASK, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_TO_UNIT = math.sqrt(3 / 5)


@exact_kernel
def pair(key: U64, stream: int, tick: int, noise: int) -> tuple[float, float]:
    """Return the noise of two ticks, an even one and the next; t5 as in Bailey (1994), Math. Comp. 62."""
    number, place = np.uint64(stream), np.uint64(tick >> 1)
    w0, w1, w2, w3 = philox(place, number & _MASK, np.uint64(0), number >> _32, key[0], key[1])
    u, v = uniform(w0, w1), uniform(w2, w3)
    if noise == GAUSSIAN:
        return normal_quantile(u), normal_quantile(v)
    # One radius and one angle make two numbers that are uncorrelated, not independent: only one is used.
    w0, w1, w2, w3 = philox(place, number & _MASK, np.uint64(1), number >> _32, key[0], key[1])
    return _student(u, v), _student(uniform(w0, w1), uniform(w2, w3))


@exact_kernel
def _student(u: float, v: float) -> float:
    return _TO_UNIT * math.sqrt(5.0 * (u**-0.4 - 1.0)) * math.cos(2.0 * math.pi * v)


@exact_kernel
def count_alarms(
    key: U64, first: int, streams: int, ticks: int, noise: int, coefficients: F32, weights: F32, heights: F32,
    counts: I64,
) -> None:  # fmt: skip
    """Add up the alarms of streams without drift, at several thresholds at once on the same innovations.

    Parameters
    ----------
    key
        (2,) words below 2^32.
    first, streams
        The streams first .. first + streams - 1, `ticks` (even) innovations each; every one begins at rest.
    heights
        (m, 10), as in `drift.update`.
    counts
        (m, DETECTORS), added to.
    """
    m = heights.shape[0]
    table = np.zeros((m, drift.COLUMNS), np.float32)
    for stream in range(first, first + streams):
        table[:] = 0
        for tick in range(0, ticks, 2):
            both = pair(key, stream, tick, noise)
            for k in range(2):
                z = drift.clipped(both[k])
                for j in range(m):
                    bits = drift.update(table, j, z, coefficients, weights, heights, j)
                    if bits:
                        for d in range(drift.DETECTORS):
                            if bits >> d & 1:
                                counts[j, d] += 1
                                drift.restart(table, j, d)
                    drift.turn(table, j)


@exact_kernel
def run_lengths(
    key: U64, first: int, calm: int, limit: int, noise: int, shift: float, sd: float, rho: float,
    coefficients: F32, weights: F32, heights: F32, lengths: I64, z: F64,
) -> None:  # fmt: skip
    """Ticks from a change to the first alarm of every detector.

    Parameters
    ----------
    key, first
        As in `count_alarms`; stream `first` + i makes row i of `lengths`.
    calm
        Ticks (even) before the change, where alarms restart detectors as they do in the bank.
    limit
        Ticks (even) after the change; detectors that are silent so long are censored.
    shift, sd, rho
        Innovations after the change: w + shift, w_t = rho w_{t-1} + sd sqrt(1 - rho^2) noise.
    heights
        (1, 10).
    lengths
        (streams, DETECTORS) written: 1 for an alarm at the first tick, 0 where censored.
    z
        (2,) room.
    """
    table = np.zeros((1, drift.COLUMNS), np.float32)
    fresh = sd * math.sqrt(1.0 - rho * rho)
    for i in range(lengths.shape[0]):
        table[:] = 0
        lengths[i] = 0
        silent, w = drift.DETECTORS, 0.0
        for tick in range(0, calm + limit, 2):
            z[0], z[1] = pair(key, first + i, tick, noise)
            for k in range(2):
                value = z[k]
                if tick >= calm:
                    w = rho * w + fresh * value
                    value = w + shift
                else:
                    w = value
                bits = drift.update(table, 0, drift.clipped(value), coefficients, weights, heights, 0)
                for d in range(drift.DETECTORS):
                    if bits >> d & 1:
                        drift.restart(table, 0, d)
                        if tick >= calm and lengths[i, d] == 0:
                            lengths[i, d] = tick + k + 1 - calm
                            silent -= 1
                drift.turn(table, 0)
            if silent == 0:
                break
