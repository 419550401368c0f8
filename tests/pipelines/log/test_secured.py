"""SASL and TLS, against a broker that insists on them."""

from __future__ import annotations

import gc
import time
import warnings

import pytest

from pipelines.consumer import ForecastStream
from pipelines.errors import LogError
from pipelines.log import CLIENTS, open_log
from pipelines.log.protocol import Topic
from pipelines.settings import load_settings
from tests.pipelines.stream.test_service import TICKS, World, model, ticks
from tests.services.kafka.secured import PASSWORD, USER

__all__ = ["model", "ticks"]  # fixtures

pytestmark = [pytest.mark.stream, pytest.mark.slow]

EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS)

# A wrong password or certificate is told by then.
SOON_S = 15.0


def security(broker, **changes):
    """What a user has in the environment."""
    given = {
        "protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "username": USER, "password": PASSWORD,
        "ca_file": str(broker.ca_file),
    }  # fmt: skip
    environ = {f"FORECAST_KAFKA_{name.upper()}": value for name, value in (given | changes).items()}
    return load_settings(environ=environ).security()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
@EVERY_CLIENT
def test_ticks_are_produced_streamed_and_read(secured_kafka, model, ticks, client, mechanism):
    allowed = security(secured_kafka, mechanism=mechanism)
    world = World(secured_kafka.address, model, ticks, security=allowed, client=client)
    try:
        world.make()
        world.produce()
        totals = world.run()
        faults, told = world.faults()
        assert faults == {}, told
        assert totals.counts["ticks"] == TICKS
        with ForecastStream(world.log, world.topics.forecasts, follow=False) as stream:
            assert len(list(stream)) == totals.counts["forecasts"]
    finally:
        world.log.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wrong"}, "refuses this user or password"),
        ({"username": "bob"}, "refuses this user or password"),
        ({"mechanism": "PLAIN", "password": "wrong"}, "refuses this user or password"),
        ({"ca_file": "other"}, "certificate"),
    ],
)
@EVERY_CLIENT
def test_who_may_not_enter_is_told_why(secured_kafka, client, changes, said):
    if changes.get("ca_file"):
        changes = {"ca_file": str(secured_kafka.other_ca_file)}
    started = time.monotonic()
    with pytest.raises(LogError, match=said) as caught:  # noqa: PT012  # at once, or with the first question
        log = open_log(secured_kafka.address, security=security(secured_kafka, **changes), client=client)
        log.make_topics([Topic("t", 1)])
    assert time.monotonic() - started < SOON_S
    assert secured_kafka.address in str(caught.value)
    assert "wrong" not in str(caught.value)
    assert not caught.value.retriable
    _let_go()


def _let_go():
    """Refused connections are left to the garbage collector by the client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
