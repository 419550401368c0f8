"""The log that the stream reads and writes: Apache Kafka, or an embedded one in a SQLite file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.errors import LogError

if TYPE_CHECKING:
    from pipelines.log.protocol import Log
    from pipelines.log.security import Security

__all__ = ["CLIENTS", "EMBEDDED", "open_log"]

EMBEDDED: Final = "embedded:"
"""Begins the address of a log in a file: ``embedded:PATH``."""

CLIENTS: Final = ("kafka-python", "confluent")
"""Clients of Kafka; the second is an extra."""

_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def open_log(
    address: str,
    *,
    security: Security | None = None,
    client: str = "kafka-python",
    keep: int | None = None,
    make: bool = True,
) -> Log:
    """Open a log; no more is imported than it needs.

    Parameters
    ----------
    address
        ``embedded:PATH`` of a file, or ``HOST:PORT[,HOST:PORT...]`` of Kafka brokers.
    security
        SASL and SSL, of Kafka only.
    client
        One of `CLIENTS`, of Kafka only.
    keep
        Records of a partition that an embedded log keeps, in topics that are not compact; None: all.
    make
        Whether an embedded log that is not there is made.

    Raises
    ------
    LogError
        The address cannot be one, leads nowhere, or the client is not installed.
    """
    if address.startswith(EMBEDDED):
        return _embedded(address.removeprefix(EMBEDDED), keep, make)
    _check(address, client)
    return _kafka(address, security, client)


def _kafka(address: str, security: Security | None, client: str) -> Log:
    try:
        if client == "confluent":
            from pipelines.log.confluent import ConfluentLog

            return ConfluentLog(address, security)
        from pipelines.log.kafka import KafkaLog
    except ModuleNotFoundError as error:
        extra = "confluent" if client == "confluent" else "stream"
        raise LogError(f"no {error.name}: install forecast-platform[{extra}]") from error
    return KafkaLog(address, security)


def _embedded(path: str, keep: int | None, make: bool) -> Log:
    from pipelines.log.embedded import EmbeddedLog

    if not make and not Path(path).exists():
        raise LogError(f"there is no log {path!r} to read; check its name, or write to it first")
    return EmbeddedLog(path, keep=keep)


def _check(address: str, client: str) -> None:
    if client not in CLIENTS:
        raise LogError(f"no client {client!r} of Kafka; there are {', '.join(CLIENTS)}")
    for broker in address.split(","):
        found = _BROKER.fullmatch(broker.strip())
        if found is None or not 0 < int(found[2]) < 65536:
            raise LogError(f"{broker!r} is no broker: give HOST:PORT, or {EMBEDDED}PATH of a file")
