"""Ticks and forecasts in registry wire format: both ways, bounded, nothing but `WireError` for any bytes."""

import json
import re
import struct
from io import BytesIO
from pathlib import Path

import fastavro
import msgspec
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

import pipelines.registry_format
from pipelines import wire
from pipelines.errors import Reason, SettingsError, WireError
from pipelines.registry_format import Encoding, ForecastFormat, Kind, Schema, TickFormat, load_schemas
from pipelines.registry_format.envelope import put_indexes, take_indexes
from pipelines.registry_format.protobuf import ProtobufCodec, _file
from tests.pipelines.test_wire import FORECAST, TICK

FOLDER = Path(pipelines.registry_format.__file__).parent / "schemas"
SCHEMAS = {
    1: Schema(Encoding.AVRO, Kind.TICK),
    2: Schema(Encoding.PROTOBUF, Kind.TICK),
    3: Schema(Encoding.AVRO, Kind.FORECAST),
    2**32 - 1: Schema(Encoding.PROTOBUF, Kind.FORECAST),
}
TICKS, FORECASTS = TickFormat(SCHEMAS), ForecastFormat(SCHEMAS)
IDS = {Kind.TICK: (1, 2), Kind.FORECAST: (3, 2**32 - 1)}
NULL = msgspec.structs.replace(TICK, value=None, exog={})
IMPUTED = msgspec.structs.replace(FORECAST, z=None, level=[], lo=[], hi=[], imputed=3)


@pytest.mark.parametrize("number", IDS[Kind.TICK])
@pytest.mark.parametrize("tick", [TICK, NULL])
def test_ticks_go_through_and_begin_as_the_format_says(number, tick):
    data = TICKS.encode(tick, number)
    assert data[:5] == b"\0" + struct.pack(">I", number)
    assert TICKS.decode(data) == tick


@pytest.mark.parametrize("number", IDS[Kind.FORECAST])
@pytest.mark.parametrize("forecast", [FORECAST, IMPUTED])
def test_forecasts_go_through(number, forecast):
    assert FORECASTS.decode(FORECASTS.encode(forecast, number)) == forecast


def test_json_is_read_as_ever():
    assert TICKS.decode(wire.encode_tick(TICK)) == TICK
    for data in (None, b"", b"{"):
        with pytest.raises(WireError):
            TICKS.decode(data)


def test_the_first_message_of_a_file_is_one_byte_and_others_are_paths():
    assert put_indexes((0,)) == b"\0"
    assert TICKS.encode(TICK, 2)[5] == 0
    assert take_indexes(b"\x02\x02rest") == ((1,), b"rest")  # zigzag: one index, which is 1
    for path in ((1,), (0, 2), (3, 0, 200)):
        assert take_indexes(put_indexes(path) + b"x") == (path, b"x")
    longer = b"\0\0\0\0\2\x02\0" + TICKS.encode(TICK, 2)[6:]  # (0,) written out
    assert TICKS.decode(longer) == TICK


def reason(data, formats=TICKS):
    with pytest.raises(WireError) as caught:
        formats.decode(data)
    return caught.value.reason


def test_refusals_have_reasons():
    assert reason(b"\0\0\0\0") is Reason.MALFORMED
    assert reason(b"\0\0\0\0\x09abc") is Reason.UNKNOWN_VERSION  # nobody said what 9 is
    assert reason(b"\0\0\0\0\x03abc") is Reason.UNKNOWN_VERSION  # 3 is no tick
    assert reason(b"\0\0\0\0\x01" + bytes(wire.tick.MAX_TICK_BYTES)) is Reason.TOO_LARGE
    assert reason(TICKS.encode(TICK, 1)[:-3]) is Reason.MALFORMED
    assert reason(TICKS.encode(TICK, 1) + b"\0") is Reason.MALFORMED
    assert reason(TICKS.encode(TICK, 2)[:-3]) is Reason.MALFORMED
    assert reason(b"\0\0\0\0\2\x02\x02") is Reason.WRONG_TYPE  # the second message of the file
    assert reason(b"\0\0\0\0\2\x80") is Reason.MALFORMED
    assert reason(b"\0\0\0\0\2\x40") is Reason.MALFORMED  # 32 indexes


def protobuf_tick(**fields):
    codec = ProtobufCodec(Kind.TICK)
    return b"\0\0\0\0\2\0" + codec.encode({"series_id": "a", "ts_ms": 1, "exog": {}, "v": 1} | fields)


