"""The loop of a monitor: forecasts and ticks in, drift events and scores out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipelines.errors import (
    ConflictError,
    FencedError,
    HistoryError,
    LogError,
    PipelineError,
    StoreError,
    StreamError,
)
from pipelines.log.protocol import Listener
from pipelines.log.records import Batch, Partition
from pipelines.logs import log
from pipelines.monitor.post import Post
from pipelines.monitor.reporting import lag_of, measure, measure_lag, measure_turn
from pipelines.monitor.settling import settle
from pipelines.monitor.versions import UnknownVersionError
from pipelines.monitor.waits import Waits
from pipelines.stream.patience import Patience

if TYPE_CHECKING:
    from pipelines.log.protocol import Member, Reader
    from pipelines.monitor.health import MonitorHealth
    from pipelines.monitor.ledger import Ledger
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.posting import Posting
    from pipelines.monitor.reading import TickReading
    from pipelines.monitor.scorer import Scorer
    from pipelines.stream.stopping import Stop

# Writing a snapshot takes no more than this share of the time, however large it is.
_SHARE: Final = 0.1

_LAG_EVERY_S: Final = 5.0


@dataclass(slots=True)
class Monitor:
    """Owns the loop; every collaborator is handed in.

    What is in memory is never ahead of what was read, so that a fault of the log voids nothing: it is read on
    from where each partition stands. A fault of the store stops the reading until what was found is written.
    """

    member: Member
    reader: Reader
    ticks: TickReading
    ledger: Ledger
    posting: Posting
    scorer: Scorer
    options: MonitorOptions
    totals: Totals
    health: MonitorHealth
    stop: Stop
    until: Mapping[int, tuple[int, int]] | None = None
    """Ends of forecasts and ticks by partition: the monitor leaves once they are done. None: it stays."""
    clock: Callable[[], float] = time.monotonic
    posts: dict[int, Post] = field(default_factory=dict)
    _restoring: set[int] = field(default_factory=set)
    _met: LogError | None = None
    """What a callback met, which must not raise through the client."""
    _store: Waits = field(default_factory=Waits)
    _unknown: Waits = field(default_factory=Waits)
    _stopped: bool = False
    """Whether reading waits for the store."""
    _faults: Patience = field(init=False)
    _next_commit: float = 0.0
    _next_lag: float = 0.0
    _idle: bool = False
    """Whether the last polls brought nothing."""
    _done: bool = False

    def __post_init__(self) -> None:
        self._faults = Patience(self.options.patience_s)

    def run(self) -> None:
        """Work until `stop` is asked or `until` is reached; commit and leave.

        Raises
        ------
        FencedError
            Another monitor has this one's name.
        PipelineError
            The monitor cannot go on; `retriable` says whether a new one could.
        """
        self.member.join(
            [self.options.forecasts], Listener(self._assigned, self._revoked, self._lose, self._skip)
        )
        log.info("monitor joined")
        while not self.stop.asked and not self._done:
            self.turn()
        self._leave()

    def turn(self) -> None:
        """Do a bit of everything that is to be done; faults of the log are met here."""
        try:
            self._attempt()
            self._faults.over()
        except FencedError:
            raise
        except LogError as error:
            self._recover(error)
        waiting = len(self.posts) if self._stopped else len(self.health.waits)
        measure_turn(self.posts, self.totals, waiting)
        lag = lag_of(self.options.forecasts, self.totals)
        self.health.turned({n: post.position for n, post in self.posts.items()}, self._restoring, lag)

    def _attempt(self) -> None:
        try:
            self._turn()
        except (UnknownVersionError, StoreError) as error:
            if not error.retriable:
                raise
            self._store_down(error)

    def _turn(self) -> None:
        batches = self.member.poll(self._wait_s(), self.options.batch_limit)
        met, self._met = self._met, None
        if met is not None:
            raise met
        for batch in batches:
            post = self.posts.get(batch.partition.number)
            if post is not None and post.waiting is None and not self._stopped:
                self._take(post, batch)
        ticks = self._read_ticks()
        self._idle = not batches and not ticks
        self._retry()
        self._restore()
        settle(self.posts, self.options, self.totals, self.clock())
        self._commit_due()
        for post in self.posts.values():
            self.ledger.tell(post)
        self._keep_house()

    def _wait_s(self) -> float:
        if not self._idle or self._restoring:
            return 0.0 if not self._store.failures else 0.05
        return self.options.idle_wait_s

    def _take(self, post: Post, batch: Batch) -> None:
        """Take forecasts; those of a version that cannot be read wait, and their partition with them."""
        try:
            post.take(batch, self.clock())
        except (UnknownVersionError, StoreError) as error:
            if not error.retriable:
                raise
            post.waiting = batch
            self.member.pause([Partition(self.options.forecasts, post.number)])
            self._wait(error, post)
            return
        self._unknown.over()

    def _wait(self, error: PipelineError, post: Post) -> None:
        wait_s = self._unknown.met(now_s := self.clock())
        self.health.waits[post.number] = str(error)
        self._give_up(self._unknown, error, now_s)
        log.warning("partition %d waits: %s; again in %.1f s", post.number, error, wait_s)

    def _retry(self) -> None:
        """Try forecasts that wait."""
        waiting = [post for post in self.posts.values() if post.waiting is not None]
        if not waiting or self._stopped or self.clock() < self._unknown.until_s:
            return
        for post in waiting:
            batch, post.waiting = post.waiting, None
            if batch is not None:
                self._take(post, batch)
            if post.waiting is None:
                self.health.waits.pop(post.number, None)
                self._read_on([post])

    def _read_on(self, posts: Iterable[Post]) -> None:
        """Have forecasts read from where posts stand."""
        places = {Partition(self.options.forecasts, each.number): each.position for each in posts}
        self.member.seek(places)
        if not self._stopped:
            self.member.resume(places)

    def _read_ticks(self) -> bool:
        """Read ticks, and take those whose forecasts are here; return whether any were read."""
        found = self.ticks.read({} if self._stopped else self.posts)
        until = self.until or {}
        for number, post in self.posts.items():
            over = number in until and post.waiting is None and post.position >= until[number][0]
            post.catch_up(self.clock(), all_=over)
        return found

    def _commit_due(self) -> None:
        now_s = self.clock()
        if now_s < self._store.until_s:
            return
        due = now_s >= self._next_commit
        posts = [
            post
            for post in self.posts.values()
            if post.changed and (due or post.drift or post.messages >= self.options.commit_messages)
        ]
        if posts or (self._stopped and not self._restoring):
            self._commit(posts)

    def _commit(self, posts: Iterable[Post]) -> bool:
        """Write what posts have found; return whether the store took it."""
        began_s = self.clock()
        try:
            for post in list(posts):
                self._write(post)
            self.scorer.write(self.posts)
        except (UnknownVersionError, StoreError, HistoryError) as error:
            if not error.retriable:
                raise
            self._store_down(error)
            return False
        now_s = self.clock()
        self._next_commit = now_s + max(self.options.commit_interval_s, (now_s - began_s) / _SHARE)
        self._store_up()
        return True

    def _write(self, post: Post) -> None:
        post.catch_up(self.clock(), now=True)
        post.listen(self.clock())
        self.scorer.add(post)
        try:
            self.ledger.commit(post, self.scorer.dump(post.number))
        except ConflictError as error:
            self.totals.add("conflicts")
            log.warning("partition %d: %s", post.number, error)
            self._forget([post.number])
            self._restoring.add(post.number)
            with suppress(LogError):
                self.member.pause([Partition(self.options.forecasts, post.number)])

    def _store_down(self, error: PipelineError) -> None:
        now_s = self.clock()
        wait_s = self._store.met(now_s)
        self.totals.add("retries")
        self.health.store = str(error)
        log.warning("nothing is read until the store answers: %s; again in %.1f s", error, wait_s)
        if not self._stopped:
            self._stopped = True
            self.member.pause([Partition(self.options.forecasts, number) for number in self.posts])
        self._give_up(self._store, error, now_s)

    def _store_up(self) -> None:
        self._store.over()
        self.health.store = None
        if self._stopped:
            self._stopped = False
            log.info("the store answers again")
            self._read_on(post for post in self.posts.values() if post.waiting is None)

    def _give_up(self, waits: Waits, error: PipelineError, now_s: float) -> None:
        """Wait without an end, unless the monitor was to end by itself."""
        if self.until is not None and now_s - waits.since_s > self.options.patience_s:
            raise StreamError(f"{error}; nothing is lost: start the monitor again", retriable=True) from error

    # What the group gives and takes; called out of `poll`, and out of nothing else.

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        numbers = {partition.number for partition in partitions}
        log.info("assigned %s", sorted(numbers))
        self._forget(numbers)
        self._restoring |= numbers
        try:
            self.member.pause(partitions)
        except LogError as error:
            self._met = self._met or error

    def _revoked(self, partitions: frozenset[Partition]) -> None:
        """Commit while the others wait, then forget what is theirs."""
        numbers = [partition.number for partition in partitions]
        log.info("revoked %s", sorted(numbers))
        posts = [
            self.posts[number] for number in numbers if number in self.posts and self.posts[number].changed
        ]
        try:
            if posts and self._commit(posts):
                for post in posts:
                    self.ledger.tell(post)
        except LogError as error:
            self._met = error
        except PipelineError as error:
            log.warning("not committed before it went to another monitor, which does it again: %s", error)
        self._forget(numbers)
        self._restoring -= set(numbers)

    def _lose(self, partitions: frozenset[Partition]) -> None:
        numbers = {partition.number for partition in partitions}
        log.warning("lost %s to another monitor", sorted(numbers))
        self._forget(numbers)
        self._restoring -= numbers

    def _skip(self, partition: Partition, first: int, end: int) -> None:
        self.totals.add("skipped", end - first)
        log.warning("%d forecasts of %s/%d are no longer kept", end - first, *partition)

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.posts.pop(number, None)
            self.ticks.forget(number)
            self.scorer.drop(number)
            self.health.waits.pop(number, None)

    def _restore(self) -> None:
        """Take partitions up from where the store says that their monitor was."""
        if not self._restoring or self.clock() < self._store.until_s:
            return
        for number in sorted(self._restoring):
            try:
                post, scores = self.posting.open(number, self.clock())
            except (UnknownVersionError, StoreError) as error:
                if not error.retriable:
                    raise
                self._store_down(error)
                return
            self.posts[number] = post
            self.scorer.load(post, scores)
            self._restoring.discard(number)
            self._read_on([post])
        if not any(post.changed for post in self.posts.values()):
            self._store_up()

    def _recover(self, error: LogError) -> None:
        """Read on from where every partition stands, unless that has been tried for too long."""
        wait_s = self._faults.met(error, self.clock())
        self.totals.add("retries")
        log.warning("fault of the log: %s; going on in %.1f s", error, wait_s)
        self.ticks.again()
        self.stop.wait(wait_s)
        try:
            self._read_on(post for post in self.posts.values() if post.waiting is None)
        except LogError:
            self._restoring |= set(self.posts)
            self._forget(list(self.posts))

    def _keep_house(self) -> None:
        now_s = self.clock()
        if now_s >= self._next_lag:
            self._next_lag = now_s + _LAG_EVERY_S
            self._pass_markers()
            measure_lag(self.posts, self.totals, self.options, self.reader)
            measure(self.posts, self.totals, self.ledger.archive)
            for post in self.posts.values():
                post.expire()
        if self.until is not None and self._idle:
            self._finish(self.until)

    def _pass_markers(self) -> None:
        """Move positions on behind markers of transactions, where no message is left."""
        if not self._idle or self._stopped:  # what was polled and not taken is read again
            return
        free = {number: post for number, post in self.posts.items() if post.waiting is None}
        told = self.member.positions([Partition(self.options.forecasts, number) for number in free])
        for at, position in told.items():
            free[at.number].position = max(free[at.number].position, position)
        self.ticks.pass_markers(self.posts)

    def _finish(self, until: Mapping[int, tuple[int, int]]) -> None:
        """Leave if all is done that was there at the start."""
        self._pass_markers()
        for number, (end, tick_end) in until.items():
            post = self.posts.get(number)
            if post is None:
                if number in self._restoring or not self.posting.is_done(number, end, tick_end):
                    return
            elif post.waiting is not None or post.position < end or post.tick_end < tick_end:
                return
        for post in self.posts.values():
            post.listen(self.clock())
        settle(self.posts, self.options, self.totals, self.clock(), all_=True)
        self._done = self._write_all() and not self._restoring

    def _write_all(self) -> bool:
        """Commit, tell, and commit that it is told; return whether the store took it."""
        while changed := [post for post in self.posts.values() if post.changed]:
            if not self._commit(changed):
                return False
            for post in changed:
                self.ledger.tell(post)
        return True

    def _leave(self) -> None:
        """Commit and leave the group, within the time that is left."""
        log.info("ending: commit, leave; %.1f s for it", self.stop.left_s())
        try:
            self._write_all()
        except FencedError:
            raise
        except PipelineError as error:
            log.warning("the last messages are not committed, and will be read again: %s", error)
        self.member.close()
