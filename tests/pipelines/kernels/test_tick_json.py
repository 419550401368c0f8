import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import WireError
from pipelines.kernels.tick_json import Ticks, read_ticks
from pipelines.wire import Tick, decode_tick, encode_tick


def read(messages):
    """(plain, id, ts_ms, value) a message."""
    n = len(messages)
    ends = np.cumsum([0, *map(len, messages)])
    buffer = np.frombuffer(b"".join(messages), dtype=np.uint8).copy()
    out = Ticks(np.zeros(n, bool), np.zeros(n, int), np.zeros(n, int), np.zeros(n, int), np.zeros(n))
    count = read_ticks(buffer, ends[:-1].copy(), ends[1:].copy(), out)
    assert count == out.plain.sum()
    found = []
    for i in range(n):
        name = buffer[out.id_first[i] : out.id_last[i]].tobytes().decode() if out.plain[i] else None
        found.append((bool(out.plain[i]), name, int(out.ts_ms[i]), float(out.value[i])))
    return found


def agrees(message):
    """What the kernel reads, the wire reads the same; what the wire refuses, the kernel leaves to it."""
    plain, name, ts_ms, value = read([message])[0]
    if not plain:
        return False
    tick = decode_tick(message)
    assert (tick.series_id, tick.ts_ms, tick.exog or None) == (name, ts_ms, None)
    assert value == tick.value or (np.isnan(value) and tick.value is None)
    return True


ids = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=256)


@given(ids, st.integers(-(10**12), 10**12), st.none() | st.floats(-1e6, 1e6))
@example("a", 0, -0.0)
@example("a", 0, 123456.78901234)
@example("a", 0, 1e-7)
@example("a", 1_700_000_000_000, 0.1)
def test_it_reads_what_the_wire_writes(name, ts_ms, value):
    message = encode_tick(Tick(series_id=name, ts_ms=ts_ms, value=value, v=1))
    read_it = agrees(message)
    short = value is None or (len(repr(abs(value)).replace(".", "")) <= 15 and "e" not in repr(value))
    assert read_it or not short or '"' in name or "\\" in name


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=5))
def test_numbers_are_exact(number):
    message = b'{"series_id":"s","ts_ms":5,"value":%s,"v":1}' % format(number, "f").encode()
    assert agrees(message)


BASE = b'{"series_id":"s1","ts_ms":1700000000000,"value":-12.5,"v":1}'


@given(st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_damaged_message_is_never_read_differently(damage):
    message = bytearray(BASE)
    for at, byte in damage:
        message[at] = byte
    try:
        decode_tick(bytes(message))
    except WireError:
        assert not read([bytes(message)])[0][0]
    else:
        agrees(bytes(message))


@given(st.integers(0, len(BASE)), st.binary(max_size=4), st.integers(0, len(BASE)))
def test_nor_is_a_cut_or_stuffed_one(cut, stuffing, rest):
    message = BASE[:cut] + stuffing + BASE[rest:]
    try:
        decode_tick(message)
    except WireError:
        assert not read([message])[0][0]
    else:
        agrees(message)


@pytest.mark.parametrize(
    "value",
    [b"01", b"-", b"1.", b".5", b"1e5", b"NaN", b"nul", b"nulls", b"1234567890123456", b"+1", b"1 ", b"true",
     b"--1", b"0.1234567890123456", b'"1"', b"-01", b"", b"12.34.5"],
)  # fmt: skip
def test_what_it_cannot_read_it_leaves(value):
    assert not read([b'{"series_id":"s","ts_ms":5,"value":%s,"v":1}' % value])[0][0]


@pytest.mark.parametrize("ts", [b"9223372036855", b"-9223372036855", b"1" * 30, b"1.0", b"007", b"-"])
def test_times_beyond_the_calendar_are_left(ts):
    assert not read([b'{"series_id":"s","ts_ms":%s,"value":1.5,"v":1}' % ts])[0][0]


def test_messages_do_not_run_into_each_other():
    found = read([BASE[:-1], BASE, b"", BASE + BASE, BASE])
    assert [plain for plain, *_ in found] == [False, True, False, False, True]
    assert found[1] == found[4] == (True, "s1", 1_700_000_000_000, -12.5)
