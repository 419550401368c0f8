"""A fleet as graph A wants it: constants and trends moved to where they cost and round least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.fleet import Fleet
from edge.graph.terms import Terms
from forecast.errors import InputError
from forecast.types import F64, Bool

# Series named in a message.
_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    r"""The same models, rewritten.

    .. math:: \phi(L) \Phi(L^s) (u_t - center) = drive_t + e_t, \quad u = (1-L)^d (1-L^s)^D (w - free)

    where drive_t and free_t are what is left of m_t in the CONDITIONAL and in the REGRESSION form.
    """

    fleet: Fleet
    center: F64
    """(n,) units of w. Of a line through differences, its slope."""
    terms: Terms
    """What is left of m_t: no constants, and no slopes that differences take away."""

    @staticmethod
    def of(fleet: Fleet) -> Plain:
        """Rewrite a fleet without moving averages.

        The center follows from the fleet's own coefficients. A file that holds others, from codes, keeps
        it: what they change is then the weight of what lies off the center, not the level.
        """
        if not fleet.stateless.all():
            rows = np.flatnonzero(~fleet.stateless).tolist()
            raise InputError(
                f"series {', '.join(repr(fleet.ids[i]) for i in rows[:_NAMED])} have a moving average: "
                "their forecasts need a state; export them as step.onnx alone"
            )
        center = np.where(fleet.regression, _center(fleet), fleet.const / fleet.gain)
        slope = np.where(fleet.regression & (fleet.d + fleet.D > 0), 0.0, fleet.slope)
        return Plain(fleet, center, Terms(fleet, np.zeros(fleet.n), slope))

    @property
    def free(self) -> Bool:
        """(n,) series whose m_t is taken from the past and added again: REGRESSION with something left."""
        left = (self.terms.slope != 0) | self.fleet.seasonal.any(axis=1) | self.fleet.beta.any(axis=1)
        return np.asarray(self.fleet.regression & left)

    @property
    def driven(self) -> Bool:
        """(n,) series where it enters at each step: CONDITIONAL with something left."""
        left = (self.terms.slope != 0) | self.fleet.seasonal.any(axis=1) | self.fleet.beta.any(axis=1)
        return np.asarray(~self.fleet.regression & left)


@dataclass(frozen=True, slots=True)
class Signature:
    """What model.onnx is given beside `index`."""

    n_lags: int
    """Columns of `lags`."""
    n_past: int
    """Rows of `x` up to the origin; 0 without regressors."""
    needs_t: bool
    names: tuple[str, ...]
    """Columns of `x`; empty: there is no `x`."""


def signature(fleet: Fleet) -> Signature:
    """Return what the graph of these series is given; see `edge.graph.model.forecast_model`."""
    plain = Plain.of(fleet)
    back = fleet.n_lags if plain.free.any() else 0
    n_past = fleet.max_lag + back if fleet.names else 0
    return Signature(fleet.n_lags, n_past, plain.terms.needs_t, fleet.names)


def _center(fleet: Fleet) -> F64:
    """(n,) mean of u in the REGRESSION form: differences leave a constant of a line, or nothing."""
    times = fleet.d + fleet.D
    of_line = fleet.slope * np.where(fleet.d == 1, 1, fleet.s)
    return np.where(times == 0, fleet.const, np.where(times == 1, of_line, 0.0))
