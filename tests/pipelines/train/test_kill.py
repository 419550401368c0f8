"""A job that is killed anywhere and resumed leaves what it would have left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.train.run import run
from pipelines.train.run_folder import create, reopen
from tests.pipelines.train.fakes import FakeMlflow, FakeStore

ROOT = Path(__file__).parents[3]
STAGES = ["snapshot", "check", "fit", "backtest", "version", "forecast", "report", "register", "track"]
BOUNDARIES = [
    *(f"before:{stage}" for stage in STAGES), "after:track",
    "within:fit", "within:backtest", "torn:forecasts.parquet", "torn:manifest.json", "torn:history.json",
]  # fmt: skip
RESULTS = ("quality.parquet", "forecasts.parquet", "report.parquet")


def left(folder):
    """Everything that must not depend on a kill."""
    summary = json.loads((folder.path / "summary.json").read_text())
    store = json.loads(Path("store.json").read_text())
    files = {name: hashlib.sha256((folder.path / name).read_bytes()).hexdigest() for name in RESULTS}
    model = sorted(p.relative_to(summary["folder"]).as_posix() for p in Path(summary["folder"]).rglob("*"))
    return summary["version"], files, model, {k: v for k, v in store.items() if k != "tracking"}


@pytest.fixture
def whole(room, settings, job, tmp_path_factory):
    """What an undisturbed job leaves."""
    folder = create(settings.run_root, job, "whole")
    run(folder, settings, lambda url: FakeStore(Path("store.json")), FakeMlflow())
    return left(folder)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_and_resumed_is_as_if_undisturbed(
    boundary, whole, room, settings, job, tmp_path_factory, monkeypatch
):
    other = tmp_path_factory.mktemp("other")
    (other / "sales.parquet").write_bytes((room / "sales.parquet").read_bytes())
    monkeypatch.chdir(other)
    create(settings.run_root, job, "whole")
    command = [sys.executable, "-m", "tests.pipelines.train.child", "whole", boundary]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    folder = reopen(settings.run_root, "whole")
    outcome = run(folder, settings, lambda url: FakeStore(Path("store.json")), FakeMlflow())
    assert outcome.not_logged is None
    assert left(folder) == whole
    assert not [p for p in other.rglob("*.tmp")]
    assert not [p for p in other.rglob("models/**/.*")]
