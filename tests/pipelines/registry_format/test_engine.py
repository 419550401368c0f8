"""Ticks of every format make the same forecasts, byte for byte."""

import pytest

import forecast as fc
from pipelines import wire
from pipelines.log.records import Partition, make_batch
from pipelines.registry_format import Encoding, Kind, Schema, TickFormat
from pipelines.stream.engine import Engine
from pipelines.stream.options import StreamOptions
from pipelines.stream.served import serve
from tests.chaos.feeding import Shares, make_model, messages

pytestmark = pytest.mark.slow

FORMATS = TickFormat({1: Schema(Encoding.AVRO, Kind.TICK), 2: Schema(Encoding.PROTOBUF, Kind.TICK)})


def test_avro_and_protobuf_ticks_are_forecast_as_json_ones_are(tmp_path):
    records = fc.load(make_model(tmp_path / "model", 3, 1)).records[0]
    source = messages(3, 1, Shares(poison=0.0))
    ticks = [next(source) for _ in range(200)]

    def run(write):
        engine = Engine(serve(records), StreamOptions(horizon=3), read_tick=FORMATS.decode)
        engine.open(0)
        pairs = [(key, write(i, value)) for i, (key, value) in enumerate(ticks)]
        numbers = range(len(pairs))
        output = engine.process(make_batch(Partition("ticks", 0), numbers, numbers, pairs, len(pairs)))
        assert output.counts.dead == 0
        return [bytes(block.data) for block in output.blocks]

    json = run(lambda i, value: value)
    for encoded in (1, 2):
        assert run(lambda i, value, how=encoded: FORMATS.encode(wire.decode_tick(value), how))[0] == json[0]
    mixed = run(lambda i, value: value if i % 3 == 0 else FORMATS.encode(wire.decode_tick(value), i % 3))
    assert mixed[0] == json[0]
