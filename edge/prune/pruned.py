"""What became of the lags of every series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.models.records import Records
from forecast.types import F64, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """Records with fewer lags; a series that was left alone has its old record, to the last bit."""

    records: Records
    lags_before: I64
    """(n,) lags (or partial autocorrelations) of the AR factor phi that were not 0."""
    lags_kept: I64
    """(n,) the same now."""
    reason: NDArray[np.object_]
    """(n,) why the series was left alone; "" where it was pruned."""
    rise: F64
    """(n,) relative rise of the validation RMSE over h = 1..horizon; negative where pruning helped,
    NaN where nothing was measured."""

    def __post_init__(self) -> None:
        for array in (self.lags_before, self.lags_kept, self.reason, self.rise):
            array.flags.writeable = False

    @property
    def changed(self) -> Bool:
        """(n,) True where the record is new."""
        return np.array([text == "" for text in self.reason.tolist()], dtype=np.bool_)


def nonzero(matrix: F64) -> I64:
    """(n,) how many entries of each row are not 0."""
    count: I64 = np.count_nonzero(matrix, axis=1).astype(np.int64)
    return count
