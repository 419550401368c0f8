from __future__ import annotations

import pytest

from tests.pipelines.children import Children
from tests.services.postgres import postgres_server


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL server for all tests of a worker; each test takes a database of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def children(tmp_path_factory):
    found = Children(tmp_path_factory.mktemp("children"))
    yield found
    found.close()
