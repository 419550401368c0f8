"""A member of a group: reads, writes, and commits both at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.confluent.columns import batches
from pipelines.log.confluent.faults import NOT_STARTED, P, T, fault, insist, reason
from pipelines.log.confluent.groups import Groups
from pipelines.log.confluent.reading import complain, consume, place, placed, sort_out
from pipelines.log.confluent.sender import Sender
from pipelines.log.confluent.topics import Topics
from pipelines.log.protocol import Delivery, Listener, Membership
from pipelines.log.records import Batch, Block, Partition
from pipelines.log.retention import tell_skipped

# One attempt; librdkafka gives the thread back after it, and the attempt is made again.
ATTEMPT_S = 10.0
# All attempts: beyond an election of a leader, and of a coordinator after it.
PATIENCE_S = 60.0


class ConfluentMember:
    """`Member` by librdkafka: cooperative rebalance, static membership, one transaction at a time."""

    def __init__(
        self,
        membership: Membership,
        reading: Mapping[str, Any],
        writing: Mapping[str, Any],
        topics: Topics,
        groups: Groups,
    ) -> None:
        self._groups = groups
        self._membership = membership
        self._who = f"{membership.instance} of {membership.group}: "
        self._exactly_once = membership.delivery is Delivery.EXACTLY_ONCE
        self._topics = topics
        self._sender = Sender(writing, PATIENCE_S, topics, self._who)
        self._consumer = Consumer(dict(reading))
        self._listener: Listener | None = None
        self._owned: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._sought: dict[Partition, int] = {}
        self._raised: Exception | None = None
        self._fenced: FencedError | None = None
        self._ready = not self._exactly_once
        self._open = False
        self._begun_s = 0.0

    def join(self, topics: Sequence[str], listener: Listener) -> None:
        """Become a member; partitions come with `poll`."""
        for topic in topics:
            self._topics.count(topic)
        self._take_over()
        self._listener = listener
        self._consumer.subscribe(
            list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(self, timeout_s: float, limit: int) -> list[Batch]:
        """Return what is there, `limit` records at most, or nothing after `timeout_s`."""
        if self._fenced is not None:
            raise self._fenced
        messages, events = sort_out(consume(self._consumer, timeout_s, limit))
        read = [batch for batch in batches(messages) if batch.partition in self._owned] if messages else []
        raised, self._raised = self._raised, None
        if raised is not None or events.error is not None:
            self.seek({batch.partition: int(batch.offsets[0]) for batch in read})
            if raised is not None:
                raise raised
            complain(events.error)
        if astray := [each for each in events.astray if self._is_astray(each)]:
            skipped = tell_skipped if self._listener is None else self._listener.skipped
            self._place(placed(self._topics, astray, skipped))
        return self._past_markers(read) if read else read

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read on from these offsets."""
        if strange := positions.keys() - self._owned:
            names = ", ".join(f"{topic}-{number}" for topic, number in sorted(strange))
            raise LogError(f"{self._who}no seek in {names}: not a partition of this member")
        for at, offset in positions.items():
            self._sought[at] = offset
            try:
                self._consumer.seek(TopicPartition(*at, offset))
            except KafkaException as error:
                cause = reason(error)
                if cause.code() != NOT_STARTED:
                    raise fault(f"{self._who}seeking in {at.topic}-{at.number}", cause) from error
                self._place({at: offset})  # came a moment ago, or has no position: nothing to move yet

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Stop reading these, until `resume`."""
        here = self._here(partitions)
        self._paused.update(here)
        self._consumer.pause(_theirs(here))

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Read these again."""
        here = self._here(partitions)
        self._paused.difference_update(here)
        self._consumer.resume(_theirs(here))

    def committed(
        self, partitions: Iterable[Partition], within_s: float | None = None
    ) -> dict[Partition, int | None]:
        """Return the committed positions, once no open transaction holds one of them."""
        asked = _theirs(partitions)
        if not asked:
            return {}
        limit_s = PATIENCE_S if within_s is None else within_s
        doing, ask = f"{self._who}asking for positions", self._consumer.committed
        found = insist(doing, limit_s, ask, asked, min(limit_s, ATTEMPT_S))
        for at in found:
            if at.error is not None:
                raise fault(f"{self._who}position of {at.topic}-{at.partition}", at.error)
        return {Partition(at.topic, at.partition): at.offset if at.offset >= 0 else None for at in found}

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return where each partition is read on; nothing of one that was sought and not read since."""
        told = self._consumer.position(_theirs(self._here(partitions)))
        return {Partition(at.topic, at.partition): at.offset for at in told if at.offset >= 0}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offsets that the next records will have."""
        return self._topics.ends(partitions)

    def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offsets that are still kept."""
        return self._topics.begins(partitions)

    def begin(self) -> None:
        """Start a transaction (exactly-once)."""
        if not self._exactly_once:
            raise LogError(f"{self._who}no transactions but with exactly-once")
        if self._open:
            raise LogError(f"{self._who}a transaction is open already")
        self._take_over()
        self._insist("beginning a transaction", self._sender.producer.begin_transaction)
        self._open, self._begun_s = True, time.monotonic()

    def write(self, block: Block) -> None:
        """Append records; they are on their way when this returns."""
        self._need_open()
        self._or_abort(lambda: self._sender.send(block))

    def pending(self) -> int:
        """Return how many bytes written are not acknowledged yet."""
        pending = 0

        def ask() -> None:
            nonlocal pending
            pending = self._sender.pending()

        self._or_abort(ask)
        return pending

    def barrier(self) -> None:
        """Wait until what was written is acknowledged (at-least-once)."""
        if self._exactly_once:
            raise LogError(f"{self._who}no barriers but with at-least-once: `commit` is one")
        self._sender.flush()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Make what was written, and these positions, last."""
        self._need_open()
        held = [TopicPartition(*at, offset) for at, offset in positions.items()]
        if self._exactly_once:
            self._or_abort(lambda: self._commit_transaction(held))
            return
        self._sender.flush()
        if held:
            self._insist("committing", self._consumer.commit, offsets=held, asynchronous=False)

    def abort(self) -> None:
        """Forget what was written since `begin`."""
        try:
            if self._open:
                self._insist("aborting", self._sender.producer.abort_transaction, ATTEMPT_S)
        except FencedError as error:
            self._judge(error)  # the coordinator has aborted it, which is what was wanted
        self._open = False
        self._sender.forget()

    def close(self) -> None:
        """Leave; an open transaction is aborted."""
        self._listener = None
        try:
            self.abort()
        except FencedError:
            self._open = False  # whoever fenced this one has aborted it
        finally:
            self._consumer.close()
            self._owned.clear()

    def _take_over(self) -> None:
        """Fence a worker of this name that was here before."""
        if not self._ready:
            self._insist("taking over", self._sender.producer.init_transactions, ATTEMPT_S)
            self._ready = True

    def _need_open(self) -> None:
        if self._exactly_once and not self._open:
            raise LogError(f"{self._who}no transaction is open: begin one first")

    def _commit_transaction(self, held: list[TopicPartition]) -> None:
        producer = self._sender.producer
        if held:
            group = self._consumer.consumer_group_metadata()
            send = producer.send_offsets_to_transaction
            self._insist("adding positions to the transaction", send, held, group, ATTEMPT_S)
        self._insist("committing", producer.commit_transaction, ATTEMPT_S)
        self._open = False
        self._sender.forget()

    def _or_abort(self, call: Callable[[], None]) -> None:
        """Give the transaction up where librdkafka asks for it, or the coordinator has done so."""
        try:
            call()
        except AbortedError:
            self.abort()
            raise
        except FencedError as error:
            raise self._judge(error) from error

    def _judge(self, error: FencedError) -> AbortedError:
        """Begin with another producer after a transaction that took too long; else raise.

        The coordinator fences who exceeds the timeout as it does one whose name another has taken.
        """
        timeout_s = self._membership.transaction_timeout_s
        in_time = not self._open or time.monotonic() - self._begun_s < timeout_s
        if in_time or self._groups.displaced(self._membership, self._consumer.memberid()):
            self._fenced = error  # the consumer would hear of it later, or never
            raise error
        self._sender.renew()
        self._open = self._ready = False
        return AbortedError(f"{self._who}a transaction took longer than {timeout_s:g} s; it was aborted")

    def _insist(self, doing: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return insist(self._who + doing, PATIENCE_S, call, *args, **kwargs)

    def _place(self, positions: Mapping[Partition, int]) -> None:
        """Begin to read partitions anew, from these offsets; those paused stay so."""
        here = [TopicPartition(*at, offset) for at, offset in positions.items()]
        self._sought |= positions
        self._consumer.incremental_unassign(here)
        self._consumer.incremental_assign(here)
        self._consumer.pause(_theirs(at for at in positions if at in self._paused))

    def _is_astray(self, event: Message) -> bool:
        """Whether the position that is not there is one of now; those before a seek are told of too."""
        at, offset = place(event), event.offset()
        if at not in self._owned:
            return False
        return at not in self._sought or (offset is not None and offset >= self._sought[at])

    def _here(self, partitions: Iterable[Partition]) -> list[Partition]:
        return [at for at in partitions if at in self._owned]

    def _past_markers(self, read: list[Batch]) -> list[Batch]:
        """Give batches the positions of librdkafka, which has seen the markers; messages do not tell."""
        told = self._consumer.position(_theirs(batch.partition for batch in read))
        return [
            batch if at.offset <= batch.position else batch._replace(position=at.offset)
            for batch, at in zip(read, told, strict=True)
        ]

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        new = _partitions(given)
        consumer.incremental_assign(given)
        self._owned |= new
        self._tell("assigned", new)

    def _revoked(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        gone = _partitions(taken)
        self._tell("revoked", gone)
        self._forget(gone)
        consumer.incremental_unassign(taken)

    def _lost(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        gone = _partitions(taken)
        self._forget(gone)
        self._tell("lost", gone)
        consumer.incremental_unassign(taken)

    def _forget(self, gone: frozenset[Partition]) -> None:
        self._owned -= gone
        self._paused -= gone
        for at in gone:
            self._sought.pop(at, None)

    def _tell(self, what: str, partitions: frozenset[Partition]) -> None:
        """Call the listener; what it raises comes out of `poll`, where no record can be lost by it."""
        if self._listener is None or not partitions:
            return
        try:
            getattr(self._listener, what)(partitions)
        except Exception as error:
            self._raised = self._raised or error


def _theirs(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*at) for at in partitions]


def _partitions(given: Iterable[TopicPartition]) -> frozenset[Partition]:
    return frozenset(Partition(at.topic, at.partition) for at in given)
