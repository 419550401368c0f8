"""Hypothesis strategies and builders that several test files share."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from forecast.models.freq import Freq
from forecast.models.records import Family, Form, Records
from tests.oracles import roots as roots_oracle

_COUNTS = ("nobs", "season_length", "p", "d", "q", "P", "D", "Q", "n_params", "n_used", "oos_n")
_CODES = ("family", "form", "status", "transform")
_MATRICES = ("phi", "seasonal_phi", "theta", "seasonal_theta", "levels", "innovations", "seasonal", "beta")
_ORDERS = (("p", "phi"), ("P", "seasonal_phi"), ("q", "theta"), ("Q", "seasonal_theta"))


@st.composite
def stationary_phi(draw, max_p=6, limit=0.95, min_p=1):
    """(p,) coefficients of a stationary AR, through partial autocorrelations within +-limit."""
    k = draw(st.lists(st.floats(-limit, limit), min_size=min_p, max_size=max_p))
    return roots_oracle.step_up(np.array(k))


def make_records(n: int = 1, **fields: Any) -> Records:
    """Build valid records of n series: white noise unless told otherwise.

    Scalars count for every series and lists of coefficients (``phi=[0.5, 0.2]``, ``levels=[3.0]``) for every
    row; arrays that have n rows are taken as they are. Orders follow from the widths of the
    factors unless given; `levels` and `innovations` are padded with zeros to what the orders need.
    """
    values: dict[str, Any] = {"nobs": 100, "season_length": 1, "sigma2": 1.0, "const": 0.0, "start": 0}
    values |= {
        "family": Family.ARIMA,
        "form": Form.CONDITIONAL,
        "status": 0,
        "phi": [],
        "levels": [],
        "d": 0,
        "D": 0,
    }
    values |= fields
    for name in _MATRICES:
        if name in values:
            values[name] = _rows(values[name], n)
    for order, factor in _ORDERS:
        values.setdefault(order, values[factor].shape[1] if factor in values else 0)
    for name, value in values.items():
        kind = (
            np.int32
            if name in _COUNTS
            else np.uint8
            if name in _CODES
            else np.int64
            if name == "start"
            else None
        )
        if kind is not None or np.isscalar(value):
            values[name] = np.full(n, value, dtype=kind or np.float64)
    span = values["p"] + values["d"] + values["season_length"] * (values["P"] + values["D"])
    reach = values["q"] + values["season_length"] * values["Q"]
    values["levels"] = _padded(values["levels"], max(1, int(span.max())))
    values["innovations"] = _padded(values.get("innovations", np.zeros((n, 0))), int(reach.max()))
    values.setdefault("ids", np.array([f"s{i}" for i in range(n)], dtype=object))
    values.setdefault("freq", Freq("1"))
    return Records(**values)


def _rows(value: Any, n: int) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    return np.tile(array, (n, 1)) if array.ndim == 1 else array.copy()


def _padded(matrix: np.ndarray, width: int) -> np.ndarray:
    short = width - matrix.shape[1]
    return np.pad(matrix, ((0, 0), (0, short))) if short > 0 else matrix
