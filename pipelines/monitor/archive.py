"""Ticks in Parquet files, for those who refit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from forecast.types import F64, I64
from pipelines.errors import HistoryError, TrainError
from pipelines.history.tick_files import TS, TickFile, list_files
from pipelines.history.tick_rows import MEDIAN, groups, make_table, settle
from pipelines.history.ticks import read_file, read_ticks
from pipelines.logs import log
from pipelines.train.atomic import write_parquet
from pipelines.wire.tick import MAX_EXOG

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TickArchive", "read_ticks"]

# Files of one size are merged once there are so many: every tick is written some four times in all.
_FEW: Final = 16
# Below this a file is small.
_SMALL_ROWS: Final = 1 << 16
# A file of so many rows stays: merging needs them all in memory, about 100 bytes each.
_LARGE_ROWS: Final = 1 << 20
# Columns beside the regressors.
_COLUMNS: Final = 4

_MS_PER_DAY: Final = 86_400_000
_EXPIRE_S: Final = 3600.0
# What a process that was killed left behind; one that lives has long given its file a name.
_LEFT_S: Final = 3600.0


class TickArchive:
    """The archive of the ticks of a fleet, for one writer a partition.

    Two writers of one partition do no harm: what both wrote is read once.

    Parameters
    ----------
    folder
        ``HISTORY_ROOT/FLEET/ticks``.
    keep_days
        Ticks older than this are dropped, within hours; None: none is. Not for series that count ints.
    now_s
        Clock: seconds since 1970.
    """

    def __init__(
        self, folder: str | Path, keep_days: float | None = None, now_s: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.keep_days, self._now_s = Path(folder), keep_days, now_s
        self._exog = 0
        self._expired_s = now_s()
        self._damaged: set[str] = set()
        self.written = 0
        """Ticks, those that came again too."""
        self.merges = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise HistoryError(f"{self.folder} cannot be used: {error.strerror}") from None

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(list_files(self.folder))

    def write(
        self, partition: int, first_offset: int, last_offset: int, ids: Sequence[str] | pa.Array,
        ts_ms: I64, y: F64, exog: Mapping[str, F64] | None = None, offsets: I64 | None = None,
    ) -> Path | None:  # fmt: skip
        """Keep the ticks (k,) that were read from one partition; they are on the disk when this returns.

        Writing the same range again replaces what was written; a range that overlaps others does no harm.

        Parameters
        ----------
        first_offset, last_offset
            What was read, both included.
        ids
            (k,) texts.
        y
            (k,) NaN where missing; what is not finite counts as missing.
        exog
            (k,) each, NaN where a tick does not bring it.
        offsets
            (k,) ascending; left out, in this order from the first on.

        Raises
        ------
        HistoryError
            The range, or an array, cannot be; the file cannot be written.
        """
        exog = {} if exog is None else exog
        ts_ms = np.asarray(ts_ms, dtype=np.int64)
        if offsets is None:
            offsets = first_offset + np.arange(len(ts_ms))
        _check(partition, first_offset, last_offset, len(ids), ts_ms, y, exog, offsets)
        if not len(ts_ms):
            return None
        file = TickFile.written(partition, first_offset, last_offset)
        self._exog = max(self._exog, len(exog))
        self._put(file, _table(ids, ts_ms, np.asarray(y, np.float64), offsets, exog))
        self.written += len(ts_ms)
        self.tidy(partition)
        if self.keep_days is not None and self._now_s() - self._expired_s > _EXPIRE_S:
            self.expire()
        return self.folder / file.name

    def tidy(self, partition: int) -> int:
        """Merge small files of a partition where there are many; return how many became one."""
        own = [file for file in list_files(self.folder) if file.partition == partition]
        own = [file for file in own if file.name not in self._damaged]
        chosen = choose(own, _LARGE_ROWS * _COLUMNS // (_COLUMNS + self._exog))
        return self._merge(chosen) if chosen else 0

    def expire(self) -> int:
        """Drop ticks older than `keep_days`; return how many files that touched."""
        if self.keep_days is None:
            return 0
        now_s = self._now_s()
        self._expired_s = now_s
        before = int(now_s * 1000 - self.keep_days * _MS_PER_DAY)
        old = [file for file in list_files(self.folder) if self._is_old(file, before)]
        return sum(self._merge([file], before) for file in old)

    def _merge(self, files: list[TickFile], after_ms: int | None = None) -> int:
        """Replace files by one; a crash leaves ticks twice at most, and a reader reads them once."""
        tables = [self._read(file) for file in files]
        if any(table is None for table in tables):
            return 0
        table = settle([table for table in tables if table is not None])
        if after_ms is not None:
            table = table.filter(np.asarray(table[TS].to_numpy() >= after_ms))
        if len(table):
            self._put(TickFile.merged(files, len(table), str(after_ms)), table)
        for file in files:
            (self.folder / file.name).unlink(missing_ok=True)
        self.merges += 1
        return len(files)

    def _read(self, file: TickFile) -> pa.Table | None:
        """Return a file to be merged; None where that cannot be."""
        try:
            return read_file(self.folder, file)
        except FileNotFoundError:  # another writer has merged it
            return None
        except HistoryError as error:
            self._damaged.add(file.name)  # is told once, and the others are merged without it
            log.warning("not merged: %s", error)
            return None

    def _put(self, file: TickFile, table: pa.Table) -> None:
        try:
            write_parquet(self.folder / file.name, groups(table))
        except TrainError as error:
            raise HistoryError(f"{error}; the folder must be there and have room", retriable=True) from error

    def _is_old(self, file: TickFile, before_ms: int) -> bool:
        """Return whether half of the ticks of a file, or more, are from before a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            metadata = pq.read_schema(self.folder / file.name).metadata or {}
            return int(metadata[MEDIAN]) < before_ms
        except (OSError, pa.ArrowException, ValueError, LookupError):
            return False  # merged meanwhile, or damaged: who reads it is told

    def _sweep(self) -> None:
        for path in self.folder.glob(".*.part"):
            try:
                if self._now_s() - path.stat().st_mtime > _LEFT_S:
                    path.unlink()
            except FileNotFoundError:  # its writer is done
                continue


