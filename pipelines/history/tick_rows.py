"""Ticks in columns: sorted by series and time, one row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecast.types import F64, I64
from pipelines.history.tick_files import EXOG, ID, OFFSET, TS, Y

if TYPE_CHECKING:
    import pyarrow as pa

# Of the files: where half of the ticks are older than this.
MEDIAN: Final = b"median_ts_ms"

# Rows of a row group: what a reader of one series has to unpack.
_GROUP: Final = 1 << 16


def make_table(ids: Any, ts_ms: I64, y: F64, offsets: I64, exog: Mapping[str, F64]) -> pa.Table:  # noqa: ANN401  # a list or an Arrow array of texts
    """Return ticks as a table, one row for each series and time; see `settle`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.array(ids, pa.string()) if not isinstance(ids, pa.Array | pa.ChunkedArray) else ids
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if not pa.types.is_dictionary(texts.type):
        texts = pc.dictionary_encode(texts)
    columns = {ID: texts, TS: ts_ms, Y: _nullable(y), OFFSET: offsets}
    columns |= {f"{EXOG}{name}": _nullable(values) for name, values in exog.items()}
    return settle([pa.table(columns)])


def settle(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables as one: by series and time, of ticks of one time the last value of each column.

    The last is that of the highest offset that has one: a tick without a value that brings regressors takes
    nothing from the one that has it.
    """
    import pyarrow as pa

    tables = [table for table in tables if len(table)] or list(tables[:1])
    whole = pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()
    if not len(whole):
        return whole
    rank, names = _ranks(whole[ID].combine_chunks())
    ts, offset = whole[TS].to_numpy(), whole[OFFSET].to_numpy()
    order, heads = _order(rank, ts, offset)
    last = np.append(heads[1:], len(order)) - 1
    columns: dict[str, Any] = {
        ID: pa.DictionaryArray.from_arrays(pa.array(rank[order[last]].astype(np.int32)), names),
        TS: ts[order[last]],
    }
    for name in whole.column_names:
        if name not in (ID, TS, OFFSET):
            columns[name] = _nullable(_last_known(np.asarray(whole[name].to_numpy())[order], heads, last))
    columns[OFFSET] = offset[order[last]]
    return pa.table(columns)


def groups(table: pa.Table) -> list[pa.Table]:
    """Return the parts of a table that become row groups, with the middle of its times beside."""
    middle = int(np.median(table[TS].to_numpy())) if len(table) else 0
    table = table.replace_schema_metadata({MEDIAN: str(middle).encode()})
    return [table.slice(at, _GROUP) for at in range(0, max(len(table), 1), _GROUP)]


def _ranks(texts: Any) -> tuple[I64, Any]:  # noqa: ANN401  # Arrow arrays
    """(n,) places of ids among those of a dictionary in the order of their bytes, and these."""
    import pyarrow as pa

    names = texts.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return place[texts.indices.to_numpy()], pa.array([names[k] for k in order], pa.string())


def _order(rank: I64, ts: I64, offset: I64) -> tuple[I64, I64]:
    """Return the order by series, time and offset, and in it the first row of each series and time."""
    low, high = int(ts.min()), int(ts.max())
    if (int(rank.max()) + 1) * (high - low + 1) < 2**62:
        # One key, sorted stably: files are runs of it already, and offsets mostly ascend.
        key = rank * (high - low + 1) + (ts - low)
        order = np.argsort(key, kind="stable")
        same = np.diff(key[order]) == 0
        if not (same & (np.diff(offset[order]) < 0)).any():
            return order, np.concatenate([[0], np.flatnonzero(~same) + 1])
    order = np.lexsort((offset, ts, rank))
    same = (np.diff(rank[order]) == 0) & (np.diff(ts[order]) == 0)
    return order, np.concatenate([[0], np.flatnonzero(~same) + 1])


def _last_known(values: F64, heads: I64, last: I64) -> F64:
    """Return the last value of each group that is no NaN."""
    if len(heads) == len(values):
        return values
    place = np.maximum.reduceat(np.where(np.isnan(values), -1, np.arange(len(values))), heads)
    return np.where(place >= 0, values[place], np.nan)


def _nullable(values: F64) -> Any:  # noqa: ANN401  # an Arrow array
    import pyarrow as pa

    return pa.array(np.where(np.isfinite(values), values, np.nan), pa.float64(), from_pandas=True)
