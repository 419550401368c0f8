"""Where the contract of a log is tested: an embedded one, and those on a real Kafka."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from pipelines.log import open_log
from pipelines.log.embedded import EmbeddedLog
from pipelines.log.kafka.client import kafka, structs
from pipelines.log.protocol import Delivery, Listener, Log, Member, Membership, Reader, Topic
from pipelines.log.records import Batch, Headers, Partition, split

# A first rebalance with a static member that has gone waits for its session, 6 s at least.
PATIENCE_S = 40.0

Record = tuple[int, bytes | None, bytes | None]
"""Offset, key, value."""


class Place(Protocol):
    """One back end, and what a test needs beyond the contract."""

    shares: bool
    """Members of a group work at the same time."""

    def open(self) -> Log: ...
    def wrong(self) -> list[str]:
        """Addresses that lead nowhere."""

    def headers(self, partition: Partition) -> list[Headers]:
        """Read headers by another way than the log."""

    def forget(self, partition: Partition, before: int) -> None:
        """Delete records, as retention does."""


@dataclass
class EmbeddedPlace:
    folder: Path
    shares: bool = False

    def open(self) -> Log:
        return open_log(f"embedded:{self.folder / 'log.db'}")

    def wrong(self) -> list[str]:
        (self.folder / "text.db").write_text("not a log " * 1000)
        return [f"embedded:{self.folder / 'no' / 'log.db'}", f"embedded:{self.folder / 'text.db'}"]

    def headers(self, partition: Partition) -> list[Headers]:
        log = EmbeddedLog(self.folder / "log.db")
        try:
            return log.headers(partition)
        finally:
            log.close()

    def forget(self, partition: Partition, before: int) -> None:
        log = EmbeddedLog(self.folder / "log.db")
        try:
            log.forget(partition, before)
        finally:
            log.close()


@dataclass
class KafkaPlace:
    """A real broker; what checks the log is plain kafka-python, whatever the client under test."""

    bootstrap: str
    client: str
    shares: bool = True

    def open(self) -> Log:
        return open_log(self.bootstrap, client=self.client)

    def wrong(self) -> list[str]:
        return ["127.0.0.1:1", "no-such-host.invalid:9092"]

    def headers(self, partition: Partition) -> list[Headers]:
        consumer = kafka.KafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed")
        try:
            tp = kafka.TopicPartition(*partition)
            consumer.assign([tp])
            consumer.seek_to_beginning(tp)
            end = consumer.end_offsets([tp])[tp]
            found: list[Headers] = []
            while consumer.position(tp) < end:
                found += [_headers(record) for record in consumer.poll(500).get(tp, [])]
            return found
        finally:
            consumer.close()

    def forget(self, partition: Partition, before: int) -> None:
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.delete_records({kafka.TopicPartition(*partition): before})
        finally:
            admin.close()

    @contextlib.contextmanager
    def holding(self, group: str, partition: Partition, position: int) -> Iterator[None]:
        """Hold a position of a group in an open transaction, as a worker does that died in the middle."""
        producer = kafka.KafkaProducer(
            bootstrap_servers=self.bootstrap, transactional_id=f"holder-{uuid.uuid4().hex}"
        )
        try:
            producer.init_transactions()
            producer.begin_transaction()
            at = structs.OffsetAndMetadata(position, "", -1)
            producer.send_offsets_to_transaction({kafka.TopicPartition(*partition): at}, group)
            yield
            producer.abort_transaction()
        finally:
            producer.close()


@dataclass
class Scene:
    """A place with one log open, and everything that a test opens, closed with it."""

    place: Place
    log: Log
    opened: list[Any] = field(default_factory=list)

    def topic(self, partitions: int = 1, compact: bool = False) -> str:
        name = f"t-{uuid.uuid4().hex[:12]}"
        self.log.make_topics([Topic(name, partitions, compact)])
        return name

    def another(self) -> Log:
        """Open the log as another process would."""
        return self._keep(self.place.open())

    def reader(self) -> Reader:
        return self._keep(self.log.reader())

    def writer(self, **options: Any) -> Any:
        return self._keep(self.log.writer(**options))

    def member(self, membership: Membership, log: Log | None = None) -> Member:
        return self._keep((log or self.log).member(membership))

    def worker(self, topics: Iterable[str], membership: Membership | None = None, **changes: Any) -> Worker:
        membership = replace(membership or new_membership(), **changes)
        worker = Worker(self.member(membership), membership)
        worker.member.join(list(topics), worker.listener())
        return worker

    def read(self, *partitions: Partition) -> dict[Partition, list[Record]]:
        """Read everything, until the reader's positions are at the ends."""
        reader = self.log.reader()
        try:
            reader.assign(dict.fromkeys(partitions))
            return drain(reader, partitions)
        finally:
            reader.close()

    def close(self) -> None:
        for each in reversed(self.opened):
            each.close()
        self.log.close()

    def _keep(self, opened: Any) -> Any:
        self.opened.append(opened)
        return opened


