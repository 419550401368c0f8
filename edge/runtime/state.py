"""state.db: where every series stands under every release, in SQLite that waits for the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from .errors import DeviceError
from .kept import F64, KEEP_TICKS, Kept, PastTick

_VERSION: Final = 1
# How long a step waits for another process that steps.
_BUSY_S: Final = 10.0

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS state (
        release TEXT NOT NULL, series TEXT NOT NULL, ts_ms INTEGER NOT NULL, t INTEGER NOT NULL,
        gap INTEGER NOT NULL, state BLOB NOT NULL, cov BLOB, tail BLOB NOT NULL,
        PRIMARY KEY (release, series)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS tick (
        series TEXT NOT NULL, ts_ms INTEGER NOT NULL, value REAL, exog TEXT NOT NULL,
        PRIMARY KEY (series, ts_ms)) WITHOUT ROWID""",
)


class StateFile:
    """States of one release; the ticks are common to all, so that a new release can catch up.

    Parameters
    ----------
    path
        The file; made where it is missing, unless `read_only`.
    release
        Digest of the release.
    K
        Columns of the kept regressors.

    Raises
    ------
    DeviceError
        The file cannot be opened, is damaged, or of a later version.
    """

    def __init__(self, path: Path, release: str, K: int, read_only: bool = False) -> None:
        self._release, self._K = release, K
        self._db = None if read_only and not path.exists() else _open(path, read_only)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the file alone; what was written is on the disk when this ends, or was never written."""
        if self._db is None:
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE" if not self._read_only() else "BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise DeviceError(
                f"the states cannot be read or written: {error}; the tick is not taken in"
            ) from None

    def get(self, series: str) -> Kept | None:
        """Return where a series stands."""
        if self._db is None:
            return None
        row = self._db.execute(
            "SELECT ts_ms, t, gap, state, cov, tail FROM state WHERE release = ? AND series = ?",
            (self._release, series),
        ).fetchone()
        if row is None:
            return None
        try:
            return _kept(row, self._K)
        except (TypeError, ValueError) as error:
            raise _damaged(series, str(error)) from None

    def put(self, series: str, kept: Kept, tick: PastTick) -> None:
        """Write where a series stands, and keep the tick."""
        if self._db is None:
            raise DeviceError("the states are open for reading only")
        cov = None if kept.cov is None else _bytes(kept.cov)
        row = (
            self._release,
            series,
            kept.ts_ms,
            kept.t,
            kept.gap,
            _bytes(kept.state),
            cov,
            _bytes(kept.tail),
        )
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        past = (series, tick.ts_ms, tick.value, json.dumps(dict(tick.exog)))
        self._db.execute("INSERT OR REPLACE INTO tick VALUES (?, ?, ?, ?)", past)
        self._db.execute(
            "DELETE FROM tick WHERE series = ? AND ts_ms <= (SELECT ts_ms FROM tick WHERE series = ?"
            " ORDER BY ts_ms DESC LIMIT 1 OFFSET ?)",
            (series, series, KEEP_TICKS),
        )

    def after(self, series: str, ts_ms: int) -> Sequence[PastTick]:
        """Return the kept ticks of a series that are later than `ts_ms`, oldest first."""
        if self._db is None:
            return ()
        rows = self._db.execute(
            "SELECT ts_ms, value, exog FROM tick WHERE series = ? AND ts_ms > ? ORDER BY ts_ms",
            (series, ts_ms),
        )
        try:
            return [PastTick(at, value, json.loads(exog)) for at, value, exog in rows]
        except (TypeError, ValueError) as error:
            raise _damaged(series, str(error)) from None

    def moved(self) -> int:
        """Return how many series have moved under this release."""
        if self._db is None:
            return 0
        with self.transaction():
            count = "SELECT count(*) FROM state WHERE release = ?"
            return int(self._db.execute(count, (self._release,)).fetchone()[0])

    def keep_only(self, releases: Sequence[str]) -> None:
        """Forget the states of all other releases."""
        if self._db is None:
            return
        marks = ", ".join("?" * len(releases))
        with self.transaction():
            self._db.execute(f"DELETE FROM state WHERE release NOT IN ({marks})", tuple(releases))  # noqa: S608  # marks are question marks

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()

    def _read_only(self) -> bool:
        return self._db is not None and self._db.execute("PRAGMA query_only").fetchone()[0] == 1


def _open(path: Path, read_only: bool) -> sqlite3.Connection:
    try:
        try:
            return _connected(path, read_only)
        except sqlite3.OperationalError:
            if not read_only:
                raise
        # What a power cut left half written is undone by whoever may write; then it can be read.
        _connected(path, read_only=False).close()
        return _connected(path, read_only)
    except sqlite3.Error as error:
        raise DeviceError(
            f"the states {path} cannot be opened: {error}; where the file is damaged, move it away, "
            "and the series begin where the bundle was made"
        ) from None


def _connected(path: Path, read_only: bool) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, read_only)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, read_only: bool) -> None:
    db.execute(f"PRAGMA query_only = {int(read_only)}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise DeviceError(
            f"state.db is of version {version}, this device reads {_VERSION}; upgrade the runtime"
        )
    if read_only:
        return
    # FULL: a step that was answered is on the disk. The journal of one step is a few pages.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA journal_mode = TRUNCATE")  # its name stays: a wait less for the folder
    if version == 0:
        db.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            db.execute(table)
        db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")


def _kept(row: Any, K: int) -> Kept:  # noqa: ANN401  # of whatever types the file holds
    ts_ms, t, gap, state, cov, tail = row
    if not type(ts_ms) is type(t) is type(gap) is int:
        raise ValueError(f"time {ts_ms!r:.40}, points {t!r:.40} and gap {gap!r:.40} are no whole numbers")
    size = len(state) // 8
    tails = _array(tail).reshape(-1, K) if K else _array(tail).reshape(len(tail), 0)
    covariance = None if cov is None else _array(cov).reshape(size, size)
    for part in (_array(state), tails, covariance):
        if part is not None and not np.isfinite(part).all():
            raise ValueError("it is not finite")
    return Kept(ts_ms, t, gap, _array(state), covariance, tails)


def _damaged(series: str, what: str) -> DeviceError:
    return DeviceError(
        f"state.db is damaged where series {series!r} stands: {what}; move the file away, and the series "
        "begin where the bundle was made"
    )


def _bytes(array: F64) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def _array(data: bytes) -> F64:
    return np.frombuffer(data, dtype="<f8")
