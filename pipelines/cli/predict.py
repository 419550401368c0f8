"""`forecast predict MODEL`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli import options
from pipelines.cli.show import records, show_frame, show_json

if TYPE_CHECKING:
    from forecast.api.fitted import Fitted


@click.command("predict", short_help="Forecast from a stored model to a Parquet or CSV file.")
@click.argument("model")
@options.horizon
@options.level
@click.option("--future", type=click.Path(dir_okay=False), help="File with the future regressors.")
@click.option(
    "--store", metavar="URL", help="Where FLEET@NUMBER is looked up; by default as the settings say."
)
@click.option("--config", type=click.Path(dir_okay=False), help="Settings; forecast.toml if left out.")
@options.jobs
@options.out
@options.as_json
def command(
    model: str,
    horizon: int,
    level: tuple[float, ...],
    future: str | None,
    store: str | None,
    config: str | None,
    jobs: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Forecast every series of MODEL.

    MODEL is a folder written by `Fitted.save` or `forecast train`, FLEET@NUMBER, FLEET@champion, or the
    beginning of a version.
    """
    from dataclasses import replace

    from forecast.api.arguments import check_jobs
    from pipelines.tables import read_table, write_table

    fitted = replace(_load(model, store, config), n_jobs=check_jobs(jobs))
    X_df = None if future is None else read_table(future, fitted.schema.time_col, fitted.schema.id_col)
    frame = fitted.predict(horizon, level=list(level), X_df=X_df)
    if out:
        write_table(frame, out)
    if as_json:
        show_json(records(frame))
    elif out:
        click.echo(f"{len(frame)} rows written to {out}")
    else:
        show_frame(frame, f"{fitted}, {horizon} steps ahead")


def _load(model: str, store: str | None, config: str | None) -> Fitted:
    from pipelines.model_names import load_model
    from pipelines.settings import load_settings

    # Settings that cannot be read do not matter to who names a folder.
    found = Path(model).exists()
    return load_model(model, "" if found else load_settings(config, store_url=store).store())
