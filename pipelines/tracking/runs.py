"""Runs of a fleet as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forecast.errors import InputError, nearest
from pipelines.tracking.log import TIMEOUT_S, answer_of, experiment_of
from pipelines.tracking.summary import METRICS, check_plain
from pipelines.tracking.tracker import Tracker
from pipelines.tracking.uri import resolve_uri, shown, sqlite_file

if TYPE_CHECKING:
    import pandas as pd

# MLflow answers with at most this many runs a page.
MOST_RUNS = 1000


def runs(
    tracking_uri: str,
    fleet: str,
    *,
    last: int = 100,
    candidates: bool = False,
    experiment: str | None = None,
    timeout_s: float = TIMEOUT_S,
    tracker: Tracker | None = None,
) -> pd.DataFrame:
    """Return the jobs of a fleet, the newest first; runs that others put beside them are left out.

    Parameters
    ----------
    last
        At most so many rows, up to 1000.
    candidates
        The nested runs, one a candidate, in place of the jobs (trainings and retrains).
    tracker
        One that was started before, with the same URI, to save the start; it stays open.

    Returns
    -------
    DataFrame
        ``job_id, candidate, kind, run_id, started, status, version``, a column ``params.NAME`` for each param
        seen, and one for each of `METRICS` that some run has. Empty while nothing was logged.

    Raises
    ------
    TrackingError
        MLflow is absent, down or slow.
    InputError
        MLflow knows fleets, but no such one; the nearest is named.
    """
    check_plain("fleet", fleet)
    path = sqlite_file(resolve_uri(tracking_uri))
    if path is not None and not path.is_file():
        return _frame([])  # nothing was logged yet
    request = {
        "do": "runs",
        "fleet": fleet,
        "experiment": experiment or experiment_of(fleet),
        "last": min(last, MOST_RUNS),
        "candidates": candidates,
    }
    answer = answer_of(request, tracking_uri, timeout_s, tracker)
    if answer["fleets"]:
        place = f"MLflow at {shown(tracking_uri)}"
        raise InputError(f"{place} has no runs of {fleet!r}{nearest(fleet, answer['fleets'])}")
    return _frame(answer["rows"])


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    fixed = ["job_id", "candidate", "kind", "run_id", "started", "status", "version"]
    params = sorted({name for row in rows for name in row["params"]})
    metrics = [name for name in METRICS if any(name in row["metrics"] for row in rows)]
    plain = [
        {**row, "started": pd.Timestamp(row["started_ms"], unit="ms", tz="UTC"), **row["metrics"]}
        | {f"params.{name}": row["params"].get(name, "") for name in params}
        for row in rows
    ]
    return pd.DataFrame(plain, columns=[*fixed, *(f"params.{name}" for name in params), *metrics])
