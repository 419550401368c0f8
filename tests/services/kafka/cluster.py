"""A real Apache Kafka in KRaft mode: one broker, or three for faults, in a folder that can be thrown away."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.kafka.jars import class_path

# The first start of a JVM on two busy cores takes some 20 s.
STARTS_WITHIN_S = 120.0
STOPS_WITHIN_S = 30.0
HEAP = "-Xmx512m"

_SETTINGS = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
num.partitions=4
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=10000
broker.session.timeout.ms=6000
"""


@dataclass(slots=True)
class Broker:
    """One node: a process, its port, its folder."""

    node: int
    port: int
    control: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Path:
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


def new_identity() -> str:
    """Return a cluster id that does not begin with a dash: Kafka's tool would take it for an option."""
    return base64.urlsafe_b64encode(b"\1" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


@dataclass(slots=True)
class Cluster:
    """Brokers that can be stopped, killed and started again; `bootstrap` names them all."""

    brokers: list[Broker]
    classes: str
    identity: str = field(default_factory=new_identity)

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    def start(self, node: int | None = None) -> None:
        """Start one node, or all, and wait until they answer."""
        chosen = [b for b in self.brokers if node in (None, b.node)]
        for broker in chosen:
            with broker.log.open("ab") as log:
                broker.process = subprocess.Popen(
                    [*_java(self.classes), "kafka.Kafka", str(broker.settings)],
                    stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=broker.folder,
                )  # fmt: skip
        ends = time.monotonic() + STARTS_WITHIN_S
        for broker in chosen:
            while not _listens(broker.port):
                if not broker.alive or time.monotonic() > ends:
                    raise RuntimeError(
                        f"broker {broker.node} does not start:\n{broker.log.read_text()[-3000:]}"
                    )
                time.sleep(0.1)

    def kill(self, node: int) -> None:
        """End a node without warning."""
        self._signal(node, signal.SIGKILL)

    def stop(self, node: int) -> None:
        """Ask a node to end, and wait for it."""
        self._signal(node, signal.SIGTERM)

    def pause(self, node: int) -> None:
        """Freeze a node, as a long collection of garbage would."""
        self._process(node).send_signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Let a frozen node go on."""
        self._process(node).send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End every node."""
        for broker in self.brokers:
            if broker.alive:
                self._signal(broker.node, signal.SIGKILL)

    def _process(self, node: int) -> subprocess.Popen[bytes]:
        process = next(b for b in self.brokers if b.node == node).process
        if process is None:
            raise RuntimeError(f"broker {node} was never started")
        return process

    def _signal(self, node: int, number: signal.Signals) -> None:
        process = self._process(node)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def make(
    folder: Path,
    n_brokers: int = 1,
    more: Callable[[Broker], str] = lambda _: "",
    format_with: Sequence[str] = (),
) -> Cluster:
    """Write settings and format the folders of a cluster that is not started yet.

    Parameters
    ----------
    more
        Returns settings that take the place of ours.
    format_with
        What the tool that formats is told beside.
    """
    ports = free_ports(2 * n_brokers)
    brokers = [
        Broker(node, ports[2 * node - 2], ports[2 * node - 1], folder / f"node-{node}")
        for node in range(1, n_brokers + 1)
    ]
    cluster = Cluster(brokers, class_path())
    voters = ",".join(f"{b.node}@127.0.0.1:{b.control}" for b in brokers)
    copies = min(n_brokers, 3)
    for broker in brokers:
        broker.folder.mkdir(parents=True)
        broker.settings.write_text(
            _SETTINGS.format(
                node=broker.node,
                voters=voters,
                port=broker.port,
                control=broker.control,
                logs=broker.folder / "data",
                copies=copies,
                in_sync=max(copies - 1, 1),
            )
            + more(broker)
        )
        subprocess.run(
            [*_java(cluster.classes), "kafka.tools.StorageTool", "format", "-t", cluster.identity,
             "-c", str(broker.settings), *format_with],
            check=True, capture_output=True, timeout=STARTS_WITHIN_S,
        )  # fmt: skip
    return cluster


@contextlib.contextmanager
def kafka(folder: Path, n_brokers: int = 1) -> Iterator[Cluster]:
    """Run a cluster that keeps everything in `folder`, and end it with the block."""
    cluster = make(folder, n_brokers)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _java(classes: str) -> list[str]:
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", HEAP, "-XX:+UseSerialGC", quiet, "-cp", classes]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True
