"""The monitoring service, put together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

from pipelines.errors import LogError, PipelineError, StoreError, StreamError
from pipelines.log.protocol import Topic
from pipelines.log.records import Partition
from pipelines.logs import log as say
from pipelines.monitor.alerts import Alerts
from pipelines.monitor.archive import TickArchive
from pipelines.monitor.health import MonitorHealth
from pipelines.monitor.ledger import Ledger
from pipelines.monitor.loop import Monitor
from pipelines.monitor.metrics import Metrics, Totals
from pipelines.monitor.posting import Posting
from pipelines.monitor.reading import TickReading
from pipelines.monitor.scorer import Scorer
from pipelines.monitor.versions import Catalog
from pipelines.stream.page import Page
from pipelines.stream.preparing import count_partitions
from pipelines.wire import decode_tick

if TYPE_CHECKING:
    from pipelines.log.protocol import Log, Member, Reader
    from pipelines.monitor.options import MonitorOptions
    from pipelines.store import Store
    from pipelines.stream.decode import ReadTick
    from pipelines.stream.stopping import Stop


def run_monitor(
    log: Log,
    open_store: Callable[[], Store],
    options: MonitorOptions,
    stop: Stop,
    read: ReadTick = decode_tick,
) -> Totals:
    """Work until `stop` is asked, or what is there is done; return what was counted. The log stays open.

    Parameters
    ----------
    open_store
        Called once.
    read
        Bytes of a tick that is no plain JSON to a tick.

    Raises
    ------
    FencedError
        Another monitor of this instance's name has taken its place.
    PipelineError
        The monitor cannot go on; `retriable` says whether it could, started again.
    """
    n = _prepare(log, options)
    totals, health = Totals(), MonitorHealth(options.fleet)
    with ExitStack() as open_:
        if options.metrics_port is not None:
            page = Page(Metrics(totals), health, options.metrics_port, options.metrics_host)
            open_.callback(page.close)
        store = open_.enter_context(open_store())
        _look_at(store)
        reader = open_.enter_context(closing(log.reader()))
        alerts = Alerts(log, options.alerts)
        open_.callback(_let_go, alerts)
        member = log.member(options.membership)
        open_.callback(_leave, member)
        monitor = _monitor(member, reader, alerts, store, options, stop, totals, health, read, n)
        if options.stop_at_end:
            monitor.until = _ends(reader, options, n)
        try:
            monitor.run()
        except BaseException as error:
            health.fail(str(error))
            raise
    return totals


def _monitor(
    member: Member, reader: Reader, alerts: Alerts, store: Store, options: MonitorOptions, stop: Stop,
    totals: Totals, health: MonitorHealth, read: ReadTick, n: int,
) -> Monitor:  # fmt: skip
    catalog = Catalog(store, options.fleet)
    folder = None if options.archive is None else options.archive / options.fleet / "ticks"
    archive = None if folder is None else TickArchive(folder, options.archive_days)
    return Monitor(
        member, reader, TickReading(reader, options), Ledger(store, alerts, archive, options, totals),
        Posting(store, reader, catalog, options, totals, read), Scorer(store, catalog, totals, partitions=n),
        options, totals, health, stop,
    )  # fmt: skip


def _prepare(log: Log, options: MonitorOptions) -> int:
    """Make the topic of alerts; return how many partitions there are of ticks and of forecasts.

    Raises
    ------
    StreamError
        They are not as many: a partition of one would belong to none of the other.
    LogError
        There is no such topic.
    """
    n, n_ticks = log.partitions(options.forecasts), log.partitions(options.ticks)
    if n != n_ticks:
        raise StreamError(
            f"topic {options.forecasts!r} has {n} partitions and {options.ticks!r} has {n_ticks}: name the "
            "ticks that the forecasts are made of"
        )
    if count_partitions(log, options.alerts) is None:
        log.make_topics([Topic(options.alerts, 1)])
    return n


def _look_at(store: Store) -> None:
    """Raise where the store lacks tables; one that does not answer is waited for, by the loop."""
    try:
        store.require_current()
    except StoreError as error:
        if not error.retriable:
            raise
        say.warning("%s", error)


def _ends(reader: Reader, options: MonitorOptions, n: int) -> dict[int, tuple[int, int]]:
    """Return the ends of forecasts and ticks by partition, of those that hold anything."""
    found = {}
    for number in range(n):
        places = [Partition(options.forecasts, number), Partition(options.ticks, number)]
        begins, ends = reader.begins(places), reader.ends(places)
        if any(ends[each] > begins[each] for each in places):
            found[number] = ends[places[0]], ends[places[1]]
    return found


def _let_go(alerts: Alerts) -> None:
    with suppress(LogError):  # what is not out is in the snapshot, and is sent by who comes next
        alerts.close()


def _leave(member: Member) -> None:
    """Close a member that may have left, or been thrown out, already."""
    with suppress(PipelineError):
        member.close()
    say.info("monitor left")
