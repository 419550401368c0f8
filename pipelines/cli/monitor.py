"""`forecast monitor`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import log_options, options
from pipelines.cli.output import FIELDS, tell
from pipelines.cli.show import show_json
from pipelines.cli.stream import EXIT_FENCED, tick_reader
from pipelines.errors import FencedError

if TYPE_CHECKING:
    from pipelines.monitor.metrics import Totals
    from pipelines.monitor.options import MonitorOptions
    from pipelines.settings import Settings
    from pipelines.stream.stopping import Stop

_TOPICS = {
    "ticks": ("ticks", "Topic of what was observed."),
    "forecasts": ("forecasts", "Topic of forecasts made of those ticks."),
    "alerts": ("drift-events", "Topic to write; made where it is not there."),
}


def _topics(command: Any) -> Any:  # noqa: ANN401  # a command
    for name, (default, help_) in reversed(_TOPICS.items()):
        option = click.option(f"--{name}", default=default, show_default=True, metavar="TOPIC", help=help_)
        command = option(command)
    return command


@click.command("monitor", short_help="Watch a stream of forecasts for drift.")
@click.argument("fleet")
@log_options.service
@_topics
@click.option(
    "--group", default="monitor", show_default=True, callback=options.named,
    help="Monitors of one group share the partitions.",
)  # fmt: skip
@click.option(
    "--instance",
    callback=options.named,
    help="Name of this monitor in its group, the same after a restart; by default of the machine.",
)
@click.option(
    "--arl0", type=click.FloatRange(100.0, 1e9),
    help="Ticks between two false alarms of a detector of a series; drift_arl0 if left out.",
)  # fmt: skip
@click.option(
    "--cooldown", "cooldown_ticks", type=click.IntRange(0, 1_000_000),
    help="Ticks of a series after an alarm that tell no other; drift_cooldown_ticks if left out.",
)  # fmt: skip
@click.option(
    "--fleet-share", type=click.FloatRange(0.0, 1.0, min_open=True),
    help="Of the series: so many alarms together are a fault of the feed; drift_fleet_share if not given.",
)  # fmt: skip
@click.option(
    "--gate-steps",
    type=click.IntRange(0, 1_000_000),
    default=3,
    show_default=True,
    help="What is together: alarms within so many steps.",
)
@click.option(
    "--hold", "hold_s", type=click.FloatRange(0.0, 3600.0), default=20.0, show_default=True,
    metavar="SECONDS", help="An alarm waits for others no longer than this.",
)  # fmt: skip
@click.option(
    "--constant-ticks",
    type=click.IntRange(0, 1_000_000_000),
    default=48,
    show_default=True,
    help="Equal values in a row that are a fault of the feed; 0: none.",
)
@click.option(
    "--silent-ticks",
    type=click.IntRange(0, 1_000_000_000),
    default=24,
    show_default=True,
    help="Steps without a value, while other series move on, that are a fault of the feed; 0: none.",
)
@click.option(
    "--archive/--no-archive",
    default=True,
    show_default=True,
    help="Keep the ticks in history_root/FLEET/ticks: refits need them.",
)
@click.option(
    "--archive-days",
    type=click.FloatRange(1.0, 1e6),
    metavar="DAYS",
    help="Ticks older than this leave the archive; left out, they stay. Not for series that count ints.",
)
@click.option(
    "--commit-interval", "commit_interval_s", type=click.FloatRange(0.001, 3600.0), default=5.0,
    show_default=True, metavar="SECONDS", help="Between two commits while nothing drifts.",
)  # fmt: skip
@click.option(
    "--session-timeout", type=click.FloatRange(0.5, 1800.0), default=30.0, show_default=True,
    metavar="SECONDS", help="A monitor that is silent for so long is taken for dead.",
)  # fmt: skip
@click.option(
    "--start",
    type=click.Choice(["earliest", "latest"]),
    default="earliest",
    show_default=True,
    help="Where a new group begins.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Serve /metrics and /healthz on this port; 0: a free one.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of --metrics-port.")
@click.option(
    "--schemas", type=click.Path(dir_okay=False), metavar="FILE",
    help="What schema ids mean, where ticks are Avro or Protobuf in registry wire format (TOML).",
)  # fmt: skip
@click.option("--stop-at-end", is_flag=True, help="Leave when what is there now is done.")
@click.option(
    "--stop-within",
    type=click.FloatRange(0.1, 3600.0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Deadline for an end in good order.",
)
@log_options.config
@click.option("--store", metavar="URL", help="Store: sqlite:///FILE or postgresql+psycopg://...")
@options.log_format
@options.as_json
def command(as_json: bool, config: str | None, store: str | None, **asked: Any) -> None:  # noqa: ANN401  # options
    """Find series of FLEET whose forecasts have gone wrong, score forecasts, keep the ticks.

    Reads forecasts and the ticks that they were made of; writes events, scores and retraining jobs to the
    store, which `forecast retrain --due` takes up, and alerts to a topic. Takes part in a group: start more
    of it, each with an --instance of its own, to share the partitions. Positions are in the store, in one
    transaction with the events: a crash loses none and doubles none. SIGTERM and SIGINT end it in good
    order.

    Exit codes: 0 ended as asked; 1 failed, needs a person; 2 wrong usage; 4 another monitor of this
    --instance has taken over; 75 failed, or not ended in time: start it again, nothing is lost.
    """
    from pipelines.settings import load_settings
    from pipelines.stream.stopping import Stop

    asked["instance"] = asked["instance"] or socket.gethostname()
    ctx = click.get_current_context()
    ctx.meta[FIELDS] = {"group": asked["group"], "instance": asked["instance"]}
    settings = load_settings(
        config, store_url=store, kafka_client=asked["client"], drift_arl0=asked["arl0"],
        drift_cooldown_ticks=asked["cooldown_ticks"], drift_fleet_share=asked["fleet_share"],
    )  # fmt: skip
    stop = Stop(asked["stop_within"])
    try:
        with stop.at_signals():
            totals = _watch(settings, asked, stop)
    except FencedError as error:
        tell(
            f"forecast monitor: {error}; nothing is lost. Give each monitor an --instance of its own",
            exit_code=EXIT_FENCED,
        )
        ctx.exit(EXIT_FENCED)
    finally:
        stop.ended()
    if as_json:
        show_json({**totals.counts, "events": dict(totals.events), "bad": dict(totals.bad)})
    else:
        counts = totals.counts
        tell(
            f"{counts['forecasts']:,} forecasts, {counts['ticks']:,} ticks, "
            f"{totals.events.total():,} events, {counts['paths']:,} paths scored"
        )


def _watch(settings: Settings, asked: dict[str, Any], stop: Stop) -> Totals:
    from pipelines.logs import fields
    from pipelines.monitor import run_monitor
    from pipelines.store import Store, open_store

    def opened() -> Store:
        return open_store(settings.store())

    chosen, read = _options(settings, asked), tick_reader(asked["schemas"])
    with (
        fields(group=asked["group"], instance=asked["instance"]),
        log_options.connected(settings, asked, make=False) as log,
    ):
        return run_monitor(log, opened, chosen, stop, read)


def _options(settings: Settings, asked: dict[str, Any]) -> MonitorOptions:
    from pipelines.log.protocol import Delivery, Membership
    from pipelines.monitor import MonitorOptions

    same = (
        "ticks", "forecasts", "alerts", "gate_steps", "hold_s", "constant_ticks", "silent_ticks",
        "commit_interval_s", "metrics_port", "metrics_host", "stop_at_end", "archive_days",
    )  # fmt: skip
    return MonitorOptions(
        asked["fleet"],
        Membership(asked["group"], asked["instance"], Delivery.AT_LEAST_ONCE, asked["session_timeout"]),
        arl0=settings.drift_arl0,
        cooldown_ticks=settings.drift_cooldown_ticks,
        fleet_share=settings.drift_fleet_share,
        archive=settings.history_root if asked["archive"] else None,
        from_latest=asked["start"] == "latest",
        **{name: asked[name] for name in same},
    )
