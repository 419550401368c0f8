"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import click

from forecast.errors import InputError
from pipelines.cli.output import LOG_FORMAT
from pipelines.logs import configure
from pipelines.train.job import LIMITS, check_distinct_levels

F = TypeVar("F", bound=Callable[..., Any])

# Of files that `write_table` writes.
ENDINGS: Final = (".parquet", ".pq", ".csv")

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
jobs = click.option("--jobs", default=-1, show_default=True, help="Threads; -1 for all cores.")
season = click.option(
    "--season-length",
    type=click.IntRange(*LIMITS["season_length"]),
    help="Points in a season; by default from the frequency.",
)
steps = click.IntRange(*LIMITS["horizon"])
horizon = click.option("--horizon", "-n", type=steps, required=True, help="Steps ahead, 1 or more.")


def _levels(_: click.Context, __: click.Parameter, values: tuple[float, ...]) -> tuple[float, ...]:
    try:
        check_distinct_levels(values)
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return values


def named(_: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Refuse a name that is empty."""
    if text is not None and not text.strip():
        raise click.BadParameter("a name is needed", param=option)
    return text


level = click.option(
    "--level", type=float, multiple=True, default=(80, 95), show_default=True, callback=_levels,
    help="Coverage in percent.",
)  # fmt: skip


def _target(_: click.Context, __: click.Parameter, path: str | None) -> str | None:
    """Refuse, before any work, a file that could not be written after it."""
    if path is None:
        return None
    folder = os.path.dirname(path) or "."
    if not path.lower().endswith(ENDINGS):
        raise click.BadParameter(f"{path!r} must end in .parquet or .csv")
    if not os.path.isdir(folder):
        raise click.BadParameter(f"there is no folder {folder!r}")
    if not os.access(folder, os.W_OK):
        raise click.BadParameter(f"the folder {folder!r} must not be written")
    return path


def out_option(help: str) -> Callable[[F], F]:
    """Return ``--out FILE``, which is judged before any work."""
    return click.option("--out", type=click.Path(dir_okay=False), callback=_target, help=help)


out = out_option("Write to this .parquet or .csv file.")


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


def _log_format(ctx: click.Context, _: click.Parameter, value: Literal["text", "json"]) -> None:
    ctx.meta[LOG_FORMAT] = value
    configure(value)


# Read before the others: what is wrong with them is told in this form.
log_format = click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, is_eager=True,
    expose_value=False, callback=_log_format, help="Of every line on stderr.",
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
    return int(freq) if freq is not None and freq.isascii() and freq.isdecimal() else freq
