"""Codes and scales for a block of models of one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.quantize.codec import F32, MOST, bound
from edge.quantize.factors import Factors
from edge.quantize.loss import Target
from edge.quantize.plane import both_ends, move_pairs
from edge.quantize.reduction import nearest_plane_reduced
from forecast.types import F64, I64


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look."""

    trials: int
    """Scales tried, from the smallest that holds the largest angle upwards."""
    stride: float
    """Codes by which the largest angle moves from one scale to the next."""
    judged: int
    """Codes of the smallest quadratic loss whose true loss is computed."""
    moves: bool = False
    """Whether pairs of codes are moved as well."""
    reduced: bool = False
    """Whether to round in a reduced basis; not for models of two factors, whose scales are two."""


# The largest angle may take 127.25, 127, ..., 95.5 steps of 8 bits. Whole numbers are among them: models near
# a unit root want their largest angle exact. Wider steps cost more than another draw gains.
FIRST: Final = Effort(trials=128, stride=0.25, judged=6)
# For the few that fail the guard at first: six times as many draws, and moves.
SECOND: Final = Effort(trials=512, stride=1 / 16, judged=24, moves=True)
# For those that fail still, a tenth to a half of which pass.
THIRD: Final = Effort(trials=512, stride=1 / 16, judged=24, reduced=True)
# At 4 bits the largest angle may take 7.25 ... 3.25 steps.
COARSE: Final = Effort(trials=64, stride=1 / 16, judged=12, moves=True)
# At 16 bits rounding is enough, but for poles nearer to the circle than records may have.
FINE: Final = Effort(trials=4, stride=0.25, judged=4)

