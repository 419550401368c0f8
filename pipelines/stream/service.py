"""The streaming service, put together."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.errors import PipelineError
from pipelines.log.records import Partition
from pipelines.logs import log as say
from pipelines.stream.health import Health
from pipelines.stream.metrics import Metrics, Totals
from pipelines.stream.outbox import Outbox
from pipelines.stream.page import Page
from pipelines.stream.preparing import make_stream_topics
from pipelines.stream.restoring import Restorer
from pipelines.stream.snapshot import Snapshots
from pipelines.stream.snapshotting import Photographer
from pipelines.stream.swapping import ControlWatcher
from pipelines.stream.worker import Worker
from pipelines.stream.worker_options import WorkerOptions

if TYPE_CHECKING:
    from pipelines.log.protocol import Log, Member, Membership, Reader
    from pipelines.stream.forecaster import Forecaster
    from pipelines.stream.served import Served
    from pipelines.stream.stopping import Stop
    from pipelines.stream.topics import Topics
    from pipelines.wire import Control

# Brokers look every 10 s for transactions that took too long.
_CLEANING_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Where a worker works, and how."""

    membership: Membership
    topics: Topics
    control: str = "model-control"
    partitions: int = 4
    """Of the ticks, where the service makes that topic."""
    worker: WorkerOptions = field(default_factory=WorkerOptions)
    from_latest: bool = False
    """Where the group has committed nothing: begin with the next tick, not with the first one kept."""
    snapshots: Path | None = None
    snapshot_interval_s: float = 300.0
    metrics_port: int | None = None
    """None: nothing is served; 0: a free one."""
    metrics_host: str = "127.0.0.1"
    stop_at_end: bool = False
    """Leave when the ticks that are there at the start are done."""


def run_service(
    log: Log,
    engine: Forecaster,
    served: Served,
    options: ServiceOptions,
    stop: Stop,
    load: Callable[[Control], Served] | None = None,
) -> Totals:
    """Work until `stop` is asked, or the ticks are done; return what was counted. The log stays open.

    Parameters
    ----------
    engine
        With `served` in use and no partition open; its kernels are compiled, for a member of a group must
        not be silent for longer than its session.
    load
        Returns the version that a control message announces; None: the version in use is fixed.

    Raises
    ------
    FencedError
        Another worker of this instance's name has taken its place.
    PipelineError
        The service cannot go on; `retriable` says whether it could, started again.
    """
    n = make_stream_topics(log, options.topics, options.control, options.partitions)
    metrics, health = Metrics(Totals()), Health(served.version)
    with ExitStack() as open_:
        if options.metrics_port is not None:
            open_.callback(Page(metrics, health, options.metrics_port, options.metrics_host).close)
        reader = open_.enter_context(closing(log.reader()))
        member = log.member(options.membership)
        open_.callback(_leave, member)
        worker = _worker(member, reader, engine, options, stop, metrics, health)
        if options.stop_at_end:
            worker.until = _ends(reader, options.topics.ticks, n)
        if load is not None:
            worker.watcher = _watcher(log, options.control, served, load, metrics.totals)
        _run(worker)
    return metrics.totals


def _run(worker: Worker) -> None:
    """Run a worker to its end, and its threads."""
    try:
        worker.run()
    except BaseException as error:
        worker.health.fail(str(error))
        raise
    finally:
        for thread in (worker.watcher, worker.photographer):
            if thread is not None:
                thread.close()


def _watcher(
    log: Log, control: str, served: Served, load: Callable[[Control], Served], totals: Totals
) -> ControlWatcher:
    """Follow the control topic from now on."""
    watcher = ControlWatcher(log, control, served.name, served.row_version, load, totals)
    watcher.start()
    return watcher


def _worker(
    member: Member,
    reader: Reader,
    engine: Forecaster,
    options: ServiceOptions,
    stop: Stop,
    metrics: Metrics,
    health: Health,
) -> Worker:
    topics, totals = options.topics, metrics.totals
    snapshots = options.snapshots and Snapshots(options.snapshots, options.membership.group, totals)
    restorer = Restorer(
        member, reader, engine, topics.ticks, topics.state, totals, snapshots or None, options.from_latest,
        metrics.restore_s.observe,
    )  # fmt: skip
    outbox = Outbox(member, options.membership.delivery, topics.state, time.monotonic)
    worker = Worker(
        member, engine, topics, outbox, restorer, totals, metrics, health, stop, options.worker,
        held_s=options.membership.transaction_timeout_s + _CLEANING_S,
    )  # fmt: skip
    if snapshots:
        worker.photographer = Photographer(
            snapshots, engine, member, outbox, topics.ticks, topics.state, lambda: health.version, totals,
            options.snapshot_interval_s, time.monotonic,
        )  # fmt: skip
    return worker


def _ends(reader: Reader, ticks: str, n: int) -> dict[int, int]:
    """Return the ends of partitions that have anything to be read."""
    places = [Partition(ticks, number) for number in range(n)]
    begins, ends = reader.begins(places), reader.ends(places)
    return {at.number: end for at, end in ends.items() if end > begins[at]}


def _leave(member: Member) -> None:
    """Close a member that may have left, or been thrown out, already."""
    with suppress(PipelineError):
        member.close()
    say.info("worker left")
