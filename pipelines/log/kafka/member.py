"""A member of a group on Kafka."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.kafka.broker import Broker
from pipelines.log.kafka.client import errors, kafka, structs
from pipelines.log.kafka.columns import read_columns
from pipelines.log.kafka.deliveries import Deliveries
from pipelines.log.kafka.faults import naming_faults
from pipelines.log.kafka.outbox import Send
from pipelines.log.kafka.reading import poll, theirs
from pipelines.log.kafka.rebalance import Change, News, forget_answers, hear_of_losses, is_news, keep_joining
from pipelines.log.kafka.settings import REQUEST_S, joining, producing
from pipelines.log.kafka.transaction import Transactions
from pipelines.log.protocol import Delivery, Listener, Membership
from pipelines.log.records import Batch, Block, Partition

# The brokers look every 10 s for transactions that took too long; a position may be held until then.
_CLEANING_S: Final = 15.0
# A member that sends no heartbeats is joining, or has lost its place: ask which, no more often than this.
_LOOK_S: Final = 1.0
# A position is known here, unless the partition has a new leader that is to be asked first.
_POSITION_MS: Final = 1000


class KafkaMember:
    """`Member` on Kafka: a consumer of a group, static by its instance, and a producer.

    Partitions move cooperatively: those that stay are read on meanwhile.
    """

    def __init__(self, broker: Broker, membership: Membership, send: Send) -> None:
        self._broker = broker
        self._membership = membership
        self._news = News()
        self._listener: Listener | None = None
        self._owned: set[Partition] = set()
        self._fenced: FencedError | None = None
        self._looked_s = time.monotonic()
        with self._naming():
            self._consumer = kafka.KafkaConsumer(**broker.settings, **joining(membership))
        read_columns(self._consumer)
        hear_of_losses(self._consumer)
        self._transactions: Transactions | None = None
        self._deliveries: Deliveries | None = None
        settings = broker.settings | producing(membership)
        if membership.delivery is Delivery.EXACTLY_ONCE:
            limit_s = membership.transaction_timeout_s
            self._transactions = Transactions(broker.address, settings, limit_s, send, self._displaced)
        else:
            self._deliveries = Deliveries(broker, settings, send)

    def join(self, topics: Sequence[str], listener: Listener) -> None:
        self._sound()
        for topic in topics:
            self._broker.count(topic)
        self._listener = listener
        if self._transactions is not None:
            self._transactions.open()
        with self._naming():
            self._consumer.subscribe(list(topics), listener=self._news)
            # Who joins before it knows the topics is given nothing, and has the group rebalance once more.
            firsts = [kafka.TopicPartition(topic, 0) for topic in topics]
            self._consumer.beginning_offsets(firsts, timeout_ms=int(1000 * REQUEST_S))

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        self._sound()
        if self._listener is None:
            raise LogError("not a member yet: call join first")
        if self._transactions is not None and not self._transactions.begun:
            self._transactions.open()  # the last one may have ended without an answer
        ends = time.monotonic() + timeout_s
        while True:
            self._tell(self._listener)
            with self._naming():
                batches = self._polled(ends - time.monotonic(), limit, self._listener)
            if batches or (time.monotonic() >= ends and not self._news.heard):
                self._look()
                return batches

    def seek(self, positions: Mapping[Partition, int]) -> None:
        for partition, offset in positions.items():
            if partition not in self._owned:
                raise LogError(f"{partition.topic}/{partition.number} is not read here")
            self._consumer.seek(kafka.TopicPartition(*partition), offset)

    def pause(self, partitions: Iterable[Partition]) -> None:
        self._consumer.pause(*theirs(self._owned.intersection(partitions)))

    def resume(self, partitions: Iterable[Partition]) -> None:
        self._consumer.resume(*theirs(self._owned.intersection(partitions)))

    def committed(
        self, partitions: Iterable[Partition], within_s: float | None = None
    ) -> dict[Partition, int | None]:
        self._sound()
        if self._transactions is not None and not self._transactions.begun:
            self._transactions.open()
        limit_s = self._membership.transaction_timeout_s + _CLEANING_S if within_s is None else within_s
        ends = time.monotonic() + limit_s
        found: dict[Partition, int | None] = {}
        forget_answers(self._consumer)
        with self._naming():
            for each in partitions:
                # Of several, the last ones are asked for all the same: the brokers may be slow.
                left_ms = int(1000 * max(ends - time.monotonic(), min(limit_s, 1.0)))
                found[each] = self._consumer.committed(kafka.TopicPartition(*each), timeout_ms=left_ms)
        return found

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        with self._naming():
            found = {
                each: self._consumer.position(kafka.TopicPartition(*each), timeout_ms=_POSITION_MS)
                for each in self._owned.intersection(partitions)
            }
        return {each: at for each, at in found.items() if at is not None}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._broker.ends(partitions)

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._broker.begins(partitions)

    def begin(self) -> None:
        self._sound()
        with self._naming():
            self._exactly_once().begin()

    def write(self, block: Block) -> None:
        self._sound()
        if self._deliveries is not None:
            self._deliveries.write(block)
            return
        self._broker.check(block.partition)
        with self._naming():
            self._exactly_once().write(block)

    def pending(self) -> int:
        return self._exactly_once().pending() if self._deliveries is None else self._deliveries.pending()

    def barrier(self) -> None:
        self._sound()
        if self._deliveries is None:
            raise LogError("barrier is for at-least-once; commit says when a transaction lasts")
        self._deliveries.flush()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self._sound()
        if strangers := positions.keys() - self._owned:
            raise LogError(f"positions of partitions that are not read here: {sorted(strangers)}")
        if self._deliveries is None:
            metadata = self._consumer.group_metadata()
            if positions and not metadata.member_id:
                self._exactly_once().abort()
                raise AbortedError(f"no longer in group {self._membership.group!r}: did not poll in time")
            with self._naming():
                self._exactly_once().commit(positions, metadata)
        else:
            self._deliveries.flush()
            self._commit(positions)

    def abort(self) -> None:
        if self._transactions is not None:
            with self._naming():
                self._transactions.abort()

    def close(self) -> None:
        self._news.closing = True
        if self._transactions is not None:
            self._transactions.close()
        if self._deliveries is not None:
            self._deliveries.close()
        with contextlib.suppress(errors.KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=int(1000 * REQUEST_S))

    def _exactly_once(self) -> Transactions:
        if self._transactions is None:
            raise LogError("at-least-once knows no transactions; join with exactly-once")
        return self._transactions

    def _polled(self, timeout_s: float, limit: int, listener: Listener) -> list[Batch]:
        keep_joining(self._consumer)
        try:
            return poll(self._consumer, self._broker, timeout_s, limit, listener.skipped)
        except errors.KafkaError as error:
            if not is_news(error):
                raise
            return []

    def _tell(self, listener: Listener) -> None:
        """Call the listener for what was heard, in the thread that polls."""
        while self._news.heard:
            change, partitions = self._news.heard.popleft()
            if change is Change.ASSIGNED:
                forget_answers(self._consumer)
                self._owned |= partitions
                listener.assigned(partitions)
            elif change is Change.REVOKED:
                try:
                    listener.revoked(partitions)
                finally:
                    self._owned -= partitions
            else:
                self._owned -= partitions
                listener.lost(partitions)

    def _commit(self, positions: Mapping[Partition, int]) -> None:
        offsets = {
            kafka.TopicPartition(*each): structs.OffsetAndMetadata(at, "", -1)
            for each, at in positions.items()
        }
        try:
            with self._naming():
                self._consumer.commit(offsets, timeout_ms=int(1000 * REQUEST_S))
        except LogError as error:
            if isinstance(error.__cause__, (errors.CommitFailedError, errors.RebalanceInProgressError)):
                said = f"group {self._membership.group!r} is rebalancing: poll, and do it again"
                raise LogError(said, retriable=True) from error
            raise

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            with naming_faults(self._broker.address):
                yield
        except FencedError as error:
            self._fenced = error
            raise

    def _sound(self) -> None:
        if self._fenced is not None:
            raise self._fenced

    def _look(self) -> None:
        """Raise if another worker of this name has joined; the client itself only falls silent."""
        coordinator: Any = getattr(self._consumer, "_coordinator", None)
        now_s = time.monotonic()
        if getattr(coordinator, "_heartbeat_enabled", False) or now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        if self._displaced():
            group, instance = self._membership.group, self._membership.instance
            self._fenced = FencedError(
                f"group {group!r}: another worker of the name {instance!r} has taken this one's place; "
                "give each worker a name of its own, or let this one end"
            )
            raise self._fenced

    def _displaced(self) -> bool:
        """Ask the brokers whether this member's place in the group is another's now."""
        mine = self._consumer.group_metadata().member_id
        holder = self._broker.holder(self._membership.group, self._membership.instance)
        return bool(mine) and holder is not None and holder != mine
