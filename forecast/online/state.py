"""What a stream forecaster must keep of one series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from forecast.errors import InputError
from forecast.models.assemble import lagged_names, take
from forecast.models.equations import recursions
from forecast.models.records import Records

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Where one series stands; plain numbers, so that it pickles, compares and goes through JSON."""

    t: int
    """Grid points seen, missing ones included."""
    levels: Row
    """(L,) newest first, as in `Records.levels`."""
    innovations: Row = ()
    """(q,) newest first."""
    cov: tuple[Row, ...] | None = None
    """(L + q, L + q) covariance of (levels, innovations); None where they are known exactly."""
    exog_tail: Mapping[str, Row] = field(default_factory=dict)
    """Past values, newest first, of the regressors that enter with a lag."""

    def to_json(self) -> dict[str, Any]:
        """Return lists and numbers only."""
        return {
            "t": self.t,
            "levels": list(self.levels),
            "innovations": list(self.innovations),
            "cov": None if self.cov is None else [list(row) for row in self.cov],
            "exog_tail": {name: list(row) for name, row in self.exog_tail.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> State:
        """Read what `to_json` wrote."""
        cov = data["cov"]
        return State(
            int(data["t"]),
            tuple(data["levels"]),
            tuple(data["innovations"]),
            None if cov is None else tuple(tuple(row) for row in cov),
            {name: tuple(row) for name, row in data["exog_tail"].items()},
        )


class Info(NamedTuple):
    """What one tick said."""

    mean: float
    """One-step forecast that was standing for the tick, units of y (under a log transform the median)."""
    z: float | None
    """Innovation over its standard deviation; None where the tick was missing and is imputed by `mean`."""
    f: float
    """Variance of the one-step forecast, units of w squared."""


def init(records: Records, i: int | None = None) -> State:
    """State of series `i` at the end of the data of the record.

    Parameters
    ----------
    i
        Position of the series; may be left out where `records` holds one only.

    Raises
    ------
    InputError
        `i` is missing or out of range.
    """
    if i is None and records.n_series != 1:
        raise InputError(f"the records hold {records.n_series} series: say which one")
    row = 0 if i is None else i
    if not 0 <= row < records.n_series:
        raise InputError(f"series {row} is out of range, the records hold {records.n_series}")
    L, q = (int(size) for size in recursions(take(records, np.array([row]))).sizes[0])
    cov = records.state_cov.get(row)
    return State(
        t=int(records.nobs[row]),
        levels=tuple(records.levels[row, :L].tolist()),
        innovations=tuple(records.innovations[row, :q].tolist()),
        cov=None if cov is None else tuple(tuple(line) for line in cov.tolist()),
        exog_tail={
            name: tuple(records.exog_tail[row, j].tolist())
            for j, name in enumerate(lagged_names(records.exog))
        },
    )
