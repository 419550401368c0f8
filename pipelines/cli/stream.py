"""`forecast stream`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import log_options, options
from pipelines.cli.output import FIELDS, tell
from pipelines.cli.show import show_json
from pipelines.errors import FencedError

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.stream.decode import ReadTick
    from pipelines.stream.options import StreamOptions
    from pipelines.stream.service import ServiceOptions
    from pipelines.stream.stopping import Stop

# Another worker has this one's place: who starts services must not start this one again as it is.
EXIT_FENCED = 4

_TRANSACTION_S = 30.0

_TOPICS = {
    "ticks": "Topic to read.",
    "forecasts": "Topic to write.",
    "state": "Compact topic for the state of every series; FORECASTS-state if left out.",
    "late": "Topic for ticks that came too late; TICKS-late if left out.",
    "dead": "Topic for ticks that cannot be used; TICKS-dead if left out.",
}


def _topics(command: Any) -> Any:  # noqa: ANN401  # a command
    for name, help_ in reversed(_TOPICS.items()):
        default = name if name in ("ticks", "forecasts") else None
        option = click.option(f"--{name}", default=default, show_default=True, metavar="TOPIC", help=help_)
        command = option(command)
    return command


@click.command("stream", short_help="Forecast a stream of ticks, exactly once.")
@click.option(
    "--model", required=True, metavar="NAME",
    help="FLEET@champion, which follows every promotion; FLEET@NUMBER; or a folder.",
)  # fmt: skip
@click.option("--alias", help="Model of the version, where it has several; by default the best.")
@log_options.service
@_topics
@click.option("--control", default="model-control", show_default=True, metavar="TOPIC", help="Of promotions.")
@click.option(
    "--group", default="forecast", show_default=True, callback=options.named,
    help="Workers of one group share the ticks.",
)  # fmt: skip
@click.option(
    "--instance",
    callback=options.named,
    help="Name of this worker in its group, the same after a restart; by default of the machine.",
)
@click.option(
    "--delivery", type=click.Choice(["exactly-once", "at-least-once"]), default="exactly-once",
    show_default=True, help="What a crash may do to the forecasts.",
)  # fmt: skip
@click.option("--horizon", "-n", type=options.steps, default=24, show_default=True, help="Steps ahead.")
@click.option(
    "--level",
    type=float,
    multiple=True,
    default=(95.0,),
    show_default=True,
    help="Coverage in percent; may be repeated.",
)
@click.option(
    "--gap-cap",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    help="Missing points that are filled; beyond them a series begins anew.",
)
@click.option(
    "--grace",
    type=click.IntRange(0, 1024),
    default=0,
    show_default=True,
    help="Steps that a late tick may lie behind the newest.",
)
@click.option(
    "--max-series",
    type=click.IntRange(0, 100_000_000),
    default=1_000_000,
    show_default=True,
    help="Series of a partition that the model does not have; ticks of further ones are refused.",
)
@click.option(
    "--lead", type=click.FloatRange(0.0, 1e9), metavar="SECONDS",
    help="A tick whose time is farther ahead of the log's clock is refused; left out: none is.",
)  # fmt: skip
@click.option(
    "--session-timeout", type=click.FloatRange(0.5, 1800.0), default=10.0, show_default=True,
    metavar="SECONDS", help="A worker that is silent for so long is taken for dead.",
)  # fmt: skip
@click.option(
    "--commit-interval-ms",
    type=click.IntRange(1, 60_000),
    default=100,
    show_default=True,
    help="Between two commits.",
)
@click.option(
    "--linger-ms",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    help="Between two polls, while ticks come a few at a time: less CPU a tick.",
)
@click.option(
    "--start",
    type=click.Choice(["earliest", "latest"]),
    default="earliest",
    show_default=True,
    help="Where a new group begins.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    help="Of the topics, where that of ticks is not there yet.",
)
@click.option(
    "--snapshots",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Folder for state, so that a restart need not read it from the log.",
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
@click.option("--stop-at-end", is_flag=True, help="Leave when the ticks that are there now are done.")
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
    """Read ticks, fill gaps, forecast, write forecasts: none lost, none twice, whatever crashes.

    Takes part in a group: start more of it, each with an --instance of its own, to share the partitions.
    Missing topics are made. SIGTERM and SIGINT end it in good order. Settings, such as who may enter Kafka,
    come from forecast.toml and FORECAST_* variables.

    Exit codes: 0 ended as asked; 1 failed, needs a person; 2 wrong usage; 4 another worker of this
    --instance has taken over; 75 failed, or not ended in time: start it again, nothing is lost.
    """
    from pipelines.settings import load_settings
    from pipelines.stream.stopping import Stop

    asked["instance"] = asked["instance"] or socket.gethostname()
    ctx = click.get_current_context()
    ctx.meta[FIELDS] = {"group": asked["group"], "instance": asked["instance"]}
    settings = load_settings(config, store_url=store, kafka_client=asked["client"])
    stop = Stop(asked["stop_within"])
    try:
        with stop.at_signals():
            counts = _serve(settings, asked, stop)
    except FencedError as error:
        tell(
            f"forecast stream: {error}; nothing is lost. Give each worker an --instance of its own",
            exit_code=EXIT_FENCED,
        )
        ctx.exit(EXIT_FENCED)
    finally:
        stop.ended()
    if as_json:
        show_json(counts)
    else:
        tell(f"{counts['ticks']:,} ticks, {counts['forecasts']:,} forecasts")


def _serve(settings: Settings, asked: dict[str, Any], stop: Stop) -> dict[str, int]:
    from pipelines.logs import fields
    from pipelines.store import Store, open_store
    from pipelines.stream.engine import Engine
    from pipelines.stream.models import ChampionLoader, follows_champion, load_first
    from pipelines.stream.service import run_service
    from pipelines.stream.warmth import warm_engine

    def opened() -> Store:
        return open_store(settings.store())

    engine_options, service = _engine_options(asked), _service_options(asked)
    with (
        fields(group=asked["group"], instance=asked["instance"]),
        log_options.connected(settings, asked) as log,
    ):
        served = load_first(asked["model"], opened, asked["alias"])
        load = ChampionLoader(opened, asked["alias"]) if follows_champion(asked["model"]) else None
        tell(f"model {served.name}, version {served.version[:12]}: {served.records.n_series:,} series")
        warm_engine(served, engine_options)
        engine = Engine(served, engine_options, service.topics, tick_reader(asked["schemas"]))
        totals = run_service(log, engine, served, service, stop, load)
    return dict(totals.counts)


def tick_reader(schemas: str | None) -> ReadTick:
    """Return what reads ticks that are not plain JSON."""
    from pipelines.wire import decode_tick

    if schemas is None:
        return decode_tick
    from pipelines.registry_format import TickFormat, load_schemas

    return TickFormat(load_schemas(schemas)).decode


def _engine_options(asked: dict[str, Any]) -> StreamOptions:
    from pipelines.stream.options import StreamOptions

    return StreamOptions(
        horizon=asked["horizon"], levels=tuple(sorted(asked["level"])), gap_cap=asked["gap_cap"],
        grace=asked["grace"], max_series=asked["max_series"],
        lead_ms=None if asked["lead"] is None else round(asked["lead"] * 1e3),
    )  # fmt: skip


def _service_options(asked: dict[str, Any]) -> ServiceOptions:
    from pipelines.log.protocol import Delivery, Membership
    from pipelines.stream.service import ServiceOptions
    from pipelines.stream.topics import topics_for
    from pipelines.stream.worker_options import WorkerOptions

    given = {name: asked[name] for name in _TOPICS if asked[name] is not None}
    interval_s = asked["commit_interval_ms"] / 1e3
    return ServiceOptions(
        Membership(
            asked["group"],
            asked["instance"],
            Delivery(asked["delivery"]),
            asked["session_timeout"],
            # The log aborts what takes longer, and that would be every transaction.
            transaction_timeout_s=max(_TRANSACTION_S, 2.0 * interval_s),
        ),
        topics_for(asked["ticks"], asked["forecasts"])._replace(**given),
        control=asked["control"],
        partitions=asked["partitions"],
        worker=WorkerOptions(commit_interval_s=interval_s, linger_s=asked["linger_ms"] / 1e3),
        from_latest=asked["start"] == "latest",
        snapshots=None if asked["snapshots"] is None else Path(asked["snapshots"]),
        metrics_port=asked["metrics_port"],
        metrics_host=asked["metrics_host"],
        stop_at_end=asked["stop_at_end"],
    )
