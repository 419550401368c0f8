"""Kernels compiled before there is anything to do: a group takes a worker that is silent for dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forecast.models.assemble import take
from pipelines.log.records import Batch, Partition, make_batch
from pipelines.stream.engine import Engine
from pipelines.stream.grid import Grid
from pipelines.stream.served import serve
from pipelines.wire import Tick, encode_tick

if TYPE_CHECKING:
    from pipelines.log.records import Block
    from pipelines.stream.options import StreamOptions
    from pipelines.stream.served import Served

# Kinds of models differ in their kernels; a few records of each fleet have them all, mostly.
_RECORDS: Final = 16


def warm_engine(served: Served, options: StreamOptions) -> None:
    """Send ticks of every kind through an engine that is thrown away.

    Some seconds where the machine code is on disk (`forecast warm`), a minute where it is not.
    """
    rows = np.arange(min(_RECORDS, served.records.n_series))
    few = serve(take(served.records, rows), alias=served.alias, version=served.version)
    engine = Engine(few, options)
    engine.open(0)
    output = engine.process(_ticks(few, options))
    engine.open(1)
    for block in (*engine.state_blocks(0), *output.blocks):
        if block.partition.topic == engine.topics.state:
            engine.restore(1, _read(block))
    engine.swap(serve(few.records, alias=few.alias, version=f"{few.version}-next"))
    for number in (0, 1):
        engine.drop(number)


def _ticks(served: Served, options: StreamOptions) -> Batch:
    """Ticks of known and unknown series: the next, after a gap, twice, late, without a value, broken."""
    records, grid = served.records, Grid.of(served.freq)
    ids = [str(name) for name in records.ids.tolist()]
    pairs: list[tuple[bytes | None, bytes | None]] = [(b"warm", b"{")]
    for ahead in (0, 1, 3, 3, 2, 4):
        times = grid.ts_ms(records.start, records.nobs.astype(np.int64) + ahead).tolist()
        value = None if ahead == 4 else 1.0 + ahead
        pairs += [_tick(served, name, ts_ms, value) for name, ts_ms in zip(ids, times, strict=True)]
    start = records.start[:1]
    for ahead in range(options.warm_up + 2):
        ts_ms = int(grid.ts_ms(start, records.nobs[:1].astype(np.int64) + ahead)[0])
        pairs.append(_tick(served, "warm: not in the model", ts_ms, float(ahead % 3)))
    n = len(pairs)
    return make_batch(Partition("ticks", 0), range(n), [0] * n, pairs, n)


def _tick(served: Served, name: str, ts_ms: int, value: float | None) -> tuple[bytes, bytes]:
    exog = dict.fromkeys(served.exog_names, 0.5)
    return name.encode(), encode_tick(Tick(series_id=name, ts_ms=ts_ms, value=value, exog=exog, v=1))


def _read(block: Block) -> Batch:
    n = len(block.keys)
    pairs = [(block.key(i), block.value(i)) for i in range(n)]
    return make_batch(Partition(block.partition.topic, 1), range(n), [0] * n, pairs, n)
