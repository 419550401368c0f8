"""Series: which row number stands for a `unique_id` of a fleet, and columns of a frame in such numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from forecast.models.freq import Freq
from forecast.types import I64
from pipelines.errors import StoreError
from pipelines.store.address import SQLITE
from pipelines.store.engine import dialect
from pipelines.store.leases import Grant, writing_under

if TYPE_CHECKING:
    import pandas as pd

_NS_MS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Rows of a frame as numbers, in the order of series and time."""

    order: I64
    """(n,) position in the frame of each row."""
    series: I64
    """(n,) position of its series in `ids`."""
    ids: tuple[str, ...]
    """Distinct `unique_id`s, as text."""
    times: I64
    """(n,) in the integer units of the frequency."""
    ts: I64
    """(n,) as stored: ms since 1970, UTC, or plain ints."""


def write_series(
    engine: Engine,
    fleet: str,
    ids: Iterable[object],
    freq: Freq,
    unit: str | None = None,
    lease: Grant | None = None,
) -> None:
    """Register series; `unit` is noted of those that are known, too."""
    keys = [_key(one) for one in ids]
    with writing_under(engine, lease) as connection:
        _add(connection, fleet, keys, freq, unit)


def series_numbers(connection: Connection, fleet: str, keys: Sequence[str], freq: Freq) -> I64:
    """Return the row numbers of `keys` on a grid; what is new is added."""
    check_text(keys)
    found = find_series(connection, fleet, keys, freq)
    missing = [key for key in keys if key not in found]
    if missing:
        _add(connection, fleet, missing, freq)
        found |= find_series(connection, fleet, missing, freq)
    return np.fromiter((found[key] for key in keys), np.int64, len(keys))


def _add(
    connection: Connection, fleet: str, keys: Sequence[str], freq: Freq, unit: str | None = None
) -> None:
    """Add the series that are not known, without a look at them first: most often all are, or none."""
    check_text(keys)
    distinct = sorted(set(keys))  # in one order, so that two writers cannot wait for each other
    change = "NOTHING" if unit is None else "UPDATE SET unit = excluded.unit"
    add = f"""
        INSERT INTO series (fleet, key, freq, tz, unit)
        SELECT :fleet, value, :freq, :tz, :unit FROM {_EACH[dialect(connection)]} WHERE true
        ON CONFLICT (fleet, key, freq, tz) DO {change}
    """  # noqa: S608  # a text of ours
    connection.execute(text(add), {**_given(connection, fleet, distinct, freq), "unit": unit})


# The rows of a list that is one parameter: a statement may have only so many parameters.
_EACH = {
    SQLITE: "json_each(:keys)",
    "postgresql": "unnest(CAST(:keys AS text[])) AS given(value)",
}


# PostgreSQL looks an array up in the index or in a hash; a join with a list whose length it does not know,
# on a table that it has not counted yet, took seconds for 16,000 ids, and four times that for twice as many.
_AMONG = {
    SQLITE: "key IN (SELECT value FROM json_each(:keys))",
    "postgresql": "key = ANY(CAST(:keys AS text[]))",
}


def find_series(connection: Connection, fleet: str, keys: Sequence[str], freq: Freq) -> dict[str, int]:
    """Return the row numbers of those among `keys` that are known."""
    query = f"""
        SELECT key, id FROM series
        WHERE fleet = :fleet AND freq = :freq AND tz = :tz AND {_AMONG[dialect(connection)]}
    """  # noqa: S608  # a text of ours
    found = connection.execute(text(query), _given(connection, fleet, sorted(set(keys)), freq))
    return {row.key: row.id for row in found}


def _given(connection: Connection, fleet: str, keys: list[str], freq: Freq) -> dict[str, Any]:
    listed = json.dumps(keys) if dialect(connection) == SQLITE else keys
    return {"fleet": fleet, "keys": listed, "freq": freq.text, "tz": freq.tz or ""}


def read_keys(ids: pd.Series[Any], ds: pd.Series[Any], freq: Freq) -> Keys:
    """Return the key columns of a frame as numbers, sorted.

    Raises
    ------
    StoreError
        A series has two rows for one time, an id is missing, or a time is finer than a millisecond.
    ForecastError
        The times cannot be read, or do not go with the frequency.
    """
    import pandas as pd

    from forecast.models.clock import read_clock

    codes, distinct = pd.factorize(ids)
    if len(codes) and codes.min() < 0:
        raise StoreError(f"column {ids.name!r} has missing ids; drop such rows")
    clock = read_clock(ds, ids)
    clock.check(freq, str(ds.name))
    if not clock.is_int and (clock.tz is None) != (freq.tz is None):
        raise StoreError(f"column {ds.name!r} has time zone {clock.tz}, the series have {freq.tz}")
    times, ts = _times(clock, freq, str(ds.name))
    order = np.lexsort((ts, codes))
    series, ts = codes[order].astype(np.int64), ts[order]
    twice = np.flatnonzero((np.diff(series) == 0) & (np.diff(ts) == 0))
    if len(twice):
        row = order[twice[0]]
        raise StoreError(f"series {ids.iloc[row]!r} has two rows for {ds.iloc[row]}; keep one")
    return Keys(order.astype(np.int64), series, tuple(_key(one) for one in distinct), times[order], ts)


def read_times(ds: pd.Series[Any], ids: pd.Series[Any], freq: Freq) -> tuple[I64, I64]:
    """Return times in the units of the frequency, and as stored."""
    from forecast.models.clock import read_clock

    clock = read_clock(ds, ids)
    clock.check(freq, str(ds.name))
    return _times(clock, freq, str(ds.name))


def _times(clock: Any, freq: Freq, column: str) -> tuple[I64, I64]:  # noqa: ANN401  # Clock, which needs pandas
    if clock.is_int:
        return clock.times, clock.times
    ns = clock.times * clock.scale
    ts = ns // _NS_MS
    if (ts * _NS_MS != ns).any():
        raise StoreError(
            f"column {column!r} has times between milliseconds, which the store cannot keep apart"
        )
    return (clock.local(clock.times) * clock.scale if freq.wall else ns), ts


def to_ts(times: I64, freq: Freq) -> I64:
    """Return times of a grid as they are stored."""
    import pandas as pd

    if freq.is_int:
        return times
    index = pd.DatetimeIndex(times.view("M8[ns]"))
    if freq.wall and freq.tz is not None:
        first = np.ones(len(index), dtype=np.bool_)
        index = index.tz_localize(freq.tz, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")
    return np.asarray(index.as_unit("ns").asi8 // _NS_MS, dtype=np.int64)


def to_ds(ts: I64, freq: Freq) -> Any:  # noqa: ANN401  # an index, or the ints
    """Return stored times as a frame shows them."""
    import pandas as pd

    if freq.is_int:
        return ts
    index = pd.DatetimeIndex(ts.view("M8[ms]"))
    return index if freq.tz is None else index.tz_localize("UTC").tz_convert(freq.tz)


def _key(one: object) -> str:
    return one if isinstance(one, str) else str(one)


def check_text(keys: Sequence[str]) -> None:
    """Refuse what PostgreSQL cannot hold, on both dialects; so does the wire."""
    whole = "".join(keys)
    try:
        whole.encode()
        bad = "\0" in whole
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise StoreError("an id holds a NUL or half a character, which is no text; rename the series")
