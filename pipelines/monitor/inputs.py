"""Regressors under watch: whether what drives the models has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from forecast.online.drift import INPUT_DETECTORS, InputBank
from forecast.types import F64, I64
from pipelines.errors import StreamError
from pipelines.wire.message import MAX_TEXT_CHARS

_NONE: Final = -1

# Below this the bank has no thresholds; whoever wants more false alarms gets these.
_LOWEST_ARL0: Final = 2_000.0


class InputDrift(NamedTuple):
    """A regressor of a series that has changed."""

    row: int
    position: int
    """Of the tick, among those given."""
    detector: str
    """"input-psi NAME" or "input-ks NAME"."""
    statistic: float
    threshold: float


class Inputs:
    """A stream of the bank for each series and regressor that came with a value.

    Parameters
    ----------
    arl0
        Values between two false alarms of a detector of one regressor of one series.
    """

    def __init__(self, arl0: float) -> None:
        self._arl0 = max(arl0, _LOWEST_ARL0)
        self._names: list[str] = []
        self._slot = np.empty((0, 0), dtype=np.int64)
        self._bank = InputBank(0, self._arl0)

    def take(self, rows: I64, exog: F64, names: Sequence[str]) -> list[InputDrift]:
        """Take regressors (k, names) of ticks of series `rows` (k,), in the order they came.

        What is not finite counts as not given.
        """
        if not names or not len(rows) or not (given := np.isfinite(exog)).any():
            return []
        columns = self._columns(names)
        self._grow(int(rows.max()) + 1)
        at, name = np.nonzero(given)  # tick by tick: the order of each stream
        row, column = rows[at], columns[name]
        alarms = self._bank.step(self._slots(row, column), exog[at, name])
        return [
            InputDrift(
                int(row[i]), int(at[i]), self._detector(code, int(column[i])), statistic,
                float(self._bank.thresholds[code]),
            )
            for i, code, statistic in zip(
                alarms.position.tolist(), alarms.detector.tolist(), alarms.statistic.tolist(), strict=True
            )
        ]  # fmt: skip

    def dump(self) -> tuple[list[str], dict[str, np.ndarray[Any, Any]]]:
        """Return everything: names, and arrays."""
        bank = np.frombuffer(self._bank.dump(), dtype=np.uint8)
        return self._names, {"input_slot": self._slot, "input_bank": bank}

    def load(self, names: Sequence[str], arrays: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take what `dump` returned; `StreamError`, `ForecastError` where it does not fit together."""
        slot = np.asarray(arrays["input_slot"], dtype=np.int64)
        bank = InputBank.load(arrays["input_bank"].tobytes(), self._arl0)
        used = np.sort(slot[slot != _NONE])
        if slot.ndim != 2 or slot.shape[1] != len(names) or not np.array_equal(used, np.arange(bank.n)):
            raise StreamError("the regressors of the snapshot do not fit together")
        self._names, self._slot, self._bank = [str(name) for name in names], slot.copy(), bank

    def _detector(self, code: int, column: int) -> str:
        return f"input-{INPUT_DETECTORS[code]} {self._names[column]}"[:MAX_TEXT_CHARS]

    def _columns(self, names: Sequence[str]) -> I64:
        """Return where each name has its column, made for one that is new."""
        new = [name for name in names if name not in self._names]
        if new:
            more = np.full((len(self._slot), len(new)), _NONE, dtype=np.int64)
            self._slot = np.concatenate([self._slot, more], axis=1)
            self._names += new
        return np.array([self._names.index(name) for name in names], dtype=np.int64)

    def _grow(self, n: int) -> None:
        if n > len(self._slot):
            room = max(n, 2 * len(self._slot))
            more = np.full((room - len(self._slot), self._slot.shape[1]), _NONE, dtype=np.int64)
            self._slot = np.concatenate([self._slot, more])

    def _slots(self, row: I64, column: I64) -> I64:
        """Return the streams of series and regressors, made for those that are new."""
        new = np.unique(np.stack([row, column], axis=1)[self._slot[row, column] == _NONE], axis=0)
        if len(new):
            self._slot[new[:, 0], new[:, 1]] = self._bank.n + np.arange(len(new))
            self._bank.grow(self._bank.n + len(new))
        return self._slot[row, column]
