"""`forecast backtest INPUT`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import options
from pipelines.cli.show import records, show_frame, show_json, show_progress
from pipelines.train.job import LIMITS, check_models_and_columns

if TYPE_CHECKING:
    from forecast.api.cross_validation import CrossValidation


@click.command("backtest", short_help="Score models on rolling origins of a file.")
@click.argument("input", type=click.Path(dir_okay=False))
@options.horizon
@click.option(
    "--model", "models", multiple=True, show_default=True,
    default=("AutoAR", "SeasonalNaive", "Naive", "Drift"),
    help="Name, or name and arguments as JSON: 'AR {\"lags\": 3}'. May be repeated.",
)  # fmt: skip
@click.option(
    "--windows", type=click.IntRange(1, LIMITS["windows"][1]), default=3, show_default=True, help="Origins."
)
@click.option("--step", type=options.steps, help="Steps between origins; the horizon if left out.")
@click.option("--exog", multiple=True, help="Regressor column; may be repeated.")
@click.option("--no-refit", is_flag=True, help="Fit at the first origin only, then update.")
@options.frame
@options.season
@options.jobs
@options.out
@options.as_json
def command(input: str, out: str | None, as_json: bool, **asked: Any) -> None:  # noqa: ANN401  # the question
    """Score models on rolling origins of INPUT, a long Parquet or CSV file.

    Prints one row a metric and one column a model; --out keeps every forecast.
    """
    import forecast as fc
    from pipelines.tables import write_table

    cv = _cross_validation(input, asked)
    table = fc.evaluate(cv)
    if out:
        write_table(cv, out)
    if as_json:
        show_json(records(table))
    else:
        show_frame(table, f"{asked['windows']} origins, {asked['horizon']} steps ahead, mean over series")
        if out:
            click.echo(f"{len(cv)} rows written to {out}")


def _cross_validation(path: str, asked: dict[str, Any]) -> CrossValidation:
    import forecast as fc
    from pipelines.models import parse_model
    from pipelines.tables import read_table

    names = {name: asked[name] for name in ("id_col", "time_col", "target_col")}
    check_models_and_columns(asked["models"], tuple(names.values()), asked["exog"])
    specs = [parse_model(text) for text in asked["models"]]
    frame = read_table(path, asked["time_col"], asked["id_col"])
    with show_progress(asked["windows"] * len(specs), "fitting") as bar:
        return fc.cross_validation(
            frame, model=specs, h=asked["horizon"], n_windows=asked["windows"], step_size=asked["step"],
            refit=not asked["no_refit"], freq=options.parse_freq(asked["freq"]), exog=list(asked["exog"]),
            season_length=asked["season_length"], duplicates=asked["duplicates"], n_jobs=asked["jobs"],
            progress=lambda done, total: bar.update(done - bar.pos), **names,
        )  # fmt: skip
