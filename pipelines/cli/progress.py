"""How far a job is: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.logs import log

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from pipelines.train.work import Progress


class Bars:
    """One bar a stage."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        """Begin a bar."""
        self._task = self._bars.add_task(name, total=total or None)

    def step(self) -> None:
        """Move the newest bar on."""
        if self._task is not None:
            self._bars.advance(self._task)


class Lines:
    """A line of the log a stage, and one every tenth of a long one."""

    def __init__(self) -> None:
        self._total, self._done = 0, 0

    def stage(self, name: str, total: int) -> None:
        """Log the stage."""
        self._total, self._done = total, 0
        log.info("begins: %d partition%s", total, "" if total == 1 else "s")

    def step(self) -> None:
        """Log where another tenth is done."""
        self._done += 1
        tenth = max(self._total // 10, 1)
        if self._total > 1 and self._done % tenth == 0:
            log.info("%d of %d", self._done, self._total)


@contextmanager
def showing(lines: bool) -> Iterator[Progress]:
    """Yield what shows progress on stderr: bars, or lines where it is no terminal or `lines` is true."""
    if lines or not sys.stderr.isatty():
        yield Lines()
        return
    with showing_bars() as bars:
        yield bars


@contextmanager
def showing_bars() -> Iterator[Progress]:
    """Yield what shows bars on stderr, and nothing where it is no terminal."""
    if not sys.stderr.isatty():
        from pipelines.train.work import Silent

        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Bars(bars)
