"""State as records of a compacted topic: one a series, the last one counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.errors import ForecastError
from forecast.online.bank import Bank
from forecast.types import F64, I64, Bool
from pipelines.errors import StreamError
from pipelines.kernels import state_records
from pipelines.kernels.admission import UNKNOWN
from pipelines.kernels.state_records import Head, Parts, Tags
from pipelines.log.records import ABSENT, Batch, Block, Partition
from pipelines.stream import rebasing
from pipelines.stream.desk import Desk
from pipelines.stream.keys import frozen
from pipelines.stream.shard import Shard
from pipelines.stream.strips import fit_strips, put_strips, strips_of

_WORD = 8
# Of a record: the offset of its tick (`kernels/state_records.py`).
_SOURCE_WORD = 7
_BEYOND = np.iinfo(np.int64).max
_WHY = {
    state_records.CUT: "is cut short or has bytes too many",
    state_records.FOREIGN: f"is not of format {state_records.FORMAT}; a newer program wrote it",
    state_records.INCONSISTENT: "contradicts itself",
}
_FIX = "delete the state topic, or write a tombstone for this key, and the series begins anew"


def write(desk: Desk, shard: Shard, numbers: I64, topic: str, partition: int) -> Block:
    """Return the states of series `numbers` (k,) as records."""
    series, k = shard.series, len(numbers)
    parts = _dumped(desk, shard, numbers)
    ends = np.empty(k, dtype=np.int64)
    size = state_records.sizes_of(series.window.shape[1], parts, ends) * _WORD
    text, id_ends = shard.ids
    firsts, lasts = id_ends[numbers], id_ends[numbers + 1]
    keys = np.empty((k, 2), dtype=np.int64)
    keys[:, 1] = size + np.cumsum(lasts - firsts)
    keys[:, 0] = keys[:, 1] - (lasts - firsts)
    data = np.empty(int(keys[-1, 1]) if k else size, dtype=np.uint8)
    words = data[:size].view(np.int64)
    tags = Tags(desk.served.tag, desk.exog_tag)
    state_records.write_records(series, numbers, parts, tags, ends, words, words.view(np.float64))
    state_records.gather(frozen(text), np.stack([firsts, lasts], axis=1), data[size:])
    values = np.empty((k, 2), dtype=np.int64)
    values[:, 1] = _WORD * ends
    values[1:, 0], values[:1, 0] = values[:-1, 1], 0
    return Block(Partition(topic, partition), data, keys, values)


def restore(desk: Desk, shard: Shard, batch: Batch) -> None:
    """Take in records in order; `StreamError` names the key of one that is damaged.

    Of a key the record of the latest tick counts, the last of several. A record behind it is of a worker that
    was cut off, at-least-once, and wrote once more when another had its partition already. A tombstone
    undoes all that is before it.
    """
    firsts, lasts = np.ascontiguousarray(batch.keys[:, 0]), np.ascontiguousarray(batch.keys[:, 1])
    if (firsts == ABSENT).any():
        raise StreamError(f"a state record of {batch.partition} has no key; the topic is not one of state")
    numbers, new = shard.number(batch.data, firsts, lasts)
    desk.take_on(shard, new)
    rows = np.arange(len(numbers))
    gone = batch.values[:, 0] == ABSENT
    if gone.any():
        ends = np.full(shard.count, -1)
        ends[numbers[gone]] = rows[gone]
        forget(desk, shard, np.unique(numbers[gone]))
        rows = rows[rows > ends[numbers]]
    rows = _latest(shard, batch, numbers, rows)
    if len(rows):
        _take(desk, shard, numbers[rows], _read(batch, rows, shard.series.window.shape[1]))


def _latest(shard: Shard, batch: Batch, numbers: I64, rows: I64) -> I64:
    """Return of these rows the one that counts of each series, if it is not behind the series."""
    some = numbers[rows]
    last = np.empty(shard.count, dtype=np.int64)
    last[some] = rows
    sources = _sources(batch, rows)
    # One that does not say its source cannot be read: it is named where it is the last.
    sources[(sources < 0) & (last[some] == rows)] = _BEYOND
    best = shard.series.source[: shard.count].copy()
    np.maximum.at(best, some, sources)
    found: I64 = rows[sources == best[some]]
    last[numbers[found]] = found
    return np.asarray(found[last[numbers[found]] == found])


def _sources(batch: Batch, rows: I64) -> I64:
    """Return the offsets of the ticks of records, -1 of one that is too short or of another format."""
    bounds, data = batch.values[rows], batch.data
    known = np.flatnonzero(bounds[:, 1] - bounds[:, 0] >= _WORD * state_records.HEAD)
    at = bounds[known, 0]
    ours = data[at[:, None] + np.arange(2)].view("<u2")[:, 0] == state_records.FORMAT
    known, at = known[ours], at[ours] + _WORD * _SOURCE_WORD
    sources = np.full(len(rows), -1)
    sources[known] = data[at[:, None] + np.arange(_WORD)].view("<i8")[:, 0]
    return sources


def forget(desk: Desk, shard: Shard, numbers: I64) -> None:
    """Put series back to where their records end, as if no tick of them had come."""
    series = shard.series
    desk.release(shard, numbers)
    series.source[numbers] = -1
    series.imputed[numbers] = series.seen[numbers] = 0
    series.window[numbers] = np.nan
    desk.adopt(shard, numbers)


class Records(NamedTuple):
    """State records that were read."""

    head: Head
    window: F64
    """(k, W) newest last."""
    parts: Parts
    keys: list[bytes]


def _dumped(desk: Desk, shard: Shard, numbers: I64) -> Parts:
    series = shard.series
    ts_ms = desk.grid.ts_ms(series.start[numbers], series.position[numbers])
    state, state_ends = _dump(desk.bank, series.slot[numbers])
    base, base_ends = _dump(desk.base, series.base_slot[numbers])
    exog, exog_ends = _strips(desk, shard, numbers)
    return Parts(ts_ms, state, state_ends, base, base_ends, exog, exog_ends)


def _strips(desk: Desk, shard: Shard, numbers: I64) -> tuple[F64, I64]:
    """Return the regressors of series with a state, and (1 + k,) where they end."""
    ends = np.zeros(1 + len(numbers), dtype=np.int64)
    if not desk.exog:
        return np.empty(0), ends
    known = shard.series.slot[numbers] != UNKNOWN
    strips = strips_of(shard.kept, numbers[known], desk.rules.ahead)
    ends[1:] = np.cumsum(known) * (shard.kept.values.shape[1] * len(desk.exog))
    return strips.ravel(), ends


def _dump(bank: Bank | None, slots: I64) -> tuple[F64, I64]:
    """Return states, none of slots that are not one, and (1 + k,) where they end."""
    ends = np.zeros(1 + len(slots), dtype=np.int64)
    if bank is None:
        return np.empty(0), ends
    taken = np.flatnonzero(slots != UNKNOWN)
    data, some = bank.dump(slots[taken]) if len(taken) else (np.empty(0), np.empty(0, dtype=np.int64))
    if len(taken) == len(slots):
        ends[1:] = some
        return data, ends
    ends[1 + taken] = np.diff(some, prepend=0)
    return data, np.cumsum(ends)


def _read(batch: Batch, rows: I64, width: int) -> Records:
    bounds = np.ascontiguousarray(batch.values[rows])
    sizes = bounds[:, 1] - bounds[:, 0]
    odd = np.flatnonzero(sizes % _WORD)
    if len(odd):
        raise _damaged(batch, int(rows[odd[0]]), state_records.CUT)
    ends, k = np.cumsum(sizes // _WORD), len(rows)
    data = np.empty(int(sizes.sum()), dtype=np.uint8)
    state_records.gather(frozen(batch.data), bounds, data)
    words = data.view(np.int64)
    bad, why = state_records.check_records(words, ends)
    if bad < k:
        raise _damaged(batch, int(rows[bad]), why)
    head = Head(*(np.empty(k, dtype=np.int64) for _ in Head._fields))
    window = np.empty((k, width))
    parts = Parts(
        head.ts_ms, np.empty(len(words)), np.empty(1 + k, dtype=np.int64), np.empty(len(words)),
        np.empty(1 + k, dtype=np.int64), np.empty(len(words)), np.empty(1 + k, dtype=np.int64),
    )  # fmt: skip
    state_records.read_records(words, words.view(np.float64), ends, head, window, parts)
    return Records(head, window, parts, [batch.key(i) or b"" for i in rows.tolist()])


def _damaged(batch: Batch, i: int, why: int) -> StreamError:
    where = f"offset {int(batch.offsets[i])} of {batch.partition.topic}[{batch.partition.number}]"
    return StreamError(f"the state of series {_shown(batch.key(i) or b'')} at {where} {_WHY[why]}; {_FIX}")


def _shown(key: bytes) -> str:
    return repr(key.decode("utf-8", "backslashreplace"))


def _take(desk: Desk, shard: Shard, numbers: I64, records: Records) -> None:
    """Give series (k,) the states of as many records."""
    series, head = shard.series, records.head
    has_state = np.diff(records.parts.state_ends) > 0
    same = (head.tag == desk.served.tag) & (has_state == (series.slot[numbers] != UNKNOWN))
    series.source[numbers], series.imputed[numbers] = head.source, head.imputed
    series.seen[numbers] = head.seen
    here = np.flatnonzero(same)
    if len(here):
        some = numbers[here]
        series.position[some], series.base[some] = head.position[here], head.base[here]
        rebasing.put_window(series, some, records.window[here])
        _load_strips(desk, shard, some, here, records)
        _load(desk, shard, some, here, records)
    there = np.flatnonzero(~same)
    if len(there):
        window, strips = records.window[there], _stored_strips(desk, there, records)
        rebasing.replay(desk, shard, numbers[there], head.ts_ms[there], window, strips)


def _load_strips(desk: Desk, shard: Shard, numbers: I64, rows: I64, records: Records) -> None:
    strips = _stored_strips(desk, rows, records)
    known = shard.series.slot[numbers] != UNKNOWN
    if strips is not None and known.any():
        at = shard.series.position[numbers]
        put_strips(shard.kept, numbers[known], desk.rules.ahead, at[known], strips[known])


def _stored_strips(desk: Desk, rows: I64, records: Records) -> F64 | None:
    """Return the regressors in records, where they are those of the model; None where it has none."""
    names, ahead = len(desk.exog), desk.rules.ahead
    if not names:
        return None
    out = np.full((len(rows), desk.width + ahead, names), np.nan)
    sizes = np.diff(records.parts.exog_ends)[rows]
    widths, fits = records.head.width[rows], records.head.exog_tag[rows] == desk.exog_tag
    fits &= (sizes % names == 0) & (sizes >= widths * names)
    for width, size in {*zip(widths[fits].tolist(), sizes[fits].tolist(), strict=True)}:
        some = np.flatnonzero(fits & (widths == width) & (sizes == size))
        data, _ = _part(records.parts.exog, records.parts.exog_ends, rows[some])
        strips = data.reshape(len(some), size // names, names)
        out[some] = fit_strips(strips, size // names - width, desk.width, ahead)
    return out


def _load(desk: Desk, shard: Shard, numbers: I64, rows: I64, records: Records) -> None:
    series, parts = shard.series, records.parts
    known = np.flatnonzero(series.slot[numbers] != UNKNOWN)
    rows, numbers = rows[known], numbers[known]
    state = _part(parts.state, parts.state_ends, rows)
    _load_into(desk.bank, series.slot[numbers], state, rows, records)
    if desk.base is None:
        return
    with_base = np.diff(parts.base_ends)[rows] > 0
    if with_base.all():
        state = _part(parts.base, parts.base_ends, rows)
    else:  # written without grace: late ticks can be taken in from here on
        state = _mixed(parts, rows, with_base)
        series.base[numbers] = np.where(with_base, series.base[numbers], series.position[numbers])
    _load_into(desk.base, series.base_slot[numbers], state, rows, records)


def _mixed(parts: Parts, rows: I64, with_base: Bool) -> tuple[F64, I64]:
    """Return the states that stand behind, and of records without one the state itself."""
    pieces = [
        parts.base[parts.base_ends[i] : parts.base_ends[i + 1]]
        if own
        else parts.state[parts.state_ends[i] : parts.state_ends[i + 1]]
        for i, own in zip(rows.tolist(), with_base.tolist(), strict=True)
    ]
    return np.concatenate(pieces), np.cumsum([len(piece) for piece in pieces])


def _part(data: F64, ends: I64, rows: I64) -> tuple[F64, I64]:
    """Return the pieces of some rows, one after the other, and where each ends."""
    sizes = np.diff(ends)[rows]
    stops = np.cumsum(sizes)
    total = int(stops[-1]) if len(rows) else 0
    at = np.repeat(ends[:-1][rows] - (stops - sizes), sizes) + np.arange(total)
    return data[at], stops


def _load_into(bank: Bank, slots: I64, state: tuple[F64, I64], rows: I64, records: Records) -> None:
    if not len(slots):
        return
    try:
        bank.load(slots, *state)
    except ForecastError as error:
        raise _damaged_state(bank, slots, state, rows, records, error) from error


def _damaged_state(
    bank: Bank, slots: I64, state: tuple[F64, I64], rows: I64, records: Records, error: ForecastError
) -> StreamError:
    """Find out whose state it is that cannot be loaded."""
    first, name = 0, _shown(records.keys[int(rows[0])])
    for i, end in enumerate(state[1].tolist()):
        try:
            bank.load(slots[i : i + 1], state[0][first:end], np.array([end - first]))
        except ForecastError:
            name = _shown(records.keys[int(rows[i])])
            break
        first = end
    return StreamError(f"the state of series {name} is damaged: {error}; {_FIX}")
