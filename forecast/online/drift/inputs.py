"""Drift of the regressors of many series: windows of values against a reference window, a row each."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from forecast.errors import ArtifactError, InputError
from forecast.kernels import drift_inputs
from forecast.kernels.drift_inputs import REFERENCE, WINDOW
from forecast.online.drift.bank import ARL0
from forecast.online.drift.detectors import Alarms, alarm_room, gathered, watched
from forecast.online.drift.rows import Bytes, count_of, floats, grown, row_numbers
from forecast.online.drift.thresholds import height_of
from forecast.types import F64

INPUT_DETECTORS = ("psi", "ks")
"""Names; the position is the code in `Alarms.detector`. The formulas: `forecast.kernels.drift_inputs`."""

LOWEST_ARL0, HIGHEST_ARL0 = 2_000.0, 1e9

_HEAD = struct.Struct("<4sHHHHQIQ")
_MAGIC, _VERSION = b"DRFI", 1
_HIGHEST_EVERY = 100_000


class InputBank:
    """Population stability index and Kolmogorov-Smirnov distance of one regressor a row.

    The first 256 values after rest are the reference; every 128 values after that are compared with it. A row
    that alarms is at rest again: what comes next is the new reference. Statistics are shrunk by the lag-1
    correlation in the reference, which keeps the rate of false alarms for regressors that are short-lived
    autoregressions; seasons and trends longer than a window are drift to it (see docs/drift.md).

    Parameters
    ----------
    n
        Rows, at rest.
    arl0
        Ticks between false alarms of each detector on independent values.
    every
        Of so many values of a row one counts: neighbours then depend on each other less, and a window spans
        more. Take a number that has no divisor in common with the season.
    detectors
        Those that may alarm.

    Raises
    ------
    InputError
        `n` or `every` is no count, arl0 / every lies outside 2,000..1e9, or a detector is unknown.
    """

    nbytes_per_stream: int = 8 * (drift_inputs.COLUMNS + REFERENCE)

    def __init__(
        self, n: int = 0, arl0: float = ARL0, every: int = 1, detectors: Sequence[str] = INPUT_DETECTORS
    ) -> None:
        self.arl0, self.every = float(arl0), count_of(every)
        self.detectors = watched(detectors, INPUT_DETECTORS)
        if not 1 <= self.every <= _HIGHEST_EVERY:
            raise InputError(f"every must be 1 to {_HIGHEST_EVERY}, got {every!r}")
        kept = self.arl0 / self.every
        if not LOWEST_ARL0 <= kept <= HIGHEST_ARL0:
            raise InputError(
                f"arl0 / every must be {LOWEST_ARL0:.0f} to {HIGHEST_ARL0:.0e} ticks, got {kept:.6g}"
            )
        self.thresholds: F64 = np.array(
            [
                height_of(name, math.log(kept)) if name in self.detectors else math.inf
                for name in INPUT_DETECTORS
            ]
        )
        """(2,) in the order of `INPUT_DETECTORS`; inf where not watched."""
        self.thresholds.flags.writeable = False
        self._limits = self.thresholds.copy()
        self._n = count_of(n)
        self._table: F64 = np.zeros((self._n, drift_inputs.COLUMNS))
        self._values: F64 = np.zeros((self._n, REFERENCE))
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
        self._table, self._values = grown(self._table, self._n, n), grown(self._values, self._n, n)
        self._n = count_of(n)

    def step(self, rows: ArrayLike, values: ArrayLike) -> Alarms:
        """Move rows on by values of their regressors.

        Parameters
        ----------
        rows
            (m,) in the order of time of each row; a row may come several times.
        values
            (m,) in any unit; NaN: none, nothing moves.

        Raises
        ------
        InputError
            There is no such row, or the lengths differ; then nothing has moved.
        """
        at, x = row_numbers(rows, self._n), floats("values", values)
        if x.shape != at.shape:
            raise InputError(f"{len(at)} rows, but values has shape {x.shape}; one a row")
        parts = [(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0))]
        done, room = 0, self._room
        while done < len(at):
            done, count = drift_inputs.step_many(
                self._table, self._values, at, x, self.every, self._limits, done, *room
            )
            if count:
                parts.append((room[0][:count].copy(), room[1][:count].copy(), room[2][:count].copy()))
        return gathered(at, parts)

    def reset(self, rows: ArrayLike) -> None:
        """Put rows at rest: they fill a new reference.

        Raises
        ------
        InputError
            There is no such row.
        """
        self._table[row_numbers(rows, self._n)] = 0.0

    def dump(self, rows: ArrayLike | None = None) -> bytes:
        """Return the state of `rows`, of all where left out.

        256 bytes a row, and up to 2,040 more while its reference fills.
        """
        at = np.arange(self._n) if rows is None else row_numbers(rows, self._n)
        table, filling = self._table[at], self._values[at][_filling(self._table[at])]
        body = table.astype("<f8").tobytes() + filling.astype("<f8").tobytes()
        shape = drift_inputs.COLUMNS, REFERENCE, WINDOW
        return _HEAD.pack(_MAGIC, _VERSION, *shape, len(at), zlib.crc32(body), self.every) + body

    @classmethod
    def load(cls, data: Bytes, arl0: float = ARL0, detectors: Sequence[str] = INPUT_DETECTORS) -> InputBank:
        """Return a bank with the rows, and the `every`, of a `dump`; they go on to the last bit alike.

        Raises
        ------
        ArtifactError
            `data` is no dump, of another version, cut off or damaged.
        InputError
            As the constructor.
        """
        every, table, values = _read(data)
        bank = cls(0, arl0, every, detectors)
        bank._table, bank._values, bank._n = table, values, len(table)
        return bank


def _filling(table: F64) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(n, REFERENCE) which values are still needed: those of references that fill."""
    seen = table[:, drift_inputs.SEEN, None]
    return np.asarray((seen < REFERENCE) & (np.arange(REFERENCE) < seen))


