"""Messages of the device against those of the stream."""

import json

import pytest

from edge.runtime import Bundle
from edge.runtime.errors import RequestError
from edge.runtime.wire import answer_request, answer_tick, read_request, read_tick
from pipelines.errors import WireError
from pipelines.wire.forecast import decode_forecast
from pipelines.wire.tick import decode_tick
from tests.edge.runtime.bundles import HOUR, KEY, Spec, members, write_folder

TICK = {"series_id": "a", "ts_ms": 1, "value": 2.5, "exog": {"x": 1.0}, "v": 1}


def raw(**change):
    return json.dumps({name: value for name, value in (TICK | change).items() if value != "gone"}).encode()


BYTES = [
    raw(), raw(value=None), raw(value=3), raw(exog="gone"), raw(exog={}), raw(series_id="é" * 256),
    raw(ts_ms=-5),
    b"", b" ", b"{", b"null", b"[]", b"1", b"\xff", raw(v=2), raw(v="1"), raw(v="gone"), raw(v=True),
    raw(v=1.0),
    raw(ts_ms="gone"), raw(ts_ms=1.5), raw(ts_ms="1"), raw(ts_ms=True), raw(ts_ms=10**13),
    raw(ts_ms=-(10**13)),
    raw(value="2"), raw(value=True), raw(value=[1]), raw(value="gone"), raw(more=1), raw(series_id=7),
    raw(series_id=""),
    raw(series_id="x" * 257), raw(series_id="a\0"), raw(exog=[1]), raw(exog={"x": None}),
    raw(exog={"x": "1"}),
    raw(exog={"": 1}), raw(exog={f"x{i}": 1 for i in range(257)}), raw(exog={"x": True}),
    raw(series_id="gone"),
    b'{"series_id":"a","ts_ms":1,"value":NaN,"v":1}', b'{"series_id":"a","ts_ms":1,"value":Infinity,"v":1}',
    b'{"series_id":"a","ts_ms":1,"value":1e400,"v":1}',
    b'{"series_id":"a","ts_ms":1,"value":1,"value":2,"v":1}',
    b'{"series_id":"a","ts_ms":1,"value":1' + b"0" * 400 + b',"v":1}', b"[" * 50_000,
    raw(series_id="a" * 70_000),
    b'{"series_id":"a","ts_ms":1,"value":1,"exog":{"x":1,"x":2},"v":1}', raw() + b"x",
    raw(series_id="\ud800"),
]  # fmt: skip


def reason_of(data):
    """Why the stream refuses a tick; None where it does not."""
    try:
        decode_tick(data)
    except WireError as error:
        return error.reason.value
    return None


@pytest.mark.parametrize("data", BYTES, ids=range(len(BYTES)))
def test_the_device_reads_and_refuses_ticks_as_the_stream_does(data):
    refused = reason_of(data)
    if refused is not None:
        with pytest.raises(RequestError) as found:
            read_tick(data)
        assert found.value.reason == refused or not data.strip()  # a blank line is no message here
        return
    got, want = read_tick(data), decode_tick(data)
    assert (got.series_id, got.ts_ms, got.value, dict(got.exog)) == (
        want.series_id,
        want.ts_ms,
        want.value,
        want.exog,
    )


@pytest.fixture
def bundle(tmp_path):
    return Bundle.open(write_folder(tmp_path / "b", members(Spec())), public_key=KEY.public)


def test_forecasts_are_messages_of_the_stream(bundle):
    last = Spec().last_ts_ms
    for k, value in enumerate([10.0, None, None, 12.0]):
        data = raw(ts_ms=last + (k + 1) * HOUR, value=value)
        line = answer_tick(bundle, data, k)
        assert line.endswith(b"\n")
        got = decode_forecast(line)
        assert (got.series_id, got.ts_ms, got.model, got.version, got.dt_ms) == (
            "a",
            last + (k + 1) * HOUR,
            "m",
            "v1",
            HOUR,
        )
        assert got.source.offset == k
        assert got.imputed == {1: 1, 2: 2}.get(k, 0)
        assert (got.z is None) == (value is None)
        assert got.level == [90.0]
    asked = json.dumps({"series_id": "7", "v": 1}).encode()
    assert decode_forecast(answer_request(bundle, asked, 0)).ts_ms == last
    asked = json.dumps({"series_id": "7", "history": [10, None, 10, 11.5], "ts_ms": last, "v": 1})
    with pytest.raises(RequestError, match="no 2 known"):
        answer_request(bundle, asked.replace("null, 10, 11.5", "null, 10").encode(), 0)
    got = decode_forecast(answer_request(bundle, asked.replace("null", "10").encode(), 0))
    assert got.mean == bundle.forecast(7, [10, 10, 10, 11.5]).mean.tolist()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"history": [1], "ts_ms": None}, "missing_field"), ({"history": 1}, "wrong_type"),
        ({"history": ["1"]}, "wrong_type"),
        ({"ts_ms": 1.5}, "wrong_type"), ({"exog": {"x": 1}}, "wrong_type"),
        ({"exog": {"x": [None]}}, "wrong_type"),
        ({"value": 1}, "unknown_field"), ({"v": 3}, "unknown_version"), ({"history": [True]}, "wrong_type"),
    ],
    ids=str,
)  # fmt: skip
def test_requests_that_will_not_do(change, reason):
    with pytest.raises(RequestError) as error:
        read_request(json.dumps({"series_id": "a", "ts_ms": 1, "v": 1} | change).encode())
    assert error.value.reason == reason
