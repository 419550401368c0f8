"""Reading archived ticks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.errors import HistoryError
from pipelines.history.tick_files import EXOG, ID, OFFSET, TS, TickFile, Y, damaged, list_files
from pipelines.history.tick_rows import settle

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

# Files that vanish were merged into others; that takes longer than reading them anew.
_TRIES: Final = 20


def read_ticks(
    folder: str | Path, ids: Collection[str] | None, after_ms: int | None = None, until_ms: int | None = None
) -> pd.DataFrame:
    """Return archived ticks of some series, one row a time, sorted; a monitor may go on writing meanwhile.

    Parameters
    ----------
    folder
        ``HISTORY_ROOT/FLEET/ticks``; one that is not there holds no ticks.
    ids
        Series; None: all.
    after_ms, until_ms
        Times ``after_ms < ts_ms <= until_ms``, on the wire's clock; None: without that bound.

    Returns
    -------
    DataFrame
        ``unique_id, ts_ms, y`` and the regressors by name, NaN where not known. Of several ticks of one
        time each column has its last value, by offset.

    Raises
    ------
    HistoryError
        A file is damaged: it is named, and what to do.
    """
    wanted = None if ids is None else sorted(set(map(str, ids)))
    for _ in range(_TRIES):
        try:
            tables = [
                table
                for file in list_files(Path(folder))
                for table in _read(Path(folder), file, wanted, after_ms, until_ms)
            ]
        except FileNotFoundError:
            continue
        return _frame(tables)
    raise HistoryError(f"the files of {folder} change all the time; try again", retriable=True)


def read_file(folder: Path, file: TickFile) -> pa.Table:
    """Return all of a file; `HistoryError` for one that is damaged, `FileNotFoundError` where it is not."""
    return settle(_read(folder, file, None, None, None))


def _read(
    folder: Path, file: TickFile, wanted: list[str] | None, after: int | None, until: int | None
) -> list[pa.Table]:
    """Return the rows of a file that are wanted, by row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(folder / file.name, read_dictionary=[ID], memory_map=False) as opened:
            _check(opened.schema_arrow)
            chosen = [k for k in range(opened.num_row_groups) if _overlaps(opened, k, wanted, after, until)]
            table = opened.read_row_groups(chosen) if chosen else None
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, ValueError, LookupError) as error:
        raise damaged(folder, file, error) from None
    return [] if table is None else [_kept(table, wanted, after, until)]


def _check(schema: pa.Schema) -> None:
    import pyarrow as pa

    kinds = {TS: pa.int64(), OFFSET: pa.int64(), Y: pa.float64()}
    for name in schema.names:
        wanted = pa.float64() if name.startswith(EXOG) else kinds.get(name)
        if name != ID and schema.field(name).type != wanted:
            raise ValueError(f"column {name!r} is {schema.field(name).type}")
    missing = {ID, *kinds} - set(schema.names)
    if missing:
        raise ValueError(f"no column {min(missing)!r}")


def _overlaps(
    opened: pq.ParquetFile, k: int, wanted: list[str] | None, after: int | None, until: int | None
) -> bool:
    """Return whether a row group may hold what is wanted, by its statistics."""
    group, names = opened.metadata.row_group(k), opened.schema_arrow.names
    low, high = _range(group.column(names.index(TS)))
    if low is not None and ((after is not None and high <= after) or (until is not None and low > until)):
        return False
    if wanted is None:
        return True
    low, high = _range(group.column(names.index(ID)))
    if low is None:
        return bool(wanted)
    at = bisect_left(wanted, low)
    return at < len(wanted) and wanted[at] <= high


def _range(column: Any) -> tuple[Any, Any]:  # noqa: ANN401  # of Parquet
    found = column.statistics
    return (found.min, found.max) if found is not None and found.has_min_max else (None, None)


def _kept(table: pa.Table, wanted: list[str] | None, after: int | None, until: int | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    conditions = []
    if wanted is not None:
        conditions.append(pc.field(ID).cast(pa.string()).isin(pa.array(wanted, pa.string())))
    if after is not None:
        conditions.append(pc.field(TS) > after)
    if until is not None:
        conditions.append(pc.field(TS) <= until)
    for condition in conditions:
        table = table.filter(condition)
    return table


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {ID: pd.Series(dtype=object), TS: pd.Series(dtype="int64")}
    columns[Y] = pd.Series(dtype="float64")
    if tables:
        table = settle(tables)
        columns = {ID: pd.Series(table[ID].to_pandas().astype(object)), TS: table[TS].to_numpy()}
        columns[Y] = table[Y].to_numpy()
        for name in table.column_names:
            own = name.removeprefix(EXOG)
            if name.startswith(EXOG) and own not in (ID, TS, Y):  # no model has one that is called so
                columns[own] = table[name].to_numpy()
    return pd.DataFrame(columns)
