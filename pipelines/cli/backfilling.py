"""`forecast models backfill`: what a version would have said since the drift."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from pipelines.cli import options


def _time(_: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Return a time in ms UTC; of a grid of ints the number itself."""
    if text is None:
        return None
    if text.removeprefix("-").isdecimal() and text.isascii():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time: write 2026-03-01T12:00", param=option) from None
    return round((when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp() * 1000)


@click.command("backfill")
@click.argument("model")
@click.option(
    "--since", "since_ms", metavar="TIME", callback=_time,
    help="First origin, UTC (2026-03-01T12:00); else the first event that led to the version.",
)  # fmt: skip
@options.settings
def backfill(
    model: str, since_ms: int | None, config: str | None, store: str | None, tracking: str | None
) -> None:
    """Write forecasts of a version from past origins: new rows of its own, no row of another is touched.

    MODEL is FLEET@NUMBER, FLEET@champion, or the beginning of its sha256. Origins are the archived ticks of
    the series that the version itself holds.
    """
    from pipelines.model_names import find_version
    from pipelines.retrain.backfill import backfill as fill
    from pipelines.settings import load_settings
    from pipelines.store import open_store

    settings = load_settings(config, store_url=store, tracking_uri=tracking)
    with open_store(settings.store()) as opened:
        opened.require_current()
        row = find_version(opened, model)
        rows = fill(settings, opened, row, since_ms=since_ms)
    click.echo(f"{rows} rows of forecasts of {row.name}")
