"""Thresholds of the detectors from the wanted mean number of ticks between false alarms (ARL0).

The two mean detectors are solved as Markov chains (Brook and Evans 1972, Biometrika 59); the others follow
tables made by simulation. Every threshold holds for Gaussian noise and for Student's t with 5 degrees of
freedom, whichever alarms more often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from forecast.errors import InputError
from forecast.online.drift.detectors import DETECTORS
from forecast.online.drift.threshold_table import TABLE
from forecast.types import F64

LOWEST_ARL0, HIGHEST_ARL0 = 100.0, 1e9

REFERENCES = {"mean": 0.5, "slow": 0.25}
"""Reference values of the two-sided CUSUMs of the mean, sd."""

# Points of a table, from the top, whose slope goes on beyond it: there log ARL0 is linear in the threshold.
_TAIL = 5

# Cells of a Markov chain. Its error falls with their square, which `cusum_arl` makes use of.
_STATES = 160


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """What the statistics of the detectors are compared with."""

    arl0: float
    values: F64
    """(6,) in the order of `DETECTORS`, each a float32 number."""
    extrapolated: tuple[str, ...]
    """Detectors whose threshold lies beyond what was simulated: on the line of its upper end."""

    def describe(self) -> str:
        """Return one line a detector, for people."""
        lines = [f"one false alarm in {self.arl0:,.0f} ticks, each detector"]
        for name, value in zip(DETECTORS, self.values.tolist(), strict=True):
            how = "Markov chain" if name in REFERENCES else "simulated"
            lines.append(f"{name:12s}{value:8.3f}  {'extrapolated' if name in self.extrapolated else how}")
        return "\n".join(lines)


@lru_cache(maxsize=64)
def thresholds(arl0: float) -> Thresholds:
    """Return thresholds of all detectors.

    Parameters
    ----------
    arl0
        Wanted ticks between false alarms of one detector on one stream, 100 to 1e9.

    Raises
    ------
    InputError
        `arl0` lies outside.
    """
    if not LOWEST_ARL0 <= arl0 <= HIGHEST_ARL0:
        raise InputError(f"arl0 must be {LOWEST_ARL0:.0f} to {HIGHEST_ARL0:.0e} ticks, got {arl0!r}")
    values, beyond = [], []
    for name in DETECTORS:
        if name in REFERENCES:
            values.append(_solved(REFERENCES[name], arl0))
            continue
        values.append(height_of(name, math.log(arl0)))
        if arl0 > min(curve[-1, 1] for curve in _curves(name)):
            beyond.append(name)
    rounded = np.array(values, np.float32).astype(np.float64)
    rounded.flags.writeable = False
    return Thresholds(float(arl0), rounded, tuple(beyond))


def height_of(name: str, log_arl0: float) -> float:
    """Return the threshold of a detector with tables: the highest of those of its kinds of noise."""
    return max(_height(curve, log_arl0) for curve in _curves(name))


def _curves(name: str) -> list[F64]:
    return [np.array(rows) for (detector, _), rows in TABLE.items() if detector == name]


def _height(curve: F64, target: float) -> float:
    """Threshold at a log ARL0 of a (points, 3) table: threshold, ARL0, standard error."""
    height, log_arl = curve[:, 0], np.log(curve[:, 1])
    if target <= log_arl[-1]:
        low = height[0] + (target - log_arl[0]) * (height[1] - height[0]) / (log_arl[1] - log_arl[0])
        return float(np.interp(target, log_arl, height) if target >= log_arl[0] else low)
    tail = curve[-_TAIL:]
    slope = np.polyfit(tail[:, 0], np.log(tail[:, 1]), 1, w=tail[:, 1] / tail[:, 2])[0]
    return float(height[-1] + (target - log_arl[-1]) / slope)


def cusum_arl(k: float, h: float, clip: float = 3.0) -> float:
    """Mean run length from rest of the two-sided CUSUM of standard normal numbers clipped at +-`clip`.

    Parameters
    ----------
    k, h
        Reference value and threshold, sd.
    clip
        May be inf: then 168 at k = 0.5, h = 4 (Montgomery, *Statistical Quality Control*, table 9.3).
    """
    coarse, fine = (_chain_arl(k, h, clip, states) for states in (_STATES, 2 * _STATES))
    # A run of one side ends as often as one of the other.
    return (fine + (fine - coarse) / 3.0) / 2.0


def _chain_arl(k: float, h: float, clip: float, states: int) -> float:
    """Mean run length of the upper side as a chain of cells; the lowest holds rest."""
    width = h / (states - 0.5)
    steps = np.arange(-states, states + 1)
    # What carries a sum up to `step` cells on; the clipped values lie on points, parted between two cells.
    edges = (np.arange(-states, states + 2) - 0.5) * width + k
    inside = ndtr(np.clip(edges, -clip, clip))
    mass = np.diff(inside)
    mass[0] += inside[0] - ndtr(-clip)
    for value in (-clip, clip):
        if math.isfinite(value):
            place = np.clip((value - k) / width, -states, states)
            mass += ndtr(-clip) * np.maximum(0.0, 1.0 - np.abs(steps - place))
    upto = np.cumsum(mass)
    moves = mass[np.arange(states)[None, :] - np.arange(states)[:, None] + states]
    moves[:, 0] = upto[states - np.arange(states)]
    return float(np.linalg.solve(np.eye(states) - moves, np.ones(states))[0])


def _solved(k: float, arl0: float) -> float:
    """Threshold at which `cusum_arl` is `arl0`: secants of its logarithm, which is nearly linear."""
    target = math.log(arl0)
    before, h = 2.0, 4.0
    low, at = (math.log(cusum_arl(k, x)) for x in (before, h))
    while abs(at - target) > 1e-6:
        before, low, h = h, at, h + (target - at) * (h - before) / (at - low)
        at = math.log(cusum_arl(k, h))
    return h