def _read(data: Bytes) -> tuple[int, F64, F64]:
    """Return `every`, table and values of a dump, checked."""
    if len(data) < _HEAD.size:
        raise ArtifactError(f"a dump of an input bank has at least {_HEAD.size} bytes, got {len(data)}")
    magic, version, columns, reference, window, n, crc, every = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ArtifactError(f"not a dump of an input bank: it begins with {magic!r}")
    shape = drift_inputs.COLUMNS, REFERENCE, WINDOW
    if (version, columns, reference, window) != (_VERSION, *shape):
        raise ArtifactError(
            f"a dump of version {version}, sizes {(columns, reference, window)}; needs {_VERSION}, {shape}"
        )
    body = memoryview(data)[_HEAD.size :]
    if len(body) % 8 or n * columns * 8 > len(body) or zlib.crc32(body) != crc:
        raise ArtifactError("the dump of an input bank is cut off or damaged")
    numbers = np.frombuffer(body, "<f8").astype(np.float64)
    table, rest = numbers[: n * columns].reshape(n, columns), numbers[n * columns :]
    if not 1 <= every <= _HIGHEST_EVERY or not sound(table, every) or np.isnan(rest).any():
        raise ArtifactError("the dump of an input bank holds numbers that it cannot have come to")
    filling, values = _filling(table), np.zeros((n, REFERENCE))
    if len(rest) != np.count_nonzero(filling):
        raise ArtifactError("the dump of an input bank has not the values that its rows need")
    values[filling] = rest
    return int(every), table.copy(), values


def sound(table: F64, every: int) -> bool:
    """Whether every number of a table is one that `forecast.kernels.drift_inputs` can have left there."""
    k = drift_inputs
    seen, skip, factor = table[:, k.SEEN], table[:, k.SKIP], table[:, k.FACTOR]
    edges, counts = table[:, k.EDGES : k.SHARES], table[:, k.SHARES :]
    whole = np.column_stack([seen, skip, counts])
    if np.isnan(table).any() or (whole < 0).any() or (whole != np.floor(whole)).any():
        return False
    learnt = seen >= REFERENCE
    window = counts[:, k.BINS :].sum(axis=1)
    return bool(
        (seen < REFERENCE + WINDOW).all()
        and (skip < every).all()
        and ((factor >= 0) & (factor <= 1)).all()
        and (edges[:, 1:] >= edges[:, :-1]).all()
        and (factor[learnt] > 0).all()
        and (counts[learnt, : k.BINS].sum(axis=1) == REFERENCE).all()
        and (window[learnt] == seen[learnt] - REFERENCE).all()
    )
