"""`forecast compare FLEET`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from forecast.errors import InputError, nearest
from pipelines.cli import options
from pipelines.cli.show import records, show_frame, show_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

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
@click.argument("fleets", metavar="FLEET...", nargs=-1, required=True)
@click.option("--tracking", metavar="URI", help="MLflow: sqlite:///FILE or http://HOST:PORT.")
@click.option("--config", type=click.Path(dir_okay=False), help="Settings; forecast.toml if left out.")
@click.option("--metric", multiple=True, help="Fleet metric to show; may be repeated.")
@click.option("--sort", metavar="METRIC", help="Order by this metric, the smallest first; else by age.")
@click.option("--reverse", is_flag=True, help="Turn the order round.")
@click.option(
    "--last", type=click.IntRange(1, 1000), default=10, show_default=True, help="Newest runs of a fleet."
)
@click.option("--candidates", is_flag=True, help="The candidates that were tried, in place of the jobs.")
@click.option("--experiment", help="By default forecast/FLEET.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the first metric as bars in this PNG.")
@click.option("--timeout", type=float, help="Seconds that MLflow may take; by default as the settings say.")
@options.as_json
def command(
    fleets: tuple[str, ...],
    tracking: str | None,
    config: str | None,
    metric: tuple[str, ...],
    sort: str | None,
    reverse: bool,
    last: int,
    candidates: bool,
    experiment: str | None,
    plot: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Show runs of fleets side by side: the params that differ, and the fleet metrics."""
    from pipelines.tracking import METRICS

    for name in (*metric, *([sort] if sort else [])):
        if name not in METRICS:
            raise InputError(f"there is no fleet metric {name!r}{nearest(name, METRICS)}")
    ask = {"last": last, "candidates": candidates, "experiment": experiment}
    frame = in_order(_read(fleets, config, tracking, timeout, ask), sort, reverse)
    chosen = [name for name in metric or SHOWN if name in frame]
    if plot and len(frame):
        draw(frame, chosen[0] if chosen else "", plot)
    if as_json:
        show_json(records(frame))
    elif frame.empty:
        click.echo(f"no runs of {', '.join(fleets)}")
    else:
        show_frame(side_by_side(frame, chosen), f"{', '.join(fleets)}: {len(frame)} runs")


def _read(
    fleets: Sequence[str],
    config: str | None,
    tracking: str | None,
    timeout: float | None,
    ask: dict[str, Any],
) -> dict[str, pd.DataFrame]:
    """Return the runs of each fleet; MLflow is started once for all."""
    from pipelines.settings import load_settings
    from pipelines.tracking import Tracker, runs

    settings = load_settings(config, tracking_uri=tracking, tracking_timeout_s=timeout)
    uri, seconds = settings.tracking_uri, settings.tracking_timeout_s
    with closing(Tracker(uri)) as tracker:
        return {fleet: runs(uri, fleet, timeout_s=seconds, tracker=tracker, **ask) for fleet in fleets}


def in_order(tables: Mapping[str, pd.DataFrame], sort: str | None, reverse: bool) -> pd.DataFrame:
    """Return the runs of all fleets, with a column ``fleet``: by a metric, or the newest first.

    Runs without the metric come last either way.
    """
    import pandas as pd

    named = [table.assign(fleet=fleet) for fleet, table in tables.items()]
    frame = pd.concat([table for table in named if len(table)] or named[:1], ignore_index=True)
    params = [name for name in map(str, frame) if name.startswith("params.")]
    frame[params] = frame[params].fillna("")  # of another fleet
    frame = frame[["fleet", *(name for name in frame if name != "fleet")]]
    if sort is not None and sort in frame:
        return frame.sort_values(sort, ascending=not reverse, kind="stable", ignore_index=True)
    return frame.sort_values("started", ascending=reverse, kind="stable", ignore_index=True)


def side_by_side(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Return what tells runs apart: names, times, params that differ, the metrics asked for."""
    named = ["fleet"] if len(frame["fleet"].unique()) > 1 else []
    named += ["job_id", "candidate"] if frame["candidate"].any() else ["job_id"]
    differing = [c for c in map(str, frame) if c.startswith("params.") and len(frame[c].unique()) > 1]
    table = frame[[*named, "started", *differing, *metrics]].copy()
    table["started"] = table["started"].dt.strftime("%Y-%m-%d %H:%M")
    return table.rename(columns=lambda name: name.removeprefix("params."))


def draw(frame: pd.DataFrame, metric: str, path: str) -> None:
    """Write a PNG with one bar a run, the first at the top.

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
        raise InputError("--plot needs matplotlib: pip install 'forecast-platform[plot]'")
    from matplotlib.figure import Figure

    from pipelines.tracking import METRICS

    upwards = frame[::-1]
    names = upwards["candidate"].where(upwards["candidate"] != "", upwards["job_id"])
    if len(frame["fleet"].unique()) > 1:
        names = upwards["fleet"] + " " + names
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(frame)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(frame)), upwards[metric], color="#4c72b0")
    axes.set_yticks(range(len(frame)), labels=list(names))
    axes.set_xlabel(f"{metric} ({METRICS[metric].unit})")
    figure.savefig(path, dpi=120)
