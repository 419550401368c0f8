"""A block of models of one shape: the two AR factors, and their angles theta = arcsin(k)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.quantize.codec import LIMIT
from edge.quantize.polynomial import product, slopes, step_up
from forecast.types import F64


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """phi(L) Phi(L^s) of n series, given by the angles of their reflection coefficients."""

    theta: F64
    """(n, p + P) radians: those of phi, then those of Phi."""
    p: int
    s: int

    @classmethod
    def of(cls, parcor: F64, seasonal_parcor: F64, s: int) -> Factors:
        """Take (n, p) and (n, P) reflection coefficients, clamped to what can be stored."""
        k = np.concatenate([parcor, seasonal_parcor], axis=1)
        return cls(np.arcsin(np.clip(k, -LIMIT, LIMIT)), parcor.shape[1], s)

    def expand(self, theta: F64) -> F64:
        """Return the (..., p + s P) coefficients of the product for angles (..., p + P)."""
        k = np.sin(theta)
        return product(step_up(k[..., : self.p]), step_up(k[..., self.p :]), self.s)

    def slopes(self) -> F64:
        """Return (n, p + P, p + s P) derivatives of `expand` at the factors' own angles."""
        k = np.sin(self.theta)
        first, last = k[:, : self.p], k[:, self.p :]
        short, long = step_up(first), step_up(last)
        n, P = last.shape
        own = (
            product(slopes(first), long[:, None], self.s)
            - product(np.zeros_like(first), long, self.s)[:, None]
        )
        # The seasonal factor without its 1: 0 - sum dPhi L^(is), times phi.
        zero = product(short, np.zeros((n, P)), self.s)
        other = product(short[:, None], slopes(last), self.s) - zero[:, None]
        return np.concatenate([own, other], axis=1) * np.cos(self.theta)[:, :, None]
