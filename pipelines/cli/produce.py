"""`forecast produce INPUT`."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipelines.cli import log_options, options
from pipelines.cli.output import tell
from pipelines.cli.show import show_json, show_progress
from pipelines.cli.stopping import asked_to_stop

if TYPE_CHECKING:
    from pipelines.log.protocol import Log
    from pipelines.replay import Pace, Sent, TickTable


def _speed(_: click.Context, __: click.Parameter, text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise click.BadParameter(f"{text!r} is neither a positive number nor max")
    return speed


@click.command("produce", short_help="Replay a file as ticks to Kafka, or to an embedded log.")
@click.argument("input", type=click.Path(dir_okay=False))
@log_options.service
@click.option("--topic", default="ticks", show_default=True, help="Topic of ticks.")
@click.option(
    "--partitions", type=click.IntRange(1, 10_000), default=4, show_default=True,
    help="Of the topic, where it is not there yet.",
)  # fmt: skip
@click.option(
    "--speed", default="max", show_default=True, metavar="N|max", callback=_speed,
    help="Times as fast as the clock of the data; 3600: an hour in a second.",
)  # fmt: skip
@click.option("--rate", type=float, help="Ticks a second, instead of --speed.")
@click.option("--limit", type=click.IntRange(1), help="Send the first so many ticks only.")
@click.option(
    "--exog", multiple=True, help="Regressor column; may be repeated; by default every numeric one."
)
@click.option("--no-exog", is_flag=True, help="Send no regressors.")
@click.option("--target-col", default="y", show_default=True, help="Column of values.")
@click.option("--time-col", default="ds", show_default=True, help="Column of times.")
@click.option("--id-col", default="unique_id", show_default=True, help="Column of series ids.")
@log_options.config
@options.log_format
@options.as_json
def command(
    input: str,
    topic: str,
    partitions: int,
    speed: float | None,
    rate: float | None,
    limit: int | None,
    exog: tuple[str, ...],
    no_exog: bool,
    target_col: str,
    time_col: str,
    id_col: str,
    as_json: bool,
    **where: str | None,
) -> None:
    """Send the rows of INPUT, a CSV or Parquet file, as ticks in the order of their times.

    Each goes to the partition that its series has with every producer of Kafka. An empty value is sent as
    null, a gap that is known. Every row is checked before the first one is sent. Naive times are UTC.

    Exit codes: 0 all is sent; 1 failed; 2 wrong usage; 75 failed, try again later; 130 stopped before the
    last tick.
    """
    from pipelines.replay import Names, Pace, read_ticks

    if exog and no_exog:
        raise click.UsageError("--exog and --no-exog do not go together")
    settings = log_options.settings_of(where)
    log_options.service_address(settings, where["log_file"], where["bootstrap"])  # before all rows are read
    pace = Pace(speed, rate)
    chosen = exog if exog or no_exog else None
    ticks = read_ticks(input, Names(id_col, time_col, target_col, chosen))
    for name in ticks.left_out:
        tell(f"note: column {name!r} holds no numbers, and is left out")
    if limit is not None:
        ticks = ticks.first(limit)
    with log_options.connected(settings, where) as log:
        sent = _send(log, topic, partitions, ticks, pace)
    show_json({"topic": topic, **asdict(sent)}) if as_json else _print(topic, sent)
    if sent.ticks < sent.total:
        tell(f"stopped: {sent.total - sent.ticks} ticks were not sent", logging.ERROR)
        click.get_current_context().exit(130)


def _send(log: Log, topic: str, partitions: int, ticks: TickTable, pace: Pace) -> Sent:
    from pipelines.log.protocol import Topic
    from pipelines.replay import replay

    with asked_to_stop() as stopping, show_progress(len(ticks), "ticks") as bar:
        log.make_topics([Topic(topic, partitions)])
        return replay(log, topic, ticks, pace, stopping, bar.update)


def _print(topic: str, sent: Sent) -> None:
    rate = sent.ticks / sent.seconds if sent.seconds > 0 else 0.0
    click.echo(
        f"{sent.ticks:,} ticks of {sent.series:,} series to {topic}, {sent.missing:,} without a value, "
        f"in {sent.seconds:.1f} s: {rate:,.0f} a second"
    )
    spread = " ".join(f"{count:,}" for count in sent.partitions)
    click.echo(f"by partition: {spread}")
