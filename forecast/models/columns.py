"""Columns of a frame as arrays: checks, numbers, and the rows of every series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forecast.errors import ColumnError, InputError, nearest
from forecast.kernels import runs
from forecast.types import F64, I64, Bool


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The id column, as runs of equal neighbours.

    Parameters
    ----------
    starts
        (r + 1,) run `k` is the rows ``starts[k]:starts[k + 1]``.
    codes
        (r,) series of each run, numbered by first appearance.
    ids
        (n,) object array of the series' ids.
    """

    starts: I64
    codes: I64
    ids: NDArray[np.object_]


def as_pandas(df: object, columns: Iterable[str]) -> pd.DataFrame:
    """Return the needed columns of a pandas frame, a pyarrow Table, or what gives an Arrow stream.

    Raises
    ------
    InputError
        `df` is no frame, or empty.
    ColumnError
        A column is missing (names the nearest one) or there twice.
    """
    wanted = list(dict.fromkeys(columns))
    if isinstance(df, pd.DataFrame):
        _check_columns(list(df.columns), wanted, list(df.index.names))
        frame = df[wanted]
    elif isinstance(df, pa.Table) or hasattr(df, "__arrow_c_stream__"):
        table: Any = df if isinstance(df, pa.Table) else _table(df)
        _check_columns(table.column_names, wanted, [])
        text = pd.StringDtype("pyarrow", na_value=np.nan)
        arrow_text = {pa.string(): text, pa.large_string(): text}
        frame = table.select(wanted).to_pandas(types_mapper=arrow_text.get)
    else:
        raise InputError(f"needs a pandas DataFrame or a pyarrow Table, got {type(df).__name__}")
    if len(frame) == 0:
        raise InputError(f"the frame is empty; it needs at least one row with {', '.join(map(repr, wanted))}")
    return frame


def _table(stream: object) -> Any:  # noqa: ANN401  # a pyarrow table
    try:
        return pa.table(stream)
    except (pa.ArrowInvalid, TypeError, ValueError):
        kind = type(stream).__name__
        raise InputError(
            f"needs a frame with columns, got {kind}; pass a DataFrame or a pyarrow Table"
        ) from None


def _check_columns(have: Sequence[Any], wanted: Sequence[str], index: Sequence[Any]) -> None:
    for name in wanted:
        if name not in have:
            hint = nearest(name, [str(column) for column in have])
            if name in index:
                hint = "; it is in the index: pass df.reset_index()"
            raise ColumnError(f"column {name!r} is missing{hint}")
        if list(have).count(name) > 1:
            raise ColumnError(
                f"column {name!r} is there {list(have).count(name)} times; rename or drop all but one"
            )


