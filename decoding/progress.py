"""How many prompts are answered, for people at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int, *, always: bool) -> Iterator[Callable[[int], None]]:
    """Yield what moves a bar on stderr; nothing is shown where that is no terminal, unless `always`."""
    if not (always or sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("answers", total=total)
        yield lambda done: bars.advance(task, done)
