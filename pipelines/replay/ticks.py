"""Ticks out of a long frame: every row checked before the first one is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from forecast.errors import InputError, nearest
from forecast.types import F64, I64, Bool
from pipelines.errors import WireError
from pipelines.wire import WIRE_VERSION, Tick
from pipelines.wire.message import MAX_TS_MS, check_text
from pipelines.wire.tick import MAX_EXOG, MAX_TICK_BYTES

if TYPE_CHECKING:
    import pandas as pd

_NS_MS: Final = 1_000_000
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Names:
    """Columns of a file."""

    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"
    exog: tuple[str, ...] | None = None
    """Regressors; None: every other column that holds numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class TickTable:
    """Ticks in the order of their times; ticks of one time stay in the order of the file."""

    ids: tuple[str, ...]
    """Distinct series ids."""
    series: I64
    """(n,) positions in `ids`."""
    ts_ms: I64
    """(n,) ms since 1970, UTC, or plain ints, ascending."""
    value: F64
    """(n,) NaN: known to be missing."""
    exog: Mapping[str, F64]
    """(n,) a name; NaN: not sent with this tick."""
    rows: I64
    """(n,) of the file, from 1, its header not counted."""
    left_out: tuple[str, ...] = ()
    """Columns that hold no numbers."""

    def __len__(self) -> int:
        return len(self.series)

    def first(self, count: int) -> TickTable:
        """Return the first so many ticks."""
        exog = {name: column[:count] for name, column in self.exog.items()}
        return replace(
            self, series=self.series[:count], ts_ms=self.ts_ms[:count], value=self.value[:count], exog=exog,
            rows=self.rows[:count],
        )  # fmt: skip

    def messages(self, first: int, last: int) -> list[bytes]:
        """Return ticks `first` to before `last` as JSON, in the bytes of `pipelines.wire`.

        Raises
        ------
        InputError
            A tick is longer than a tick may be; names its row.
        """
        encode, ids, part = _ENCODER.encode, self.ids, slice(first, last)
        exog = self._exog(part)
        rows = zip(
            self.series[part].tolist(), self.ts_ms[part].tolist(), self.value[part].tolist(), strict=True
        )
        found = [
            encode(
                Tick(
                    series_id=ids[s], ts_ms=ts, value=None if y != y else y, exog=exog[i] if exog else {},
                    v=WIRE_VERSION,
                )
            )
            for i, (s, ts, y) in enumerate(rows)
        ]  # fmt: skip
        for i, message in enumerate(found if exog else ()):
            if len(message) > MAX_TICK_BYTES:
                raise InputError(
                    f"row {self.rows[first + i]}: its tick has {len(message)} bytes, at most "
                    f"{MAX_TICK_BYTES}; send fewer regressors with --exog"
                )
        return found

    def _exog(self, part: slice) -> list[dict[str, float]]:
        columns = [column[part].tolist() for column in self.exog.values()]
        names = tuple(self.exog)
        return [
            {name: x for name, x in zip(names, row, strict=True) if x == x}
            for row in zip(*columns, strict=True)
        ]


def read_ticks(path: str | Path, names: Names | None = None) -> TickTable:
    """Return the ticks of a CSV or Parquet file.

    Raises
    ------
    InputError
        The file cannot be read, or a row cannot be sent; the message names the first such row.
    """
    from pipelines.tables import read_table

    names = names or Names()
    frame = read_table(path, names.time_col, names.id_col)
    try:
        return tick_table(frame, names)
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from None


def tick_table(frame: pd.DataFrame, names: Names | None = None) -> TickTable:
    """Return the ticks of a long frame; naive times are UTC, and plain ints stay what they are.

    Raises
    ------
    InputError
        A column is missing, or a row cannot be sent; the message names the first such row.
    """
    names = names or Names()
    have = [str(name) for name in frame.columns]
    for name in (names.id_col, names.time_col, names.target_col, *(names.exog or ())):
        if name not in have:
            raise InputError(f"column {name!r} is missing{nearest(name, have)}")
    ids, series = _ids(frame[names.id_col])
    ts_ms = _times(frame[names.time_col], frame[names.id_col])
    value = _numbers(frame[names.target_col])
    wanted, left_out = _regressors(frame, names)
    order = np.argsort(ts_ms, kind="stable").astype(np.int64)
    exog = {name: _numbers(frame[name])[order] for name in wanted}
    return TickTable(ids, series[order], ts_ms[order], value[order], exog, order + 1, left_out)


def _ids(column: pd.Series[Any]) -> tuple[tuple[str, ...], I64]:
    import pandas as pd

    codes, unique = pd.factorize(column)
    _refuse(codes < 0, column, "is missing; every tick needs a series")
    ids = tuple(str(one) for one in unique)
    _refuse(np.array([one == "" for one in ids], np.bool_)[codes], column, "is empty; name the series")
    for i, one in enumerate(ids):
        try:
            one.encode()
            check_text("the id", one)
        except (WireError, UnicodeEncodeError) as error:
            row = int(np.flatnonzero(codes == i)[0]) + 1
            raise InputError(f"row {row}: column {column.name!r} cannot be a series id: {error}") from None
    if len(set(ids)) < len(ids):
        raise InputError(
            f"column {column.name!r} holds ids that are equal as text, as 1 and '1'; make all text"
        )
    return ids, codes.astype(np.int64)


def _times(column: pd.Series[Any], ids: pd.Series[Any]) -> I64:
    from forecast.models.clock import read_clock

    _refuse(column.isna().to_numpy(), column, "is missing; drop such rows")
    clock = read_clock(column.reset_index(drop=True), ids.reset_index(drop=True))
    if clock.is_int:
        _refuse(np.abs(clock.times) > MAX_TS_MS, column, f"is beyond {MAX_TS_MS}, the largest time")
        return clock.times
    ns = clock.times * clock.scale
    _refuse(ns % _NS_MS != 0, column, "lies between two milliseconds; round the times")
    return np.asarray(ns // _NS_MS, dtype=np.int64)


def _numbers(column: pd.Series[Any]) -> F64:
    """(n,) NaN where the column is empty."""
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(np.isnan(values) & column.notna().to_numpy(), column, "is no number")
    _refuse(np.isinf(values), column, "is infinite; leave it empty where the value is missing")
    return values


def _regressors(frame: pd.DataFrame, names: Names) -> tuple[list[str], tuple[str, ...]]:
    """Return the regressors' columns, and those that were left out for holding no numbers."""
    import pandas as pd

    taken = (names.id_col, names.time_col, names.target_col)
    others = [str(name) for name in frame.columns if name not in taken]
    numeric = [name for name in others if pd.api.types.is_numeric_dtype(frame[name])]
    wanted = list(dict.fromkeys(numeric if names.exog is None else names.exog))
    if len(wanted) > MAX_EXOG:
        raise InputError(
            f"there are {len(wanted)} regressors, a tick holds {MAX_EXOG}; name them with --exog"
        )
    for name in wanted:
        try:
            check_text("the name of a regressor", name)
        except WireError as error:
            raise InputError(f"column {name!r}: {error}") from None
    left_out = () if names.exog is not None else tuple(name for name in others if name not in numeric)
    return wanted, left_out


def _refuse(bad: Bool, column: pd.Series[Any], why: str) -> None:
    """Raise for the first row that is bad."""
    if bad.any():
        row = int(np.argmax(bad))
        more = int(bad.sum()) - 1
        others = f" (and {more} more rows)" if more else ""
        value = column.iloc[row]
        shown = repr(value) if isinstance(value, str) else str(value)
        raise InputError(f"row {row + 1}: {column.name} = {shown} {why}{others}")
