"""Rigs on brokers that tests share, or on some of their own."""

from __future__ import annotations

import contextlib
import gc
import uuid
import warnings
from dataclasses import replace

import pytest

from tests.chaos.rig import SMALL, Rig


@pytest.fixture(autouse=True)
def forget_dead_connections():
    """Collect what kafka-python leaves of connections to brokers that are gone, without a word."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def make_rig(tmp_path):
    """Make rigs; their processes end with the test."""
    with contextlib.ExitStack() as open_:

        def make(bootstrap, setup=SMALL, **more):
            name = f"t{uuid.uuid4().hex[:8]}-"
            rig = Rig(bootstrap, tmp_path, replace(setup, prefix=name), **more)
            open_.callback(rig.close)
            return rig

        yield make


@pytest.fixture
def rig(make_rig, kafka_address):
    """Two workers at work on the shared broker."""
    made = make_rig(kafka_address)
    made.start()
    return made
