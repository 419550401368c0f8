"""How MLflow shows a fleet's experiment: as model training, with a saved view of what compares runs.

MLflow opens an experiment of unknown kind among traces and prompts, and its table of runs without any param
or metric: both are told by tags of the experiment, which a person may change later.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Final

KIND_TAG: Final = "mlflow.experimentKind"
TRAINING: Final = "custom_model_development"

NAME: Final = "Scores"
"""Of the view, in the list that opens with "Views"."""

# MLflow keeps views by an id of its own making; a fixed one is found again, and written once.
VIEW_TAG: Final = "mlflow.sharedViewState.forecast-scores"

# What tells runs apart, then what they are judged by: as many as a screen is wide. The rest, the data too, is
# one click away (Columns).
COLUMNS: Final = (
    "params.`model`",
    "params.`horizon`",
    "metrics.`mase_mean`",
    "metrics.`mase_p90`",
    "metrics.`crps_mean`",
    "metrics.`coverage_80`",
    "metrics.`coverage_95`",
    "metrics.`mase_skill`",
    "metrics.`n_failed`",
)


def experiment_tags(now_ms: int) -> dict[str, str]:
    """Return the tags of a new experiment."""
    return {KIND_TAG: TRAINING, VIEW_TAG: view(now_ms)}


def view(now_ms: int) -> str:
    """Return the saved view as MLflow's page writes it (3.17): deflated JSON in JSON."""
    state = {
        "searchFilter": "", "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS), "columnOrder": [], "columnWidths": {},
        "runsHiddenMode": "FIRST_10_RUNS", "viewMaximized": False, "runListHidden": False,
        "isAccordionReordered": False, "useGroupedValuesInCharts": True, "hideEmptyCharts": True,
        "groupBy": None, "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": NAME, "createdAt": now_ms, "updatedAt": now_ms, "state": f"deflate;{packed}"})
