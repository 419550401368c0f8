from __future__ import annotations

import pytest

from pipelines.log.embedded import EmbeddedLog


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.db")
    yield log
    log.close()
