"""Settings of kafka-python's clients, and a first look at whether anybody answers."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final

from pipelines.errors import LogError
from pipelines.log.kafka.client import assignors
from pipelines.log.protocol import Delivery, Membership
from pipelines.log.security import Security

# A broker on another continent answers within a second; a wrong address must be told soon.
_CONNECT_S: Final = 3.0
BOOTSTRAP_S: Final = 8.0
REQUEST_S: Final = 10.0
# A broker that restarts is back within half a minute; what cannot be delivered by then is an error.
DELIVERY_S: Final = 60.0
# The client's own 30 s would be the first thing to wait for after a restart of the broker.
_RECONNECT_MOST_MS: Final = 1000
# Also how long the client sleeps, in the thread that sends, while markers of the last transaction are
# still being written: its 100 ms would be paid by every transaction.
_RETRY_MS: Final = 10
# How long a broker holds an answer back while there is nothing: what was resumed or sought waits for it.
_FETCH_WAIT_MS: Final = 100
# How long restoring one slice, or waiting for an open transaction, may keep a member from polling.
_POLL_INTERVAL_S: Final = 120.0
# A rebalance is told in answers to heartbeats.
_HEARTBEATS_A_SESSION: Final = 10


def common(address: str, security: Security | None) -> dict[str, Any]:
    """Return what every client is given."""
    settings: dict[str, Any] = {
        "bootstrap_servers": [broker.strip() for broker in address.split(",")],
        "client_id": "forecast",
        "bootstrap_timeout_ms": int(1000 * BOOTSTRAP_S),
        "request_timeout_ms": int(1000 * REQUEST_S),
        "reconnect_backoff_max_ms": _RECONNECT_MOST_MS,
    }
    return settings | ({} if security is None else _secured(security))


def _secured(security: Security) -> dict[str, Any]:
    settings: dict[str, Any] = {"security_protocol": security.protocol}
    if security.sasl:
        settings |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password,
        }
    if security.ssl:
        settings |= {
            "ssl_cafile": security.ca_file,
            "ssl_certfile": security.cert_file,
            "ssl_keyfile": security.key_file,
            "ssl_password": security.key_password,
            "ssl_check_hostname": security.check_hostname,
        }
    return settings


def reading() -> dict[str, Any]:
    """Return what a client that reads is given."""
    return {
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "none",  # a position that is not there is for us to judge
        "fetch_max_wait_ms": _FETCH_WAIT_MS,
        "metrics_enabled": False,
    }


def joining(membership: Membership) -> dict[str, Any]:
    """Return what the consumer of a member is given."""
    session_ms = int(1000 * membership.session_timeout_s)
    return reading() | {
        "group_id": membership.group,
        "group_instance_id": membership.instance,
        "partition_assignment_strategy": [assignors.CooperativeStickyAssignor()],
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": max(session_ms // _HEARTBEATS_A_SESSION, 100),
        "max_poll_interval_ms": int(1000 * max(_POLL_INTERVAL_S, 2 * membership.session_timeout_s)),
    }


def writing(linger_ms: int, delivery_s: float = DELIVERY_S) -> dict[str, Any]:
    """Return what a client that writes is given."""
    request_ms = int(1000 * min(REQUEST_S, delivery_s / 2))
    return {
        "linger_ms": linger_ms,
        "enable_idempotence": True,
        "request_timeout_ms": request_ms,
        "delivery_timeout_ms": max(int(1000 * delivery_s), request_ms + linger_ms),
        "max_block_ms": int(1000 * delivery_s),
        "retry_backoff_ms": _RETRY_MS,
        "metrics_enabled": False,
    }


def producing(membership: Membership) -> dict[str, Any]:
    """Return what the producer of a member is given."""
    if membership.delivery is not Delivery.EXACTLY_ONCE:
        return writing(membership.linger_ms)
    return writing(membership.linger_ms, membership.transaction_timeout_s) | {
        "transactional_id": membership.transactional_id,
        "transaction_timeout_ms": int(1000 * membership.transaction_timeout_s),
    }


def knock(address: str, security: Security | None = None) -> None:
    """Connect to a broker and hang up; a client would try for long, and not say why.

    Raises
    ------
    LogError
        No broker of the address answers, or one does that cannot be trusted; says of each why.
    """
    reasons = []
    for broker in address.split(","):
        host, _, port = broker.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S) as connection:
                if security is not None and security.ssl:
                    _shake_hands(connection, host.strip("[]"), security)
        except ssl.SSLCertVerificationError as error:
            raise LogError(
                f"the certificate of {broker.strip()} is not to be trusted ({error.verify_message}); "
                "name who has signed it by kafka_ca_file"
            ) from error
        except OSError as error:
            reasons.append(f"{broker.strip()} ({error})")
        else:
            return
    raise LogError(f"no Kafka at {', '.join(reasons)}; check the address, or try again later", retriable=True)


def _shake_hands(connection: socket.socket, host: str, security: Security) -> None:
    context = ssl.create_default_context(cafile=security.ca_file)
    context.check_hostname = security.check_hostname
    if security.cert_file is not None:
        context.load_cert_chain(security.cert_file, security.key_file, security.key_password)
    context.wrap_socket(connection, server_hostname=host).close()
