"""MLflow's own pages show and compare a fleet's runs: a real server in a real browser."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from pipelines.tracking.view import COLUMNS, NAME, VIEW_TAG, view
from tests.services.chromium import page, require_chromium
from tests.services.mlflow_pages import NIGHTS, compare, experiment_of, log_nights, open_scores, plot


def test_the_saved_view_is_one_tag_within_what_mlflow_takes():
    told = json.loads(view(1))
    assert told["name"] == NAME
    assert told["state"].startswith("deflate;")
    assert len(view(1)) < 5000  # the longest value of a tag of an experiment


@pytest.fixture(scope="module")
def shown(server, job):
    """Three trainings and a retrain, and the id of their experiment."""
    require_chromium()
    log_nights(server, job, "pages")
    return experiment_of(server, "pages")


needs_mlflow = pytest.mark.skipif(find_spec("mlflow") is None, reason="needs forecast-platform[track]")


@needs_mlflow
@pytest.mark.ops
@pytest.mark.slow
def test_the_table_shows_params_and_scores_in_one_click(server, shown):
    assert VIEW_TAG in {tag["key"] for tag in shown["tags"]}
    with page(width=2200) as tab:
        open_scores(tab, server, shown["experiment_id"])
        for name in (each.partition(".")[2].strip("`") for each in COLUMNS):
            tab.locator(".ag-header-cell").get_by_text(name, exact=True).wait_for()
        for name in ("night-1", "night-2", "night-3", "retrain-7"):
            tab.locator(".ag-row").get_by_text(name, exact=True).first.wait_for()
        for _, mase, _ in NIGHTS:
            tab.locator(".ag-row").get_by_text(str(mase), exact=True).first.wait_for()


@needs_mlflow
@pytest.mark.ops
@pytest.mark.slow
def test_compare_plots_the_runs_and_shows_what_differs(server, shown):
    with page() as tab:
        open_scores(tab, server, shown["experiment_id"])
        compare(tab, 4)
        plot(tab, "mase_mean")
        tab.get_by_text("mase_mean", exact=True).first.wait_for()
        axes = tab.locator(".parcoords .axis-title").all_text_contents()
        lines = tab.locator("body").inner_text()
    assert "lags" in axes
    assert "mase_mean" in axes
    assert "models" not in axes  # it does not differ
    differing = lines[lines.index("Parameters\n") : lines.index("Metrics\n")]
    assert "lags\t13\t13\t3\t1" in differing.replace("\n\t", "\t").replace("\t\n", "\t")
