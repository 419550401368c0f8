"""How far the retraining worker is: a bar a job on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.retrain.due import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pipelines.retrain.work import Ended
    from pipelines.store import Claim


class Bars(Watcher):
    """A bar a job, by origins of its challenge."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, claim: Claim) -> None:
        """Begin a bar whose length is not known yet."""
        kind = claim.payload.get("kind", "drift")
        self._task = self._bars.add_task(f"{claim.fleet} {kind} {claim.id}", total=None)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def end(self, ended: Ended) -> None:
        """Take the bar away: the summary tells what came of it."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


@contextmanager
def watching() -> Iterator[Watcher]:
    """Yield what shows bars on stderr, and nothing where it is no terminal."""
    if not sys.stderr.isatty():
        yield Watcher()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Bars(bars)
