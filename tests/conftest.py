"""What every test shares: the Hypothesis profile, and the data that may lie beside the repository."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.services.kafka.fixtures import kafka_address, kafka_cluster, secured_kafka

__all__ = ["kafka_address", "kafka_cluster", "secured_kafka"]  # fixtures of every test

# deadline=None: the first call of a kernel compiles for seconds. Derandomised: a red build can be repeated.
settings.register_profile(
    "forecast", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# For the slow builds of the kernels: plain Python, bounds checks.
settings.register_profile("few", settings.get_profile("forecast"), max_examples=10)
settings.load_profile("forecast")

# A shell starts jobs in the background deaf to SIGINT, which commands respect; those of the tests must hear.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with `data/` and `goldens/`, beside the repository; never part of it."""
    if not (SHARED / "data").is_dir():
        reason = "needs the panels at ../shared/data, which are not part of the repository"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return Path(__file__).parent / "fixtures"
