"""states.npz: where the series stood when the bundle was made; read when first asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays
from .errors import BundleError
from .kept import Kept
from .schema import Schema
from .verify import VerifiedBundle


class InitialStates:
    """Rows of states.npz in the order of the schema; `BundleError` where shapes do not fit it."""

    def __init__(self, bundle: VerifiedBundle, schema: Schema) -> None:
        self._bundle, self._schema = bundle, schema

    def clock(self, row: int) -> tuple[int, int]:
        """Return the points seen, and the time of the last one."""
        t, last = self._clocks
        return int(t[row]), int(last[row])

    def kept(self, row: int) -> Kept:
        """Return where a series stood."""
        t, last = self.clock(row)
        cov = None
        at = int(np.searchsorted(self._cov_rows, row))
        if at < len(self._cov_rows) and self._cov_rows[at] == row:
            cov = self._cov[at]
        return Kept(last, t, 0, self._state[row], cov, self._tail(row))

    def check(self) -> None:
        """Read all of it; `BundleError` where it cannot be, or is not finite."""
        self.clock(0)
        if not self._bundle.has("step.onnx"):
            return
        for part in (self._state, self._cov if len(self._cov_rows) else None, self._tails):
            if part is not None and not np.isfinite(part).all():
                raise BundleError("states.npz holds NaN or infinity; export the bundle anew")

    @cached_property
    def _arrays(self) -> Arrays:
        return Arrays(self._bundle.read("states.npz"), "states.npz")

    @cached_property
    def _clocks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        n = len(self._schema.series)
        return self._arrays.of_shape("t", "i8", n), self._arrays.of_shape("last_ts_ms", "i8", n)

    @cached_property
    def _state(self) -> NDArray[np.float64]:
        return self._arrays.of_shape("state", "f8", len(self._schema.series), self._schema.M)

    @cached_property
    def _cov_rows(self) -> NDArray[np.int64]:
        if "cov_rows" not in self._arrays:
            return np.zeros(0, dtype=np.int64)
        return self._arrays.of_shape("cov_rows", "i8", -1)

    @cached_property
    def _cov(self) -> NDArray[np.float64]:
        M = self._schema.M
        return self._arrays.of_shape("cov", "f8", len(self._cov_rows), M, M)

    @cached_property
    def _tails(self) -> NDArray[np.float64] | None:
        n, K, past = len(self._schema.series), len(self._schema.exog), self._schema.n_step_past
        return self._arrays.of_shape("exog_tail", "f8", n, K, past) if K * past else None

    def _tail(self, row: int) -> NDArray[np.float64]:
        if self._tails is None:
            return np.zeros((self._schema.n_step_past, len(self._schema.exog)))
        return self._tails[row, :, ::-1].T
