"""Autoregressive parameters on their way to a record."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from forecast.models.records import ExogTerm
from forecast.types import F64, I64, Bool, Status


@dataclass(slots=True, eq=False)
class Draft:
    """Fitted AR parameters of n series, before the stationarity gate; arrays are filled by kernels."""

    phi: F64
    """(n, max lag) by lag, zero where a lag is left out."""
    const: F64
    sigma2: F64
    loglik: F64
    order: I64
    """(n,) the largest lag."""
    n_params: I64
    n_used: I64
    ok: Bool
    """(n,) False where the fit did not work out; `reasons` says why unless there were too few points."""
    regression: bool = False
    """True: const, slope and seasonal are the mean function; False: they enter the recursion."""
    slope: F64 = field(default_factory=lambda: np.zeros(0))
    seasonal: F64 = field(default_factory=lambda: np.zeros((0, 0)))
    beta: F64 = field(default_factory=lambda: np.zeros((0, 0)))
    exog: tuple[ExogTerm, ...] = ()
    param_cov: dict[int, F64] = field(default_factory=dict)
    messages: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, tuple[Status, str]] = field(default_factory=dict)
    dropped: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Rows in which a regressor was left out as collinear."""

    def take(self, rows: I64) -> Draft:
        """Return the draft of some series, in the given order."""
        at = {int(row): i for i, row in enumerate(rows)}
        out = Draft(**{f.name: getattr(self, f.name) for f in fields(self)})
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, dict):
                setattr(out, f.name, {at[i]: v for i, v in value.items() if i in at})
            elif isinstance(value, np.ndarray) and len(value) == len(self.phi) and f.name != "dropped":
                setattr(out, f.name, value[rows])
        out.dropped = np.array([at[int(i)] for i in self.dropped if int(i) in at], dtype=np.int64)
        return out


def empty_draft(n: int, width: int) -> Draft:
    """Return a draft whose arrays are to be filled."""
    return Draft(
        phi=np.zeros((n, width)),
        const=np.zeros(n),
        sigma2=np.full(n, np.nan),
        loglik=np.full(n, np.nan),
        order=np.zeros(n, dtype=np.int64),
        n_params=np.zeros(n, dtype=np.int64),
        n_used=np.zeros(n, dtype=np.int64),
        ok=np.zeros(n, dtype=np.bool_),
    )
