"""Record batches of Kafka (format 2), many at once: what a broker sent as columns, columns as records.

Layout: https://kafka.apache.org/documentation/#recordbatch. Integers of a batch's head are big-endian; those
of a record are varints, seven bits a byte, the sign in the lowest bit. The checksum is CRC-32C (Castagnoli),
by eight tables (Kounavis & Berry 2008, "Novel table lookup-based algorithms").
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.kernels._jit import exact_kernel
from forecast.types import I64, U8, Bool

SOUND, DAMAGED, OLD, CUT = 0, 1, 2, 3
"""What `survey` ended with: all read; a checksum that is wrong; a format before 2; lengths that cannot be."""

FIRST, LAST, BASE, TOP, COUNT, TIME, LATEST, ATTRIBUTES, PRODUCER, EPOCH = range(10)
"""Columns of `survey`'s table: where the records begin and end in the data, first and last offset, how many
records, time of the first and latest, attributes, id of the producer, epoch of the leader."""
COLUMNS: Final = 10

CODEC: Final = 7
"""Bits of the attributes that tell the compression; 0 is none."""
_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 8, 16, 32
HEAD: Final = 61
"""Bytes of a batch before its records."""
_LENGTH_AT, _EPOCH_AT, _MAGIC_AT, _CRC_AT, _ATTRIBUTES_AT = 8, 12, 16, 17, 21
_DELTA_AT, _TIME_AT, _LATEST_AT, _PRODUCER_AT, _COUNT_AT = 23, 27, 35, 43, 57
LEAST: Final = 7
"""Bytes of the shortest record."""
_BAD: Final = -1
_NEVER, _ACTIVE, _OVER = 0, 1, 2
AROUND: Final = 40
"""Bytes of a record beside its key, value and headers, at most."""


class Records(NamedTuple):
    """What was read of n records."""

    offsets: I64
    ts_ms: I64
    keys: I64
    """(n, 2) first and last in the data; -1 twice where there is none."""
    values: I64


def _tables() -> NDArray[np.uint32]:
    tables = np.zeros((8, 256), dtype=np.uint32)
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        tables[0, value] = crc
    for i in range(1, 8):
        tables[i] = (tables[i - 1] >> np.uint32(8)) ^ tables[0, tables[i - 1] & np.uint32(255)]
    return tables


_CRC: Final = _tables()


@exact_kernel
def _crc32c(data: U8, first: int, last: int) -> int:
    """Return the checksum of ``data[first:last]``."""
    crc = np.uint32(0xFFFFFFFF)
    at = first
    while at + 8 <= last:
        low = (
            np.uint32(data[at])
            | np.uint32(data[at + 1]) << np.uint32(8)
            | np.uint32(data[at + 2]) << np.uint32(16)
            | np.uint32(data[at + 3]) << np.uint32(24)
        ) ^ crc
        crc = (
            _CRC[7, low & np.uint32(255)]
            ^ _CRC[6, (low >> np.uint32(8)) & np.uint32(255)]
            ^ _CRC[5, (low >> np.uint32(16)) & np.uint32(255)]
            ^ _CRC[4, low >> np.uint32(24)]
            ^ _CRC[3, data[at + 4]]
            ^ _CRC[2, data[at + 5]]
            ^ _CRC[1, data[at + 6]]
            ^ _CRC[0, data[at + 7]]
        )
        at += 8
    while at < last:
        crc = (crc >> np.uint32(8)) ^ _CRC[0, (crc ^ np.uint32(data[at])) & np.uint32(255)]
        at += 1
    return int(np.int64(crc ^ np.uint32(0xFFFFFFFF)))


@exact_kernel
def _integer(data: U8, at: int, size: int) -> int:
    """Return a big-endian integer of `size` bytes, with its sign."""
    number = np.int64(0)
    for i in range(size):
        number = (number << 8) | np.int64(data[at + i])
    if size < 8 and data[at] >= 128:
        number -= np.int64(1) << (8 * size)
    return int(number)


@exact_kernel
def _varint(data: U8, at: int, last: int) -> tuple[int, int]:
    """Return a varint and where it ends, `_BAD` for an end if it does not by `last`."""
    number, shift = np.int64(0), 0
    while at < last and shift < 64:
        byte = np.int64(data[at])
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            sign = -(number & 1)
            return int(((number >> 1) & np.int64(0x7FFFFFFFFFFFFFFF)) ^ sign), at
        shift += 7
    return 0, _BAD


@exact_kernel
def survey(data: U8, check: bool, table: I64) -> tuple[int, int]:
    """Read the heads of all whole batches; return how many, and `SOUND` or what is wrong with the next.

    Parameters
    ----------
    data
        What a broker sent for one partition; the last batch may be cut off.
    check
        Whether to verify checksums.
    table
        (m, 10) written; m of ``len(data) // HEAD + 1`` is always enough.
    """
    at, n = 0, 0
    while at + HEAD <= len(data):
        length = _integer(data, at + _LENGTH_AT, 4)
        if data[at + _MAGIC_AT] != 2:
            return n, OLD
        end = at + _EPOCH_AT + length
        if end < at + HEAD:
            return n, CUT
        if end > len(data):
            break
        if check and _crc32c(data, at + _ATTRIBUTES_AT, end) != _integer(data, at + _CRC_AT, 4) & 0xFFFFFFFF:
            return n, DAMAGED
        row = table[n]
        row[FIRST], row[LAST] = at + HEAD, end
        row[BASE] = _integer(data, at, 8)
        row[TOP] = row[BASE] + _integer(data, at + _DELTA_AT, 4)
        row[COUNT] = _integer(data, at + _COUNT_AT, 4)
        row[TIME] = _integer(data, at + _TIME_AT, 8)
        row[LATEST] = _integer(data, at + _LATEST_AT, 8)
        row[ATTRIBUTES] = _integer(data, at + _ATTRIBUTES_AT, 2)
        row[PRODUCER] = _integer(data, at + _PRODUCER_AT, 8)
        row[EPOCH] = _integer(data, at + _EPOCH_AT, 4)
        if row[COUNT] < 0:
            return n, CUT
        n += 1
        at = end
    return n, SOUND


@exact_kernel
def _aborts(data: U8, first: int, last: int) -> bool:
    """Tell whether a marker, the only record of its batch, ends a transaction by aborting it."""
    _, at = _varint(data, first, last)
    at = at + 1 if at != _BAD else _BAD  # attributes
    for _ in range(3):  # time, offset, length of the key
        if at == _BAD:
            return False
        _, at = _varint(data, at, last)
    return at != _BAD and at + 4 <= last and _integer(data, at + 2, 2) == 0


@exact_kernel
def choose(data: U8, table: I64, committed: bool, producers: I64, firsts: I64, wanted: Bool) -> int:
    """Mark the batches with records for a reader; return how many records they have.

    Parameters
    ----------
    table
        (n, 10) of `survey`.
    committed
        Whether records of aborted transactions are left out; markers always are.
    producers, firsts
        (k,) aborted transactions that the broker named, by first offset.
    wanted
        (n,) written.
    """
    states = np.zeros(len(producers), dtype=np.int64)
    count = 0
    for i in range(len(table)):
        row = table[i]
        control = row[ATTRIBUTES] & _CONTROL != 0
        aborted = False
        if committed and row[PRODUCER] >= 0:
            ends = control and _aborts(data, row[FIRST], row[LAST])
            for j in range(len(producers)):
                if states[j] == _NEVER and firsts[j] <= row[TOP]:
                    states[j] = _ACTIVE
                if states[j] == _ACTIVE and producers[j] == row[PRODUCER]:
                    aborted = True
                    if ends:
                        states[j] = _OVER
            aborted = aborted and row[ATTRIBUTES] & _TRANSACTIONAL != 0
        wanted[i] = not control and not aborted
        if wanted[i]:
            count += row[COUNT]
    return count


@exact_kernel
def _record(data: U8, at: int, last: int, out: Records, n: int) -> int:
    """Read one record, its times and offsets as differences; return where it ends, `_BAD` if it cannot be."""
    length, at = _varint(data, at, last)
    if at == _BAD or length < LEAST - 1 or at + length > last:
        return _BAD
    end = at + length
    out.ts_ms[n], at = _varint(data, at + 1, end)  # attributes are not in use
    if at == _BAD:
        return _BAD
    out.offsets[n], at = _varint(data, at, end)
    if at == _BAD:
        return _BAD
    size, at = _varint(data, at, end)
    if at == _BAD or at + max(size, 0) > end:
        return _BAD
    out.keys[n, 0] = at if size >= 0 else -1
    at += max(size, 0)
    out.keys[n, 1] = at if size >= 0 else -1
    size, at = _varint(data, at, end)
    if at == _BAD or at + max(size, 0) > end:
        return _BAD
    out.values[n, 0] = at if size >= 0 else -1
    at += max(size, 0)
    out.values[n, 1] = at if size >= 0 else -1
    return end


@exact_kernel
def unpack(data: U8, table: I64, wanted: Bool, start: int, out: Records) -> int:
    """Read the wanted batches from offset `start` on; return how many records, -1 if one cannot be read.

    Parameters
    ----------
    data
        Records are at ``data[table[i, FIRST]:table[i, LAST]]``, not compressed.
    out
        Written; `choose` has told how many rows are enough.
    """
    n = 0
    for i in range(len(table)):
        if not wanted[i]:
            continue
        row = table[i]
        at = row[FIRST]
        for _ in range(row[COUNT]):
            at = _record(data, at, row[LAST], out, n)
            if at == _BAD:
                return -1
            out.offsets[n] += row[BASE]
            out.ts_ms[n] = row[LATEST] if row[ATTRIBUTES] & _APPEND_TIME else row[TIME] + out.ts_ms[n]
            if out.offsets[n] >= start:
                n += 1
        if at != row[LAST]:
            return -1
    return n


@exact_kernel
def _size(number: int) -> int:
    """Return how many bytes the varint of a number has."""
    rest = (number << 1) ^ (number >> 63)
    count = 1
    while rest > 127 or rest < 0:
        rest = (rest >> 7) & 0x01FFFFFFFFFFFFFF
        count += 1
    return count


@exact_kernel
def _put(number: int, out: U8, at: int) -> int:
    """Write the varint of a number; return where it ends."""
    rest = (number << 1) ^ (number >> 63)
    while rest > 127 or rest < 0:
        out[at] = (rest & 127) | 128
        rest = (rest >> 7) & 0x01FFFFFFFFFFFFFF
        at += 1
    out[at] = rest
    return at + 1


@exact_kernel
def _copy(data: U8, first: int, last: int, out: U8, at: int) -> int:
    """Write the length of a text, and the text; return where it ends."""
    if first < 0:
        return _put(-1, out, at)
    at = _put(last - first, out, at)
    for i in range(last - first):
        out[at + i] = data[first + i]
    return at + last - first


@exact_kernel
def _text_size(first: int, last: int) -> int:
    return 1 if first < 0 else _size(last - first) + last - first


@exact_kernel
def pack(
    data: U8, keys: I64, values: I64, headers: U8, bounds: I64, first: int, delta_ms: int, out: U8
) -> int:
    """Write records; return how many bytes.

    Parameters
    ----------
    data, keys, values
        (n, 2) first and last of keys and values in `data`; -1 for none.
    headers, bounds
        (n, 2) where in `headers` those of each record are, in Kafka's form; no rows: none.
    first
        Number of the first record in its batch.
    delta_ms
        Time of all of them, from that of the batch's first.
    out
        Written; `AROUND` bytes a record beside the texts are enough.
    """
    at = 0
    for i in range(len(keys)):
        number = first + i
        extra = 1 if len(bounds) == 0 else int(bounds[i, 1] - bounds[i, 0])
        size = 1 + _size(delta_ms) + _size(number) + extra
        size += _text_size(keys[i, 0], keys[i, 1]) + _text_size(values[i, 0], values[i, 1])
        at = _put(size, out, at)
        out[at] = 0  # attributes
        at = _put(delta_ms, out, at + 1)
        at = _put(number, out, at)
        at = _copy(data, keys[i, 0], keys[i, 1], out, at)
        at = _copy(data, values[i, 0], values[i, 1], out, at)
        if len(bounds) == 0:
            out[at] = 0
            at += 1
        else:
            for j in range(bounds[i, 0], bounds[i, 1]):
                out[at] = headers[j]
                at += 1
    return at