def numbers(column: pd.Series[Any], ids: pd.Series[Any]) -> F64:
    """Return a copy of the column as float64, missing values as NaN.

    Floats, ints, booleans, nullable and Arrow numbers pass, and objects that are all numbers
    (int, float, Decimal); text never does, even when it looks like a number.

    Raises
    ------
    ColumnError
        Names the column, the first value that is no number, its row, and the fix.
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return np.array(column.to_numpy(), dtype=np.float64, order="C")
    if not pd.api.types.is_object_dtype(dtype) and pd.api.types.is_numeric_dtype(dtype):
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan), order="C")
    if pd.api.types.is_object_dtype(dtype) or str(dtype).startswith("decimal"):
        return _objects(column, ids)
    present = np.flatnonzero(column.notna().to_numpy())
    if len(present) == 0:
        return np.full(len(column), np.nan)
    raise _no_number(column, ids, int(present[0]))


def _objects(column: pd.Series[Any], ids: pd.Series[Any]) -> F64:
    values = np.full(len(column), np.nan)
    for row, value in enumerate(column.tolist()):
        if value is None or value is pd.NA or value is pd.NaT:
            continue
        if not isinstance(value, (Real, Decimal, np.bool_)) or (
            isinstance(value, Decimal) and value.is_snan()
        ):
            raise _no_number(column, ids, row)
        try:
            values[row] = float(value)
        except OverflowError:
            values[row] = np.copysign(np.inf, -1.0 if str(value).startswith("-") else 1.0)
    return values


def _no_number(column: pd.Series[Any], ids: pd.Series[Any], row: int) -> ColumnError:
    name = str(column.name)
    return ColumnError(
        f"column {name!r} ({column.dtype}) holds {column.iloc[row]!r} at row {row} "
        f"(series {ids.iloc[row]!r}), which is no number; "
        f"convert with df[{name!r}] = pd.to_numeric(df[{name!r}], errors='coerce')"
    )


def read_ids(column: pd.Series[Any]) -> Runs:
    """Return the runs of equal ids; no Python object is made for a row, only for a series.

    Raises
    ------
    ColumnError
        An id is missing, or cannot be compared.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return _coded(column, codes, np.asarray(dtype.categories, dtype=object))
    if isinstance(dtype, (pd.StringDtype, pd.ArrowDtype)):
        return _arrow_ids(column)
    values = column.to_numpy()
    if not isinstance(dtype, np.dtype):
        if column.isna().any():
            raise _missing_id(column)
        values = np.asarray(column.tolist(), dtype=object) if values.dtype == object else values
    try:
        changed = np.concatenate([[True], values[1:] != values[:-1]])
    except TypeError:
        raise _missing_id(column) from None
    starts = np.append(np.flatnonzero(changed), len(values))
    codes, ids = pd.factorize(values[starts[:-1]])
    if (codes < 0).any():
        raise _missing_id(column)
    return Runs(starts, codes.astype(np.int64), np.asarray(pd.Index(ids, dtype=object), dtype=object))


def _coded(column: pd.Series[Any], codes: NDArray[Any], categories: NDArray[np.object_]) -> Runs:
    """Ids that are numbered already; renumber by first appearance."""
    if len(codes) and codes.min() < 0:
        raise _missing_id(column)
    starts = np.append(np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])), len(codes))
    by_appearance, used = pd.factorize(codes[starts[:-1]])
    return Runs(starts, by_appearance.astype(np.int64), categories[used])


def _arrow_ids(column: pd.Series[Any]) -> Runs:
    array = pa.array(column.array)
    if array.null_count:
        raise _missing_id(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_string(array.type) or "view" in str(array.type):
        array = array.cast(pa.large_string())
    chunks = [chunk for chunk in getattr(array, "chunks", [array]) if len(chunk)]
    if not pa.types.is_large_string(array.type):
        return read_ids(pd.Series(column.to_numpy(), name=column.name))
    changed = np.concatenate([string_changes(chunk) for chunk in chunks])
    starts = np.append(np.flatnonzero(changed), len(changed))
    heads = array.take(pa.array(starts[:-1])).dictionary_encode()
    heads = heads.combine_chunks() if isinstance(heads, pa.ChunkedArray) else heads
    heads = heads.chunk(0) if isinstance(heads, pa.ChunkedArray) else heads
    codes = np.asarray(heads.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    return Runs(starts, codes, np.array(heads.dictionary.to_pylist(), dtype=object))


def string_changes(chunk: pa.Array) -> Bool:
    """Return (N,) marks of the strings that differ from the one before, read from the buffers."""
    _, offset_bytes, data_bytes = chunk.buffers()
    offsets = np.frombuffer(offset_bytes, dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    data = np.frombuffer(data_bytes, dtype=np.uint8) if data_bytes else np.zeros(0, dtype=np.uint8)
    changed = np.empty(len(chunk), dtype=np.bool_)
    runs.string_changes(offsets, data, changed)
    return changed


def _missing_id(column: pd.Series[Any]) -> ColumnError:
    name = str(column.name)
    missing = column.isna().to_numpy()
    if not missing.any():
        return ColumnError(f"column {name!r} holds ids that cannot be compared; use str or int ids")
    what = f"{int(missing.sum())} missing ids, the first at row {int(missing.argmax())}"
    return ColumnError(f"column {name!r} has {what}; drop them with df.dropna(subset=[{name!r}])")