# The seasonal scale of trial i is that of trial (i * this) mod trials: both are tried evenly.
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Stored coefficients of n series, and what they cost."""

    codes: I64
    """(n, p + P)"""
    scales: F32
    """(n, 2) of phi, of Phi."""
    rise: F64
    """(n,)"""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """n models of one shape, ready to be coded at any number of bits."""

    factors: Factors
    target: Target
    curvature: F64
    """(n, m, m)"""

    @classmethod
    def of(cls, parcor: F64, seasonal_parcor: F64, s: int, horizon: int, undo: F64 | None) -> Block:
        """Prepare (n, p) and (n, P) reflection coefficients; `undo` is that of `Target.of`."""
        factors = Factors.of(parcor, seasonal_parcor, s)
        target = Target.of(factors.expand(factors.theta), horizon, undo)
        return cls(factors, target, target.curvature(factors.slopes()))

    def take(self, rows: I64) -> Block:
        """Return the models at positions `rows`."""
        part = Factors(self.factors.theta[rows], self.factors.p, self.factors.s)
        return Block(part, self.target.take(rows), self.curvature[rows])

    def nearest(self, bits: int) -> Coded:
        """Round every angle for itself, the largest one to the largest code: the baseline."""
        scales = self._scales(np.zeros((1, 2)), bits)
        steps = self._steps(scales)
        most = bound(steps, bits)
        codes = np.clip(np.rint(self.factors.theta[:, None] / steps), -most, most)
        return self._judge(codes, scales)

    def search(self, bits: int, effort: Effort, limit: float = np.inf) -> Coded:
        """Look for the codes and scales of the least rise.

        It is infinite, and not looked for, where the curvature says that it exceeds `limit`.
        """
        scales = self._scales(self._shifts(effort), bits)
        steps = self._steps(scales)
        codes, loss = self._rounded(steps, bound(steps, bits), effort.reduced)
        near = np.flatnonzero(loss.min(axis=1) <= limit)
        codes, trial = _smallest(codes[near], loss[near], min(effort.judged, loss.shape[1]))
        scales = np.take_along_axis(scales[near], trial[:, :, None] % effort.trials, axis=1)
        found = self.take(near).choose(codes, scales, bits, effort.moves)
        return _spread(found, near, len(loss))

    def choose(self, codes: F64, scales: F32, bits: int, moves: bool) -> Coded:
        """Choose among candidates (n, K, m) and plain rounding, by the true loss."""
        if moves:
            codes = self._moved(codes, self._steps(scales), bits)
        found, plain = self._judge(codes, scales), self.nearest(bits)
        return better(found, plain)

    def _rounded(self, steps: F64, most: F64, reduced: bool) -> tuple[F64, F64]:
        theta = self.factors.theta
        if reduced and self.one_factor:
            return nearest_plane_reduced(self.curvature, theta, steps[:, :, 0], most[:, :, 0])
        return both_ends(self.curvature, theta, steps, most)

    @property
    def one_factor(self) -> bool:
        """Whether all angles have the same scale."""
        return 0 in self._widths()

    def _shifts(self, effort: Effort) -> F64:
        """Return (T, 2) by how many codes less than the most each factor's largest angle is reached."""
        trial = np.arange(effort.trials)
        # The first trial is a little below a whole code: the largest angle is rounded down to the most.
        first = (trial - 1) * effort.stride
        other = first[(np.floor(trial * _GOLDEN * effort.trials) % effort.trials).astype(np.int64)]
        if self.factors.theta.shape[1] - self.factors.p == 1:
            other = np.zeros(effort.trials)  # a single angle is exact at any whole code
        shifts: F64 = np.column_stack([first, other]).astype(np.float64)
        return shifts

    def _scales(self, shifts: F64, bits: int) -> F32:
        """Return (n, T, 2) scales; 0 where a factor has nothing to store."""
        p = self.factors.p
        size = np.abs(self.factors.theta)
        largest = np.column_stack(
            [size[:, :p].max(axis=1, initial=0.0), size[:, p:].max(axis=1, initial=0.0)]
        )
        return (largest[:, None] / (MOST[bits] - shifts)).astype(np.float32)

    def _steps(self, scales: F32) -> F64:
        """Return (n, T, p + P) the scale of every angle; 1 where all of a factor's angles are 0."""
        p, m = self.factors.p, self.factors.theta.shape[1]
        steps = np.repeat(scales.astype(np.float64), [p, m - p], axis=2)
        return np.where(steps > 0.0, steps, 1.0)

    def _moved(self, codes: F64, steps: F64, bits: int) -> F64:
        most, out = bound(steps, bits), codes.copy()
        for i in range(codes.shape[1]):
            out[:, i] = move_pairs(self.curvature, self.factors.theta, codes[:, i], steps[:, i], most[:, i])
        return np.concatenate([codes, out], axis=1)

    def _judge(self, codes: F64, scales: F32) -> Coded:
        """Return the candidate (n, K, m) of the least true rise; scales (n, T, 2) repeat over K."""
        scales = np.tile(scales, (1, codes.shape[1] // scales.shape[1], 1))
        codes = np.where(np.repeat(scales > 0, self._widths(), axis=2), codes, 0.0)
        steps = np.repeat(scales.astype(np.float64), self._widths(), axis=2)
        rises = self.target.rise(self.factors.expand(codes * steps))
        rises = np.where(np.isnan(rises), np.inf, rises)
        best, rows = rises.argmin(axis=1), np.arange(len(codes))
        return Coded(codes[rows, best].astype(np.int64), scales[rows, best], rises[rows, best])

    def _widths(self) -> list[int]:
        return [self.factors.p, self.factors.theta.shape[1] - self.factors.p]


def _smallest(codes: F64, loss: F64, k: int) -> tuple[F64, NDArray[np.intp]]:
    """Return the k candidates of the smallest loss: (n, k, m), and (n, k) which they are."""
    at = np.argpartition(loss, k - 1, axis=1)[:, :k]
    return np.take_along_axis(codes, at[:, :, None], axis=1), at


def better(one: Coded, other: Coded) -> Coded:
    """Return of each series the one of the smaller rise."""
    wins = other.rise < one.rise
    codes = np.where(wins[:, None], other.codes, one.codes)
    scales = np.where(wins[:, None], other.scales, one.scales)
    return Coded(codes, scales, np.where(wins, other.rise, one.rise))


def _spread(found: Coded, rows: NDArray[np.intp], n: int) -> Coded:
    """Put series at their positions among n; the others have an infinite rise."""
    out = Coded(
        np.zeros((n, found.codes.shape[1]), np.int64), np.zeros((n, 2), np.float32), np.full(n, np.inf)
    )
    out.codes[rows], out.scales[rows], out.rise[rows] = found.codes, found.scales, found.rise
    return out
