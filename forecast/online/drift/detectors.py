"""What watches a stream of standardised innovations, and what an alarm says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from forecast.errors import InputError, nearest
from forecast.kernels.octets import F32
from forecast.types import F64, I64, U8

DETECTORS = ("mean", "slow", "variance", "coverage", "correlation", "adaptive")
"""Names; the position is the code in `Alarms.detector`. What each computes: `forecast.kernels.drift`."""

# Detector of each column that the kernel takes: eight sums, then coverage, then the windows.
_COLUMNS = (0, 0, 1, 1, 2, 2, 4, 4, 3, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Alarms:
    """(k,) alarms of one call, in the order of the ticks, at one tick in the order of the detectors."""

    position: I64
    """The tick: where it stood in the call."""
    row: I64
    detector: U8
    """Position of its name in `DETECTORS`, of `InputBank` in `INPUT_DETECTORS`."""
    statistic: F64
    """What reached the threshold."""

    def __len__(self) -> int:
        return len(self.position)


# Alarms that one call of a kernel has room for.
_ROOM = 4096

Found: TypeAlias = tuple[I64, U8, F64]
"""Positions, detectors and statistics of some alarms."""


def alarm_room() -> Found:
    """Return arrays for a kernel to write alarms to."""
    return np.empty(_ROOM, np.int64), np.empty(_ROOM, np.uint8), np.empty(_ROOM)


def gathered(rows: I64, parts: Sequence[Found]) -> Alarms:
    """Return the alarms of some calls of a kernel, at least one, on ticks of `rows`."""
    position = np.concatenate([part[0] for part in parts])
    detector = np.concatenate([part[1] for part in parts])
    return Alarms(position, rows[position], detector, np.concatenate([part[2] for part in parts]))


def watched(detectors: Sequence[str], known: Sequence[str] = DETECTORS) -> tuple[str, ...]:
    """Return the names of detectors in the order of their codes.

    Raises
    ------
    InputError
        One is unknown, or there is none.
    """
    if isinstance(detectors, str) or not detectors:
        raise InputError(f"detectors must be a list of some of {', '.join(known)}, got {detectors!r}")
    for name in detectors:
        if name not in known:
            raise InputError(f"unknown detector {name!r}{nearest(str(name), known)}")
    return tuple(name for name in known if name in detectors)


def heights(thresholds: F64) -> F32:
    """Return (m, 10) thresholds as the kernel takes them, of (m, 6) of detectors; inf never alarms."""
    return np.ascontiguousarray(np.atleast_2d(thresholds)[:, _COLUMNS], dtype=np.float32)
