"""MLflow's own pages of a fleet, in a browser.

``python -m tests.services.mlflow_pages FILE.png`` makes the picture in the docs: a server, three trainings
and a retrain of a small fleet, the compare page.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.tracking import Candidate, JobSummary, RetrainSummary, log_job, log_retrain
from pipelines.tracking.view import NAME
from tests.services.chromium import page
from tests.services.mlflow_server import mlflow_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Lags, MASE, share inside the 80% interval: numbers for a picture.
NIGHTS = ((1, 1.12, 0.87), (3, 0.98, 0.84), (13, 0.84, 0.79))


# What MLflow's pages remember of a visitor who closed the panel that opens on a first visit.
SEEN = (("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true"), ("mlflow.assistant.panelOpen_v1", "false"))


def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    """Ask the server's REST interface."""
    request = urllib.request.Request(  # noqa: S310  # ours
        f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def experiment_of(url: str, fleet: str) -> dict[str, Any]:
    """Return the experiment of a fleet."""
    found = ask(url, "experiments/search", {"max_results": 100, "filter": f"name = 'forecast/{fleet}'"})
    [experiment] = found["experiments"]
    return experiment


def log_nights(url: str, job: JobSummary, fleet: str) -> list[str]:
    """Log three trainings that differ in their lags, and a retrain; return the ids of their runs."""
    found = []
    for k, (lags, mase, inside) in enumerate(NIGHTS):
        params = {"model": "AR", "models": "AR", "lags": lags, "windows": 2, "freq": "MS"}
        metrics = {"mase_mean": mase, "mase_p90": 1.5 * mase, "coverage_80": inside, "n_series": 5}
        metrics |= {"crps_mean": 2.2 * mase, "coverage_95": 0.94, "mase_skill": 1 - mase, "n_failed": 0}
        night = replace(
            job, job_id=f"night-{k + 1}", fleet=fleet, params=params, metrics=metrics,
            candidates=(
                Candidate("AR", {"lags": lags}, {"mase_mean": mase}),
                Candidate("Naive", {}, {"mase_mean": 1.0}),
            ),
        )  # fmt: skip
        found.append(log_job(night, url, 120).run_id)
    again = RetrainSummary(
        job=7, fleet=fleet, outcome="promoted", reason="significant gain", parent_version=job.version,
        parent_run_id=found[-1], version="12" * 32,
        params={"model": "AR", "models": "AR", "lags": 13, "horizon": 6, "windows": 2, "freq": "MS"},
        metrics={"mase_mean": 0.79, "mase_p90": 1.1, "champion_mase_mean": 0.84, "p_value": 0.01,
                 "coverage_80": 0.8, "crps_mean": 1.7, "n_events": 3, "n_refit": 2, "mase_skill": 0.21},
    )  # fmt: skip
    return [*found, log_retrain(again, url, 120)]


def open_scores(tab: Page, url: str, experiment: str) -> None:
    """Open the table of runs, and the view that is saved with the experiment."""
    tab.add_init_script(f"for (const [k, v] of {json.dumps(SEEN)}) localStorage.setItem(k, v)")
    tab.goto(f"{url}/#/experiments/{experiment}/runs")
    tab.get_by_test_id("saved-views-trigger").click()
    tab.get_by_text(NAME, exact=True).click()
    tab.get_by_text("mase_mean", exact=True).first.wait_for()


def compare(tab: Page, runs: int) -> None:
    """Select the first runs of the table that is open, and press Compare."""
    boxes = tab.locator(".ag-row .ag-selection-checkbox")
    for k in range(runs):
        boxes.nth(k).click()
    tab.get_by_role("button", name="Compare", exact=True).click()
    tab.get_by_text(f"Comparing {runs} Runs").wait_for()
    tab.locator(".parcoords").first.wait_for()


def plot(tab: Page, metric: str) -> None:
    """Put a metric of our choice on the axis of the parallel coordinates that are open."""
    box = tab.get_by_role("combobox").nth(1)  # the first is for params
    box.click()
    box.fill(metric)
    tab.locator(f'[title="{metric}"]').last.click()
    tab.keyboard.press("Escape")


def main(target: str) -> None:
    """Write the picture."""
    from PIL import Image

    from tests.pipelines.tracking.conftest import job_of

    with tempfile.TemporaryDirectory() as folder, mlflow_server(Path(folder)) as url:
        (Path(folder) / "job").mkdir()
        log_nights(url, job_of(Path(folder) / "job"), "shop")
        with page() as tab:
            open_scores(tab, url, experiment_of(url, "shop")["experiment_id"])
            compare(tab, 4)
            plot(tab, "mase_mean")
            tab.wait_for_timeout(1_000)  # lines that move to their new axis
            shot = tab.screenshot()
    # A palette: a third of the bytes, and nothing of it is seen on a page of few colours.
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(128).save(target, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
