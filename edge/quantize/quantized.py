"""A fleet in codes, in the order of the file, with its certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.errors import ExportError, GateError
from edge.fleet import Fleet
from edge.quantize.codec import F32, I16, decode
from edge.quantize.models import HORIZON, MAX_RISE, CodedModels, Models, Progress, code, merged
from forecast.models.certificate import certify
from forecast.types import F64, I64, U8, Bool

Bits = Literal["auto", 16, 8, 4]


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """What `model.onnx` stores of n series, in file order: 16 bits first, then 8, then 4. Read-only."""

    order: I64
    """(n,) row of the fleet at each position of the file."""
    codes: I16
    """(n, max p), zero beyond a row's order."""
    scale: F32
    """(n,) k = sin(code * scale); 0 where there is nothing to store."""
    seasonal_codes: I16
    """(n, max P)"""
    seasonal_scale: F32
    phi: F64
    """(n, max p) decoded as the graph does: the model that the device has."""
    seasonal_phi: F64
    bits: U8
    rise: F64
    """(n,) mean rise of the forecast RMSE over h = 1..horizon, analytic; 0.01 is one percent."""
    margin: F64
    """(n,) min(1 - abs(k)) of the decoded factors; 1 without AR part."""
    max_pole: F64
    """(n,) largest modulus of the decoded poles; 0 without AR part."""
    lags_kept: I64
    """(n,) coefficients that were not zero before."""
    horizon: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def n(self) -> int:
        return len(self.order)

    @property
    def n16(self) -> int:
        return int((self.bits == 16).sum())

    @property
    def n8(self) -> int:
        return int((self.bits == 8).sum())

    @property
    def n4(self) -> int:
        return int((self.bits == 4).sum())


def quantize(
    fleet: Fleet,
    bits: Bits = "auto",
    max_rise: float = MAX_RISE,
    horizon: int = HORIZON,
    progress: Progress | None = None,
) -> Quantized:
    """Code the AR factors of every series without moving average, each with the fewest bits that do.

    Parameters
    ----------
    bits
        "auto": 4, 8 or 16 for each series, the first whose rise is at most `max_rise`. A number: for all.
    max_rise
        Part of its forecast RMSE that a series may lose. The default, 0.02 %, is a tenth of what
        pruning may cost, and far below what a refit on other data moves: nobody can see it in forecasts.
    horizon
        Steps over which the rise is averaged: those that the file forecasts.
    progress
        Called now and then with the number of series done, and of all.

    Notes
    -----
    Of a differenced series it is the forecasts of the levels that count. A series whose recursion is driven
    by a trend, a season or regressors takes 16 bits: its rise would have to count these as well. Series with
    a moving average are left out of `order`: they are exported unquantised, as Kalman steps.

    Raises
    ------
    ExportError
        No series is left, `bits` or `max_rise` make no sense.
    GateError
        A decoded model is not stationary, which its coding excludes: a fault of ours.
    """
    if bits not in ("auto", 4, 8, 16):
        raise ExportError(f"bits must be 'auto', 4, 8 or 16, got {bits!r}")
    if not max_rise > 0 or horizon < 1:
        raise ExportError(f"max_rise must be positive and horizon at least 1, got {max_rise!r}, {horizon!r}")
    rows = np.flatnonzero(fleet.stateless).astype(np.int64)
    if not len(rows):
        raise ExportError("every series has a moving average; such models are exported as step.onnx alone")
    models = Models(
        fleet.parcor[rows], fleet.p[rows], fleet.seasonal_parcor[rows], fleet.P[rows],
        fleet.s[rows], fleet.d[rows], fleet.D[rows],
    )  # fmt: skip
    if bits != "auto":
        return _arrange(fleet, rows, code(models, (int(bits),), max_rise, horizon, progress), horizon)
    driven = _driven(fleet)[rows]
    parts = [
        (which, code(models.take(which), ladder, max_rise, horizon, progress))
        for which, ladder in ((np.flatnonzero(~driven), (4, 8, 16)), (np.flatnonzero(driven), (16,)))
        if len(which)
    ]
    return _arrange(fleet, rows, merged(parts, len(rows)), horizon)


def _driven(fleet: Fleet) -> Bool:
    """(n,) series in whose recursion a trend, a season or regressors enter: coefficients weigh those, too.

    What that costs depends on values that are not known here, so they take the finest codes.
    """
    terms = (fleet.slope != 0) | fleet.seasonal.any(axis=1) | fleet.beta.any(axis=1)
    return np.asarray(~fleet.regression & terms)


def _arrange(fleet: Fleet, rows: I64, coded: CodedModels, horizon: int) -> Quantized:
    """Put the series in file order and read the models back from their codes."""
    at = np.argsort(-coded.bits.astype(np.int64), kind="stable")
    order = rows[at]
    codes, seasonal_codes = (c[at].astype(np.int16) for c in (coded.codes, coded.seasonal_codes))
    scale, seasonal_scale = coded.scale[at], coded.seasonal_scale[at]
    phi, seasonal_phi = decode(codes, scale), decode(seasonal_codes, seasonal_scale)
    found = certify(phi, fleet.p[order], seasonal_phi, fleet.P[order], fleet.s[order])
    if not (found.margin > 0).all():
        worst = int(found.margin.argmin())
        raise GateError(
            f"series {fleet.ids[order[worst]]!r} is not stationary as it was decoded; export in 16 bits"
        )
    kept = (fleet.phi[order] != 0).sum(axis=1) + (fleet.seasonal_phi[order] != 0).sum(axis=1)
    return Quantized(
        order, codes, scale, seasonal_codes, seasonal_scale, phi, seasonal_phi,
        coded.bits[at], coded.rise[at], found.margin.copy(), found.max_pole.copy(), kept, horizon,
    )  # fmt: skip
