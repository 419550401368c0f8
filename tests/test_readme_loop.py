"""The commands of the README about drift, as written, on an embedded log and a series that shifts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.store import open_store

ROOT = Path(__file__).parent.parent
SECTION = (ROOT / "README.md").read_text().split("\n## Drift\n")[1].split("\n## ")[0]
COMMANDS = re.findall(r"^\$ forecast (.*?)\s+#.*$", SECTION, re.M)
pytestmark = pytest.mark.slow


def run(*words):
    done = CliRunner().invoke(main, [*words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stream of `sales@champion` that has answered seven years of a lower level."""
    from pipelines.demo.loop import dated

    monkeypatch.chdir(tmp_path)
    # One value a year: a false alarm in a thousand years; and no shadow, which would wait for 24 more.
    monkeypatch.setenv("FORECAST_DRIFT_ARL0", "1000")
    monkeypatch.setenv("FORECAST_SHADOW_TICKS", "0")
    whole = dated()
    whole.iloc[:28].to_csv("sales.csv", index=False)
    whole.iloc[28:36].to_csv("new.csv", index=False)
    run("train", "sales.csv", "--horizon", "5", "--windows", "0", "--freq", "YS", "--no-track")
    run("produce", "new.csv", "--log", "stream.db")
    run("stream", "--model", "sales@champion", "--log", "stream.db", "--horizon", "5", "--stop-at-end")
    return tmp_path


def test_the_three_commands_find_the_shift_refit_and_show_why(folder):
    assert [line.split()[0] for line in COMMANDS] == ["monitor", "retrain", "models"]
    monitor, retrain, show = (line.split() for line in COMMANDS)
    run(*monitor, "--stop-at-end")
    told = run(*retrain, "--no-track")
    assert "sales@2 promoted" in told
    shown = run(*show)
    for word in ("event", "mean", "gate", "passed against sales@1", "promotion", "streams were told"):
        assert word in shown
    assert run(*retrain, "--no-track").strip() == "nothing is due"  # called again, nothing is done again
    run("models", "rollback", "sales", "--reason", "test")
    with open_store(f"sqlite:///{folder / 'forecast.db'}") as store:
        assert store.champion("sales").version.ver == 1
