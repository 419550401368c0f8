"""The commands and examples of the pages about MLflow run as they are written."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from importlib.util import find_spec

import pandas as pd
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.tracking import METRICS, Tracker, log_job, runs
from tests.pipelines.tracking.conftest import ROOT

PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("tracking.md", "drift.md")}
COMMANDS = [
    line
    for page in PAGES.values()
    for line in re.findall(r"^forecast (compare .*?)(?:\s+#.*)?$", page, re.MULTILINE)
]
EXAMPLES = [
    block
    for block in re.findall(r"```python\n(.*?)```", PAGES["drift.md"], re.DOTALL)
    if "log_retrain" in block
]


def test_there_are_commands_and_an_example():
    assert len(COMMANDS) >= 6
    assert len(EXAMPLES) == 1


def test_every_metric_stands_in_the_page():
    assert all(name in PAGES["tracking.md"] for name in METRICS)


@pytest.fixture(scope="module")
def room(tmp_path_factory, job):
    """A folder with an MLflow file that holds two fleets, two nights each."""
    folder = tmp_path_factory.mktemp("documented")
    ids = [f"s{k}" for k in range(9)]
    parts = [
        pd.DataFrame({"unique_id": ids, "model": name, "mase": range(1, 10), "crps": range(1, 10)})
        for name in ("ar2", "naive")
    ]
    pd.concat(parts).to_parquet(folder / "scores.parquet")
    uri = f"sqlite:///{folder}/mlflow.db"
    with Tracker(uri) as tracker:
        for fleet in ("shop", "depot"):
            for night in ("night-1", "night-2"):
                metrics = dict(job.metrics) | {"mase_p90": 1.2}
                scores = str(folder / "scores.parquet")
                each = replace(job, job_id=night, fleet=fleet, metrics=metrics, scores=scores)
                log_job(each, uri, 120, tracker=tracker)
    return folder


@pytest.mark.ops
@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]")
def test_what_is_written_runs(room, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(room)
    for name in ("FORECAST_CONFIG", "FORECAST_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    scope: dict[str, object] = {}
    for block in EXAMPLES:
        exec(compile(block, "drift.md", "exec"), scope)  # noqa: S102  # the point of the test
    assert "retrain-12" in set(runs("sqlite:///mlflow.db", "shop")["job_id"])
    for line in COMMANDS:
        result = CliRunner().invoke(main, shlex.split(line))
        assert result.exit_code == 0, (line, result.output, result.exception)
    assert (room / "p90.png").exists()