def test_what_json_refuses_is_refused():
    nan = float("nan")
    assert TICKS.decode(protobuf_tick(value=1.0)).value == 1.0
    assert reason(protobuf_tick(value=nan)) is Reason.NOT_FINITE
    assert reason(protobuf_tick(exog={"x": nan})) is Reason.NOT_FINITE
    assert reason(protobuf_tick(series_id="")) is Reason.OUT_OF_RANGE
    assert reason(protobuf_tick(ts_ms=2**62)) is Reason.OUT_OF_RANGE
    assert reason(protobuf_tick(v=2)) is Reason.UNKNOWN_VERSION
    assert reason(protobuf_tick(ts_ms=None)) is Reason.MISSING_FIELD
    assert reason(protobuf_tick() + b"\x98\x06\x01") is Reason.UNKNOWN_FIELD  # number 99
    with pytest.raises(WireError, match="finite"):
        TICKS.encode(msgspec.structs.replace(TICK, value=nan), 1)
    with pytest.raises(SettingsError, match="id 3 is not that of a tick"):
        TICKS.encode(TICK, 3)


def test_a_schema_of_others_resolves_to_ours(tmp_path):
    theirs = {
        "type": "record", "name": "Tick", "namespace": "forecast.v1",
        "fields": [
            {"name": "ts_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "shop_floor", "type": "int"},
            {"name": "value", "type": "float"},
            {"name": "series_id", "type": "string"},
        ],
    }  # fmt: skip
    (tmp_path / "theirs.avsc").write_text(json.dumps(theirs))
    (tmp_path / "schemas.toml").write_text('[7]\nencoding = "avro"\nkind = "tick"\nfile = "theirs.avsc"\n')
    formats = TickFormat(load_schemas(tmp_path / "schemas.toml"))
    out = BytesIO()
    theirs["fields"][0]["type"] = "long"
    fastavro.schemaless_writer(out, theirs, {"ts_ms": 5, "shop_floor": 2, "value": 0.5, "series_id": "a"})
    assert formats.decode(b"\0\0\0\0\7" + out.getvalue()) == wire.Tick(series_id="a", ts_ms=5, value=0.5, v=1)
    with pytest.raises(SettingsError, match="cannot hold"):
        formats.encode(wire.Tick(series_id="a", ts_ms=5, value=None, v=1), 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x]", "'x' is no schema id"),
        ('[1]\nencoding = "xml"\nkind = "tick"', r"\[1\] encoding must be one of avro, protobuf, got 'xml'"),
        ('[1]\nencoding = "avro"', r"\[1\] kind must be"),
        ('[1]\nencodin = "avro"', "unknown key 'encodin'.*encoding"),
        ("1 = 2", r"\[1\] must be a table"),
        ('[1]\nencoding = "protobuf"\nkind = "tick"\nfile = "x"', "leave out file"),
        ("[", "cannot be read"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path, text, said):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_schemas(tmp_path / "s.toml")


def test_a_file_that_is_no_schema_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no\.avsc holds no Avro schema"):
        TickFormat({1: Schema(Encoding.AVRO, Kind.TICK, tmp_path / "no.avsc")})


@given(st.sampled_from([*SCHEMAS]), st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error_of_ours(number, payload):
    for formats in (TICKS, FORECASTS):
        try:
            formats.decode(b"\0" + struct.pack(">I", number) + payload)
        except WireError:
            continue


@given(st.data(), st.sampled_from([*SCHEMAS]))
def test_bytes_changed_are_a_message_or_an_error_of_ours(data, number):
    tick = number in IDS[Kind.TICK]
    formats, message = (TICKS, TICK) if tick else (FORECASTS, FORECAST)
    whole = bytearray(formats.encode(message, number))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(5, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        formats.decode(bytes(whole))
    except WireError:
        return


@pytest.mark.parametrize("kind", list(Kind))
def test_the_proto_file_and_the_description_are_the_same(kind):
    """Read the file by its lines; it is plain enough for that."""
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {field.TYPE_STRING: "string", field.TYPE_INT32: "int32", field.TYPE_INT64: "int64",
             field.TYPE_DOUBLE: "double"}  # fmt: skip
    said = set()
    path = []
    for line in (FOLDER / f"{kind.value}.proto").read_text().splitlines():
        if found := re.match(r"\s*message (\w+) \{", line):
            path.append(found[1])
        elif re.match(r"\s*\}", line):
            path.pop()
        elif found := re.match(r"\s*(optional|repeated) (\w+) (\w+) = (\d+);", line):
            said.add((".".join(path), *found.groups()))
        elif found := re.match(r"\s*map<string, double> (\w+) = (\d+);", line):
            said.add((".".join(path), "repeated", "ExogEntry", *found.groups()))
    described = set()
    message = _file(kind).message_type[0]
    for where, one in [
        (message.name, message),
        *((f"{message.name}.{n.name}", n) for n in message.nested_type),
    ]:
        for f in [] if one.options.map_entry else one.field:
            label = "repeated" if f.label == field.LABEL_REPEATED else "optional"
            described.add(
                (where, label, kinds.get(f.type, f.type_name.rpartition(".")[2]), f.name, str(f.number))
            )
    assert said == described