@dataclass
class Worker:
    """A member with a diary."""

    member: Member
    membership: Membership
    owned: set[Partition] = field(default_factory=set)
    diary: list[tuple[str, frozenset[Partition]]] = field(default_factory=list)
    seen: dict[Partition, list[Record]] = field(default_factory=dict)
    skipped: list[tuple[Partition, int, int]] = field(default_factory=list)

    def listener(self) -> Listener:
        return Listener(
            lambda new: self._note("assigned", new), lambda old: self._note("revoked", old),
            lambda old: self._note("lost", old), lambda *passed: self.skipped.append(passed),
        )  # fmt: skip

    def turn(self, timeout_s: float = 0.1) -> list[Batch]:
        batches = self.member.poll(timeout_s, 10_000)
        for batch in batches:
            assert batch.partition in self.owned
            self.seen.setdefault(batch.partition, []).extend(rows(batch))
        return batches

    def until_owns(self, count: int) -> None:
        wait_for(lambda: len(self.owned) == count, self.turn)

    def until_saw(self, partition: Partition, count: int) -> None:
        wait_for(lambda: len(self.seen.get(partition, [])) >= count, self.turn)

    def _note(self, what: str, partitions: frozenset[Partition]) -> None:
        self.diary.append((what, partitions))
        self.owned = self.owned | partitions if what == "assigned" else self.owned - partitions


def _headers(record: Any) -> Headers:
    return tuple((name, bytes(value)) for name, value in record.headers)


def new_membership(**changes: Any) -> Membership:
    group = f"g-{uuid.uuid4().hex[:12]}"
    # 6 s is the shortest session that a broker allows.
    return replace(Membership(group, "worker-1", Delivery.EXACTLY_ONCE, session_timeout_s=6.0), **changes)


def numbered(count: int, start: int = 0) -> list[tuple[bytes, bytes]]:
    return [(b"key-%d" % (i % 3), b"value-%d" % i) for i in range(start, start + count)]


def texts(records: Iterable[Record]) -> list[bytes | None]:
    return [value for _, _, value in records]


def rows(batch: Batch) -> list[Record]:
    keys, values = split(batch.data, batch.keys), split(batch.data, batch.values)
    return list(zip(batch.offsets.tolist(), keys, values, strict=True))


def drain(reader: Reader, partitions: Iterable[Partition]) -> dict[Partition, list[Record]]:
    partitions = list(partitions)
    found: dict[Partition, list[Record]] = {each: [] for each in partitions}
    ends = reader.ends(partitions)

    def turn() -> None:
        for batch in reader.poll(0.2, 10_000):
            found[batch.partition] += rows(batch)

    wait_for(lambda: all(reader.positions()[each] >= ends[each] for each in partitions), turn)
    return found


def wait_for(true: Callable[[], bool], turn: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Take turns until it is true."""
    ends = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < ends, "it did not come true in time"
        turn()
