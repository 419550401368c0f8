"""A network between workers and broker that swallows everything, and one that is cut.

A proxy stands for it, so that nobody needs rights over the machine's network. Only the workers are behind it;
the feeder and the verifier have another door to the broker.
"""

from __future__ import annotations

import time

import pytest

from tests.chaos.proxy import Line, Proxy
from tests.chaos.rig import SMALL, goes_on, sound
from tests.services.kafka.cluster import free_ports, make
from tests.services.kafka.fixtures import _need_java

pytestmark = [pytest.mark.stream, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path):
    """A broker with two doors: its own address, and one behind a proxy; yields both and the proxy."""
    _need_java()
    cluster = make(tmp_path / "kafka")
    one, (inner, outer) = cluster.brokers[0], free_ports(2)
    text = one.settings.read_text()
    own = f"PLAINTEXT://127.0.0.1:{one.port}"
    text = text.replace(f"\nlisteners={own}", f"\nlisteners={own},LINE://127.0.0.1:{inner}")
    text = text.replace(f"advertised.listeners={own}", f"advertised.listeners={own},LINE://127.0.0.1:{outer}")
    text = text.replace("CONTROLLER:PLAINTEXT", "CONTROLLER:PLAINTEXT,LINE:PLAINTEXT")
    one.settings.write_text(text)
    proxy = Proxy(outer, ("127.0.0.1", inner))
    try:
        cluster.start()
        yield cluster.bootstrap, f"127.0.0.1:{outer}", proxy
    finally:
        proxy.close()
        cluster.close()


def test_nothing_is_lost_and_nothing_comes_twice(make_rig, broker):
    bootstrap, behind, proxy = broker
    rig = make_rig(bootstrap, SMALL, line=behind)
    rig.start()
    goes_on(rig)
    proxy.set(Line.SILENT)
    time.sleep(SMALL.session_s + 4.0)  # the group takes the workers for dead
    proxy.set(Line.OPEN)
    goes_on(rig, 150.0)
    proxy.set(Line.CUT)
    time.sleep(5.0)
    proxy.set(Line.OPEN)
    goes_on(rig, 150.0)
    sound(rig)
