"""Which log a command reads or writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pipelines.log.protocol import Log

F = TypeVar("F", bound=Callable[..., Any])


def place(command: F) -> F:
    """Add ``--bootstrap`` and ``--log``, of which one must be given."""
    for option in (
        click.option(
            "--log", "log_file", metavar="FILE", type=click.Path(dir_okay=False),
            help="Embedded log: a SQLite file, made if it is not there.",
        ),
        click.option("--bootstrap", metavar="HOST:PORT,...", help="Brokers of Kafka."),
    ):  # fmt: skip
        command = option(command)
    return command


def address_of(bootstrap: str | None, log_file: str | None) -> str:
    """Return the address of the log, as `open_log` takes it; wrong usage unless one of both is given."""
    from pipelines.log import EMBEDDED

    if bootstrap is not None and log_file is None:
        return bootstrap
    if log_file is not None and bootstrap is None:
        return f"{EMBEDDED}{log_file}"
    raise click.UsageError("say where the log is: --bootstrap HOST:PORT of Kafka, or --log FILE, not both")


@contextmanager
def opened(address: str) -> Iterator[Log]:
    """Open a log, and close it with the block."""
    from pipelines.log import open_log

    log = open_log(address)
    try:
        yield log
    finally:
        log.close()
