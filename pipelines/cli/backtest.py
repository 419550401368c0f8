"""`forecast backtest INPUT`."""

from __future__ import annotations

from typing import Literal

import click

from pipelines.cli import options
from pipelines.cli.show import records, show_frame, show_json, show_progress


@click.command("backtest", short_help="Score models on rolling origins of a file.")
@click.argument("input", type=click.Path(dir_okay=False))
@click.option("--horizon", "-n", type=int, required=True, help="Steps ahead, 1 or more.")
@click.option(
    "--model", "models", multiple=True, show_default=True,
    default=("AutoAR", "SeasonalNaive", "Naive", "Drift"),
    help="Name, or name and arguments as JSON: 'AR {\"lags\": 3}'. May be repeated.",
)  # fmt: skip
@click.option("--windows", default=3, show_default=True, help="Origins.")
@click.option("--step", type=int, help="Steps between origins; the horizon if left out.")
@click.option("--exog", multiple=True, help="Regressor column; may be repeated.")
@click.option("--no-refit", is_flag=True, help="Fit at the first origin only, then update.")
@options.frame
@options.season
@options.jobs
@options.out
@options.as_json
def command(
    input: str,  # the name users see
    horizon: int,
    models: tuple[str, ...],
    windows: int,
    step: int | None,
    exog: tuple[str, ...],
    no_refit: bool,
    freq: str | None,
    id_col: str,
    time_col: str,
    target_col: str,
    duplicates: Literal["raise", "last", "mean"],
    season_length: int | None,
    jobs: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Score models on rolling origins of INPUT, a long Parquet or CSV file.

    Prints one row a metric and one column a model; --out keeps every forecast.
    """
    import forecast as fc
    from pipelines.models import parse_model
    from pipelines.tables import read_table, write_table

    specs = [parse_model(text) for text in models]
    frame = read_table(input, time_col)
    with show_progress(windows * len(specs), "fitting") as bar:
        cv = fc.cross_validation(
            frame, model=specs, h=horizon, n_windows=windows, step_size=step,
            refit=not no_refit, freq=options.parse_freq(freq), exog=list(exog), season_length=season_length,
            id_col=id_col, time_col=time_col, target_col=target_col, duplicates=duplicates, n_jobs=jobs,
            progress=lambda done, total: bar.update(done - bar.pos),
        )  # fmt: skip
    table = fc.evaluate(cv)
    if out:
        write_table(cv, out)
    if as_json:
        show_json(records(table))
    else:
        show_frame(table, f"{windows} origins, {horizon} steps ahead, mean over series")
        if out:
            click.echo(f"{len(cv)} rows written to {out}")
