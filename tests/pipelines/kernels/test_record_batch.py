"""Record batches, with the client's own builder and parser as the oracle."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.record_batch import (
    AROUND,
    COLUMNS,
    COUNT,
    CUT,
    DAMAGED,
    HEAD,
    OLD,
    SOUND,
    Records,
    choose,
    pack,
    survey,
    unpack,
)
from pipelines.log.kafka.client import KNOWN
from pipelines.log.records import split

assert KNOWN  # imports the client in silence
from kafka.record.default_records import DefaultRecordBatchBuilder  # noqa: E402
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder  # noqa: E402
from kafka.record.util import calc_crc32c, encode_varint  # noqa: E402

texts = st.none() | st.binary(max_size=200)
headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2)
records = st.lists(st.tuples(st.integers(0, 2**41), texts, texts, headers), min_size=1, max_size=30)


def batch(rows, base=0, producer=None, epoch=0):
    builder = MemoryRecordsBuilder(2, 0, 2**30)
    for ts_ms, key, value, extra in rows:
        builder.append(ts_ms, key, value, extra)
    if producer is not None:
        builder.set_producer_state(producer, 0, 0, True)
    builder.close()
    raw = bytearray(builder.buffer())
    struct.pack_into(">qi", raw, 0, base, len(raw) - 12)
    struct.pack_into(">i", raw, 12, epoch)
    return bytes(raw)


def marker(abort, base, producer):
    builder = DefaultRecordBatchBuilder(2, 0, True, producer, 0, -1, 2**20)
    builder.append(0, 1000, struct.pack(">hh", 0, 0 if abort else 1), b"", [])
    raw = builder.build()
    struct.pack_into(">q", raw, 0, base)
    raw[22] |= 0x20
    struct.pack_into(">I", raw, 17, calc_crc32c(memoryview(raw)[21:]))
    return bytes(raw)


def frozen(raw):
    return np.frombuffer(bytes(raw), dtype=np.uint8)


def look(raw, check=True):
    table = np.zeros((len(raw) // HEAD + 1, COLUMNS), dtype=np.int64)
    n, state = survey(frozen(raw), check, table)
    return table[:n], state


def room(count):
    shapes = (count,), (count,), (count, 2), (count, 2)
    return Records(*(np.zeros(shape, dtype=np.int64) for shape in shapes))


def read(raw, start=0, aborted=(), committed=True):
    """(offset, ts_ms, key, value) a record."""
    table, state = look(raw)
    assert state == SOUND
    wanted = np.zeros(len(table), dtype=bool)
    producers, firsts = (np.array([each[i] for each in aborted], dtype=np.int64) for i in range(2))
    out = room(choose(frozen(raw), table, committed, producers, firsts, wanted))
    n = unpack(frozen(raw), table, wanted, start, out)
    assert n >= 0
    keys, values = split(frozen(raw), out.keys[:n]), split(frozen(raw), out.values[:n])
    return list(zip(out.offsets[:n].tolist(), out.ts_ms[:n].tolist(), keys, values, strict=True))


def oracle(raw):
    return [
        (record.offset, record.timestamp, record.key, record.value)
        for each in MemoryRecords(raw)
        for record in each
    ]


@given(st.lists(records, min_size=1, max_size=4))
def test_records_are_those_of_the_clients_parser(batches):
    base, raw = 0, b""
    for rows in batches:
        raw += batch(rows, base)
        base += len(rows) + 3
    assert read(raw) == oracle(raw)
    assert read(raw, start=base // 2) == [each for each in oracle(raw) if each[0] >= base // 2]


@given(records, st.integers(1, 200))
def test_a_batch_that_is_cut_off_is_left_for_the_next_answer(rows, missing):
    whole = batch(rows)
    raw = whole + batch(rows, len(rows))[:-missing]
    assert read(raw) == oracle(whole)


@given(records, st.data())
def test_a_flipped_bit_is_found(rows, data):
    raw = bytearray(batch(rows))
    at = data.draw(st.integers(21, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    table, state = look(raw)
    assert state == DAMAGED
    assert len(table) == 0


@given(records, st.data())
def test_damage_that_no_checksum_tells_is_never_read_beyond_the_data(rows, data):
    raw = bytearray(batch(rows))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(HEAD, len(raw) - 1))] = data.draw(st.integers(0, 255))
    table, state = look(raw, check=False)
    assert state == SOUND
    wanted = np.ones(len(table), dtype=bool)
    out = room(int(table[:, COUNT].sum()))
    n = unpack(frozen(raw), table, wanted, -(2**62), out)
    for bounds in (out.keys[: max(n, 0)], out.values[: max(n, 0)]):
        assert ((bounds >= -1) & (bounds <= len(raw))).all()
        assert (bounds[:, 0] <= bounds[:, 1]).all()


def test_other_formats_are_left_to_the_client():
    old = bytearray(batch([(1, b"k", b"v", [])]))
    old[16] = 1
    assert look(batch([(1, b"k", b"v", [])]) + old)[1] == OLD
    short = bytearray(batch([(1, b"k", b"v", [])]))
    struct.pack_into(">i", short, 8, 3)
    assert look(short)[1] == CUT


def test_aborted_transactions_and_markers_are_passed_over():
    rows = [(1, b"k", b"%d" % i, []) for i in range(2)]
    raw = b"".join([
        batch(rows, 0, producer=7),     # aborted
        batch(rows, 2, producer=8),     # committed, in between
        batch(rows, 4),                 # no transaction
        marker(True, 6, 7),
        batch(rows, 7, producer=7),     # the next of the same producer: committed
        marker(False, 9, 7),
        marker(False, 10, 8),
        batch(rows, 11, producer=7),    # aborted again
        batch(rows, 13, producer=8),    # of another, still open for all we know: the broker would not send it
        marker(True, 15, 7),
    ])  # fmt: skip
    aborted = [(7, 0), (7, 11)]
    assert [each[0] for each in read(raw, aborted=aborted)] == [2, 3, 4, 5, 7, 8, 13, 14]
    assert [each[0] for each in read(raw, aborted=aborted, committed=False)] == [
        0, 1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 14,
    ]  # fmt: skip


@given(records, st.integers(0, 300), st.integers(-1000, 2**41))
def test_what_is_packed_is_what_the_client_would_have_written(rows, first, delta_ms):
    data = b"".join(text or b"" for _, key, value, _ in rows for text in (key, value))
    bounds, at = [], 0
    for _, key, value, _ in rows:
        for text in (key, value):
            bounds.append((-1, -1) if text is None else (at, at + len(text)))
            at += len(text or b"")
    bounds = np.array(bounds, dtype=np.int64)
    extra, ends = bytearray(), [0]
    for *_, pairs in rows:
        encode_varint(len(pairs), extra.append)
        for name, value in pairs:
            for text in (name.encode(), value):
                encode_varint(len(text), extra.append)
                extra += text
        ends.append(len(extra))
    spans = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
    out = np.zeros(len(data) + len(extra) + AROUND * len(rows), dtype=np.uint8)
    size = pack(
        frozen(data), bounds[0::2].copy(), bounds[1::2].copy(), frozen(extra), spans, first, delta_ms, out
    )
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 2**30)
    builder._first_timestamp, builder._max_timestamp = 0, 0
    for i, (_, key, value, pairs) in enumerate(rows):
        builder.append(first + i, delta_ms, key, value, pairs)
    assert out[:size].tobytes() == bytes(builder._buffer[HEAD:])


def test_packing_without_headers():
    data = frozen(b"kv")
    none = np.zeros((0, 2), dtype=np.int64)
    out = np.zeros(2 + AROUND, dtype=np.uint8)
    keys, values = np.array([[0, 1]]), np.array([[1, 2]])
    size = pack(data, keys, values, frozen(b""), none, 0, 0, out)
    # length 8 (zigzag 16), attributes, time, offset, 1-byte key, 1-byte value, no headers: by hand
    assert out[:size].tobytes() == bytes([16, 0, 0, 0, 2, 107, 2, 118, 0])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 63, 64, 1000])
def test_checksums_of_all_lengths(size):
    raw = batch([(5, None, bytes(range(256)) * 4, [])])
    assert look(batch([(5, None, (bytes(range(256)) * 4)[:size], [])]))[1] == SOUND
    assert look(raw)[1] == SOUND
