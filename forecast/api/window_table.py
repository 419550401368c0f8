"""The windows of a frame of forecasts: from long columns to one row a (unique_id, cutoff)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ColumnError, InputError, nearest
from forecast.types import F64, I64

CUTOFF = "cutoff"
# "AR-lo-95", "AutoAR-hi-99.5": how results name the ends of an interval.
_INTERVAL = re.compile(r"^(?P<model>.+)-(?P<side>lo|hi)-(?P<level>\d+(\.\d+)?(e-?\d+)?)$")


@dataclass(frozen=True, slots=True, eq=False)
class WindowTable:
    """A frame of forecasts and observations, with its rows sorted into windows."""

    frame: pd.DataFrame
    names: tuple[str, str, str]
    """Columns of the id, the time and the observation."""
    models: tuple[str, ...]
    keys: pd.DataFrame
    """(w, 2) id and cutoff of each window, in order of appearance; no cutoff column without cutoffs."""
    row: I64
    """(N,) window of each row of the frame."""
    slot: I64
    """(N,) place of each row in its window."""

    @property
    def n_windows(self) -> int:
        return len(self.keys)

    def matrix(self, column: str) -> F64:
        """(w, h) values of a column, NaN where the window is shorter."""
        out = np.full((self.n_windows, int(self.slot.max()) + 1), np.nan)
        out[self.row, self.slot] = numbers(self.frame, column)
        return out

    def levels(self, model: str) -> tuple[float, ...]:
        """Percent, increasing: the levels at which a model has both ends of an interval."""
        lo, hi = self._ends(model, "lo"), self._ends(model, "hi")
        return tuple(sorted(set(lo) & set(hi)))

    def interval(self, model: str, side: str) -> F64:
        """(w, levels, h) lower or upper ends (side "lo" or "hi") of the intervals of a model."""
        columns = self._ends(model, side)
        shape = (self.n_windows, 0, int(self.slot.max()) + 1)
        slabs = [self.matrix(columns[level])[:, None] for level in self.levels(model)]
        return np.concatenate([np.empty(shape), *slabs], axis=1)

    def _ends(self, model: str, side: str) -> dict[float, str]:
        """Columns by level."""
        found = ((column, _INTERVAL.match(str(column))) for column in self.frame.columns)
        return {
            float(match["level"]): column
            for column, match in found
            if match and match["model"] == model and match["side"] == side
        }


def window_table(
    frame: pd.DataFrame, names: tuple[str, str, str], models: Sequence[str] | None
) -> WindowTable:
    """Sort the rows of `frame` into windows.

    Parameters
    ----------
    names
        Columns of the id, the time and the observation; a window is an id and a cutoff, or
        an id alone where there is no column ``cutoff``.
    models
        Columns that hold forecasts; None: every numeric column that is not something else.

    Raises
    ------
    ColumnError
        A column is absent or not numeric.
    """
    if len(frame) == 0:
        raise InputError("the frame of forecasts is empty")
    for name in names:
        if name not in frame.columns:
            raise ColumnError(f"no column {name!r}{nearest(name, map(str, frame.columns))}")
    if models is None:
        other = {*names, CUTOFF}
        plain = [
            column for column in frame.columns if column not in other and not _INTERVAL.match(str(column))
        ]
        models = [column for column in plain if pd.api.types.is_numeric_dtype(frame[column].dtype)]
    if not models:
        raise ColumnError("no column holds forecasts; give a frame as cross_validation returns it")
    for model in models:
        if model not in frame.columns:
            raise ColumnError(f"no column {model!r}{nearest(model, map(str, frame.columns))}")
    by = [names[0], CUTOFF] if CUTOFF in frame.columns else [names[0]]
    groups = frame.groupby(by, sort=False, observed=True, dropna=False)
    row = np.asarray(groups.ngroup(), dtype=np.int64)
    slot = np.asarray(groups.cumcount(), dtype=np.int64)
    keys = frame.loc[slot == 0, by].reset_index(drop=True)
    return WindowTable(frame, names, tuple(models), pd.DataFrame(keys), row, slot)


def numbers(frame: pd.DataFrame, column: str) -> F64:
    """(N,) a numeric column as float64, NaN where missing."""
    try:
        values: F64 = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ColumnError(f"column {column!r} holds {frame[column].dtype}, needs numbers") from error
    return values


def as_frame(data: Any) -> pd.DataFrame:  # noqa: ANN401  # anything that turns into a pandas frame
    """Return a pandas frame, from one or from what knows how to become one (an Arrow table)."""
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "to_pandas"):
        return pd.DataFrame(data.to_pandas())
    raise InputError(f"a frame is needed, got {type(data).__name__}")
