"""The transactions of one member: one producer, made anew when a transaction's fate is not known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.errors import AbortedError, FencedError, LogError
from pipelines.log.kafka.client import errors, kafka, structs
from pipelines.log.kafka.faults import is_fencing, is_lasting, named
from pipelines.log.kafka.outbox import Outbox, Send
from pipelines.log.kafka.producer import CLOSES_WITHIN_S, close_producer, open_producer, within
from pipelines.log.records import Block, Partition


class Transactions:
    """Transactions under one name; opening the first fences those who used the name before.

    Parameters
    ----------
    timeout_s
        What a transaction may take; the brokers abort it then.
    displaced
        Tells whether another worker of this name is in the group now.
    """

    def __init__(
        self, log: str, settings: dict[str, Any], timeout_s: float, send: Send, displaced: Callable[[], bool]
    ) -> None:
        self._log = log
        self._settings = settings
        self._timeout_s = timeout_s
        self._displaced = displaced
        self._outbox = Outbox(send)
        self._producer: Any = None
        self._begun_s: float | None = None

    @property
    def begun(self) -> bool:
        return self._begun_s is not None

    def open(self) -> None:
        """Have a producer whose earlier transactions are all decided.

        Raises
        ------
        LogError
            The brokers do not answer in time, or do not allow it.
        """
        if self._producer is not None:
            return
        try:
            producer = open_producer(self._settings)
        except (errors.KafkaError, OSError) as error:
            raise named(error, self._log) from error
        try:
            producer.init_transactions()
        except errors.KafkaError as error:
            close_producer(producer, 0)
            raise named(error, self._log) from error
        self._producer = producer

    def begin(self) -> None:
        if self.begun:
            raise LogError("a transaction is open already: commit or abort it first")
        self.open()
        self._outbox.forget()
        self._begun_s = time.monotonic()
        try:
            self._producer.begin_transaction()
        except errors.KafkaError as error:
            raise self._give_up(error) from error

    def write(self, block: Block) -> None:
        if not self.begun:
            raise LogError("no transaction is open: call begin before write")
        try:
            self._outbox.write(self._producer, block)
        except errors.KafkaError as error:
            raise self._give_up(error) from error

    def pending(self) -> int:
        return self._outbox.pending() if self.begun else 0

    def commit(self, positions: Mapping[Partition, int], metadata: Any) -> None:  # noqa: ANN401
        """Make what was written and these positions of a group last.

        Raises
        ------
        AbortedError
            Nothing of it lasts, or nobody knows: the committed positions tell.
        FencedError
            Another worker has taken this one's place.
        LogError
            The brokers refuse what was written, and would again.
        """
        if not self.begun:
            raise LogError("no transaction is open: call begin before commit")
        offsets = {
            kafka.TopicPartition(*each): structs.OffsetAndMetadata(at, "", -1)
            for each, at in positions.items()
        }

        def finish() -> None:
            if offsets:
                self._producer.send_offsets_to_transaction(offsets, metadata)
            self._producer.commit_transaction()

        try:
            self._outbox.wait(self._left_s())
            within(self._left_s(), "commit", finish)
        except errors.KafkaError as error:
            raise self._give_up(error) from error
        self._end()

    def abort(self) -> None:
        """Forget the open transaction, if there is one."""
        if self.begun:
            self._end()
            if not self._aborted():
                self._drop()

    def close(self) -> None:
        if self.begun:
            self._end()
            self._aborted()
        self._drop()

    def _left_s(self) -> float:
        began = time.monotonic() if self._begun_s is None else self._begun_s
        return max(began + self._timeout_s - time.monotonic(), 1.0)

    def _end(self) -> None:
        self._begun_s = None
        self._outbox.forget()

    def _give_up(self, error: BaseException) -> LogError:
        """Leave a transaction that failed; return what is to be raised.

        The producer goes with it: after a batch that failed its sequence numbers have a hole, and the next
        one aborts what is still open.
        """
        took_s = time.monotonic() - (self._begun_s or 0.0)
        fencing = is_fencing(error) or is_fencing(self._outbox.error)
        self._end()
        self._drop()
        # The brokers fence who exceeds the timeout in the same words.
        if fencing and (took_s < self._timeout_s or self._displaced()):
            name = self._settings["transactional_id"]
            return FencedError(f"another worker has taken the place of {name!r}; this one must end")
        if is_lasting(error):
            return named(error, self._log)
        if fencing:
            return AbortedError(f"a transaction took longer than {self._timeout_s:g} s; it was aborted")
        return AbortedError(f"a transaction was aborted: {named(error, self._log)}")

    def _aborted(self) -> bool:
        try:
            within(CLOSES_WITHIN_S, "abort", self._producer.abort_transaction)
        except errors.KafkaError:
            return False
        return True

    def _drop(self) -> None:
        if self._producer is not None:
            close_producer(self._producer, 0)
            self._producer = None
