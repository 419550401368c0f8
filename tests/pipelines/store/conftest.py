"""Every test here runs on SQLite and, marked `ops`, on a PostgreSQL server of its own."""

from __future__ import annotations

import pytest

from pipelines.store import open_store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.ops)])
def url(request, tmp_path):
    """URL of a store that has no tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def store(url):
    """A store with all tables."""
    with open_store(url, lock_timeout_s=5) as store:
        store.upgrade()
        yield store
