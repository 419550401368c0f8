"""Structured logs of the services: standard logging, as text or JSON lines on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

log: Final = logging.getLogger("forecast")

_FIELDS: ContextVar[dict[str, Any] | None] = ContextVar("fields", default=None)


@contextmanager
def fields(**values: Any) -> Iterator[None]:  # noqa: ANN401  # anything JSON can hold
    """Add fields (run_id, fleet, stage) to every line that is logged inside."""
    token = _FIELDS.set({**(_FIELDS.get() or {}), **values})
    try:
        yield
    finally:
        _FIELDS.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, level, message, the fields, those of the call (``extra={"data": ...}``)."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **(_FIELDS.get() or {}),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Text(logging.Formatter):
    """Lines for people: time, level where it is not info, stage, message."""

    def format(self, record: logging.LogRecord) -> str:
        stage = (_FIELDS.get() or {}).get("stage")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        return f"{when} {f'{stage}: ' if stage else ''}{level}{record.getMessage()}"


def configure(form: Literal["json", "text"] = "text", stream: TextIO | None = None) -> None:
    """Send the log of the services to `stream` (stderr); safe to call again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Text())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
