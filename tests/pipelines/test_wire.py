"""Wire messages v1: frozen bytes, a reason for every refusal, nothing but `WireError` for any input."""

import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines import wire
from pipelines.errors import Reason, WireError
from pipelines.wire.forecast import MAX_HORIZON, MAX_LEVELS
from pipelines.wire.message import MAX_TEXT_CHARS, MAX_TS_MS
from pipelines.wire.tick import MAX_EXOG, MAX_TICK_BYTES

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden" / "wire"

TICK = wire.Tick(
    series_id="store-1/é", ts_ms=1_700_000_000_000, value=12.5, exog={"temp": -3.25, "promo": 1.0}, v=1
)
FORECAST = wire.Forecast(
    series_id="store-1",
    ts_ms=1_700_000_000_000,
    model="AutoAR",
    version="b" * 64,
    dt_ms=60_000,
    mean=[1 / 3, 1e16 / 3, -2e-7 / 3],
    level=[80.0, 95.0],
    lo=[[0.1, 1.0, -1.0], [0.05, 0.5, -2.0]],
    hi=[[0.4, 4e15, 1.0], [0.6, 5e15, 2.0]],
    z=-0.125,
    imputed=0,
    source=wire.Source(topic="ticks", partition=3, offset=1234567890123),
    v=1,
)
DRIFT = wire.DriftEvent(
    series_id="store-1",
    ts_ms=1_700_000_000_000,
    model="AutoAR",
    version="b" * 64,
    detector="cusum",
    statistic=9.25,
    threshold=8.0,
    dedup_key="store-1:cusum:1700000000000",
    v=1,
)
CONTROL = wire.Control(name="fleet", version="b" * 64, row_version=7, v=1)

# kind: (message, encode, decode), and variants that look different on the wire
KINDS = {
    "tick": (TICK, wire.encode_tick, wire.decode_tick),
    "forecast": (FORECAST, wire.encode_forecast, wire.decode_forecast),
    "drift": (DRIFT, wire.encode_drift, wire.decode_drift),
    "control": (CONTROL, wire.encode_control, wire.decode_control),
}
FROZEN = {
    "tick": TICK,
    "tick_missing": msgspec.structs.replace(TICK, value=None, exog={}),
    "forecast": FORECAST,
    "forecast_imputed": msgspec.structs.replace(FORECAST, z=None, imputed=2, level=[], lo=[], hi=[]),
    "drift": DRIFT,
    "drift_fleet": msgspec.structs.replace(DRIFT, series_id=None),
    "control": CONTROL,
}


def _kind(name):
    return KINDS[name.split("_")[0]]


@pytest.mark.parametrize("name", FROZEN)
def test_the_bytes_of_v1_are_frozen(name):
    frozen = (GOLDEN / f"{name}.json").read_bytes()
    _, encode, decode = _kind(name)
    assert encode(FROZEN[name]) == frozen
    assert decode(frozen) == FROZEN[name]


def test_seven_digits_are_frozen_too():
    frozen = (GOLDEN / "forecast_7_digits.json").read_bytes()
    assert wire.encode_forecast(FORECAST, wire.SIGNIFICANT_DIGITS) == frozen
    assert wire.decode_forecast(frozen).mean == [0.3333333, 3.333333e15, -6.666667e-8]  # by hand


def test_a_golden_file_stands_for_every_case_and_no_more():
    assert {p.stem for p in GOLDEN.glob("*.json")} == {*FROZEN, "forecast_7_digits"}


def _tick(**changes):
    fields = {"series_id": "a", "ts_ms": 5, "value": 1.5, "v": 1, **changes}
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


