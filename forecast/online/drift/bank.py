"""Detectors of many streams, many ticks a call."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from forecast.errors import ArtifactError, InputError
from forecast.kernels import drift
from forecast.kernels.octets import F32
from forecast.online.drift.detectors import DETECTORS, Alarms, alarm_room, gathered, heights, watched
from forecast.online.drift.rows import Bytes, count_of, floats, grown, row_numbers
from forecast.online.drift.thresholds import thresholds
from forecast.types import F64

ARL0 = 1_440_000.0
"""One false alarm in so many ticks: of 100,000 streams a minute, 100 a day and detector."""

_HEAD = struct.Struct("<4sHHQI")
_MAGIC, _VERSION = b"DRFT", 1


class DriftBank:
    """Six detectors (`DETECTORS`) on the standardised innovations of n streams, a row each.

    What a row finds depends on its own innovations alone, to the last bit: not on how they are cut into
    calls, nor on other rows, nor on a dump and load in between. Not to be shared by threads.

    Parameters
    ----------
    n
        Rows, at rest.
    arl0
        Ticks between false alarms that each detector is set to, on each stream.
    detectors
        Those that may alarm.

    Raises
    ------
    InputError
        `n` is no count, `arl0` lies outside 100..1e9, or a detector is unknown.
    """

    nbytes_per_stream: int = 4 * drift.COLUMNS

    def __init__(self, n: int = 0, arl0: float = ARL0, detectors: Sequence[str] = DETECTORS) -> None:
        self.arl0, self.detectors = float(arl0), watched(detectors)
        values = thresholds(self.arl0).values.copy()
        values[[name not in self.detectors for name in DETECTORS]] = np.inf
        values.flags.writeable = False
        self.thresholds: F64 = values
        """(6,) in the order of `DETECTORS`; inf where not watched."""
        self._heights = heights(values)
        self._table: F32 = np.zeros((count_of(n), drift.COLUMNS), np.float32)
        self._n = len(self._table)
        self._room = alarm_room()

    @property
    def n(self) -> int:
        """Rows."""
        return self._n

    def grow(self, n: int) -> None:
        """Make it `n` rows in all; the new ones are at rest.

        Raises
        ------
        InputError
            It has more.
        """
        self._table, self._n = grown(self._table, self._n, n), count_of(n)

    def step(self, rows: ArrayLike, z: ArrayLike) -> Alarms:
        """Move rows on by their ticks; a detector that alarms is at rest again after that tick.

        Parameters
        ----------
        rows
            (m,) in the order of time of each row; a row may come several times.
        z
            (m,) innovation over its standard deviation, as measured out of sample. NaN: no tick, nothing
            moves. Infinite ones count as large.

        Raises
        ------
        InputError
            There is no such row, or the lengths differ; then nothing has moved.
        """
        at, values = row_numbers(rows, self._n), floats("z", z)
        if values.shape != at.shape:
            raise InputError(f"{len(at)} rows, but z has shape {values.shape}; one a row")
        parts = [(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0))]
        done = 0
        room = self._room
        while done < len(at):
            done, count = drift.step_many(
                self._table, at, values, drift.COEFFICIENTS, drift.WEIGHTS, self._heights, done, *room
            )
            if count:
                parts.append((room[0][:count].copy(), room[1][:count].copy(), room[2][:count].copy()))
        return gathered(at, parts)

    def reset(self, rows: ArrayLike) -> None:
        """Put rows at rest, as after a promotion.

        Raises
        ------
        InputError
            There is no such row.
        """
        self._table[row_numbers(rows, self._n)] = 0

    def dump(self, rows: ArrayLike | None = None) -> bytes:
        """Return the state of `rows`, of all where left out; 76 bytes a row and a head of 20."""
        table = self._table[: self._n] if rows is None else self._table[row_numbers(rows, self._n)]
        body = np.ascontiguousarray(table, "<f4").tobytes()
        return _HEAD.pack(_MAGIC, _VERSION, drift.COLUMNS, len(table), zlib.crc32(body)) + body

    @classmethod
    def load(cls, data: Bytes, arl0: float = ARL0, detectors: Sequence[str] = DETECTORS) -> DriftBank:
        """Return a bank with the rows of a `dump`; they go on to the last bit alike.

        Raises
        ------
        ArtifactError
            `data` is no dump, of another version, cut off or damaged.
        InputError
            As the constructor.
        """
        bank = cls(0, arl0, detectors)
        bank._table = _read(data)
        bank._n = len(bank._table)
        return bank


def _read(data: Bytes) -> F32:
    """Return the table of a dump, checked."""
    if len(data) < _HEAD.size:
        raise ArtifactError(f"a dump of a drift bank has at least {_HEAD.size} bytes, got {len(data)}")
    magic, version, columns, n, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ArtifactError(f"not a dump of a drift bank: it begins with {magic!r}")
    if (version, columns) != (_VERSION, drift.COLUMNS):
        raise ArtifactError(
            f"a dump of version {version} with {columns} numbers a row, needs {_VERSION} with {drift.COLUMNS}"
        )
    if len(data) != _HEAD.size + 4 * columns * n:
        raise ArtifactError(f"a dump of {n} rows with {len(data)} bytes: cut off, or something follows")
    if zlib.crc32(memoryview(data)[_HEAD.size :]) != crc:
        raise ArtifactError("the dump of a drift bank is damaged: its checksum differs")
    table = np.frombuffer(data, "<f4", offset=_HEAD.size).reshape(n, columns).astype(np.float32)
    if not sound(table):
        raise ArtifactError("the dump of a drift bank holds numbers that no detector can reach")
    return table


def sound(table: F32) -> bool:
    """Whether every number of a table is one that `forecast.kernels.drift` can have left there."""
    if not np.isfinite(table).all():
        return False
    ticks, windows = table[:, drift.TICKS], table[:, drift.WINDOWS : drift.MISSES]
    longest = 2 * drift.BLOCKS[-1]
    return bool(
        (table[:, drift.SUMS : drift.WINDOWS] >= 0).all()
        and (table[:, drift.MISSES] >= 0).all()
        and (np.abs(table[:, drift.BEFORE]) <= drift.CLIP).all()
        and (np.abs(windows) <= drift.CLIP * longest).all()
        and ((ticks >= 0) & (ticks < longest) & (ticks == np.floor(ticks))).all()
    )
