"""The commands of the README that bring a model to a device, as written; and the examples of the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from pipelines.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXPORT = re.findall(r"^\$ forecast (export.*?)(?:\s+#.*)?$", README, re.MULTILINE)
DEVICE = re.findall(r"^\$ python (forecast-edge\.pyz .*)$", README, re.MULTILINE)
PAGE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "edge.md").read_text(), re.DOTALL)
pytestmark = pytest.mark.slow


def test_the_three_commands_of_the_device(tmp_path, monkeypatch):
    from pipelines.demo.datasets import DATASETS

    monkeypatch.chdir(tmp_path)
    whole = DATASETS[-1].read()
    whole.iloc[:-3].to_csv("sales.csv", index=False)
    for line in ("train sales.csv --horizon 12 --windows 0 --no-track", *EXPORT):
        words = [*line.split(), *(["--no-track"] if line.startswith("export ") else [])]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, f"{line}: {done.output}"
    device = tmp_path / "there"
    device.mkdir()
    for name in ("shop.edge.zip", "shop/forecast-edge.pyz", "keys/keys.json"):
        shutil.copy(name, device)
    rest = whole.tail(3)
    ticks = [
        {
            "series_id": row.unique_id,
            "ts_ms": int(pd.Timestamp(row.ds).timestamp() * 1000),
            "value": row.y,
            "v": 1,
        }
        for row in rest.itertuples()
    ]
    (device / "ticks.jsonl").write_text("".join(json.dumps(tick) + "\n" for tick in ticks))
    assert [line.split()[1] for line in DEVICE] == ["verify", "install", "step"]
    said = []
    for line in DEVICE:
        done = subprocess.run(
            [sys.executable, "-I", *line.split()], cwd=device, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{line}: {done.stderr}"
        said.append(done.stdout)
    assert "signed by" in said[0]
    assert "installed" in said[1]
    forecasts = [json.loads(line) for line in said[2].splitlines()]
    assert [one["ts_ms"] for one in forecasts] == [tick["ts_ms"] for tick in ticks]
    assert all(len(one["mean"]) == 12 and one["level"] == [80, 95] for one in forecasts)


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in PAGE:
        exec(compile(block, "edge.md", "exec"), scope)  # noqa: S102  # the point of the test
    assert len(scope["ahead"].mean) == len(scope["moved"].mean) == 12
    assert scope["moved"].imputed == pytest.approx(scope["ahead"].mean[0])
    assert (tmp_path / "shop.edge.zip").exists()
