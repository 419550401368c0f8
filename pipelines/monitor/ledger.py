"""What a monitor writes: events and snapshot in one transaction, the archive before it, alerts after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.monitor.gate import Alarm
from pipelines.store import NewEvent, NewSnapshot

if TYPE_CHECKING:
    from pipelines.monitor.alerts import Alerts
    from pipelines.monitor.archive import TickArchive
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.options import MonitorOptions
    from pipelines.monitor.post import Post
    from pipelines.store import Store


@dataclass(slots=True)
class Ledger:
    """Writes down what posts have found.

    Order is the contract: the archive (a file written twice is read once), then in one transaction events,
    jobs and snapshot, then the alerts, which the snapshot names until they are known to be out.
    """

    store: Store
    alerts: Alerts
    archive: TickArchive | None
    options: MonitorOptions
    totals: Totals

    def commit(self, post: Post, scores: bytes) -> None:
        """Write everything that a post has found since the last time.

        Raises
        ------
        ConflictError
            Another monitor has the partition: what this one holds of it is void.
        StoreError, HistoryError
            Nothing was kept in the store; the same call can be made again where the error is `retriable`.
        """
        if self.archive is not None:
            post.kept.write(self.archive, post.number, post.watch.rows)
        options = self.options
        snapshot = NewSnapshot(
            options.membership.group, options.forecasts, post.number, post.epoch, post.positions(),
            post.dump(scores),
        )  # fmt: skip
        recorded = self.store.record_events(
            self._events(post.drift), snapshot=snapshot, ignored=self._events(post.notes)
        )
        # Without the name of a regressor: what people call theirs is no label.
        self.totals.record(alarm.detector.partition(" ")[0] for alarm in (*post.drift, *post.notes))
        self.totals.add("jobs", len(recorded.jobs))
        self.totals.add("commits")
        post.saved(post.epoch + 1)

    def tell(self, post: Post) -> None:
        """Send the alerts of a post; where that fails they stay, to be sent again. `LogError`."""
        if post.untold:
            told = len(post.untold)
            self.totals.add("told", self.alerts.send(self._events(post.untold)))
            post.untold = post.untold[told:]

    def _events(self, alarms: Iterable[Alarm]) -> list[NewEvent]:
        fleet = self.options.fleet
        return [
            NewEvent(
                fleet, alarm.version, alarm.series or None, alarm.model, alarm.detector, alarm.ts_ms,
                alarm.statistic, alarm.threshold, alarm.key(fleet),
            )
            for alarm in alarms
        ]  # fmt: skip
