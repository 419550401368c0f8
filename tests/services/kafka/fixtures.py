"""Fixtures: a real broker for all tests of a worker, or a cluster of a test's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.services.kafka.cluster import Cluster, kafka
from tests.services.kafka.jars import missing
from tests.services.kafka.secured import Secured, secured

RUNNING = "KAFKA_ADDRESS"
"""Names a broker that is there already (`make kafka-up`): the tests use it, and leave it as it is."""


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of one broker; a test takes topics and groups of its own."""
    if address := os.environ.get(RUNNING):
        yield address
        return
    _need_java()
    with kafka(tmp_path_factory.mktemp("kafka") / "one") as cluster:
        yield cluster.bootstrap


@pytest.fixture
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Cluster]]:
    """Start clusters of so many brokers, to be stopped, killed and bounced; all end with the test."""
    with contextlib.ExitStack() as running:

        def start(n_brokers: int = 1) -> Cluster:
            _need_java()
            return running.enter_context(kafka(tmp_path_factory.mktemp("kafka") / "own", n_brokers))

        yield start


@pytest.fixture(scope="module")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker that asks for a password, over TLS."""
    _need_java("openssl")
    with secured(tmp_path_factory.mktemp("kafka") / "secured") as found:
        yield found


def _need_java(*more: str) -> None:
    if reason := missing(*more):
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
