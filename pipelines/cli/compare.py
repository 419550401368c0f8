"""`forecast compare FLEET`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forecast.errors import InputError, nearest
from pipelines.cli import options
from pipelines.cli.show import records, show_frame, show_json

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_URI = "sqlite:///mlflow.db"

# Shown when no --metric is given: how good, how well calibrated, against the baseline, how many failed.
SHOWN = (
    "mase_mean",
    "mase_p90",
    "coverage_80",
    "coverage_95",
    "mase_skill",
    "n_series",
    "n_failed",
    "fit_seconds",
)


@click.command("compare", short_help="Compare the training runs of a fleet that MLflow holds.")
@click.argument("fleet")
@click.option(
    "--tracking",
    envvar="FORECAST_TRACKING_URI",
    default=DEFAULT_URI,
    show_default=True,
    help="sqlite:///FILE or the URL of a server.",
)
@click.option("--metric", multiple=True, help="Fleet metric to show; may be repeated.")
@click.option("--last", type=click.IntRange(1, 1000), default=10, show_default=True, help="Newest runs.")
@click.option("--candidates", is_flag=True, help="The candidates that were tried, in place of the jobs.")
@click.option("--experiment", help="By default forecast/FLEET.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the first metric as bars in this PNG.")
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds that MLflow may take.")
@options.as_json
def command(
    fleet: str,
    tracking: str,
    metric: tuple[str, ...],
    last: int,
    candidates: bool,
    experiment: str | None,
    plot: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Show runs of FLEET side by side: the params that differ, and the fleet metrics."""
    from pipelines.tracking import METRICS, runs

    for name in metric:
        if name not in METRICS:
            raise InputError(f"there is no fleet metric {name!r}{nearest(name, METRICS)}")
    frame = runs(tracking, fleet, last=last, candidates=candidates, experiment=experiment, timeout_s=timeout)
    chosen = [name for name in metric or SHOWN if name in frame]
    if plot and len(frame):
        draw(frame, chosen[0] if chosen else "", plot)
    if as_json:
        show_json(records(frame))
    elif frame.empty:
        click.echo(f"no runs of {fleet}")
    else:
        show_frame(side_by_side(frame, chosen), f"{fleet}: newest {len(frame)} runs")


def side_by_side(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Return what tells runs apart: names, times, params that differ, the metrics asked for."""
    named = ["candidate"] if frame["candidate"].any() else []
    differing = [c for c in map(str, frame) if c.startswith("params.") and len(frame[c].unique()) > 1]
    table = frame[["job_id", *named, "started", *differing, *metrics]].copy()
    table["started"] = table["started"].dt.strftime("%Y-%m-%d %H:%M")
    return table.rename(columns=lambda name: name.removeprefix("params."))


def draw(frame: pd.DataFrame, metric: str, path: str) -> None:
    """Write a PNG with one bar a run, the newest at the bottom.

    Raises
    ------
    InputError
        No run has the metric, the name does not end in .png, or matplotlib is not installed.
    """
    from importlib.util import find_spec

    if not path.lower().endswith(".png"):
        raise InputError(f"--plot must name a .png file, got {path!r}")
    if metric not in frame:
        raise InputError("none of these runs has the metric to draw; name one with --metric")
    if find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib; install forecast-platform[plot]")
    from matplotlib.figure import Figure

    from pipelines.tracking import METRICS

    oldest_first = frame[::-1]
    names = oldest_first["candidate"].where(oldest_first["candidate"] != "", oldest_first["job_id"])
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(frame)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(frame)), oldest_first[metric], color="#4c72b0")
    axes.set_yticks(range(len(frame)), labels=list(names))
    axes.set_xlabel(f"{metric} ({METRICS[metric].unit})")
    figure.savefig(path, dpi=120)