REFUSED = {
    "none": (None, Reason.EMPTY),
    "empty": (b"", Reason.EMPTY),
    "too large": (b" " * (MAX_TICK_BYTES + 1), Reason.TOO_LARGE),
    "not json": (b"series_id=a", Reason.MALFORMED),
    "cut short": (_tick()[:-1], Reason.MALFORMED),
    "two messages": (_tick() + _tick(), Reason.MALFORMED),
    "not utf-8": (b'{"series_id":"\xff","ts_ms":5,"value":1.5,"v":1}', Reason.MALFORMED),
    "byte order mark": (b"\xef\xbb\xbf" + _tick(), Reason.MALFORMED),
    "lone surrogate": (b'{"series_id":"\\ud800","ts_ms":5,"value":1.5,"v":1}', Reason.MALFORMED),
    "deep": (b'{"v":' + b"[" * 30_000, Reason.MALFORMED),
    "deep exog": (b'{"series_id":"a","ts_ms":5,"exog":' + b'{"a":' * 9_000, Reason.MALFORMED),
    "NaN": (b'{"series_id":"a","ts_ms":5,"value":NaN,"v":1}', Reason.NOT_FINITE),
    "-Infinity": (b'{"series_id":"a","ts_ms":5,"value":-Infinity,"v":1}', Reason.NOT_FINITE),
    "1e999": (b'{"series_id":"a","ts_ms":5,"value":1e999,"v":1}', Reason.OUT_OF_RANGE),
    "huge int value": (_tick(value=10**400), Reason.OUT_OF_RANGE),
    "huge int exog": (_tick(exog={"x": 10**400}), Reason.OUT_OF_RANGE),
    "ten thousand digits": (
        b'{"series_id":"a","ts_ms":' + b"9" * 10_000 + b',"value":1,"v":1}',
        Reason.OUT_OF_RANGE,
    ),
    "duplicate value": (b'{"series_id":"a","ts_ms":5,"value":1,"value":2,"v":1}', Reason.DUPLICATE_KEY),
    "duplicate, escaped": (
        b'{"series_id":"a","ts_ms":5,"value":1,"v\\u0061lue":2,"v":1}',
        Reason.DUPLICATE_KEY,
    ),
    "duplicate in exog": (
        b'{"series_id":"a","ts_ms":5,"value":1,"exog":{"x":1,"x":2},"v":1}',
        Reason.DUPLICATE_KEY,
    ),
    "duplicate exog": (
        b'{"series_id":"a","ts_ms":5,"value":1,"exog":{},"exog":{},"v":1}',
        Reason.DUPLICATE_KEY,
    ),
    "version 2": (_tick(v=2, anything=[1]), Reason.UNKNOWN_VERSION),
    "version 0": (_tick(v=0), Reason.UNKNOWN_VERSION),
    "no version": (_tick(v=...), Reason.MISSING_FIELD),
    "version true": (_tick(v=True), Reason.WRONG_TYPE),
    "version text": (_tick(v="1"), Reason.WRONG_TYPE),
    "version 1.0": (_tick(v=1.0), Reason.WRONG_TYPE),
    "no value": (_tick(value=...), Reason.MISSING_FIELD),
    "no id": (_tick(series_id=...), Reason.MISSING_FIELD),
    "unknown field": (_tick(y=1), Reason.UNKNOWN_FIELD),
    "list": (b"[1]", Reason.WRONG_TYPE),
    "null": (b"null", Reason.WRONG_TYPE),
    "bool value": (_tick(value=True), Reason.WRONG_TYPE),
    "text value": (_tick(value="1"), Reason.WRONG_TYPE),
    "int id": (_tick(series_id=7), Reason.WRONG_TYPE),
    "float time": (_tick(ts_ms=5.0), Reason.WRONG_TYPE),
    "bool time": (_tick(ts_ms=True), Reason.WRONG_TYPE),
    "text time": (_tick(ts_ms="5"), Reason.WRONG_TYPE),
    "null exog": (_tick(exog=None), Reason.WRONG_TYPE),
    "null in exog": (_tick(exog={"x": None}), Reason.WRONG_TYPE),
    "time too late": (_tick(ts_ms=MAX_TS_MS + 1), Reason.OUT_OF_RANGE),
    "time of 40 digits": (_tick(ts_ms=-(10**40)), Reason.OUT_OF_RANGE),
    "empty id": (_tick(series_id=""), Reason.OUT_OF_RANGE),
    "long id": (_tick(series_id="x" * (MAX_TEXT_CHARS + 1)), Reason.OUT_OF_RANGE),
    "NUL in id": (_tick(series_id="a\0"), Reason.OUT_OF_RANGE),
    "empty exog name": (_tick(exog={"": 1}), Reason.OUT_OF_RANGE),
    "many exog": (_tick(exog={f"x{i}": i for i in range(MAX_EXOG + 1)}), Reason.OUT_OF_RANGE),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_tick_has_its_reason(case):
    data, reason = REFUSED[case]
    with pytest.raises(WireError) as caught:
        wire.decode_tick(data)
    assert caught.value.reason is reason
    assert len(caught.value.detail) < 300
    assert caught.value.detail.isascii()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (
            b' {"v":1, "value":null, "ts_ms":-5, "series_id":"a:b"}\n',
            None,
        ),  # any order, spaces, a colon in a text
        (b'{"series_id":"a","ts_ms":-0,"value":3,"exog":{},"v":1}', 3.0),
        (b'{"series_id":"a","ts_ms":5,"value":-0.0,"exog":{"a:b":2},"v":1}', 0.0),
        (b'{"series_id":"\\u0061","ts_ms":5,"value":1.7976931348623157e308,"v":1}', 1.7976931348623157e308),
    ],
)
def test_unusual_but_right_ticks_are_read(data, value):
    assert wire.decode_tick(data).value == value


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mean": []}, Reason.OUT_OF_RANGE),
        ({"mean": [0.0] * (MAX_HORIZON + 1)}, Reason.OUT_OF_RANGE),
        ({"level": [95.0, 80.0]}, Reason.OUT_OF_RANGE),
        ({"level": [80.0, 100.0]}, Reason.OUT_OF_RANGE),
        ({"level": [80.0]}, Reason.OUT_OF_RANGE),
        ({"level": [1.0 + i for i in range(MAX_LEVELS + 1)]}, Reason.OUT_OF_RANGE),
        ({"lo": [[0.1], [0.2]]}, Reason.OUT_OF_RANGE),
        ({"dt_ms": 0}, Reason.OUT_OF_RANGE),
        ({"imputed": -1}, Reason.OUT_OF_RANGE),
        ({"source": wire.Source(topic="t", partition=0, offset=-1)}, Reason.OUT_OF_RANGE),
        ({"source": wire.Source(topic="", partition=0, offset=1)}, Reason.OUT_OF_RANGE),
        ({"mean": [math.nan, 1.0, 1.0]}, Reason.NOT_FINITE),
        ({"hi": [[1.0, 1.0, 1.0], [1.0, math.inf, 1.0]]}, Reason.NOT_FINITE),
        ({"z": math.nan}, Reason.NOT_FINITE),
        ({"mean": ["1", 1.0, 1.0]}, Reason.WRONG_TYPE),
        ({"mean": [True, 1.0, 1.0]}, Reason.WRONG_TYPE),
        ({"model": 3}, Reason.WRONG_TYPE),
        ({"model": "\ud800"}, Reason.WRONG_TYPE),
        ({"mean": [10**400, 1.0, 1.0]}, Reason.WRONG_TYPE),
        ({"v": 2}, Reason.UNKNOWN_VERSION),
    ],
)
def test_what_would_be_refused_is_not_sent(changes, reason):
    with pytest.raises(WireError) as caught:
        wire.encode_forecast(msgspec.structs.replace(FORECAST, **changes))
    assert caught.value.reason is reason


