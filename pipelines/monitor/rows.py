"""What is kept of every series of a partition, in columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from forecast.types import F64, I64, U8
from pipelines.errors import StreamError
from pipelines.stream.keys import KeyTable

NEVER: Final = -(2**62)

# Column -> type, and what stands there before the first message.
_COLUMNS: Final[dict[str, tuple[str, float]]] = {
    "last_ts": ("<i8", NEVER),
    "seen": ("<i8", 0),
    "quiet": ("<i8", 0),
    "weight": ("<i8", 1),
    "alarmed": ("<i8", 0),
    "origin": ("<i8", -1),
    "alive_ts": ("<i8", NEVER),
    "mark": ("<i8", -1),
    "gap": ("<i8", 0),
    "value": ("<f8", np.nan),
    "run": ("<i8", 0),
    "run_ts": ("<i8", NEVER),
    "ill": ("|u1", 0),
}
_FEW: Final = 16


class Rows:
    """n series, numbered in the order in which they came."""

    last_ts: I64
    """Time of the last innovation that was counted, of the model in use."""
    seen: I64
    """Innovations counted."""
    quiet: I64
    """No alarm is told before `seen` is beyond this."""
    weight: I64
    """Cool-downs that the next alarm is followed by."""
    alarmed: I64
    """`seen` at the last alarm, told or not."""
    origin: I64
    """Number of the model in use, see `Catalog`; -1: none yet."""
    alive_ts: I64
    """Time of the last forecast that an observed tick led to, whatever its model."""
    mark: I64
    """How many messages of the partition had come by then."""
    gap: I64
    """Forecasts since, whose ticks had no value."""
    value: F64
    """The last value observed."""
    run: I64
    """How many times it came in a row."""
    run_ts: I64
    """Time at which that began."""
    ill: U8
    """Bits: which faults of the feed were told and are not over."""

    def __init__(self) -> None:
        self.keys = KeyTable.empty()
        self._room = _FEW
        for name, (dtype, blank) in _COLUMNS.items():
            setattr(self, name, np.full(_FEW, blank, dtype=dtype))

    def __len__(self) -> int:
        return self.keys.count

    def number(self, text: U8, first: I64, last: I64) -> I64:
        """(k,) numbers of ids in a buffer, new ones for new ids; -1 where one begins before 0."""
        rows = self.keys.add(text, first, last)
        if len(self) > self._room:
            self._grow(max(len(self), 2 * self._room))
        return rows

    def id(self, row: int) -> str:
        """Return the id of a series."""
        return self.keys.id(row).decode()

    def dump(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return everything as arrays."""
        n, ends = len(self), self.keys.keys.ends
        found = {name: getattr(self, name)[:n] for name in _COLUMNS}
        return {**found, "ends": ends[: n + 1], "text": self.keys.keys.text[: int(ends[n])]}

    @classmethod
    def load(cls, parts: dict[str, np.ndarray[Any, Any]]) -> Rows:
        """Return what `dump` was called on; `StreamError` for arrays that do not fit together."""
        missing = {*_COLUMNS, "ends", "text"} - parts.keys()
        if missing:
            raise StreamError(f"a snapshot lacks {sorted(missing)}")
        ends = parts["ends"].astype(np.int64)
        n = len(ends) - 1
        if n < 0 or ends[0] != 0 or (np.diff(ends) <= 0).any() or ends[-1] != len(parts["text"]):
            raise StreamError("the ids of a snapshot do not fit together")
        rows = cls()
        if n:
            rows.number(np.ascontiguousarray(parts["text"], dtype=np.uint8), ends[:-1], ends[1:])
        if len(rows) != n:
            raise StreamError("a snapshot has an id twice")
        for name in _COLUMNS:
            if parts[name].shape != (n,):
                raise StreamError(f"{name} of a snapshot has shape {parts[name].shape}, needs {(n,)}")
            getattr(rows, name)[:n] = parts[name]
        return rows

    def _grow(self, room: int) -> None:
        for name, (dtype, blank) in _COLUMNS.items():
            more = np.full(room - self._room, blank, dtype=dtype)
            setattr(self, name, np.concatenate([getattr(self, name), more]))
        self._room = room
