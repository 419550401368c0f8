"""`forecast train INPUT`."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli import options
from pipelines.cli.output import FIELDS, LOG_FORMAT, reader_may_leave, tell
from pipelines.cli.show import show_json
from pipelines.cli.stopping import stoppable
from pipelines.train.job import LIMITS, Job, fleet_of

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.train.run import Outcome
    from pipelines.train.run_folder import RunFolder

# Exit code of a job that is done but for MLflow: `--resume` logs it later.
NOT_LOGGED = 3
# Series that the summary names one by one.
_NAMED = 5


@click.command("train", short_help="Fit, backtest, store and register a fleet; resumable.")
@click.argument("input", required=False)
@click.option("--sql", metavar="QUERY", help="Read the rows of this query instead.")
@click.option("--from", "source_url", metavar="URL", help="Database of --sql, as SQLAlchemy names it.")
@click.option("--resume", metavar="RUN_ID", help="Go on with a job where it stopped.")
@click.option("--fleet", help="Name of the fleet; by default from the file.")
@click.option(
    "--model", "models", multiple=True, default=("AutoAR",), show_default=True,
    help="Name, or name and arguments as JSON: 'AR {\"lags\": 3}'. May be repeated.",
)  # fmt: skip
@click.option("--horizon", "-n", type=options.steps, default=12, show_default=True, help="Steps ahead.")
@click.option("--exog", multiple=True, help="Regressor column; may be repeated.")
@click.option("--future", type=click.Path(dir_okay=False), help="File with the regressors over the horizon.")
@options.level
@click.option(
    "--windows",
    type=click.IntRange(*LIMITS["windows"]),
    default=1,
    show_default=True,
    help="Origins of the backtest; 0: none.",
)
@click.option("--no-stationarity", is_flag=True, help="Leave the unit-root tests out of quality.parquet.")
@click.option(
    "--partition-size", type=click.IntRange(*LIMITS["partition_size"]), default=4096, show_default=True,
    help="Series fitted at once: what a kill loses.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Fail when one file of a folder cannot be read.")
@click.option("--promote", is_flag=True, help="Make the version champion even where there is one.")
@click.option("--no-track", is_flag=True, help="Do not log to MLflow.")
@options.out_option("Copy the forecasts to this .parquet or .csv file.")
@click.option("--jobs", type=click.IntRange(-1), help="Threads; -1, the default, for all cores.")
@options.frame
@options.season
@options.settings
@options.log_format
@options.as_json
def command(
    no_track: bool,
    out: str | None,
    as_json: bool,
    config: str | None,
    store: str | None,
    tracking: str | None,
    source_url: str | None,
    jobs: int | None,
    **asked: Any,  # noqa: ANN401  # the options that make the job
) -> None:
    """Fit a fleet: INPUT is a Parquet or CSV file, a folder of them, or left out for --sql.

    Reads, checks, fits, backtests, writes model version, forecasts and report, registers them in the store
    and logs to MLflow. A job that was killed goes on with --resume RUN_ID. Settings come from forecast.toml
    and FORECAST_* variables.

    Exit codes: 0 done; 1 failed, needs a person; 2 wrong usage; 3 done, but not logged to MLflow (--resume
    logs it later); 75 failed, the same command can succeed later; 130, 143 stopped by SIGINT, SIGTERM
    (--resume goes on).
    """
    from pipelines.settings import load_settings

    _refuse_unused(asked, source_url)
    settings = load_settings(config, store_url=store, tracking_uri=tracking, source_url=source_url, jobs=jobs)
    folder = _folder(settings, asked, out)
    ctx = click.get_current_context()
    ctx.meta[FIELDS] = {"run_id": folder.run_id, "fleet": folder.job.fleet}
    tell(f"run {folder.run_id}")
    outcome = _train(folder, settings, track=not no_track)
    with reader_may_leave():  # the job is done, and its exit code stands
        _tell(folder, outcome, out, as_json)
    if outcome.not_logged is not None:
        ctx.exit(NOT_LOGGED)


def _refuse_unused(asked: dict[str, Any], source_url: str | None) -> None:
    """Refuse options of the command line that would change nothing."""
    ctx = click.get_current_context()
    if asked["resume"] is None:
        if source_url is not None and asked["sql"] is None:
            raise click.UsageError("--from is the database of --sql, which was not given")
        return
    given = [
        param.opts[0] if isinstance(param, click.Option) else "INPUT"
        for param in ctx.command.params
        if param.name in asked
        and param.name != "resume"
        and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
        and asked[param.name] is not None
    ]
    if given:
        raise click.UsageError(f"--resume takes these from the job, leave them out: {', '.join(given)}")


def _train(folder: RunFolder, settings: Settings, track: bool) -> Outcome:
    from pipelines.cli.progress import showing
    from pipelines.store import open_store
    from pipelines.train.run import run
    from pipelines.train.tracking import ready_to_log

    lines = click.get_current_context().meta.get(LOG_FORMAT) == "json"
    with (
        stoppable(f"forecast train --resume {folder.run_id}"),
        ready_to_log(folder, settings) if track else nullcontext() as log_job,
        showing(lines) as progress,
    ):
        return run(folder, settings, open_store, log_job, progress)


def _folder(settings: Settings, asked: dict[str, Any], out: str | None) -> RunFolder:
    from pipelines.train.run_folder import create, reopen

    resumed = None if asked["resume"] is None else reopen(settings.run_root, asked["resume"])
    job = _job(asked) if resumed is None else resumed.job
    if out is not None and job.exog and job.future is None:
        raise click.UsageError("there will be no forecasts for --out: the job has no --future")
    return resumed or create(settings.run_root, job)


def _job(asked: dict[str, Any]) -> Job:
    path, sql = asked["input"], asked["sql"]
    if (path is None) == (sql is None):
        raise click.UsageError("name an INPUT, or a query with --sql")
    if sql is not None and asked["fleet"] is None:
        raise click.UsageError("--sql needs --fleet")
    if path is not None and not path.strip():
        raise click.UsageError("INPUT is empty; name a file or a folder")
    return Job(
        fleet=asked["fleet"] or fleet_of(str(path)),
        input=str(sql if path is None else path),
        sql=sql is not None,
        models=asked["models"],
        horizon=asked["horizon"],
        freq=options.parse_freq(asked["freq"]),
        season_length=asked["season_length"],
        levels=asked["level"],
        exog=asked["exog"],
        future=asked["future"],
        windows=asked["windows"],
        partition_size=asked["partition_size"],
        id_col=asked["id_col"],
        time_col=asked["time_col"],
        target_col=asked["target_col"],
        duplicates=asked["duplicates"],
        strict=asked["strict"],
        stationarity=not asked["no_stationarity"],
        promote=asked["promote"],
    )


def _tell(folder: RunFolder, outcome: Outcome, out: str | None, as_json: bool) -> None:
    found = outcome.summary
    if out is not None:
        import pandas as pd

        from pipelines.tables import write_table

        write_table(pd.read_parquet(found["forecasts"]), out)
    if as_json:
        show_json({**found, "not_logged": outcome.not_logged})
        return
    _print(folder, outcome)


def _print(folder: RunFolder, outcome: Outcome) -> None:
    found, data = outcome.summary, outcome.summary["input"]
    name = f"{found['fleet']}@{found['register']['ver']}"
    crown = ", champion" if found["register"]["champion"] else ""
    same = "" if found["new_version"] else " (same as before: same data, same models)"
    click.echo(f"{name}{crown}: {data['n_series']} series, {data['n_rows']} points, freq {data['freq']}")
    click.echo(f"  version   {found['version']}{same}")
    click.echo(f"  status    {_counts(found['statuses'])}")
    for alias, scores in found["backtest"].items():
        if "mase_mean" in scores:
            click.echo(f"  backtest  {alias}: MASE {scores['mase_mean']:.3f}")
    for skipped in data["skipped"]:
        click.echo(f"  left out  {skipped['file']}: {skipped['reason']}")
    _print_troubled(folder)
    click.echo(f"  models    {found['folder']}")
    click.echo(f"  results   {folder.path}")
    if outcome.not_logged is not None:
        tell(f"not logged to MLflow: {outcome.not_logged}", logging.WARNING)
        tell(f"log it later: forecast train --resume {folder.run_id}")


def _print_troubled(folder: RunFolder) -> None:
    """Name the first series that could not have the model, and why."""
    import pyarrow.parquet as pq

    from forecast.types import Status
    from pipelines.train.reporting import REPORT

    troubled = [status.name.lower() for status in Status if status > Status.GUARDED]
    names = [folder.job.id_col, "model", "status", "message"]
    rows = pq.read_table(folder.file(REPORT), columns=names, filters=[("status", "in", troubled)])
    for key, model, status, message in zip(*(rows[name][:_NAMED].to_pylist() for name in names), strict=True):
        click.echo(f"  {status:<9} {key}, {model}: {message}")
    if len(rows) > _NAMED:
        click.echo(f"  ... and {len(rows) - _NAMED} more in {folder.file(REPORT)}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
