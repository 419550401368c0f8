"""Settings of librdkafka, and why each is not the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.log.protocol import Delivery, Membership
from pipelines.log.security import Security
from pipelines.logs import log

Settings = dict[str, Any]

COMMON: Mapping[str, Any] = {
    "logger": log.getChild("librdkafka"),
    # A small request must not wait for the acknowledgement of the one before it.
    "socket.nagle.disable": True,
}

READING: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A position that is not there is for us to judge (`reading.placed`).
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "check.crcs": True,
    # A partition whose queue was full is looked at again after this; the default of a second starves a
    # reader that is faster than that.
    "fetch.queue.backoff.ms": 10,
    # Each partition has a queue: with hundreds of them the defaults (100,000 records, 64 MiB) are gigabytes.
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 16_384,
}

WRITING: Mapping[str, Any] = {
    "enable.idempotence": True,
    # Back-pressure of the last resort: the worker waits long before (`pending`).
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
}


# Nobody sees a record before its transaction is committed, and a commit sends what lingers: fewer, larger
# requests cost nothing but this much of a commit's time.
TRANSACTION_LINGER_MS = 10


# Its default; it must not be below the session's timeout.
POLL_INTERVAL_MS = 300_000


def connection(address: str, security: Security) -> Settings:
    """Return what every client needs: where Kafka is, and how it is spoken to."""
    found = {**COMMON, "bootstrap.servers": address, "security.protocol": security.protocol}
    if security.sasl:
        found["sasl.mechanism"] = security.mechanism
        found["sasl.username"] = security.username
        found["sasl.password"] = security.password
    if security.ssl:
        files = {
            "ssl.ca.location": security.ca_file,
            "ssl.certificate.location": security.cert_file,
            "ssl.key.location": security.key_file,
            "ssl.key.password": security.key_password,
        }
        found |= {name: value for name, value in files.items() if value is not None}
        found["ssl.endpoint.identification.algorithm"] = "https" if security.check_hostname else "none"
    return found


def reading(connection: Mapping[str, Any]) -> Settings:
    """Return what a reader needs; librdkafka wants a group, which is never joined."""
    # An empty answer tells where a partition ends: who restores waits for it.
    return {**connection, **READING, "group.id": "forecast-reader", "fetch.wait.max.ms": 100}


def writing(connection: Mapping[str, Any], linger_ms: int, patience_s: float) -> Settings:
    """Return what a writer needs."""
    patience = {"linger.ms": linger_ms, "message.timeout.ms": round(1000 * patience_s)}
    return {**connection, **WRITING, **patience}


def member_reading(connection: Mapping[str, Any], membership: Membership) -> Settings:
    """Return what a member reads with."""
    session_ms = round(1000 * membership.session_timeout_s)
    group = {
        "group.id": membership.group,
        "group.instance.id": membership.instance,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": session_ms // 3,
        "max.poll.interval.ms": max(POLL_INTERVAL_MS, session_ms),
    }
    return {**connection, **READING, **group}


def member_writing(connection: Mapping[str, Any], membership: Membership, patience_s: float) -> Settings:
    """Return what a member writes with."""
    if membership.delivery is Delivery.AT_LEAST_ONCE:
        return writing(connection, membership.linger_ms, patience_s)
    # Within a transaction librdkafka gives a record as long as the transaction has.
    transaction = {
        "transactional.id": membership.transactional_id,
        "transaction.timeout.ms": round(1000 * membership.transaction_timeout_s),
        "linger.ms": max(membership.linger_ms, TRANSACTION_LINGER_MS),
    }
    return {**connection, **WRITING, **transaction}
