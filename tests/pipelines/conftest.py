from __future__ import annotations

import pytest

from tests.services.postgres import postgres_server


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL server for all tests of a worker; each test takes a database of its own."""
    with postgres_server() as server:
        yield server
