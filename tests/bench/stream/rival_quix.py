"""Quix Streams around the kernels: ``python -m tests.bench.stream.rival_quix``, in the rivals' environment.

At-least-once, state in its own store (RocksDB, with a changelog topic), one message a call: it has no other
way for state. The bank in memory is a cache of that store, so a tick costs one write of state and no read.
"""

from __future__ import annotations

import sys

from quixstreams import Application, message_context

from tests.bench.stream.rival_kernel import OneTick
from tests.bench.stream.rival_options import options


def main():
    args = options(__doc__)
    app = Application(
        broker_address=args.bootstrap, consumer_group=args.group, auto_offset_reset="earliest",
        state_dir=args.folder, loglevel="WARNING",
    )  # fmt: skip
    ticks = app.topic(args.ticks, key_deserializer="bytes", value_deserializer="bytes")
    forecasts = app.topic(args.forecasts, key_serializer="bytes", value_serializer="bytes")
    kernel, known = OneTick(args.model, args.ticks), set()

    def forecast(value, key, timestamp, headers, state):
        name = key.decode()
        if name not in known:
            known.add(name)
            if (kept := state.get_bytes("s")) is not None:
                kernel.restore(name, kept)
        context = message_context()
        message = kernel.forecast(name, value, context.partition, context.offset)
        state.set_bytes("s", kernel.state(name))
        return message

    frame = app.dataframe(ticks)
    frame = frame.apply(forecast, stateful=True, metadata=True).to_topic(forecasts)
    app.run()


if __name__ == "__main__":
    sys.exit(main())
