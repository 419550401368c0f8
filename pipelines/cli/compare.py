"""`forecast compare FLEET`."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from forecast.errors import InputError, nearest
from pipelines.cli import options
from pipelines.cli.compare_plot import draw
from pipelines.cli.compare_table import against_reference, in_order, side_by_side
from pipelines.cli.show import records, show_frame, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from pipelines.tracking import RunScores, Scored, Tracker
    from pipelines.tracking.compare import Comparison

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
@click.option(
    "--against",
    metavar="JOB_ID",
    help="Compare each run with this one, series by series; `champion`: with the champion's. By default the "
    "champion's where it is shown, else the first that is shown.",
)
@click.option("--by", "score", help="Score of a series that runs are compared by.  [default: mase]")
@click.option(
    "--most-mb",
    type=click.FloatRange(0.001, 100_000),
    default=256.0,
    show_default=True,
    help="Fetch no larger table of a run's series.",
)
@click.option("--no-test", is_flag=True, help="The runs alone: fetch no tables, compare nothing.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False),
    help="Draw the first metric, and the differences from the reference, in this PNG.",
)
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
    against: str | None,
    score: str | None,
    most_mb: float,
    no_test: bool,
    plot: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Show runs of fleets side by side, and which are better than the reference beyond luck.

    Runs are compared by the score of each series that both have: mean difference with a 95% interval,
    Wilcoxon's signed-rank test, corrected by Holm for the number of runs. Runs on other data are not tested.
    """
    _check_metrics((*metric, *([sort] if sort else [])))
    if no_test and (against or score):
        raise InputError("--no-test compares nothing: leave out --against and --by")
    score = score_of(score, metric)
    ask = {"last": last, "candidates": candidates, "experiment": experiment}
    asked = None if no_test else {"score": score, "against": against, "limit_bytes": int(most_mb * 1e6)}
    with _mlflow(config, tracking, timeout) as mlflow:
        frame = in_order(_runs(mlflow, fleets, ask), sort, reverse)
        found = {} if asked is None else _compared(mlflow, frame, experiment, asked)
    chosen = [name for name in metric or SHOWN if name in frame]
    if plot and len(frame):
        draw(frame, chosen[0] if chosen else "", plot, score, found)
    if as_json:
        show_json(_rows(frame, found))
    elif frame.empty:
        click.echo(f"no runs of {', '.join(fleets)}")
    else:
        show_frame(side_by_side(frame, chosen), f"{', '.join(fleets)}: {len(frame)} runs")
        _show(frame, found, score)


def _check_metrics(names: Sequence[str]) -> None:
    from pipelines.tracking import METRICS

    for name in names:
        if name not in METRICS:
            raise InputError(f"there is no fleet metric {name!r}{nearest(name, METRICS)}")


def score_of(score: str | None, metrics: Sequence[str]) -> str:
    """Return the score to compare by: as asked, or that of the first metric that is of one.

    Raises
    ------
    InputError
        There is no such score.
    """
    from pipelines.tracking import SCORES

    if score is None:
        named = [name.partition("_")[0] for name in metrics]
        return next((name for name in named if name in SCORES), "mase")
    if score not in SCORES:
        raise InputError(f"there is no score {score!r} of a series{nearest(score, SCORES)}")
    return score


@dataclass(frozen=True)
class _Mlflow:
    """MLflow, started once for all that is asked of it."""

    uri: str
    tracker: Tracker
    ends: float
    """Seconds of `time.monotonic`: one deadline for everything."""

    def left_s(self) -> float:
        return max(0.1, self.ends - time.monotonic())


@contextmanager
def _mlflow(config: str | None, tracking: str | None, timeout: float | None) -> Iterator[_Mlflow]:
    from pipelines.settings import load_settings
    from pipelines.tracking import Tracker

    settings = load_settings(config, tracking_uri=tracking, tracking_timeout_s=timeout)
    with closing(Tracker(settings.tracking_uri)) as tracker:
        yield _Mlflow(settings.tracking_uri, tracker, time.monotonic() + settings.tracking_timeout_s)


def _runs(mlflow: _Mlflow, fleets: Sequence[str], ask: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the runs of each fleet."""
    from pipelines.tracking import runs

    return {
        fleet: runs(mlflow.uri, fleet, timeout_s=mlflow.left_s(), tracker=mlflow.tracker, **ask)
        for fleet in fleets
    }


def _compared(
    mlflow: _Mlflow, frame: pd.DataFrame, experiment: str | None, asked: dict[str, Any]
) -> dict[str, Comparison]:
    """Return the comparison of each run, by run id; a fleet of one run has none."""
    from pipelines.errors import TrackingError
    from pipelines.tracking import scores
    from pipelines.tracking.compare import compare

    found: dict[str, Comparison] = {}
    jobs: set[str] = set()
    against = asked["against"]
    for fleet, runs in frame.groupby("fleet", sort=False):
        ids = [str(run_id) for run_id in runs["run_id"]]
        if len(ids) < 2 and against is None:
            continue
        try:
            scored = scores(
                mlflow.uri, str(fleet), ids, experiment=experiment, timeout_s=mlflow.left_s(),
                tracker=mlflow.tracker, **asked,
            )  # fmt: skip
        except TrackingError as error:
            told = f"{error}; --no-test shows the runs without comparing them"
            raise TrackingError(told, retriable=error.retriable) from error
        jobs |= {run.job_id for run in scored.runs.values()}
        reference = reference_of(scored, ids, against)
        if reference is not None and (against or reference.scores is not None):
            found |= {each.run_id: each for each in compare([scored.runs[i] for i in ids], reference)}
        elif reference is not None:
            click.echo(f"{fleet}: the runs are not compared: {reference.why}", err=True)
    if against is not None and len(frame) and not found:
        raise InputError(f"there is no run of the job {against!r}{nearest(against, sorted(jobs))}")
    return found


def reference_of(scored: Scored, shown: Sequence[str], against: str | None) -> RunScores | None:
    """Return the run that all are compared with: the one asked for, the champion's, or the first with scores.

    None where the fleet has no run of the job that is asked for.
    """
    if against is not None:
        return None if scored.against is None else scored.runs[scored.against]
    runs = [scored.runs[run_id] for run_id in shown]
    usable = [run for run in runs if run.scores is not None]
    champions = [run for run in usable if run.job == scored.champion]
    # Of a job's candidates the one that it is for: most are baselines.
    return max(champions or usable or runs, key=lambda run: run.main, default=None)


def _rows(frame: pd.DataFrame, found: Mapping[str, Comparison]) -> list[dict[str, Any]]:
    """Return the runs as JSON values, each with its comparison; null where there is none."""
    return [
        {**row, "comparison": found[row["run_id"]].to_dict() if row["run_id"] in found else None}
        for row in records(frame)
    ]


def _show(frame: pd.DataFrame, found: Mapping[str, Comparison], score: str) -> None:
    for fleet, runs in frame.groupby("fleet", sort=False):
        some = {run_id: found[run_id] for run_id in runs["run_id"] if run_id in found}
        if some:
            first = next(iter(some.values()))
            against = f"{first.against_model} of {first.against}"
            title = f"{fleet}: {score} of each series against {against} (below zero is better)"
            show_frame(against_reference(runs, some), title)
