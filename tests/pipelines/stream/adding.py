"""An engine that adds up: as exact as the real one has to be, in a hundredth of its code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

from pipelines.errors import StreamError, WireError
from pipelines.log.protocol import Log
from pipelines.log.records import Batch, Block, Partition, make_block
from pipelines.stream.counts import Counts
from pipelines.stream.topics import Topics
from pipelines.wire import Tick, decode_tick, encode_tick

TOPICS = Topics("ticks", "forecasts", "state", "late", "dead")


def served(version: str = "v1", row_version: int = 1) -> SimpleNamespace:
    return SimpleNamespace(name="sales", version=version, row_version=row_version)


@dataclass
class AddingEngine:
    """A series' state is the sum of its values and the offset of the last; its forecast is the sum."""

    served: SimpleNamespace = field(default_factory=served)
    states: dict[int, dict[bytes, tuple[int, int]]] = field(default_factory=dict)

    @property
    def partitions(self) -> frozenset[int]:
        return frozenset(self.states)

    def open(self, number: int) -> None:
        assert number not in self.states
        self.states[number] = {}

    def drop(self, number: int) -> None:
        del self.states[number]

    def restore(self, number: int, batch: Batch) -> None:
        assert batch.partition == Partition(TOPICS.state, number)
        for i in range(len(batch.offsets)):
            total, source = (batch.value(i) or b"").split()
            self.states[number][batch.key(i) or b""] = int(total), int(source)

    def process(self, batch: Batch) -> SimpleNamespace:
        number, state = batch.partition.number, self.states[batch.partition.number]
        out, dead, changed, replayed = [], [], {}, 0
        for i, offset in enumerate(batch.offsets.tolist()):
            try:
                tick = decode_tick(batch.value(i))
            except WireError as error:
                dead.append((batch.key(i), batch.value(i), (("error", error.reason.value.encode()),)))
                continue
            key = tick.series_id.encode()
            total, source = state.get(key, (0, -1))
            if offset <= source:
                replayed += 1
                continue
            state[key] = changed[key] = total + int(tick.value or 0), offset
            out.append((key, f"{state[key][0]} {number} {offset} {self.served.version}".encode()))
        blocks = [block(TOPICS.forecasts, number, out), block(TOPICS.state, number, pairs(changed))]
        if dead:
            letters = make_block(
                Partition(TOPICS.dead, number), [(k, v) for k, v, _ in dead], [h for *_, h in dead]
            )
            blocks.append(letters)
        counts = Counts(
            ticks=len(batch.offsets), forecasts=len(out), dead=len(dead), replayed=replayed
        )  # fmt: skip
        return SimpleNamespace(blocks=[b for b in blocks if len(b.keys)], counts=counts)

    def swap(self, new: SimpleNamespace) -> None:
        if new.version == "bad":
            raise StreamError("it is bad")
        self.served = new

    def state_blocks(self, number: int) -> Iterator[Block]:
        yield block(TOPICS.state, number, pairs(self.states[number]))

    def n_series(self, number: int) -> int:
        return len(self.states[number])


def pairs(state: dict[bytes, tuple[int, int]]) -> list[tuple[bytes, bytes]]:
    return [(key, b"%d %d" % found) for key, found in state.items()]


def block(topic: str, number: int, records: list[tuple[bytes, bytes]]) -> Block:
    return make_block(Partition(topic, number), records)


def tick(series: str, value: int | None, ts_ms: int = 0) -> tuple[bytes, bytes]:
    return series.encode(), encode_tick(Tick(series_id=series, ts_ms=ts_ms, value=value, v=1))


def produce(log: Log, number: int, records: list[tuple[bytes | None, bytes | None]]) -> None:
    writer = log.writer()
    writer.write(make_block(Partition(TOPICS.ticks, number), records))
    writer.flush()
    writer.close()


def read(log: Log, topic: str) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    """Read every committed record of a topic, by partition."""
    places = [Partition(topic, number) for number in range(log.partitions(topic))]
    found: dict[int, list[tuple[bytes | None, bytes | None]]] = {at.number: [] for at in places}
    reader = log.reader()
    try:
        reader.assign(dict.fromkeys(places))
        ends = reader.ends(places)
        while any(reader.positions()[at] < ends[at] for at in places):
            for batch in reader.poll(0.2, 10_000):
                found[batch.partition.number] += [
                    (batch.key(i), batch.value(i)) for i in range(len(batch.offsets))
                ]
    finally:
        reader.close()
    return found
