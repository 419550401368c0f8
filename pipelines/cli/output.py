"""Lines on stderr, as the log format asks for them, and a stdout that may end before the command does."""

from __future__ import annotations

import atexit
import errno
import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from pipelines.logs import log

# Key of `click.Context.meta`: "text" or "json".
LOG_FORMAT: Final = "pipelines.cli.log_format"
# Fields that every line of a command carries.
FIELDS: Final = "pipelines.cli.fields"

_READER_GONE: Final = select.POLLERR | select.POLLHUP


def tell(message: str, level: int = logging.INFO, **data: Any) -> None:  # noqa: ANN401  # anything JSON can hold
    """Say a line on stderr: as it is, or through the log where that is JSON."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.meta.get(LOG_FORMAT) == "json":
        log.log(level, "%s", message, extra={"data": {**ctx.meta.get(FIELDS, {}), **data}})
        return
    try:
        click.echo(message, err=True)
    except (
        OSError
    ):  # nobody listens, or the disk of a log is full: no reason to stop work, nor to fail at the end
        atexit.unregister(_discard_stderr)
        atexit.register(_discard_stderr)


def open_closed() -> None:
    """Give a command that was started without stdout or stderr (``>&-``) one that goes nowhere.

    Else the next file that is opened would take its number, and be written into.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for the process


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Go on where the reader of stdout has enough, as `head` has; what follows goes nowhere."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not reader_left():
            raise
        discard_stdout()


def said(error: OSError) -> str:
    """Return one line of an error of the system, with the file or stream that it speaks of."""
    if error.strerror is None:
        return str(error)
    if error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return f"standard output: {error.strerror}" if _stdout_fails() else error.strerror


def discard_stdout() -> None:
    """Send what is still to be written to stdout nowhere."""
    _discard(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)


def _discard_stderr() -> None:
    _discard(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2)


def _discard(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _stdout_fails() -> bool:
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"")
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None) in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)
    return False


def reader_left() -> bool:
    """Return whether stdout is a pipe that nobody reads any more."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # no file: a test's, or a library's
        return False
    return any(event & _READER_GONE for _, event in poll.poll(0))
