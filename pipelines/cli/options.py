"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
jobs = click.option("--jobs", default=-1, show_default=True, help="Threads; -1 for all cores.")
season = click.option("--season-length", type=int, help="Points in a season; by default from the frequency.")
out = click.option("--out", type=click.Path(dir_okay=False), help="Write to this .parquet or .csv file.")


def frame(command: F) -> F:
    """Add what it takes to read a long frame."""
    for option in (
        click.option(
            "--duplicates", type=click.Choice(["raise", "last", "mean"]), default="raise", show_default=True
        ),
        click.option("--target-col", default="y", show_default=True, help="Column of values."),
        click.option("--time-col", default="ds", show_default=True, help="Column of times."),
        click.option("--id-col", default="unique_id", show_default=True, help="Column of series ids."),
        click.option(
            "--freq", help="pandas alias (MS, h, W-SUN, ...) or an integer step; inferred if left out."
        ),
    ):
        command = option(command)
    return command


log_format = click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Of the log on stderr.",
)  # fmt: skip


def settings(command: F) -> F:
    """Add what overrules the settings."""
    for option in (
        click.option("--tracking", metavar="URI", help="MLflow: sqlite:///FILE or http://HOST:PORT."),
        click.option("--store", metavar="URL", help="Store: sqlite:///FILE or postgresql+psycopg://..."),
        click.option(
            "--config", type=click.Path(dir_okay=False), help="Settings; forecast.toml if left out."
        ),
    ):
        command = option(command)
    return command


def parse_freq(freq: str | None) -> str | int | None:
    """Return an integer step as an int; everything else is the library's to judge."""
    return int(freq) if freq is not None and freq.isdigit() else freq
