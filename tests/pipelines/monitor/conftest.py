from __future__ import annotations

import pytest

from pipelines.log.embedded import EmbeddedLog
from pipelines.store import open_store
from tests.pipelines.monitor.feeds import Feed


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", lock_timeout_s=5) as store:
        store.upgrade()
        yield store


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()


@pytest.fixture
def feed(log):
    return Feed(log)
