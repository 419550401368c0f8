"""`forecast tail`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import click

from pipelines.cli import log_options, options
from pipelines.cli.output import reader_left, tell
from pipelines.cli.stopping import asked_to_stop

if TYPE_CHECKING:
    from threading import Event

    from pipelines.consumer import ForecastStream
    from pipelines.wire import Forecast

_BARS: Final = "▁▂▃▄▅▆▇█"
# Characters of a path: a day of hours, one each.
_BARS_WIDE: Final = 24
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@click.command("tail", short_help="Print the forecast stream, as it comes.")
@log_options.service
@click.option("--topic", default="forecasts", show_default=True, help="Topic of forecasts.")
@click.option(
    "--from", "start", type=click.Choice(["start", "end"]), default="end", show_default=True,
    help="Print what is there already, or only what comes.",
)  # fmt: skip
@click.option("--series", multiple=True, help="Of this series only; may be repeated.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many forecasts.")
@click.option("--no-follow", is_flag=True, help="Stop at the end instead of waiting.")
@click.option("--bars/--no-bars", default=True, show_default=True, help="Draw the path.")
@click.option("--int-times", is_flag=True, help="Times are plain numbers, as of a yearly series of ints.")
@log_options.config
@options.log_format
@options.as_json
def command(
    topic: str,
    start: Literal["start", "end"],
    series: tuple[str, ...],
    limit: int | None,
    no_follow: bool,
    bars: bool,
    int_times: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Print forecasts, a line each: time, series, next value with its widest band, path, surprise, model.

    Committed messages only, as often as they were published. With --json each line is the message as it
    was sent. SIGINT, SIGTERM and a reader that leaves end it, exit 0.
    """
    from pipelines.consumer import ForecastStream
    from pipelines.wire import encode_forecast

    def line(forecast: Forecast) -> str:
        return encode_forecast(forecast).decode() if as_json else _line(forecast, bars, int_times)

    with (
        log_options.connected(log_options.settings_of(where), where, make=False) as log,
        ForecastStream(
            log, topic, start=start, follow=not no_follow, series=series or None, recent=0
        ) as stream,
        asked_to_stop() as stopping,
    ):
        _print_all(stream, line, limit, stopping)
    if bad := stream.counts.bad:
        found = ", ".join(f"{count} {reason.value}" for reason, count in sorted(bad.items()))
        tell(f"note: messages that are no forecasts: {found}")


def _print_all(
    stream: ForecastStream, line: Callable[[Forecast], str], limit: int | None, stopping: Event
) -> None:
    shown = 0
    while not stopping.is_set() and (limit is None or shown < limit):
        forecast = stream.poll()
        if forecast is not None:
            sys.stdout.write(f"{line(forecast)}\n")
            shown += 1
            continue
        sys.stdout.flush()  # nobody waits for a line that is there
        if reader_left() or stream.at_end:
            break


def _line(forecast: Forecast, bars: bool, int_times: bool) -> str:
    when = str(forecast.ts_ms) if int_times else _time(forecast.ts_ms)
    band = ""
    if forecast.level:
        low, high = forecast.lo[-1][0], forecast.hi[-1][0]
        band = f" [{low:.5g}, {high:.5g}] {forecast.level[-1]:g} %"
    path = f"  {_drawn(forecast.mean)}" if bars else ""
    surprise = f"imputed {forecast.imputed}" if forecast.z is None else f"z {forecast.z:+.2f}"
    model = f"{_plain(forecast.model)}@{_plain(forecast.version[:8])}"
    return f"{when}  {_plain(forecast.series_id)}  {forecast.mean[0]:.5g}{band}{path}  {surprise}  {model}"


def _time(ts_ms: int) -> str:
    text = (_EPOCH + timedelta(milliseconds=ts_ms)).isoformat(sep=" ", timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000")


def _plain(text: str) -> str:
    """Return foreign text without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _drawn(path: list[float]) -> str:
    """Return a path as bars, of a long one points that lie equally far apart."""
    step = max(1, -(-len(path) // _BARS_WIDE))
    points = path[::step]
    low, high = min(points), max(points)
    if not high > low:
        return _BARS[0] * len(points)
    # Halves, so that a span beyond the largest double stays finite.
    span = high / 2 - low / 2
    return "".join(_BARS[min(int((y / 2 - low / 2) / span * len(_BARS)), len(_BARS) - 1)] for y in points)
