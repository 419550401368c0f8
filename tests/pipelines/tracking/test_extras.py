"""Commands in an installation without the extra that they need: one line that says which."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.pipelines.tracking.conftest import ROOT

# Import finds nothing of these names, as where they are not installed; then every command, one after another.
_WITHOUT = """
import importlib.machinery, json, sys
hidden, commands = json.loads(sys.argv[1])
find = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in hidden else find(name, path, target)
importlib.machinery.PathFinder.find_spec = find_spec
from click.testing import CliRunner
from pipelines.cli import main
for command in commands:
    done = CliRunner().invoke(main, command)
    print(json.dumps([done.exit_code, done.stderr]))
"""

TRAIN = ["train", "sales.csv", "--freq", "D", "--model", "Naive", "--windows", "0", "--horizon", "2"]


def without(folder, hidden: list[str], *commands: list[str]) -> list[tuple[int, str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FORECAST_")}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, json.dumps([hidden, commands])],
        cwd=folder, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path):
    days = pd.date_range("2024-01-01", periods=20, freq="D")
    frame = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.arange(20.0)})
    frame.to_csv(tmp_path / "sales.csv", index=False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["sqlalchemy", "pydantic_settings"])
def test_the_extra_is_named_by_every_command(folder, missing):
    commands = [TRAIN, ["compare", "shop"], ["db", "check"], ["models", "list"]]
    if missing == "sqlalchemy":
        commands.remove(["compare", "shop"])  # needs none here: its MLflow is in another process
    for code, said in without(folder, [missing, "mlflow"], *commands):
        assert code == 1
        # The name of the run may come before; nothing after.
        line = said.splitlines()[-1]
        assert f"{missing} is not installed: pip install 'forecast-platform[track]'" in line
        assert "Traceback" not in said


@pytest.mark.slow
def test_a_job_without_mlflow_stops_before_any_work_or_leaves_it_out(folder):
    (folder / "mlflow.db").touch()
    compared, trained, untracked = without(
        folder, ["mlflow"], ["compare", "shop"], TRAIN, [*TRAIN, "--no-track"]
    )
    install = "MLflow is not installed: pip install 'forecast-platform[track]'"
    assert compared == (1, f"forecast compare: {install}\n")
    assert trained[0] == 1
    assert trained[1].splitlines()[-1] == f"forecast train: {install}"
    assert not list(folder.glob("runs/*/stages/snapshot.json"))[1:]
    assert untracked[0] == 0, untracked[1]
