"""The lines for schedulers in the README run as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
(CRON,) = re.findall(r"```cron\n(.*?)\n```", README, re.DOTALL)
(UNIT,) = re.findall(r"```ini\n(.*?)```", README, re.DOTALL)


def fleet(folder: Path) -> None:
    import numpy as np
    import pandas as pd

    months = pd.date_range("2020-01-01", periods=48, freq="MS")
    y = 10 + np.random.default_rng(0).normal(size=48)
    pd.DataFrame({"unique_id": "a", "ds": months, "y": y}).to_parquet(folder / "sales.parquet", index=False)


def start(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_line_for_cron_runs_twice_and_gives_one_version(tmp_path):
    fleet(tmp_path)
    when, command = re.fullmatch(r"((?:\S+ ){5})(.*)", CRON).groups()
    assert when.split() == ["30", "2,3", "*", "*", "*"]
    command = command.replace("/srv/forecast", str(tmp_path))
    for _ in range(2):
        done = start(command, tmp_path)
        assert done.returncode == 0, (tmp_path / "train.log").read_text()
    assert len(list((tmp_path / "models" / "sales").iterdir())) == 1
    assert "same as before" in (tmp_path / "train.log").read_text()


@pytest.mark.slow
def test_the_service_runs_what_it_says(tmp_path):
    fleet(tmp_path)
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    assert start(command + " --no-track", tmp_path).returncode == 0


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        missing = "systemd-analyze is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    unit = tmp_path / "forecast-train.service"
    unit.write_text(UNIT)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "Unknown" not in done.stderr
    assert "Failed to parse" not in done.stderr