def choose(files: Sequence[TickFile], large: int) -> list[TickFile]:
    """Return which files of one partition, by offset, are to become one: none, or two at least.

    Small ones where there are many of them; middle ones too, or when they fill a `large` file.
    """
    for low, high, full in ((0, min(_SMALL_ROWS, large), None), (min(_SMALL_ROWS, large), large, large)):
        own = [file for file in files if low <= file.rows < high]
        rows = np.cumsum([file.rows for file in own])
        if len(own) >= _FEW or (full is not None and len(own) > 1 and rows[-1] >= full):
            return own[: max(2, int(np.searchsorted(rows, large)) + 1)]
    return []


def _table(
    ids: Sequence[str] | pa.Array, ts_ms: I64, y: F64, offsets: I64, exog: Mapping[str, F64]
) -> pa.Table:
    import pyarrow as pa

    try:
        return make_table(ids, ts_ms, y, offsets, exog)
    except (pa.ArrowException, TypeError, ValueError) as error:  # an id that is no text
        raise HistoryError(f"ticks cannot be archived: {str(error).splitlines()[0]}") from None


def _check(
    partition: int, first: int, last: int, n_ids: int,
    ts_ms: I64, y: F64, exog: Mapping[str, F64], offsets: I64,
) -> None:  # fmt: skip
    k = len(ts_ms)
    if not (0 <= partition < 2**31 and 0 <= first <= last < 2**63):
        raise HistoryError(f"partition {partition} has no offsets {first} to {last}")
    if len(exog) > MAX_EXOG:
        raise HistoryError(f"{len(exog)} regressors, at most {MAX_EXOG} are archived")
    for name, size in {
        "ids": n_ids,
        "y": len(y),
        "offsets": len(offsets),
        **{x: len(v) for x, v in exog.items()},
    }.items():
        if size != k:
            raise HistoryError(f"{k} ticks have {size} {name}")
    if k and not (first <= offsets[0] and offsets[-1] <= last and (np.diff(offsets) > 0).all()):
        raise HistoryError(f"offsets of {k} ticks are not ascending within {first} to {last}")
