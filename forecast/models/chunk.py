"""Cutting records into chunks, putting them together again, laying changed series over older ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from forecast.errors import InputError
from forecast.models.assemble import place, take
from forecast.models.codec import COLUMNS, plain_id
from forecast.models.npz import MAX_CHUNK_BYTES, MAX_HEADER_BYTES
from forecast.models.records import Records
from forecast.types import I64

# About 3 MB of AR records. Smaller chunks are more files than a store likes (a million series are
# 245 of these); larger ones make a reader that wants one series read more than it needs.
CHUNK_RECORDS = 4096

# Left to the zip directory and the array headers (50 members of 300 bytes), and to the header's other keys.
_OVERHEAD_BYTES = 64 << 10


def split(records: Records) -> Iterator[Records]:
    """Yield runs of at most `CHUNK_RECORDS` records whose chunks keep within the size limits."""
    array_bytes, id_bytes = _row_bytes(records)
    first, n = 0, records.n_series
    while first < n:
        last = min(first + CHUNK_RECORDS, n)
        for cost, limit in (
            (array_bytes, MAX_CHUNK_BYTES - MAX_HEADER_BYTES - _OVERHEAD_BYTES),
            (id_bytes, MAX_HEADER_BYTES - _OVERHEAD_BYTES),
        ):
            fits = int(np.searchsorted(np.cumsum(cost[first:last]), limit, side="right"))
            last = min(last, first + max(fits, 1))
        yield take(records, np.arange(first, last)) if last - first < n else records
        first = last


def join(parts: Sequence[Records]) -> Records:
    """Return the records of all `parts`, in order; they must be of one frequency."""
    _check_freq(parts)
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(part.n_series for part in parts)])
    rows = [np.arange(a, b) for a, b in pairwise(starts)]
    return place(parts, rows, int(starts[-1]))


def overlay(base: Records, top: Records) -> Records:
    """Return `base` with the series of `top` in place of its own; those that are new stand at the end."""
    _check_freq([base, top])
    at = {key: i for i, key in enumerate(base.ids)}
    fresh = [key for key in top.ids if key not in at]
    at.update({key: base.n_series + i for i, key in enumerate(fresh)})
    rows = np.array([at[key] for key in top.ids], dtype=np.int64)
    kept = np.setdiff1d(np.arange(base.n_series), rows)
    n = base.n_series + len(fresh)
    return place([take(base, kept), top], [kept, rows], n) if kept.size else place([top], [rows], n)


def _check_freq(parts: Sequence[Records]) -> None:
    found = {(part.freq.text, part.freq.tz) for part in parts}
    if len(found) > 1:
        raise InputError(f"records of several frequencies cannot be one model: {sorted(map(str, found))}")


def _row_bytes(records: Records) -> tuple[I64, I64]:
    """(n,) bytes that each record adds to the arrays, and to the header, of its chunk."""
    dense = sum(getattr(records, name).nbytes for name in COLUMNS) // max(records.n_series, 1)
    arrays = np.full(records.n_series, dense, dtype=np.int64)
    for name in ("state_cov", "param_cov"):
        for i, cov in getattr(records, name).items():
            arrays[i] += 8 * cov.shape[0] * (cov.shape[0] + 1) // 2 + 16
    for i, text in records.messages.items():
        arrays[i] += 4 * len(text) + 16
    # A character outside ASCII is escaped, as 6 bytes, or 12 beyond the basic plane.
    ids = [len(key) * (1 if key.isascii() else 12) + 4 if isinstance(key, str) else 24 for key in records.ids]
    return arrays, np.array(ids, dtype=np.int64)


def distinct_ids(parts: Sequence[Records]) -> set[str | int]:
    """Return the ids of all `parts`."""
    return {plain_id(key) for part in parts for key in part.ids}
