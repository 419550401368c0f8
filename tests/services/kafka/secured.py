"""A broker that lets in who has a password, over TLS with a certificate of its own making."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.services.kafka.cluster import Broker, free_ports, make

USER, PASSWORD = "ann", "geheim"

_SETTINGS = """\
listeners=SASL_SSL://127.0.0.1:{port},INTERNAL://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{control}
advertised.listeners=SASL_SSL://127.0.0.1:{port},INTERNAL://127.0.0.1:{inner}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=SASL_SSL:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={keystore}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


@dataclass(frozen=True)
class Secured:
    """Where it is, and what a client needs."""

    address: str
    ca_file: Path
    """Who signed the broker's certificate."""
    other_ca_file: Path
    """Somebody else."""


@contextlib.contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Run a broker of one listener, SASL_SSL; it ends with the block."""
    folder.mkdir(parents=True)
    ca, other = _authority(folder, "ca"), _authority(folder, "other")
    keystore = _keystore(folder, ca)
    (inner,) = free_ports(1)

    def settings(broker: Broker) -> str:
        return _SETTINGS.format(
            port=broker.port,
            control=broker.control,
            inner=inner,
            keystore=keystore,
            user=USER,
            password=PASSWORD,
        )

    scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    cluster = make(folder / "broker", more=settings, format_with=("--add-scram", scram))
    try:
        cluster.start()
        yield Secured(cluster.bootstrap, ca, other)
    finally:
        cluster.close()


def _authority(folder: Path, name: str) -> Path:
    """Make a certificate that signs others."""
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
    )  # fmt: skip
    return folder / f"{name}.pem"


def _keystore(folder: Path, ca: Path) -> Path:
    """Make the broker's certificate, for 127.0.0.1; return the file with it and its key."""
    key, request, certificate = (folder / f"broker.{ending}" for ending in ("key", "csr", "pem"))
    names = folder / "names.cnf"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=broker", "-keyout", key, "-out", request
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"), "-CAcreateserial",
        "-days", "2", "-extfile", names, "-out", certificate,
    )  # fmt: skip
    both = folder / "keystore.pem"
    both.write_text(key.read_text() + certificate.read_text() + ca.read_text())
    return both


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)
