from __future__ import annotations

import pytest

from pipelines.settings import Settings
from pipelines.store import open_store
from tests.pipelines.retrain.fleet import Shop
from tests.pipelines.tracking.conftest import ask  # noqa: F401  # a fixture


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.ops)])
def shop(request, tmp_path):
    """A store without versions, on SQLite and on PostgreSQL, and folders for them."""
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    settings = Settings(
        store_url=url,
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        model_root=tmp_path / "models",
        history_root=tmp_path / "history",
        run_root=tmp_path / "runs",
        shadow_ticks=12,
    )
    with open_store(settings.store(), lock_timeout_s=5) as store:
        store.upgrade()
        yield Shop(store, settings, tmp_path)
