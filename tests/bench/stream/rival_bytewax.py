"""Bytewax around the kernels: ``python -m tests.bench.stream.rival_bytewax``, in the rivals' environment.

At-least-once, state in its own recovery store (SQLite, at the end of each epoch), by key. With ``--batch``
the engine of this repository takes whole batches as they come, and its state is kept nowhere: what the
framework itself costs at least, and not a service that survives a crash.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from tests.bench.stream.rival_kernel import OneTick
from tests.bench.stream.rival_options import options


def by_key(args):
    """A step that hands ticks to a logic of each key."""
    kernel = OneTick(args.model, args.ticks)

    class Series(StatefulBatchLogic):
        def __init__(self, state):
            self.name = None
            self.kept = state

        def on_batch(self, values):
            out = []
            for name, tick in values:
                if self.name is None:
                    self.name = name
                    if self.kept is not None:
                        kernel.restore(name, self.kept)
                message = kernel.forecast(name, tick.value, tick.partition, tick.offset)
                out.append(KafkaSinkMessage(tick.key, message))
            return out, StatefulBatchLogic.RETAIN

        def snapshot(self):
            return kernel.state(self.name)

    def keyed(tick):
        name = tick.key.decode()
        return name, (name, tick)

    def step(stream):
        stream = op.map("key", stream, keyed)
        return op.key_rm("unkey", op.stateful_batch("forecast", stream, Series))

    return step


def by_batch(args):
    """A step that hands batches to the engine."""
    from pipelines.log.records import Partition, make_batch
    from pipelines.stream.engine import Engine
    from pipelines.stream.loading import load_folder
    from pipelines.stream.options import StreamOptions
    from pipelines.stream.topics import topics_for
    from tests.bench.stream.fleet import HORIZON, LEVEL

    topics = topics_for(args.ticks, args.forecasts)
    engine = Engine(load_folder(args.model), StreamOptions(horizon=HORIZON, levels=(float(LEVEL),)), topics)

    def forecast(ticks):
        out = []
        for number in {tick.partition for tick in ticks}:
            if number not in engine.partitions:
                engine.open(number)
            some = [tick for tick in ticks if tick.partition == number]
            batch = make_batch(
                Partition(args.ticks, number), [tick.offset for tick in some],
                [tick.timestamp[1] for tick in some], [(tick.key, tick.value) for tick in some],
                some[-1].offset + 1,
            )  # fmt: skip
            for block in engine.process(batch).blocks:
                if block.partition.topic == args.forecasts:
                    out += [KafkaSinkMessage(block.key(i), block.value(i)) for i in range(len(block.keys))]
        return out

    return lambda stream: op.flat_map_batch("forecast", stream, forecast)


def main():
    args = options(__doc__)
    flow = Dataflow("forecast")
    brokers = args.bootstrap.split(",")
    step = by_batch(args) if args.batch else by_key(args)
    stream = step(op.input("ticks", flow, KafkaSource(brokers, [args.ticks], batch_size=5000)))
    op.output("forecasts", stream, KafkaSink(brokers, args.forecasts))
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    init_db_dir(folder, 1)
    cli_main(flow, recovery_config=RecoveryConfig(folder))


if __name__ == "__main__":
    sys.exit(main())