def test_a_nan_tick_is_not_sent_as_missing():
    with pytest.raises(WireError, match="not_finite"):
        wire.encode_tick(msgspec.structs.replace(TICK, value=math.nan))


def test_control_carries_nothing_that_could_name_a_place():
    assert [f.name for f in msgspec.structs.fields(wire.Control)] == ["name", "version", "row_version", "v"]
    with pytest.raises(WireError, match="unknown_field"):
        wire.decode_control(b'{"name":"a","version":"b","row_version":1,"v":1,"uri":"http://x"}')


def test_the_reasons_never_change():
    assert {reason.value for reason in Reason} == {
        "empty", "too_large", "malformed", "not_finite", "duplicate_key", "unknown_version",
        "missing_field", "unknown_field", "wrong_type", "out_of_range",
    }  # fmt: skip


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
ticks = st.builds(
    wire.Tick,
    series_id=texts,
    ts_ms=st.integers(-MAX_TS_MS, MAX_TS_MS),
    value=st.none() | numbers,
    exog=st.dictionaries(texts, numbers, max_size=4),
    v=st.just(1),
)


@given(ticks)
def test_what_is_sent_is_read(tick):
    data = wire.encode_tick(tick)
    assert wire.decode_tick(data) == tick
    assert wire.encode_tick(wire.decode_tick(data)) == data


@given(st.lists(numbers, min_size=1, max_size=20), st.integers(1, 17))
def test_rounding_keeps_the_digits_asked_for(mean, digits):
    message = msgspec.structs.replace(FORECAST, mean=mean, level=[], lo=[], hi=[])
    rounded = [float(f"{x:.{digits}g}") for x in mean]
    if not all(map(math.isfinite, rounded)):  # the largest doubles round up to infinity
        with pytest.raises(WireError, match="not_finite"):
            wire.encode_forecast(message, digits)
        return
    got = wire.decode_forecast(wire.encode_forecast(message, digits)).mean
    assert got == rounded
    for x, y in zip(mean, got, strict=True):
        assert abs(x - y) <= abs(x) * 0.5 * 10.0 ** (1 - digits) * (1 + 1e-9) + 5e-324


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _only_wire_errors(data):
    for _, encode, decode in KINDS.values():
        try:
            message = decode(data)
        except WireError:
            continue
        assert decode(encode(message)) == message


@given(st.binary(max_size=300))
@example(b"\x00")
@settings(max_examples=500)
def test_any_bytes_give_a_message_or_a_reason(data):
    _only_wire_errors(data)


@given(st.sampled_from(sorted(FROZEN)), st.data())
@settings(max_examples=500)
def test_mutated_messages_give_a_message_or_a_reason(name, data):
    fields = json.loads((GOLDEN / f"{name}.json").read_bytes())
    key = data.draw(st.sampled_from(sorted(fields)) | st.text(max_size=5))
    fields[key] = data.draw(values)
    _only_wire_errors(json.dumps(fields).encode())


@given(
    st.sampled_from(sorted(FROZEN)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
@settings(max_examples=500)
def test_flipped_bytes_give_a_message_or_a_reason(name, flips):
    raw = bytearray((GOLDEN / f"{name}.json").read_bytes())
    for where, byte in flips:
        raw[where % len(raw)] = byte
    _only_wire_errors(bytes(raw))
