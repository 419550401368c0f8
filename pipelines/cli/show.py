"""Frames for people, or as JSON."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd
    from click._termui_impl import ProgressBar

# Rows of a long table that a terminal shows; the rest goes to --out or --json.
SHOWN_ROWS = 20
_PIPE_WIDTH = 500


def show_json(value: Any) -> None:  # noqa: ANN401  # anything JSON can hold
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str, allow_nan=False))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as JSON values; what is no number is null."""
    return [{str(k): _plain(v) for k, v in row.items()} for row in frame.to_dict(orient="records")]


def _plain(value: Any) -> Any:  # noqa: ANN401  # one cell
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_frame(frame: pd.DataFrame, title: str) -> None:
    """Print a frame as a table, the first rows of a long one."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in frame.columns:
        number = frame[name].dtype.kind in "fiu"
        table.add_column(str(name), justify="right" if number else "left", overflow="fold")
    for row in frame.head(SHOWN_ROWS).itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    # A pipe has no width: a cell that is folded there cannot be searched for.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    with console.capture() as printed:
        console.print(table)
        if len(frame) > SHOWN_ROWS:
            console.print(f"... {len(frame) - SHOWN_ROWS} more rows: use --out FILE or --json")
    click.echo(printed.get(), nl=False)  # rich itself would exit 1 where the reader of a pipe leaves


def show_progress(steps: int, label: str) -> ProgressBar[int]:
    """Return a progress bar on stderr; it stays hidden where that is no terminal."""
    return click.progressbar(length=steps, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def _cell(value: Any) -> str:  # noqa: ANN401  # one cell
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return str(value)
