"""`forecast check INPUT`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipelines.cli import options
from pipelines.cli.show import SHOWN_ROWS, records, show_frame, show_json

if TYPE_CHECKING:
    import pandas as pd


@click.command("check", short_help="Report stationarity and data quality of a file.")
@click.argument("input", type=click.Path(dir_okay=False))
@options.frame
@options.season
@options.jobs
@options.out
@options.as_json
def command(
    input: str,  # the name users see
    freq: str | None,
    id_col: str,
    time_col: str,
    target_col: str,
    duplicates: str,
    season_length: int | None,
    jobs: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Report stationarity and data quality of INPUT, a long Parquet or CSV file.

    One row per series: missing points, ADF, KPSS and Phillips-Perron tests, seasonal strength, suggested
    differences and a verdict.
    """
    from pipelines.quality import check_table
    from pipelines.tables import read_table, write_table

    table = check_table(
        read_table(input, time_col, id_col), options.parse_freq(freq), season_length, id_col, time_col,
        target_col, duplicates, jobs,
    )  # fmt: skip
    if out:
        write_table(table, out)
    if as_json:
        show_json(records(table))
        return
    show_frame(_brief(table, id_col), f"{len(table)} series in {input}, frequency {table['freq'].iloc[0]}")
    noted = table.loc[table["note"] != "", [id_col, "note"]]
    for key, note in noted.head(SHOWN_ROWS).itertuples(index=False):
        click.echo(f"  {key}: {note}")
    counts = table["verdict"].value_counts()
    click.echo("verdicts: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if out:
        click.echo(f"written to {out}")


def _brief(table: pd.DataFrame, id_col: str) -> pd.DataFrame:
    """Return what fits on a terminal; --json and --out have every column."""
    names = {
        id_col: id_col, "status": "status", "n": "points", "n_missing": "gaps", "adf_p": "ADF p",
        "kpss_p": "KPSS p", "seasonal_strength": "season", "d": "d", "D": "D", "verdict": "verdict",
    }  # fmt: skip
    return table[list(names)].rename(columns=names)
